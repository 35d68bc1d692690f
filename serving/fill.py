"""Rows of different lengths in one array, where a model's card says that filling them up changes no answer.

(2, 3) and (1, 5), filled up along axis 1 ──▶ (3, 5)
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from serving.tensors import Array


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
        """Along axis 0, each as long as the longest: [(2, 3), (1, 5)] -> (3, 5)."""
        longest = [max(sizes) for sizes in zip(*(array.shape for array in arrays), strict=True)]
        shape = (sum(map(len, arrays)), *longest[1:])
        value = np.asarray(self.value).astype(arrays[0].dtype) if arrays[0].dtype != object else b""
        joint = np.full(shape, value, arrays[0].dtype)
        start = 0
        for array in arrays:
            joint[(slice(start, start + len(array)), *map(slice, array.shape[1:]))] = array
            start += len(array)
        return joint
