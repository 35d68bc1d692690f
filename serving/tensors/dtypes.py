"""Element types: one row for each, and the names it has in TensorFlow, numpy and TensorProto.

Source of numbers: `tensorflow/core/framework/types.proto`.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import ml_dtypes
import numpy as np

from signet.serving.errors import Unsupported


@dataclass(frozen=True)
class DType:
    """One element type; `numpy` of string is object, its elements are bytes."""

    enum: int
    name: str
    """The name that TensorFlow prints: `float`, `int32`, `string`; the messages of TensorFlow Serving use these."""
    numpy: np.dtype[Any]
    field: str
    """The typed field of TensorProto that holds the values."""

    @cached_property
    def is_string(self) -> bool:
        return self.enum == STRING

    @cached_property
    def is_float(self) -> bool:
        return self.numpy.kind == "f" or self.name == "bfloat16"


STRING = 7
TEXT = "string"
"""The type of strings: its number and its name."""

ROWS = (
    DType(1, "float", np.dtype(np.float32), "float_val"),
    DType(2, "double", np.dtype(np.float64), "double_val"),
    DType(3, "int32", np.dtype(np.int32), "int_val"),
    DType(4, "uint8", np.dtype(np.uint8), "int_val"),
    DType(5, "int16", np.dtype(np.int16), "int_val"),
    DType(6, "int8", np.dtype(np.int8), "int_val"),
    DType(STRING, "string", np.dtype(object), "string_val"),
    DType(8, "complex64", np.dtype(np.complex64), "scomplex_val"),
    DType(9, "int64", np.dtype(np.int64), "int64_val"),
    DType(10, "bool", np.dtype(np.bool_), "bool_val"),
    DType(14, "bfloat16", np.dtype(ml_dtypes.bfloat16), "half_val"),
    DType(17, "uint16", np.dtype(np.uint16), "int_val"),
    DType(18, "complex128", np.dtype(np.complex128), "dcomplex_val"),
    DType(19, "half", np.dtype(np.float16), "half_val"),
    DType(22, "uint32", np.dtype(np.uint32), "uint32_val"),
    DType(23, "uint64", np.dtype(np.uint64), "uint64_val"),
)
_BY_ENUM = {row.enum: row for row in ROWS}
_BY_NUMPY = {row.numpy: row for row in ROWS}


def from_enum(enum: int) -> DType:
    """The row of a `types_pb2.DataType` number; `Unsupported` for the others (quantised, resource, variant …)."""
    try:
        return _BY_ENUM[enum]
    except KeyError:
        raise Unsupported(f"tensors of TensorFlow's type number {enum} are not supported") from None


def from_numpy(dtype: np.dtype[Any]) -> DType:
    """The row of a numpy dtype; bytes and str arrays count as string."""
    if dtype.kind in "SU":
        return _BY_ENUM[STRING]
    try:
        return _BY_NUMPY[dtype]
    except KeyError:
        raise Unsupported(f"arrays of numpy's dtype {dtype} are not supported") from None
