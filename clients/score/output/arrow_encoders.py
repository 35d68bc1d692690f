"""Answers as Arrow tables, and as what is made of these: CSV and TFRecords.

float (None, 10) ──▶ fixed_size_list<float>[10]      string (None,) ──▶ string      int32 (None, None) ──▶ list<int32>
"""

import io
import uuid
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from signet.clients.client import values
from signet.clients.score import formats
from signet.clients.score.input.arrow_values import json_values
from signet.clients.score.input.rows import ParsedRows
from signet.clients.score.output.answers import Answers, Encode
from signet.clients.score.plan import Plan
from signet.serving.errors import Internal, Unsupported, UsageError
from signet.serving.models import tfrecords
from signet.serving.tables import arrow_columns
from signet.serving.tables.output_columns import OutputColumn
from signet.serving.tensors.arrays import Array
from signet.serving.tensors.protos import example_pb2

_NONE = frozenset({"complex64", "complex128"})
"""Dtypes that have no column here."""


def schema(plan: Plan) -> Any:
    """The Arrow schema of what is written. Raises `UsageError` and `Unsupported` for outputs that have no column type."""
    fields = [pa.field(column.name, _type(column)) for column in plan.output_columns]
    return pa.schema([*plan.schema, *fields])


def check_carried(plan: Plan) -> None:
    """Raise `UsageError` for a column to carry that the format has no type for."""
    for field in plan.schema if plan.format.name == "parquet" else ():
        try:
            pq.ParquetWriter(pa.BufferOutputStream(), pa.schema([field])).close()
        except pa.ArrowException as error:
            raise UsageError(
                f"the column {field.name!r} is {field.type}, which Parquet cannot hold; leave it out by --carry, or "
                f"write jsonl ({error})"
            ) from error


def table(plan: Plan, rows: ParsedRows, answers: Answers) -> Any:
    """The block of Parquet and Arrow: a table of what is carried, then the outputs."""
    places = [place for some, _ in answers for place in some]
    in_order = sorted(places)
    carried = rows.carried_table(in_order)
    columns = list(carried.columns)
    for column in plan.output_columns:
        kind = _type(column)
        parts = [_to_arrow(column.of(outputs[column.output]), kind) for _, outputs in answers]
        joined = parts[0] if len(parts) == 1 else pa.concat_arrays(parts) if parts else pa.array([], kind)
        columns.append(joined if places == in_order else joined.take(pa.array(np.argsort(places))))
    return pa.table(columns, schema=schema(plan))


def csv(plan: Plan, rows: ParsedRows, answers: Answers) -> bytes:
    """The block of CSV: records without the header."""
    out = pa.BufferOutputStream()
    options = pa_csv.WriteOptions(include_header=False, delimiter=formats.SEPARATED[plan.format.name])
    pa_csv.write_csv(_csv_cells(table(plan, rows, answers)), out, options)
    return out.getvalue().to_pybytes()  # type: ignore[no-any-return]


def csv_header(plan: Plan) -> bytes:
    """The first line of a CSV file, quoted as the texts are."""
    delimiter = formats.SEPARATED[plan.format.name]
    return delimiter.join('"' + name.replace('"', '""') + '"' for name in schema(plan).names).encode() + b"\n"


def tfrecord(plan: Plan, rows: ParsedRows, answers: Answers) -> bytes:
    """The block of TFRecords, tf.Examples: whole numbers, other numbers and texts as int64, float and bytes lists."""
    made = table(plan, rows, answers)
    out = io.BytesIO()
    for i, field in enumerate(made.schema):
        if pa.types.is_dictionary(field.type):
            made = made.set_column(i, field.name, made.column(i).cast(field.type.value_type))
    columns = [(field.name, _feature_field(field), made[field.name].to_pylist()) for field in made.schema]
    for row in range(made.num_rows):
        example = example_pb2.Example()
        for name, kind, cells in columns:
            if cells[row] is not None:
                try:
                    getattr(example.features.feature[name], kind).value.extend(_flattened(cells[row]))
                except (TypeError, ValueError) as error:
                    raise Unsupported(
                        f"{name!r} holds {cells[row]}, which a tf.Example cannot hold: {error}; leave it out by "
                        "--carry, or choose another --format"
                    ) from error
        tfrecords.write(out, example.SerializeToString(deterministic=True))
    return out.getvalue()


