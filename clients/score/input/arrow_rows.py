"""Rows of an Arrow table: CSV, Parquet, Arrow and TFRecord files.

    pixels: list<float> (n)  ──▶ (n, 64) float32      without a copy where it can be
    text: string (n)         ──▶ (n,) bytes

Lists hold a row's numbers, nested as the input is or flat; so do columns side by side. A column of text holds numbers
as a CSV file writes them, or JSON lists. Types follow the rules of JSON requests: any number becomes a float, a whole
number another width that has room for it; nothing else is cast.
"""

import base64
import decimal
import math
from contextlib import suppress
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from signet.clients.client import values
from signet.clients.score.input.arrow_values import json_values, plain
from signet.clients.score.input.chunks import Chunk
from signet.clients.score.input.csv_records import CsvRecords
from signet.clients.score.input.rows import Group, by_shape, of_row
from signet.clients.score.plan import Plan
from signet.serving.errors import InvalidInput, UsageError
from signet.serving.tensors.arrays import Array, Arrays
from signet.serving.tensors.dtypes import DType
from signet.serving.tensors.protos import example_pb2
from signet.serving.tensors.signature import TensorSpec

_ARROW_TYPES = {
    "float": pa.float32(), "double": pa.float64(), "half": pa.float32(), "bfloat16": pa.float32(), "bool": pa.bool_(),
    "int8": pa.int8(), "int16": pa.int16(), "int32": pa.int32(), "int64": pa.int64(),
    "uint8": pa.uint8(), "uint16": pa.uint16(), "uint32": pa.uint32(), "uint64": pa.uint64(),
}  # fmt: skip
"""What a text is read as, by the dtype of the input."""


