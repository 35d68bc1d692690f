"""How values of named tensors are distributed: bounded counts of a reference and of later rows, and how far apart they are.

    arrays of some rows ──features──▶ numbers or texts of each row: `age`, `scores[3]`, `pixels.mean`, `text.length`
    features of the reference's rows ──describe──▶ Column: bins and their counts ──to_json──▶ a model card
    features of later rows ──Column.count──▶ counts of the same bins, which add up ──psi, ks──▶ how far apart

A tensor of at most `MOST_ELEMENTS` numbers a row gives each of them, a larger one statistics of the row: of a picture no
pixel tells much. Where its length is free that is one of them, and what a caller has filled up with is not counted. A vector of
scores gives the place of its greatest as well. Texts are counted by their values where these repeat; none that is rare is kept.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from signet.serving.tensors.arrays import Array, Arrays
from signet.serving.tensors.signature import Signature, TensorSpec

LEAST_ROWS = 50
"""Rows of a reference: fewer say nothing."""
BINS = 10
"""Of numbers, by quantiles of the reference; two more are for what is below and above all of it."""
MOST_ELEMENTS = 8
MOST_CATEGORIES, MOST_TEXT = 20, 64
"""Values that are counted by themselves, and the characters of one; the others are `other`."""
MOST_COLUMNS = 48
"""Of a signature, inputs first."""
_REPEATS = 5
"""Times that a value occurs on average, where values are counted by themselves."""
_DIGITS = 6
"""Of the numbers that are counted."""
_PRIOR = 0.5
"""What is added to each count: an empty bin is rare, not impossible, and PSI stays finite."""
_ALPHA_DEVIATIONS, _ALPHA_KS = 3.09, 1.95
"""One in a thousand: deviations of a normal distribution; Kolmogorov's."""
OUTPUT = "output."


# ---- Features of rows.


def features(signature: Signature, inputs: Arrays, outputs: Arrays, pad: float = 0.0) -> dict[str, Array]:
    """Feature -> its value for each row: floats with NaN, or objects (str) with None, for what is missing.

    The rows of a tensor have one shape here. Tensors that are not given, and those without rows, are left out. pad: what free
    lengths are filled up with.
    """
    found: dict[str, Array] = {}
    for prefix, specs, arrays in (("", signature.inputs, inputs), (OUTPUT, signature.outputs, outputs)):
        for name, spec in specs.items():
            if name in arrays and spec.dtype is not None and spec.batched:
                found |= _of_tensor(prefix + name, spec, arrays[name], bool(prefix), pad)
    return {name: values if values.dtype == object else _rounded(values) for name, values in found.items()}


def _rounded(values: Array) -> Array:
    """To so many digits as processors agree on: the last ones of a mean of ten chances are noise."""
    with np.errstate(all="ignore"):
        scale = 10.0 ** (_DIGITS - 1 - np.floor(np.log10(np.abs(values))))
        rounded = np.rint(values * scale) / scale
    return np.where(np.isfinite(rounded), rounded, values)


def _of_tensor(name: str, spec: TensorSpec, array: Array, is_output: bool, pad: float) -> dict[str, Array]:
    assert spec.shape is not None
    inner = spec.shape[1:]
    rows = len(array)
    if array.dtype == object:
        flat = array.reshape(rows, -1)
        lengths = np.array([float(sum(map(len, row))) for row in flat.tolist()])
        if flat.shape[1] != 1:
            return {f"{name}.length": lengths}
        return {name: _texts(flat[:, 0]), f"{name}.length": lengths}
    if array.dtype.kind == "c":
        array = np.abs(array)
    flat = array.reshape(rows, math.prod(array.shape[1:])).astype(np.float64)
    size = None if None in inner else math.prod(s for s in inner if s is not None)
    if size == 1:
        return {name: flat[:, 0]}
    found: dict[str, Array] = {}
    if size is not None and size <= MOST_ELEMENTS:
        found = {f"{name}[{place}]": flat[:, place] for place in range(size)}
    else:
        if None in inner:
            used = flat != pad
            length = (
                np.where(used.any(axis=1), flat.shape[1] - np.argmax(used[:, ::-1], axis=1), 0)
                if flat.size
                else np.zeros(rows)
            )
            found[f"{name}.length"] = length.astype(np.float64)
            flat = np.where(np.arange(flat.shape[1]) < length[:, np.newaxis], flat, np.nan)
        found |= {f"{name}.{kind}": values for kind, values in _statistics(flat).items()}
    if is_output and size is not None and len(inner) == 1 and np.issubdtype(array.dtype, np.inexact):
        whole = np.isfinite(flat).all(axis=1)
        found[f"{name}.argmax"] = np.where(whole, np.argmax(flat, axis=1) if flat.shape[1] else 0, np.nan)
    return found


