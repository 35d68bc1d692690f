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
from signet.serving.tables import arrow_columns
from signet.serving.tensors.arrays import Array
from signet.serving.tensors.signature import TensorSpec

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
        return arrow_columns.column(joined, kind)
    except pa.ArrowInvalid:
        if spec.dtype.is_string and not binary:
            raise NoText(column) from None
        raise


def _type(spec: TensorSpec, inner: tuple[int | None, ...], batched: bool, binary: bool) -> Any:
    """The type of a row. inner: its shape, of which the signature knows at least the rank where it is None in places."""
    assert spec.dtype is not None
    known = (None,) * len(inner) if spec.shape is None else spec.shape[1:] if batched else spec.shape
    return arrow_columns.row_type(spec.dtype, known, binary=binary or spec.name.endswith("_bytes"))


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
