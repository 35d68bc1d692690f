"""Rows of different lengths in one array, where a model's card says that filling them up changes no answer.

(2, 3) and (1, 5), filled up along axis 1 ──▶ (3, 5)
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from signet.serving.errors import InvalidInput
from signet.serving.tensors.arrays import MAX_REPEATED_BYTES, Array

MOST_TIMES = 4
"""Times the memory of the rows that they may take when filled up, where that is much."""


@dataclass(frozen=True)
class PaddingRule:
    """How rows may be made longer, at their ends, without changing an answer."""

    value: float
    axes: Mapping[str, tuple[int, ...]]
    """The axes along which each input may be filled up; axis 0 is that of the rows."""

    def joint_shape(self, name: str, array: Array) -> tuple[int, ...]:
        """The inner shape, in which lengths that may go together, up to twice the shorter, are equal."""
        axes = self.axes.get(name, ())
        return tuple([size.bit_length() if axis in axes else size for axis, size in enumerate(array.shape)][1:])

    def concatenated(self, name: str, arrays: list[Array], bounded: bool = False) -> Array:
        """Along axis 0, each as long as the longest: [(2, 3), (1, 5)] -> (3, 5).

        bounded: whether lengths may differ much, and `InvalidInput` is raised where there is too much to fill.
        """
        longest = [max(sizes) for sizes in zip(*(array.shape for array in arrays), strict=True)]
        shape = (sum(map(len, arrays)), *longest[1:])
        if bounded:
            self._check(name, shape, arrays[0].dtype, sum(array.nbytes for array in arrays))
        joint = self._filled(shape, arrays[0].dtype)
        start = 0
        for array in arrays:
            joint[(slice(start, start + len(array)), *map(slice, array.shape[1:]))] = array
            start += len(array)
        return joint

    def rows(self, name: str, lengths: Array, flat: Array) -> Array:
        """Flat rows, given by their lengths and all elements, as one bounded array: [2, 1], [1, 2, 3] -> [[1, 2], [3, 0]]."""
        longest = int(lengths.max())
        self._check(name, (len(lengths), longest), flat.dtype, flat.nbytes)
        joint = self._filled((len(lengths), longest), flat.dtype)
        joint[np.arange(longest) < lengths[:, np.newaxis]] = flat
        return joint

    def _check(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], nbytes: int) -> None:
        """nbytes: of what goes into the array."""
        if math.prod(shape) * dtype.itemsize > max(MAX_REPEATED_BYTES, MOST_TIMES * nbytes):
            raise InvalidInput(
                f"input {name!r} has rows of different lengths, which are filled up to {list(shape)}: that is too much for "
                f"{nbytes} bytes of values. Send rows of like lengths together"
            )

    def _filled(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """An array of nothing but what fills."""
        value = b"" if dtype.kind == "O" else np.asarray(self.value).astype(dtype)
        return np.full(shape, value, dtype)
