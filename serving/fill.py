"""Rows of different lengths in one array, where a model's card says that filling them up changes no answer.

(2, 3) and (1, 5), filled up along axis 1 ──▶ (3, 5)
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from serving.errors import InvalidInput
from serving.tensors import MAX_REPEATED_BYTES, Array

MOST_TIMES = 4
"""Times the memory of the rows that they may take when filled up, where that is much."""


@dataclass(frozen=True)
class Fill:
    """How rows may be made longer, at their ends, without changing an answer."""

    value: float
    axes: Mapping[str, tuple[int, ...]]
    """Of each input that may be filled up; axis 0 is that of the rows."""

    def joint_shape(self, name: str, array: Array) -> tuple[int, ...]:
        """The inner shape, in which lengths that may go together, up to twice the shorter, are equal."""
        axes = self.axes.get(name, ())
        return tuple([size.bit_length() if axis in axes else size for axis, size in enumerate(array.shape)][1:])

    def concatenated(self, name: str, arrays: list[Array]) -> Array:
        """Along axis 0, each as long as the longest: [(2, 3), (1, 5)] -> (3, 5). Raises `InvalidInput` for too much to fill."""
        longest = [max(sizes) for sizes in zip(*(array.shape for array in arrays), strict=True)]
        shape = (sum(map(len, arrays)), *longest[1:])
        joint = self._filled(name, shape, arrays[0].dtype, sum(array.nbytes for array in arrays))
        start = 0
        for array in arrays:
            joint[(slice(start, start + len(array)), *map(slice, array.shape[1:]))] = array
            start += len(array)
        return joint

    def rows(self, name: str, lengths: Array, flat: Array) -> Array:
        """The same of flat rows, by their lengths and all their elements in a row: [2, 1], [1, 2, 3] -> [[1, 2], [3, 0]]."""
        longest = int(lengths.max())
        joint = self._filled(name, (len(lengths), longest), flat.dtype, flat.nbytes)
        joint[np.arange(longest) < lengths[:, np.newaxis]] = flat
        return joint

    def _filled(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], nbytes: int) -> Array:
        """An array of nothing but what fills. nbytes: of what goes into it."""
        needed = math.prod(shape) * dtype.itemsize
        if needed > max(MAX_REPEATED_BYTES, MOST_TIMES * nbytes):
            raise InvalidInput(
                f"input {name!r} has rows of different lengths, which are filled up to {list(shape)}: that is too much for "
                f"{nbytes} bytes of values. Send rows of like lengths together"
            )
        value = b"" if dtype.kind == "O" else np.asarray(self.value).astype(dtype)
        return np.full(shape, value, dtype)