def _statistics(flat: Array) -> dict[str, Array]:
    """Of each row, without what is NaN in it; NaN for a row that has nothing else."""
    there = ~np.isnan(flat)
    count = there.sum(axis=1)
    some = count > 0
    zeros = np.where(there, flat, 0.0)
    with np.errstate(all="ignore"):
        mean = zeros.sum(axis=1) / count
        std = np.sqrt(np.where(there, (flat - mean[:, np.newaxis]) ** 2, 0.0).sum(axis=1) / count)
    low = np.min(flat, axis=1, initial=np.inf, where=there)
    high = np.max(flat, axis=1, initial=-np.inf, where=there)
    std = np.where(std < 10.0**-_DIGITS * np.maximum(np.abs(low), np.abs(high)), 0.0, std)
    found = {"mean": mean, "std": std, "min": low, "max": high, "norm": np.sqrt((zeros**2).sum(axis=1))}
    return {kind: np.where(some, values, np.nan) for kind, values in found.items()}


def _texts(values: Array) -> Array:
    out = np.empty(len(values), object)
    out[:] = [
        (value.decode(errors="replace") if isinstance(value, bytes) else str(value))[: MOST_TEXT + 1]
        for value in values.tolist()
    ]
    return out


# ---- Columns: bins and their counts.


@dataclass(frozen=True)
class Column:
    """The distribution of one feature: how its values fall into bins. The last count is that of missing values."""

    counts: tuple[int, ...]
    edges: tuple[float, ...] | None = None
    """Of numbers: bin i holds edges[i-1] <= x < edges[i]; the outer two are open."""
    categories: tuple[str, ...] = ()
    """Of texts and few whole numbers: a bin for each, then that of all others."""
    facts: Mapping[str, float] = field(default_factory=dict)
    """Of numbers: min, max and mean, for people."""

    @property
    def bins(self) -> int:
        """Without that of missing values."""
        return len(self.counts) - 1

    def count(self, values: Array) -> Array:
        """How many of other values fall into each bin; int64."""
        if self.edges is not None:
            if values.dtype == object:
                return self._missing(len(values))
            there = values[~np.isnan(values)]
            places = np.searchsorted(np.array(self.edges), there, side="right")
            counts = np.bincount(places, minlength=self.bins + 1)
            counts[-1] = len(values) - len(there)
            return counts
        index = {name: place for place, name in enumerate(self.categories)}
        counts = np.zeros(self.bins + 1, np.int64)
        for name in _names(values):
            counts[-1 if name is None else index.get(name, self.bins - 1)] += 1
        return counts

    def _missing(self, rows: int) -> Array:
        counts = np.zeros(self.bins + 1, np.int64)
        counts[-1] = rows
        return counts

    def to_json(self) -> dict[str, Any]:
        """As a card has it."""
        if self.edges is not None:
            return {"edges": list(self.edges), "counts": list(self.counts), **self.facts}
        return {"categories": list(self.categories), "counts": list(self.counts)}


def of_json(content: Any) -> Column | None:
    """Undo `to_json`; None for what is none."""
    try:
        counts = tuple(int(count) for count in content["counts"])
        if "edges" in content:
            edges = tuple(float(edge) for edge in content["edges"])
            facts = {key: float(content[key]) for key in ("min", "max", "mean") if key in content}
            ordered = all(one < other for one, other in itertools.pairwise(edges))
            return Column(counts, edges, facts=facts) if ordered and len(counts) == len(edges) + 2 else None
        categories = tuple(str(name) for name in content["categories"])
        return Column(counts, None, categories) if len(counts) == len(categories) + 2 else None
    except (KeyError, TypeError, ValueError):
        return None


def describe(values: Array) -> Column | None:
    """The column of a reference's values; None for texts that hardly repeat."""
    names = None
    if values.dtype == object:
        names = [name for name in _names(values) if name is not None]
    else:
        there = values[~np.isnan(values)]
        whole = there.size and np.isfinite(there).all() and (there == np.rint(there)).all()
        if whole and len(np.unique(there)) <= MOST_CATEGORIES and len(there) >= _REPEATS * len(np.unique(there)):
            names = [name for name in _names(values) if name is not None]
    if names is None:
        return _numbers(values)
    occurring: dict[str, int] = {}
    for name in names:
        occurring[name] = occurring.get(name, 0) + 1
    if not occurring or len(names) < _REPEATS * len(occurring):
        return None
    ranked = sorted(occurring, key=lambda name: (-occurring[name], name))
    kept = tuple(name for name in ranked[:MOST_CATEGORIES] if occurring[name] > 1 and len(name) <= MOST_TEXT)
    column = Column((0,) * (len(kept) + 2), None, kept)
    return Column(tuple(column.count(values).tolist()), None, kept)