class ArrowRows:
    """A `ParsedRows` of a table's rows."""

    def __init__(self, chunk: Chunk, plan: Plan) -> None:
        self._plan = plan
        self.bad: dict[int, str] = {}
        self._first_row = chunk.start.row
        self._lines: list[int] | None = None
        content = self._content = chunk.content
        self._sparse = isinstance(content, list)
        if isinstance(content, CsvRecords):
            self.table = _of_csv(content, plan.wanted, self.bad)
            self._lines = [record.line for record in content.records]
        elif self._sparse:
            self.table = _of_examples(content, plan, self.bad)
        else:
            self.table = plain(content)
        for name, value in chunk.source.partitions:
            if name not in self.table.column_names and (plan.wanted is None or name in plan.wanted):
                self.table = self.table.append_column(name, pa.array([value] * self.table.num_rows, pa.string()))
        self._path = chunk.source.shown
        self._arrays: dict[str, Any] = {}

    def groups(self) -> list[Group]:
        specs = self._plan.signature.inputs
        for name in self._plan.used:
            self._column(name)  # says what is missing, though there are no rows
        rows = self.table.num_rows
        if not rows:
            return []
        regular: dict[str, Array | None] = {name: self._regular(spec) for name, spec in specs.items()}
        if not self.bad and all(array is not None for array in regular.values()):
            return [(list(range(rows)), {name: array for name, array in regular.items() if array is not None})]
        alone: dict[int, Arrays] = {}
        for place in range(rows):
            if place in self.bad:
                continue
            try:
                alone[place] = {
                    name: self._one(spec, place) if (array := regular[name]) is None else array[place, ...]
                    for name, spec in specs.items()
                }
            except InvalidInput as error:
                self.bad[place] = str(error)
        return by_shape(alone)

    def carried(self, places: list[int]) -> list[dict[str, Any]]:
        table = self._chosen(places)
        names = table.column_names
        how = self._plan.non_finite
        columns = [json_values(column, name, how) for name, column in zip(names, table.columns, strict=True)]
        return (
            [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
            if names
            else [{} for _ in places]
        )

    def carried_table(self, places: list[int]) -> Any:
        table = self._chosen(places)
        schema = self._plan.schema
        extra = [name for name in table.column_names if name not in schema.names]
        if extra:
            raise UsageError(
                f"{self._path} has a column {extra[0]!r}, which the first file lacks; say with --carry what to carry"
            )
        if table.schema.equals(schema, check_metadata=False):
            return table
        try:
            for name in set(schema.names) - set(table.column_names) if self._sparse else ():
                table = table.append_column(name, pa.nulls(table.num_rows))
            return table.select(schema.names).cast(schema)
        except (KeyError, pa.ArrowException) as error:
            raise UsageError(f"{self._path} has other columns than the first file: {error}") from error

    def original(self, place: int) -> Any:
        if isinstance(self._content, CsvRecords):
            return _as_it_came(self._content, place)
        if self._sparse and not _is_example(self._content[place]):
            return {"b64": base64.b64encode(self._content[place]).decode()}
        row = self.table.slice(place, 1)
        return {name: _to_mend(column, name) for name, column in zip(row.column_names, row.columns, strict=True)}

    def where(self, place: int) -> str:
        return f"row {self._first_row + place + 1}" if self._lines is None else f"line {self._lines[place]}"

    def _chosen(self, places: list[int]) -> Any:
        table = self.table.select(self._plan.carries(self.table.column_names))
        return table if len(places) == table.num_rows else table.take(pa.array(places, pa.int64()))

    def _column(self, name: str) -> Any:
        if name not in self._arrays:
            if name not in self.table.column_names:
                raise UsageError(f"{self._path} has no column {name!r}, as the first file has")
            column = self.table[name].combine_chunks()
            if isinstance(column, pa.ChunkedArray):
                column = pa.concat_arrays(column.chunks)
            self._arrays[name] = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        return self._arrays[name]

    def _regular(self, spec: TensorSpec) -> Array | None:
        """An input of all rows at once; None where rows differ, lack something or do not fit."""
        columns = [self._column(name) for name in self._plan.columns[spec.name]]
        try:
            arrays = [_array(_read(column, spec)) for column in columns]
            array = arrays[0]
            if len(columns) > 1:
                array = None if any(part is None for part in arrays) else np.stack(arrays, axis=1)  # type: ignore[arg-type]
            return None if array is None else values.to_array(spec, _shaped(array, spec.shape))
        except (InvalidInput, ValueError, pa.ArrowException):
            return None

    def _one(self, spec: TensorSpec, place: int) -> Array:
        """An input of one row. Raises `InvalidInput`."""
        names = self._plan.columns[spec.name]
        cells = [_cell(self._column(name)[place], name, spec) for name in names]
        found = values.to_array(
            of_row(TensorSpec(spec.name, spec.dtype, None, "")), cells[0] if len(names) == 1 else cells
        )
        one = of_row(spec)
        return one.check(_shaped(found[np.newaxis], spec.shape)[0, ...])


def header(head: list[Chunk]) -> list[str]:
    """The names of the columns, as far as the first chunks tell."""
    content = head[0].content
    if isinstance(content, CsvRecords):
        names = list(content.header)
    elif not isinstance(content, list):
        names = list(content.column_names)
    else:
        records = (record for chunk in head for record in chunk.content if _is_example(record))
        names = [name for record in records for name in _features(record, {})]
    return list(dict.fromkeys([*names, *(name for name, _ in head[0].source.partitions)]))


def schema(head: list[Chunk], plan: Plan) -> Any:
    """The Arrow schema of the columns that are carried, as the first chunks have it."""
    found: dict[str, Any] = {}
    for chunk in head:
        if found and not isinstance(chunk.content, list) and chunk.source is not head[0].source:
            break  # other files are held against the first
        table = ArrowRows(chunk, plan).table
        for field in table.schema:
            if field.name not in found or pa.types.is_null(found[field.name].type):
                found[field.name] = pa.field(field.name, field.type)
    return pa.schema([found[name] for name in plan.carries(found)])


def _of_csv(content: CsvRecords, wanted: tuple[str, ...] | None, bad: dict[int, str]) -> Any:
    """A table of text. A record with too few or too many cells is bad, one that is no text too; its cells are null."""
    width = len(content.header)
    chosen = [name for name in content.header if wanted is None or name in wanted]
    if chosen and all(record.parsed is None for record in content.records):
        with suppress(pa.ArrowException, UnicodeEncodeError):
            table = _of_plain_lines(content, chosen)
            if table.num_rows == len(content.records):
                return table
    rows: list[Any] = content.rows()
    for place, cells in enumerate(rows):
        if len(cells) != width:
            bad[place] = f"it has {_counted(len(cells))}, the header has {width}"
            rows[place] = [None] * width
    columns = zip(*rows, strict=True) if rows else ([] for _ in content.header)
    texts = {
        name: _texts(list(cells), name, content, bad)
        for name, cells in zip(content.header, columns, strict=True)
        if name in chosen
    }
    return pa.table(texts) if texts else pa.table({"": pa.nulls(len(rows))}).select([])


def _of_plain_lines(content: CsvRecords, names: list[str]) -> Any:
    """Lines without quotes, which Arrow cuts up several times as fast. Raises where one has other cells than the header."""
    text = "".join(record.text for record in content.records).encode()
    return pa_csv.read_csv(
        pa.BufferReader(text),
        pa_csv.ReadOptions(column_names=list(content.header), use_threads=False, block_size=len(text) + 2),
        pa_csv.ParseOptions(delimiter=content.dialect.delimiter, quote_char=False),
        pa_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, include_columns=names
        ),
    )