ENCODERS: dict[str, Encode] = {"csv": csv, "tsv": csv, "tfrecord": tfrecord, "parquet": table, "arrow": table}


def _type(column: OutputColumn) -> Any:
    spec = column.spec
    if spec.dtype is None or spec.dtype.name in _NONE:
        raise Unsupported(
            f"output {spec.name!r} is {spec.dtype.name if spec.dtype else 'of a type'} that has no column type"
        )
    if column.place is None and spec.shape is None:
        raise UsageError(f"output {spec.name!r} has no known rank, so it cannot be a column; choose --format jsonl")
    sizes = spec.shape[1:] if column.place is None and spec.shape else ()
    return arrow_columns.row_type(spec.dtype, sizes, binary=spec.name.endswith("_bytes"))


def _to_arrow(array: Array, kind: Any) -> Any:
    """Rows as an array of the type, without a copy where that can be."""
    _check_shape(array.shape, kind)
    if array.dtype == object:
        leaf = kind
        while pa.types.is_nested(leaf):
            leaf = leaf.value_type
        if not pa.types.is_binary(leaf):
            array = _as_text(array)
    return arrow_columns.column(array, kind)


def _check_shape(shape: tuple[int, ...], kind: Any) -> None:
    """Raise `Internal` for an answer that has not the rows its signature promises."""
    if pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind):
        if len(shape) < 2 or (pa.types.is_fixed_size_list(kind) and shape[1] != kind.list_size):
            raise Internal(f"the server's answer has shape {shape}, which does not fit {kind}")
        _check_shape((shape[0], *shape[2:]), kind.value_type)
    elif len(shape) != 1:
        raise Internal(f"the server's answer has rows of shape {shape[1:]}, where {kind} is expected")


def _as_text(array: Array) -> Array:
    """Strings as text; what is no UTF-8 in them becomes U+FFFD."""
    found = np.empty(array.size, object)
    found[:] = [text.decode(errors="replace") if isinstance(text, bytes) else text for text in array.flat]
    return found.reshape(array.shape)


def _csv_cells(made: Any) -> Any:
    """Cells that CSV has no form for – lists, objects, bytes – as JSON text."""
    columns = []
    for name, column in zip(made.column_names, made.columns, strict=True):
        if not _is_csv(column.type):
            texts = [_csv_text(value) for value in json_values(column, name)]
            column = pa.array(texts, pa.string())  # noqa: PLW2901
        elif pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
            column = _written_times(column, name)  # noqa: PLW2901
        columns.append(column)
    return pa.table(columns, names=made.column_names)


def _is_csv(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_csv(kind.value_type)
    plain = (
        pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_string, pa.types.is_large_string,
        pa.types.is_temporal, pa.types.is_decimal, pa.types.is_null,
    )  # fmt: skip
    return any(check(kind) for check in plain) and not pa.types.is_interval(kind)


def _csv_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return str(value) if isinstance(value, uuid.UUID) else values.dumps(value).decode()


def _written_times(column: Any, name: str) -> Any:
    """Times as text; Arrow writes a remark where no calendar has one."""
    texts = column.cast(pa.string())
    if pc.any(pc.starts_with(texts, "<")).as_py():
        raise UsageError(
            f"the column {name!r} is {column.type} and holds a time that no calendar has; leave it out by --carry, or "
            "write arrow"
        )
    return texts


def _feature_field(field: Any) -> str:
    kind = field.type
    while pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return "int64_list"
    if pa.types.is_floating(kind):
        return "float_list"
    binary = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or any(check(kind) for check in binary):
        return "bytes_list"
    raise Unsupported(f"{field.name!r} is {field.type}, which a tf.Example cannot hold; leave it out by --carry")


def _flattened(value: Any) -> list[Any]:
    if isinstance(value, list):
        return [element for inner in value for element in _flattened(inner)]
    if isinstance(value, bool):
        return [int(value)]
    return [value.encode() if isinstance(value, str) else value]