def _numbers(values: Array) -> Column:
    there = values[np.isfinite(values)]
    if not there.size:
        return Column(tuple(Column((0, 0, 0), (0.0,)).count(values).tolist()), (0.0,))
    inner = np.quantile(there, np.linspace(0, 1, BINS + 1)[1:-1], method="inverted_cdf")
    low, high = float(there.min()), float(there.max())
    edges = sorted({_short(edge) for edge in (low, *inner)})
    edges = [edge for edge in edges if edge <= high]
    above = _short(high)
    beyond = float(np.nextafter(max(above, high, *edges), np.inf))
    if math.isfinite(beyond):
        edges.append(beyond)
    column = Column((0,) * (len(edges) + 2), tuple(edges))
    facts = {"min": _short(low), "max": above, "mean": _short(float(there.mean()))}
    return Column(tuple(column.count(values).tolist()), tuple(edges), facts=facts)


def _short(number: float) -> float:
    """With as many digits as a float32 needs: a card is to be read."""
    return float(f"{number:.9g}")


def _names(values: Array) -> list[str | None]:
    if values.dtype == object:
        return [None if value is None else str(value) for value in values.tolist()]
    return [None if math.isnan(value) else f"{value:.9g}" for value in values.tolist()]


# ---- A reference: all columns of a signature.


@dataclass(frozen=True)
class Reference:
    """How the features of a signature were distributed in some rows."""

    rows: int
    columns: Mapping[str, Column]
    pad: float = 0.0
    source: str = ""
    """Which rows these were, for people."""

    def to_json(self) -> dict[str, Any]:
        """As a card has it."""
        columns = {name: column.to_json() for name, column in self.columns.items()}
        return {"rows": self.rows, "source": self.source, "pad": self.pad, "columns": columns}


def reference(
    signature: Signature, inputs: Arrays, outputs: Arrays, pad: float = 0.0, source: str = ""
) -> Reference | None:
    """The reference that rows make; None where they are too few, or the signature has none."""
    if not signature.batched or (rows := len(next(iter(inputs.values())))) < LEAST_ROWS:
        return None
    described = {name: describe(values) for name, values in features(signature, inputs, outputs, pad).items()}
    kept = [(name, column) for name, column in described.items() if column][:MOST_COLUMNS]
    return Reference(rows, dict(kept), pad, source) if kept else None


def reference_of_json(content: Any) -> Reference | None:
    """Undo `Reference.to_json`; None for what is none."""
    try:
        columns = {str(name): of_json(column) for name, column in content["columns"].items()}
        kept = {name: column for name, column in columns.items() if column}
        return Reference(int(content["rows"]), kept, float(content.get("pad", 0)), str(content.get("source", "")))
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


# ---- How far apart two distributions are.


def psi(expected: Sequence[int] | Array, found: Sequence[int] | Array) -> float:
    """The population stability index of two counts of the same bins, that of missing values among them.

    Half a row is added to each bin: one that is empty on a side makes the index large, not infinite.
    """
    one, other = _shares(expected), _shares(found)
    return float(np.sum((other - one) * np.log(other / one)))


def psi_by_chance(bins: int, expected: float, found: float) -> float:
    """What the index is beyond once in a thousand where nothing has changed: so few rows differ by themselves.

    By its likeness to chi², with bins − 1 degrees of freedom, times 1/expected + 1/found.
    """
    free = max(1, bins - 1)
    # Wilson and Hilferty's approximation of its quantile.
    quantile = free * (1 - 2 / (9 * free) + _ALPHA_DEVIATIONS * math.sqrt(2 / (9 * free))) ** 3
    return quantile * (1 / max(1.0, expected) + 1 / max(1.0, found))


def ks(expected: Sequence[int] | Array, found: Sequence[int] | Array) -> float:
    """The statistic of Kolmogorov and Smirnov of two counts of the same ordered bins: the largest distance of the sums."""
    one, other = np.asarray(expected, np.float64), np.asarray(found, np.float64)
    if not one.sum() or not other.sum():
        return 0.0
    return float(np.max(np.abs(np.cumsum(one) / one.sum() - np.cumsum(other) / other.sum())))


def ks_by_chance(expected: float, found: float) -> float:
    """What the statistic is beyond once in a thousand where nothing has changed."""
    if not expected or not found:
        return 1.0
    return _ALPHA_KS * math.sqrt((expected + found) / (expected * found))


def _shares(counts: Sequence[int] | Array) -> Array:
    raised = np.asarray(counts, np.float64) + _PRIOR
    shares: Array = raised / raised.sum()
    return shares
