"""The JSON value of one input -> an array of its dtype, by the rules of TensorFlow Serving's REST dialect.

    [[0, 3, 16], …] ──to_input──▶ float32 (n, 3), or InvalidInput: "input 'pixels'[0][2] is the string …"

Servers read requests by it, and clients hold what a caller gives and what a server answers against the same rules.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from signet.serving.errors import InvalidInput, Unsupported
from signet.serving.json_arrays import values
from signet.serving.tensors import dtypes
from signet.serving.tensors.arrays import Array
from signet.serving.tensors.padding import PaddingRule
from signet.serving.tensors.signature import TensorSpec

JSON_DTYPES = frozenset(row.name for row in dtypes.ROWS if not row.name.startswith("complex"))
"""What is read and written here; TensorFlow Serving has no form for half, bfloat16 and uint16."""
MAX_FILLED_ROWS = 100_000
"""Rows that are filled up one by one, about 10 µs each: those that are nested lists of different shapes."""


def to_input(spec: TensorSpec, value: Any, has_booleans: bool, fill: PaddingRule | None = None) -> Array:
    """One input's value as array of the spec's dtype; numbers take the fast way when nothing is doubtful."""
    dtype = spec.dtype
    if dtype is None or dtype.name not in JSON_DTYPES:
        name = dtype.name if dtype else "a type unknown here"
        raise Unsupported(f"input {spec.name!r} is {name}, which JSON cannot carry; use gRPC")
    array = None if dtype.is_string else values.numeric(value, dtype, has_booleans)
    if array is None and fill and spec.name in fill.axes and isinstance(value, list):
        array = _filled_up(spec, value, has_booleans, fill)
    if array is None:
        array = values.to_array(spec, dtype, value)
    if not array.size and spec.shape is not None and array.ndim < len(spec.shape):
        # [] says nothing of the inner dimensions of its zero rows.
        array = array.reshape(array.shape + tuple(size or 0 for size in spec.shape[array.ndim :]))
    return array


def _filled_up(spec: TensorSpec, rows: list[Any], has_booleans: bool, fill: PaddingRule) -> Array | None:
    """Rows as one array, each as long as the longest; None where they differ in more than the lengths that may."""
    free = fill.axes[spec.name]
    assert spec.dtype is not None, "the caller has looked"
    flat = values.to_flat(spec, spec.dtype, rows) if free == (1,) else None
    if flat is not None:
        return fill.rows(spec.name, *flat)
    if len(rows) > MAX_FILLED_ROWS:
        problem = f"{len(rows)} rows of different shapes; at most {MAX_FILLED_ROWS} are filled up in a request"
        raise InvalidInput(f"input {spec.name!r} has {problem}")
    row_spec = replace(spec, shape=None)
    arrays = []
    for i, row in enumerate(rows):
        try:
            arrays.append(to_input(row_spec, row, has_booleans)[np.newaxis])
        except InvalidInput as error:
            raise InvalidInput(f"row {i}: {error}") from error
    fixed = {tuple(size for axis, size in enumerate(array.shape) if axis not in free) for array in arrays}
    if len(fixed) != 1 or len({array.ndim for array in arrays}) != 1:
        return None
    return fill.concatenated(spec.name, arrays, bounded=True)
