"""The tensors of several requests as those of one call, and its outputs as theirs, by TensorFlow Serving's rules.

    [{"x:0": (2, 3)}, {"x:0": (1, 3)}] ──merge──▶ {"x:0": (4, 3)} ──run──▶ {"y:0": (4,)} ──split──▶ [(2,), (1,)]

Rows that fill a call up are the first row of the last request, again and again; what comes out for them is dropped.
Source: `batching_session.cc`, `batching_util.cc`.
"""

import math
from collections.abc import Sequence

import numpy as np

from signet.serving.errors import FailedPrecondition, Internal, InvalidInput
from signet.serving.tensors import dtypes
from signet.serving.tensors.arrays import Array, Arrays

_MOST_DIMENSIONS = 6
"""Most dimensions of a tensor that is padded, as in the original."""


def rows_of(inputs: Arrays) -> int:
    """The rows of a request, the same in every input. `InvalidInput` when it has none or they differ."""
    rows = None
    for array in inputs.values():
        if not array.ndim:
            raise InvalidInput("Batching Run() input tensors must have at least one dimension")
        if rows is not None and len(array) != rows:
            raise InvalidInput("Batching Run() input tensors must have equal 0th-dimension size")
        rows = len(array)
    if rows is None:
        raise InvalidInput("Batching Run() must have at least one input tensor")
    return rows


def merge(parts: Sequence[Arrays], rows: int, pad: bool) -> Arrays:
    """The requests' tensors on top of one another, filled up to `rows`.

    pad: shorter tensors are filled up to the longest along every other dimension. Raises, for all of them,
    `FailedPrecondition` when shapes differ otherwise, and `Internal` when dtypes do.
    """
    return {name: _join(name, [part[name] for part in parts], rows, pad) for name in parts[0]}


def split(outputs: Arrays, counts: Sequence[int], rows: int) -> list[Arrays]:
    """Each request's part of the outputs of a call with `rows` rows. Raises `FailedPrecondition` for other outputs."""
    for array in outputs.values():
        if not array.ndim:
            raise FailedPrecondition("Batched output tensor has 0 dimensions")
        if len(array) != rows:
            raise FailedPrecondition(
                "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input "
                "tensors"
            )
    return cut(outputs, counts)


def cut(arrays: Arrays, counts: Sequence[int]) -> list[Arrays]:
    """Slices of so many rows each, one after the other."""
    if len(counts) == 1 and all(len(array) == counts[0] for array in arrays.values()):
        return [arrays]
    parts = []
    start = 0
    for count in counts:
        parts.append({name: array[start : start + count] for name, array in arrays.items()})
        start += count
    return parts


def _join(name: str, arrays: list[Array], rows: int, pad: bool) -> Array:
    if pad:
        arrays = _padded(name, arrays)
    elif any(array.shape[1:] != arrays[0].shape[1:] for array in arrays):
        raise FailedPrecondition(
            f"Tensors with name '{name}' from different tasks have different shapes and padding is turned off. Set "
            "pad_variable_length_inputs to true, or ensure that all tensors with the same name have equal dimensions "
            "starting with the first dim."
        )
    for array in arrays:
        if array.dtype != arrays[0].dtype:
            first, other = dtypes.from_numpy(arrays[0].dtype).name, dtypes.from_numpy(array.dtype).name
            raise Internal(
                "Tensor concat operation failed: INVALID_ARGUMENT: Cannot concatenate tensors that have different data "
                f"types. Got {first} and {other}."
            )
    missing = rows - sum([len(array) for array in arrays])
    if missing:
        arrays = [*arrays, np.repeat(arrays[-1][:1], missing, axis=0)]
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _padded(name: str, arrays: list[Array]) -> list[Array]:
    if len({array.ndim for array in arrays}) > 1:
        raise FailedPrecondition(f"Tensors with name '{name}' from different tasks have different ranks.")
    if arrays[0].ndim > _MOST_DIMENSIONS:
        raise InvalidInput(f"Only tensors with rank from 1 to {_MOST_DIMENSIONS} can be padded.")
    longest = tuple(map(max, zip(*(array.shape[1:] for array in arrays), strict=True)))
    return [_fill_up(array, longest) for array in arrays]


def _fill_up(array: Array, longest: tuple[int, ...]) -> Array:
    """The array with this inner shape; what is added behind, along each dimension, is its own first element."""
    shape = (len(array), *longest)
    if math.prod(shape) == array.size:
        return array.reshape(shape)
    if not array.size:
        raise InvalidInput("Got empty tensor in batch of non-empty tensors.")
    filled = np.full(shape, array.reshape(-1)[0], array.dtype)
    filled[tuple(slice(size) for size in array.shape)] = array
    return filled
