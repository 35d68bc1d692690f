"""Tensors as Arrow columns: what answers, scored files and the request log are written from.

float (n, 10)   ──▶ fixed_size_list<float>[10] where the signature fixes the size, else list<float>
string (n,)     ──▶ string, or binary
bfloat16 (n,)   ──▶ float         complex64 (n,) ──▶ fixed_size_list<float>[2], the real and the imaginary part
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from signet.serving.tensors.arrays import Array
from signet.serving.tensors.dtypes import DType

_TYPES = {
    "float": pa.float32(), "double": pa.float64(), "half": pa.float16(), "bfloat16": pa.float32(), "bool": pa.bool_(),
    "int8": pa.int8(), "int16": pa.int16(), "int32": pa.int32(), "int64": pa.int64(), "string": pa.string(),
    "uint8": pa.uint8(), "uint16": pa.uint16(), "uint32": pa.uint32(), "uint64": pa.uint64(),
    "complex64": pa.list_(pa.float32(), 2), "complex128": pa.list_(pa.float64(), 2),
}  # fmt: skip


def row_type(dtype: DType, sizes: Sequence[int | None], *, binary: bool = False) -> Any:
    """The type of a column whose rows have these sizes; None: any. binary: whether strings are no text."""
    kind = pa.binary() if dtype.is_string and binary else _TYPES[dtype.name]
    for size in reversed(sizes):
        # Arrow ends the program over a list of the fixed size 0.
        kind = pa.list_(kind, size) if size else pa.list_(kind)
    return kind


def column(array: Array, kind: Any) -> Any:
    """Rows as an Arrow array of a type of `row_type`, without a copy where that can be.

    Raises `pa.ArrowInvalid` for bytes that are no text where the type says so.
    """
    if array.dtype.kind == "c":
        parts = np.ascontiguousarray(array).view(array.real.dtype).reshape(*array.shape, 2)
        return column(parts, kind)
    if pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind):
        flat = np.ascontiguousarray(array).reshape(len(array) * array.shape[1], *array.shape[2:])
        values = column(flat, kind.value_type)
        if pa.types.is_fixed_size_list(kind):
            return pa.FixedSizeListArray.from_arrays(values, type=kind)
        offsets = np.arange(len(array) + 1, dtype=np.int32) * np.int32(array.shape[1])
        return pa.ListArray.from_arrays(pa.array(offsets), values, type=kind)
    if array.dtype == object:
        return pa.array(array.tolist(), kind)
    if array.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    return pa.array(np.ascontiguousarray(array), kind)
