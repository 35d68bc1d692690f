"""How the answers of two versions to one request differ, by the names of the outputs. Pure.

stable's outputs, candidate's outputs ──compare──▶ output ──▶ `Difference`: absolute, relative, arg-max changed, missing
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from signet.serving.tensors.arrays import Array, Arrays

_NUMBERS = "biufc"
_LEAST = 1e-9
"""What a difference is held against at least: values around zero are equal if they are so near."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What is different in one output."""

    missing: bool = False
    """Whether the candidate has no such output, or one of another shape, or NaN where the stable version has a number."""
    absolute: float = 0.0
    """The largest difference of two values; of texts 1 where any two are different."""
    relative: float = 0.0
    """The same as a part of the largest value, without its sign, that the stable version has in this output."""
    argmax: bool = False
    """Whether the highest value of any row is at another place."""

    def beyond(self, tolerance: float) -> bool:
        """Whether it is another answer: missing, or different by more than so much of the largest value."""
        return self.missing or self.relative > tolerance


_MISSING = Difference(missing=True, absolute=np.inf, relative=np.inf)


def compare(stable: Arrays, candidate: Arrays) -> Mapping[str, Difference]:
    """The differences by output: of all that the stable version gave."""
    return {
        name: _difference(array, candidate[name]) if name in candidate else _MISSING for name, array in stable.items()
    }


def _difference(one: Array, other: Array) -> Difference:
    if one.shape != other.shape or (one.dtype.kind in _NUMBERS) != (other.dtype.kind in _NUMBERS):
        return _MISSING
    if one.size == 0:
        return Difference()
    if one.dtype.kind not in _NUMBERS:
        changed = float(np.any(one != other))
        return Difference(absolute=changed, relative=changed)
    wide = np.complex128 if "c" in (one.dtype.kind, other.dtype.kind) else np.float64
    first, second = one.astype(wide), other.astype(wide)
    if np.any(np.isnan(second) & ~np.isnan(first)):
        return _MISSING
    same = (first == second) | (np.isnan(first) & np.isnan(second))
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.where(same, 0.0, np.abs(first - second))
    absolute = float(np.max(np.nan_to_num(apart, nan=np.inf, posinf=np.inf)))
    finite = np.abs(first[np.isfinite(first)])
    largest = max(float(np.max(finite, initial=0.0)), _LEAST)
    return Difference(False, absolute, absolute / largest, _argmax_changed(first, second))


def _argmax_changed(one: Array, other: Array) -> bool:
    if one.ndim < 2 or one.shape[-1] < 2 or one.dtype.kind == "c":  # rows of several values
        return False
    return bool(np.any(np.argmax(one, axis=-1) != np.argmax(other, axis=-1)))
