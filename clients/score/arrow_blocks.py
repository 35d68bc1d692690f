"""Answers as Arrow tables, and as what is made of these: CSV and TFRecords.

float (None, 10) ──▶ fixed_size_list<float>[10]      string (None,) ──▶ string      int32 (None, None) ──▶ list<int32>
"""

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from clients import values
from clients.score import formats
from clients.score.arrow_values import json_values
from clients.score.blocks import Answers, Encode
from clients.score.output_columns import OutputColumn
from clients.score.plan import Plan
from clients.score.rows import Batch
from serving import tfrecords
from serving.errors import Internal, Unsupported, UsageError
from serving.protos import example_pb2
from serving.tensors import Array

_TYPES = {
    "float": pa.float32(), "double": pa.float64(), "half": pa.float16(), "bfloat16": pa.float32(), "bool": pa.bool_(),
    "int8": pa.int8(), "int16": pa.int16(), "int32": pa.int32(), "int64": pa.int64(),
    "uint8": pa.uint8(), "uint16": pa.uint16(), "uint32": pa.uint32(), "uint64": pa.uint64(), "string": pa.string(),
}  # fmt: skip


def schema(plan: Plan) -> Any:
    """Of what is written. Raises `UsageError` and `Unsupported` for outputs that have no column type."""
    fields = [pa.field(column.name, _type(column)) for column in plan.output_columns]
    return pa.schema([*plan.schema, *fields])


def table(plan: Plan, batch: Batch, answers: Answers) -> Any:
    """What is carried, then the outputs."""
    places = [place for some, _ in answers for place in some]
    in_order = sorted(places)
    carried = batch.carried_table(in_order)
    columns = list(carried.columns)
    for column in plan.output_columns:
        kind = _type(column)
        parts = [_to_arrow(column.of(outputs[column.output]), kind) for _, outputs in answers]
        joined = parts[0] if len(parts) == 1 else pa.concat_arrays(parts) if parts else pa.array([], kind)
        columns.append(joined if places == in_order else joined.take(pa.array(np.argsort(places))))
    return pa.table(columns, schema=schema(plan))


def csv(plan: Plan, batch: Batch, answers: Answers) -> bytes:
    """Records without the header."""
    out = pa.BufferOutputStream()
    options = pa_csv.WriteOptions(include_header=False, delimiter=formats.SEPARATED[plan.format.name])
    pa_csv.write_csv(_csv_cells(table(plan, batch, answers)), out, options)
    return out.getvalue().to_pybytes()  # type: ignore[no-any-return]


def csv_header(plan: Plan) -> bytes:
    """The first line, quoted as the texts are."""
    delimiter = formats.SEPARATED[plan.format.name]
    return delimiter.join('"' + name.replace('"', '""') + '"' for name in schema(plan).names).encode() + b"\n"


def tfrecord(plan: Plan, batch: Batch, answers: Answers) -> bytes:
    """Serialized tf.Examples: whole numbers, other numbers and texts as int64, float and bytes lists."""
    made = table(plan, batch, answers)
    out = io.BytesIO()
    columns = [(field.name, _feature_field(field), made[field.name].to_pylist()) for field in made.schema]
    for row in range(made.num_rows):
        example = example_pb2.Example()
        for name, kind, cells in columns:
            if cells[row] is not None:
                try:
                    getattr(example.features.feature[name], kind).value.extend(_flattened(cells[row]))
                except ValueError as error:
                    raise Unsupported(
                        f"{name!r} holds {cells[row]}, which a tf.Example cannot hold: {error}; leave it out by "
                        "--carry, or choose another --format"
                    ) from error
        tfrecords.write(out, example.SerializeToString(deterministic=True))
    return out.getvalue()


ENCODERS: dict[str, Encode] = {"csv": csv, "tsv": csv, "tfrecord": tfrecord, "parquet": table, "arrow": table}


def _type(column: OutputColumn) -> Any:
    spec = column.spec
    if spec.dtype is None or spec.dtype.name not in _TYPES:
        raise Unsupported(
            f"output {spec.name!r} is {spec.dtype.name if spec.dtype else 'of a type'} that has no column type"
        )
    kind = pa.binary() if spec.dtype.is_string and spec.name.endswith("_bytes") else _TYPES[spec.dtype.name]
    if column.place is not None:
        return kind
    if spec.shape is None:
        raise UsageError(f"output {spec.name!r} has no known rank, so it cannot be a column; choose --format jsonl")
    for size in reversed(spec.shape[1:]):
        kind = pa.list_(kind) if size is None else pa.list_(kind, size)
    return kind


def _to_arrow(array: Array, kind: Any) -> Any:
    """Rows as an array of the type, without a copy where that can be."""
    if pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind):
        if array.ndim < 2 or (pa.types.is_fixed_size_list(kind) and array.shape[1] != kind.list_size):
            raise Internal(f"the server's answer has shape {array.shape}, which does not fit {kind}")
        values = _to_arrow(np.ascontiguousarray(array).reshape(-1, *array.shape[2:]), kind.value_type)
        if pa.types.is_fixed_size_list(kind):
            return pa.FixedSizeListArray.from_arrays(values, type=kind)
        offsets = np.arange(len(array) + 1, dtype=np.int32) * np.int32(array.shape[1])
        return pa.ListArray.from_arrays(pa.array(offsets), values, type=kind)
    if array.ndim != 1:
        raise Internal(f"the server's answer has rows of shape {array.shape[1:]}, where {kind} is expected")
    if array.dtype == object:
        texts = array.tolist()
        if not pa.types.is_binary(kind):
            texts = [text.decode(errors="replace") if isinstance(text, bytes) else text for text in texts]
        return pa.array(texts, kind)
    if array.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    return pa.array(np.ascontiguousarray(array), kind)


def _csv_cells(made: Any) -> Any:
    """Cells that CSV has no form for – lists, objects, bytes – as JSON text."""
    columns = []
    for name, column in zip(made.column_names, made.columns, strict=True):
        if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
            texts = [None if value is None else values.dumps(value).decode() for value in json_values(column, name)]
            column = pa.array(texts, pa.string())  # noqa: PLW2901
        columns.append(column)
    return pa.table(columns, names=made.column_names)


def _feature_field(field: Any) -> str:
    kind = field.type
    while pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return "int64_list"
    if pa.types.is_floating(kind):
        return "float_list"
    if pa.types.is_string(kind) or pa.types.is_binary(kind) or pa.types.is_large_string(kind):
        return "bytes_list"
    raise Unsupported(f"{field.name!r} is {field.type}, which a tf.Example cannot hold; leave it out by --carry")


def _flattened(value: Any) -> list[Any]:
    if isinstance(value, list):
        return [element for inner in value for element in _flattened(inner)]
    return [value.encode() if isinstance(value, str) else value]