def _counted(cells: int) -> str:
    return f"{cells} cells" if cells != 1 else "1 cell"


def _to_mend(column: Any, name: str) -> Any:
    """The only value of a column, for a row that is to be scored again: a decimal is the number that it is."""
    if pa.types.is_decimal(column.type):
        value = column[0].as_py()
        return None if value is None else orjson.Fragment(str(value))
    try:
        return json_values(column, name)[0]
    except UsageError:  # a time that no calendar has
        return str(column.cast(pa.int64())[0].as_py())


def _without_decimals(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_decimals(element) for element in value]
    if not isinstance(value, decimal.Decimal):
        return value
    return int(value) if value.as_tuple().exponent == 0 else float(value)


def _texts(cells: list[str | None], name: str, content: CsvRecords, bad: dict[int, str]) -> Any:
    try:
        return pa.array(cells, pa.string())
    except UnicodeEncodeError:
        pass
    for place, cell in enumerate(cells):
        try:
            (cell or "").encode()
        except UnicodeEncodeError as error:
            asked = "say --encoding" if content.dialect.encoding == "utf-8" else "is --encoding right?"
            code = ord(error.object[error.start])
            odd = f"the byte 0x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"half a character, 0x{code:x}"
            bad.setdefault(place, f"the column {name!r} holds {odd}, which is no {content.dialect.encoding}; {asked}")
            cells[place] = None
    return pa.array(cells, pa.string())


def _as_it_came(content: CsvRecords, place: int) -> Any:
    """The text of a record; what is no text as base64."""
    text = content.records[place].text.rstrip("\r\n")
    try:
        text.encode()
    except UnicodeEncodeError:
        return {"b64": base64.b64encode(text.encode(content.dialect.encoding, content.dialect.errors)).decode()}
    return text


def _of_examples(records: list[bytes], plan: Plan, bad: dict[int, str]) -> Any:
    """A table with a list for each feature, null where an example lacks it."""
    examples = []
    for place, record in enumerate(records):
        try:
            features = _features(record, {})
            _check_expected(features, plan)
            examples.append(features)
        except InvalidInput as error:
            bad[place] = str(error)
            examples.append({})
    wanted = dict.fromkeys(plan.wanted or (*plan.used, *(name for features in examples for name in features)))
    columns = {}
    for name in wanted:
        held = [features.get(name) for features in examples]
        floats = any(isinstance(element, float) for elements in held for element in elements or ())
        try:
            columns[name] = pa.array(held, pa.list_(pa.float32()) if floats else None)
        except pa.ArrowException as error:
            raise UsageError(f"the feature {name!r} is not of one kind in all examples: {error}") from error
    return pa.table(columns)


def _is_example(record: bytes) -> bool:
    try:
        _features(record, {})
    except InvalidInput:
        return False
    return True


