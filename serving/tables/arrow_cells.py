"""The cells of an Arrow column as the tensor that an input takes: all rows at once, or one by one.

pixels: list<float> (n)            ──whole_column──▶  (n, 64) float32      without a copy where it can be
x: string (n), "0.5" or "[1, 2]"   ──whole_column──▶  the numbers that the text writes, as in a CSV file
one row of it                      ──single_cell──▶   a Python value, or `InvalidInput` with the reason
"""

import decimal
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from signet.serving.errors import InvalidInput
from signet.serving.tensors.arrays import Array
from signet.serving.tensors.dtypes import DType
from signet.serving.tensors.signature import TensorSpec

_ARROW_TYPES = {
    "float": pa.float32(), "double": pa.float64(), "half": pa.float32(), "bfloat16": pa.float32(), "bool": pa.bool_(),
    "int8": pa.int8(), "int16": pa.int16(), "int32": pa.int32(), "int64": pa.int64(),
    "uint8": pa.uint8(), "uint16": pa.uint16(), "uint32": pa.uint32(), "uint64": pa.uint64(),
}  # fmt: skip
"""The type that a text is read as, by the dtype of the input."""


def whole_column(column: Any, spec: TensorSpec) -> Array | None:
    """A column as one array; None, or a ValueError, where its rows differ, lack something or do not fit."""
    return regular(_read(column, spec))


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


def regular(column: Any) -> Array | None:
    """A column whose rows have one shape; None otherwise."""
    kind = column.type
    if column.null_count:
        return None
    if pa.types.is_fixed_size_list(kind):
        inner = regular(column.flatten())
        return None if inner is None else inner.reshape(len(column), kind.list_size, *inner.shape[1:])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        lengths = np.diff(_numbers_of(column.offsets))
        if not len(lengths) or (lengths != lengths[0]).any():
            return None
        inner = regular(column.flatten())
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
        return _numbers_of(column.cast(pa.uint8())).view(np.bool_)
    numbers: Array = np.from_dlpack(column)
    return numbers


def _is_text(kind: Any) -> bool:
    return any(
        check(kind)
        for check in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    )


def single_cell(scalar: Any, column: str, spec: TensorSpec) -> Any:
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


def _without_decimals(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_decimals(element) for element in value]
    if not isinstance(value, decimal.Decimal):
        return value
    return int(value) if value.as_tuple().exponent == 0 else float(value)
