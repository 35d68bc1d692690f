"""Two versions' answers to the same rows, output by output: how far apart they are.

pairs of answers ──Paired──▶ rows of the stable version beside those of the candidate, by their shape
  classes   share of rows whose greatest place has changed
  numbers   |c − s| a row, against how far s is from its own average
  others    share of rows that are not the same
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from signet.serving.models import distribution
from signet.serving.models.distribution import Reference
from signet.serving.tensors.arrays import Array
from signet.serving.tensors.signature import Signature, TensorSpec

CLASSES, NUMBERS, VALUES = "classes", "numbers", "values"

SURE = 3.09
"""Deviations of a normal distribution: once in a thousand by chance."""
_SUM_TOLERANCE = 1e-3
_FEW_VALUES = 20
"""Different whole numbers up to which they are classes."""


@dataclass
class Paired:
    """One output of one signature over all requests of a kind: what both versions answered. Filled by one thread."""

    spec: TensorSpec
    batched: bool
    labelled: bool = False
    """Whether the card names its classes."""
    groups: dict[tuple[int, ...], tuple[list[Array], list[Array]]] = field(default_factory=dict)
    """Shape of a row -> arrays of rows of the stable version and of the candidate."""

    def add(self, stable: Array, candidate: Array) -> None:
        """Add what both answered to one request, in one shape."""
        if not self.batched:
            stable, candidate = stable[np.newaxis], candidate[np.newaxis]
        stables, candidates = self.groups.setdefault(stable.shape[1:], ([], []))
        stables.append(stable)
        candidates.append(candidate)

    def tables(self) -> Iterator[tuple[Array, Array]]:
        """(rows, …) of the stable version and of the candidate, once for each shape of a row."""
        for stables, candidates in self.groups.values():
            yield np.concatenate(stables), np.concatenate(candidates)

    @property
    def rows(self) -> int:
        """Rows of all shapes."""
        return sum(len(array) for stables, _ in self.groups.values() for array in stables)

    @property
    def kind(self) -> str:
        """Whether rows are scores of classes, numbers, or values that are the same or not."""
        if self.spec.dtype is None or self.spec.dtype.is_string or self.spec.dtype.numpy.kind == "b":
            return VALUES
        stables = [stable for stable, _ in self.tables()]
        if self.spec.dtype.numpy.kind in "iu":
            different = {value for stable in stables for value in np.unique(stable)[: _FEW_VALUES + 1].tolist()}
            return VALUES if len(different) <= _FEW_VALUES else NUMBERS
        if any(stable.ndim < 2 or stable.shape[-1] < 2 for stable in stables):
            return NUMBERS
        return CLASSES if self.labelled or all(map(is_distribution, stables)) else NUMBERS


def is_distribution(array: Array) -> bool:
    """Whether the last axis holds chances that sum to 1."""
    if array.ndim < 2 or array.shape[-1] < 2 or not array.size:
        return False
    numbers = array.astype(np.float64)
    sums = numbers.sum(axis=-1)
    return bool(numbers.min() >= -_SUM_TOLERANCE and np.abs(sums - 1).max() <= _SUM_TOLERANCE)


def finite(array: Array) -> Array:
    """Of each row, whether all its numbers are finite."""
    if array.dtype == object or array.dtype.kind in "biu":
        return np.ones(len(array), bool)
    if array.dtype.kind != "c":
        array = array.astype(np.float64)
    return _all(np.isfinite(array))


def _all(array: Array) -> Array:
    """Of each row, whether all is true."""
    whole: Array = np.all(array, axis=tuple(range(1, array.ndim)))
    return whole


def changed(paired: Paired) -> Array:
    """Of each row, the share of its classes or values that are others now."""
    found = []
    for stable, candidate in paired.tables():
        pair = (stable, candidate)
        before, after = (np.argmax(side, axis=-1) if paired.kind == CLASSES else side for side in pair)
        different = before != after
        found.append(np.asarray(different, np.float64).reshape(len(stable), -1).mean(axis=1))
    return np.concatenate(found) if found else np.zeros(0)


def doubt(paired: Paired) -> float:
    """How unsure the stable version is of its own classes, on average: 0 to 1; 0 where it does not say."""
    greatest = [
        np.max(stable.astype(np.float64), axis=-1).reshape(-1)
        for stable, _ in paired.tables()
        if is_distribution(stable)
    ]
    return 1 - float(np.concatenate(greatest).mean()) if greatest else 0.0


@dataclass(frozen=True)
class Distances:
    """Of each row with finite numbers on both sides."""

    apart: Array
    """Mean |candidate − stable|."""
    spread: Array
    """Mean |stable − the stable version's average|."""
    most: float
    """The largest |candidate − stable| of all numbers."""
    most_relative: float
    """The same by |stable|, where that is not next to nothing."""

    @property
    def ratio(self) -> float:
        """The mean difference, by the mean distance from the average; infinite where the stable version does not vary."""
        return float(self.apart.mean() / self.spread.mean()) if self.spread.sum() > 0 else math.inf