def _check_expected(features: dict[str, Any], plan: Plan) -> None:
    if plan.schema is None or plan.carry is not None:
        return
    new = features.keys() - plan.used - set(plan.schema.names)
    if new:
        raise InvalidInput(f"it has a feature {min(new)!r}, which the first rows lack; say with --carry what to carry")


def _features(record: bytes, found: dict[str, Any]) -> dict[str, Any]:
    """The features of a serialized tf.Example: lists of numbers or bytes by name."""
    example = example_pb2.Example()
    try:
        example.ParseFromString(record)
    except Exception as error:  # protobuf's own class depends on how it was built
        raise InvalidInput(f"it is no tf.Example: {error}") from error
    for name, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        if kind:
            found[name] = list(getattr(feature, kind).value)
    return found


def _read(column: Any, spec: TensorSpec) -> Any:
    """Text as the numbers that it writes, where a number is wanted; else the column itself."""
    assert spec.dtype is not None
    if spec.dtype.is_string or not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column
    if column.null_count:
        raise ValueError("rows without a value are looked at one by one")
    if column[0].as_py().lstrip().startswith("["):
        return pa.array([orjson.loads(text) for text in column.to_pylist()])
    return _numbers(column, spec.dtype)


def _numbers(text: Any, dtype: DType) -> Any:
    return pc.cast(pc.utf8_trim_whitespace(text), _ARROW_TYPES[dtype.name])


def _array(column: Any) -> Array | None:
    """A column whose rows have one shape; None otherwise."""
    kind = column.type
    if column.null_count:
        return None
    if pa.types.is_fixed_size_list(kind):
        inner = _array(column.flatten())
        return None if inner is None else inner.reshape(len(column), kind.list_size, *inner.shape[1:])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        lengths = np.diff(_numbers_of(column.offsets))
        if not len(lengths) or (lengths != lengths[0]).any():
            return None
        inner = _array(column.flatten())
        return None if inner is None else inner.reshape(len(column), int(lengths[0]), *inner.shape[1:])
    if pa.types.is_decimal(kind):
        return _numbers_of(column.cast(pa.int64() if kind.scale == 0 and kind.precision < 19 else pa.float64()))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return _numbers_of(column)
    if _is_text(kind):
        out = np.empty(len(column), object)
        out[:] = column.cast(pa.large_binary()).to_pylist()
        return out
    return None


def _numbers_of(column: Any) -> Array:
    """An array of the same memory where that can be. Arrow's own way would import pandas, which takes half a second."""
    if pa.types.is_boolean(column.type):
        return np.array(column.to_pylist(), np.bool_)
    numbers: Array = np.from_dlpack(column)
    return numbers


def _is_text(kind: Any) -> bool:
    return any(
        check(kind)
        for check in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    )


def _shaped(array: Array, shape: tuple[int | None, ...] | None) -> Array:
    """Rows of flat numbers in the input's shape, when that is known and has room for just so many."""
    if shape is None or array.shape[1:] == shape[1:] or None in shape[1:]:
        return array
    inner = tuple(size for size in shape[1:] if size is not None)
    flat = sum(size != 1 for size in array.shape[1:]) <= 1
    return array.reshape(len(array), *inner) if flat and math.prod(array.shape[1:]) == math.prod(inner) else array


def _cell(scalar: Any, column: str, spec: TensorSpec) -> Any:
    """One row's value of a column. Raises `InvalidInput`."""
    assert spec.dtype is not None
    try:
        value = _without_decimals(scalar.as_py())
    except (OverflowError, ValueError, pa.ArrowException) as error:
        raise InvalidInput(
            f"input {spec.name!r} has no value: the column {column!r} is {scalar.type}, {error}"
        ) from error
    if value is None:
        raise InvalidInput(f"input {spec.name!r} has no value: the column {column!r} is null")
    if spec.dtype.is_string or not isinstance(value, str):
        return value
    try:
        if value.lstrip().startswith("["):
            return orjson.loads(value)
        return _numbers(pa.scalar(value), spec.dtype).as_py()
    except (ValueError, pa.ArrowException) as error:
        raise InvalidInput(
            f"input {spec.name!r} is the text {value[:80]!r}; the model takes {spec.dtype.name}"
        ) from error
