"""Records as Arrow: a row for each that was answered, typed as the signature says.

    pixels: float (None, 64)   ──▶ fixed_size_list<float>[64]       words: int32 (None, None) ──▶ list<int32>
    text: string (None,)       ──▶ string; binary where the name ends in `_bytes` or what came is no text
    bfloat16 ──▶ float         complex64 ──▶ fixed_size_list<float>[2], the real and the imaginary part

A signature without rows gives one for the whole request. Hidden columns and outputs that nobody asked for are null.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from signet.serving.gateway.request_log.record import LogPlan, Record
from signet.serving.models.request_columns import OUTPUT, REQUEST
from signet.serving.tensors.arrays import Array
from signet.serving.tensors.dtypes import DType
from signet.serving.tensors.signature import TensorSpec

_TYPES = {
    "float": pa.float32(), "double": pa.float64(), "half": pa.float16(), "bfloat16": pa.float32(), "bool": pa.bool_(),
    "int8": pa.int8(), "int16": pa.int16(), "int32": pa.int32(), "int64": pa.int64(), "string": pa.string(),
    "uint8": pa.uint8(), "uint16": pa.uint16(), "uint32": pa.uint32(), "uint64": pa.uint64(),
    "complex64": pa.list_(pa.float32(), 2), "complex128": pa.list_(pa.float64(), 2),
}  # fmt: skip

_FACT_TYPES = {
    "time": pa.timestamp("us", "UTC"), "id": pa.string(), "model": pa.string(), "version": pa.int64(),
    "signature": pa.string(), "protocol": pa.string(), "key": pa.string(), "seconds": pa.float64(), "row": pa.int32(),
}  # fmt: skip


class NoText(ValueError):
    """A column of texts has a value that is none; `column` says which."""

    def __init__(self, column: str) -> None:
        super().__init__(column)
        self.column = column


def batch(records: Sequence[Record], binary: frozenset[str]) -> Any:
    """A RecordBatch of records of one plan whose shapes are equal. binary: columns of strings that are no texts.

    Raises `NoText` when there is another one.
    """
    plan = records[0].plan
    fields, columns = [], []
    for prefix, specs in (("", plan.signature.inputs), (OUTPUT, plan.signature.outputs)):
        for name, spec in specs.items():
            if spec.dtype is None:
                continue
            column = prefix + name
            arrays = [(record.outputs if prefix else record.inputs).get(name) for record in records]
            values = _column(spec, column, arrays, plan, records, column in binary)
            fields.append(pa.field(column, values.type))
            columns.append(values)
    facts = _facts(plan, records)
    fields += [pa.field(REQUEST + name, kind) for name, kind in _FACT_TYPES.items()]
    schema = pa.schema(fields, metadata=plan.logged.metadata())
    return pa.RecordBatch.from_arrays([*columns, *facts], schema=schema)


def _column(
    spec: TensorSpec,
    column: str,
    arrays: Sequence[Array | None],
    plan: LogPlan,
    records: Sequence[Record],
    binary: bool,
) -> Any:
    assert spec.dtype is not None
    batched = plan.signature.batched
    given = [array for array in arrays if array is not None]
    if not given or len(given) < len(arrays):
        rank = None if spec.shape is None else len(spec.shape) - batched
        kind = pa.null() if rank is None else _type(spec, (None,) * rank, batched, binary)
        return pa.nulls(sum(record.rows for record in records), kind)
    rows = given if batched else [array[np.newaxis, ...] for array in given]
    joined = rows[0] if len(rows) == 1 else np.concatenate(rows)
    kind = _type(spec, joined.shape[1:], batched, binary)
    try:
        return _to_arrow(joined, kind)
    except pa.ArrowInvalid:
        if spec.dtype.is_string and not binary:
            raise NoText(column) from None
        raise


def _type(spec: TensorSpec, inner: tuple[int | None, ...], batched: bool, binary: bool) -> Any:
    """The type of a row. inner: its shape, of which the signature knows at least the rank where it is None in places."""
    known = (None,) * len(inner) if spec.shape is None else spec.shape[1:] if batched else spec.shape
    kind = _element(spec.dtype, spec.name, binary)  # type: ignore[arg-type]
    for size in reversed(known):
        # Arrow ends the program over a list of the fixed size 0.
        kind = pa.list_(kind, size) if size else pa.list_(kind)
    return kind


def _element(dtype: DType, name: str, binary: bool) -> Any:
    return pa.binary() if dtype.is_string and (binary or name.endswith("_bytes")) else _TYPES[dtype.name]


def _to_arrow(array: Array, kind: Any) -> Any:
    """Rows as an Arrow array of the type."""
    if array.dtype.kind == "c":
        parts = np.ascontiguousarray(array).view(array.real.dtype).reshape(*array.shape, 2)
        return _to_arrow(parts, kind)
    if pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind):
        flat = np.ascontiguousarray(array).reshape(len(array) * array.shape[1], *array.shape[2:])
        values = _to_arrow(flat, kind.value_type)
        if pa.types.is_fixed_size_list(kind):
            return pa.FixedSizeListArray.from_arrays(values, type=kind)
        offsets = np.arange(len(array) + 1, dtype=np.int32) * np.int32(array.shape[1])
        return pa.ListArray.from_arrays(pa.array(offsets), values, type=kind)
    if array.dtype == object:
        return pa.array(array.tolist(), kind)
    if array.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    return pa.array(np.ascontiguousarray(array), kind)


def _facts(plan: LogPlan, records: Sequence[Record]) -> list[Any]:
    """The columns of the requests, in the order of `_FACT_TYPES`."""
    counts = [record.rows for record in records]
    total = sum(counts)
    logged = plan.logged
    values: dict[str, Any] = {
        "time": np.repeat(np.array([int(record.time_s * 1e6) for record in records], np.int64), counts),
        "id": _repeated([record.id for record in records], counts),
        "model": [logged.model] * total,
        "version": np.full(total, logged.version),
        "signature": [logged.signature] * total,
        "protocol": _repeated([record.protocol for record in records], counts),
        "key": _repeated([record.key for record in records], counts),
        "seconds": np.repeat(np.array([record.seconds for record in records]), counts),
        "row": np.concatenate([np.arange(count, dtype=np.int32) for count in counts]),
    }
    columns = []
    for name, kind in _FACT_TYPES.items():
        if REQUEST + name in plan.hidden:
            columns.append(pa.nulls(total, kind))
        elif name == "time":
            columns.append(pa.array(values[name]).cast(kind))
        else:
            columns.append(pa.array(values[name], kind))
    return columns


def _repeated(values: Sequence[str], counts: Sequence[int]) -> list[str]:
    return [value for value, count in zip(values, counts, strict=True) for _ in range(count)]