def distances(pairs: Sequence[tuple[Array, Array]]) -> Distances:
    """Over tables of numbers."""
    aparts, spreads = [], []
    most = most_relative = 0.0
    for left, right in pairs:
        both = finite(left) & finite(right)
        if not both.any():
            continue
        kind = np.complex128 if left.dtype.kind == "c" else np.float64
        stable, candidate = left[both].astype(kind), right[both].astype(kind)
        apart = np.abs(candidate - stable).reshape(len(stable), -1)
        size = np.abs(stable).reshape(len(stable), -1)
        spread = np.abs(stable - stable.mean(axis=0)).reshape(len(stable), -1)
        if apart.shape[1]:
            aparts.append(apart.mean(axis=1))
            spreads.append(spread.mean(axis=1))
            most = max(most, float(apart.max()))
            floor = 1e-3 * float(size.max()) + 1e-12
            most_relative = max(most_relative, float((apart / np.maximum(size, floor)).max()))
    joined = [np.concatenate(part) if part else np.zeros(0) for part in (aparts, spreads)]
    return Distances(joined[0], joined[1], most, most_relative)


def spread(tables: Sequence[Array]) -> float:
    """How far rows are from their average: the mean over all tables of numbers."""
    parts = [
        table[finite(table)].astype(np.float64) for table in tables if table.dtype.kind in "biuf" or _is_bfloat(table)
    ]
    parts = [part for part in parts if part.size and len(part) > 1]
    return float(np.mean([np.abs(part - part.mean(axis=0)).mean() for part in parts])) if parts else 0.0


def _is_bfloat(array: Array) -> bool:
    return array.dtype.name == "bfloat16"


def different(tables: Sequence[Array]) -> int:
    """How many different rows there are."""
    return len({repr(row) for table in tables for row in table.reshape(len(table), -1).tolist()})


def share_at_least(values: Array) -> float:
    """What the mean of shares is at least, once in a thousand by chance (Wilson's bound)."""
    rows = len(values)
    if not rows:
        return 0.0
    share, square = float(values.mean()), SURE**2
    middle = share + square / (2 * rows)
    around = SURE * math.sqrt(max(0.0, share * (1 - share)) / rows + square / (4 * rows**2))
    return max(0.0, (middle - around) / (1 + square / rows))


def mean_at_least(values: Array) -> float:
    """What the mean of numbers is at least, once in a thousand by chance."""
    rows = len(values)
    if rows < 2:
        return -math.inf
    return float(values.mean() - SURE * values.std(ddof=1) / math.sqrt(rows))


def indices(paired: Paired) -> dict[str, tuple[float, float]]:
    """Feature of the output -> its population stability index, and what that is by chance, from enough rows on."""
    if paired.rows < distribution.LEAST_ROWS or not paired.spec.batched:
        return {}
    signature = Signature("", {}, {paired.spec.name: paired.spec})
    sides: list[dict[str, list[Array]]] = [{}, {}]
    for pair in paired.tables():
        for side, table in zip(sides, pair, strict=True):
            for name, values in distribution.features(signature, {}, {paired.spec.name: table}).items():
                side.setdefault(name, []).append(values)
    found = {}
    for name, parts in sides[0].items():
        before = np.concatenate(parts)
        if name not in sides[1] or not _comparable(paired, name, before):
            continue
        column = distribution.describe(before)
        if column is not None:
            counts = column.count(np.concatenate(sides[1][name]))
            by_chance = distribution.psi_by_chance(len(counts), sum(column.counts), int(counts.sum()))
            found[name] = distribution.psi(column.counts, counts), by_chance
    return found


def _comparable(paired: Paired, feature: str, values: Array) -> bool:
    """Of classes only which is the greatest: how sure a version is changes with each training.

    Numbers that repeat, such as those of a table of words, all fall into other bins when they move by next to nothing.
    """
    if paired.kind == CLASSES:
        return feature.endswith(".argmax")
    return values.dtype == object or paired.kind == VALUES or 2 * len(np.unique(values)) > len(values)


def reference_indices(
    spec: TensorSpec, tables: Sequence[Array], reference: Reference
) -> dict[str, tuple[float, float]]:
    """The same of one version's rows against a card's reference."""
    if sum(map(len, tables)) < distribution.LEAST_ROWS or not spec.batched:
        return {}
    signature = Signature("", {}, {spec.name: spec})
    parts: dict[str, list[Array]] = {}
    for table in tables:
        for name, values in distribution.features(signature, {}, {spec.name: table}, reference.pad).items():
            parts.setdefault(name, []).append(values)
    found = {}
    for name, values_of in parts.items():
        column = reference.columns.get(name)
        if column is not None:
            counts = column.count(np.concatenate(values_of))
            by_chance = distribution.psi_by_chance(len(counts), sum(column.counts), int(counts.sum()))
            found[name] = distribution.psi(column.counts, counts), by_chance
    return found
