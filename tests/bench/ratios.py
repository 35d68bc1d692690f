"""What paired measurements say: pure arithmetic of rounds, medians, spread and verdicts.

    rounds: A B C, then C B A, …  ──▶  a figure of each server and round  ──▶  ratios within each round  ──▶  Spread
                                                                                              target  ──▶  Verdict

A machine's speed drifts within minutes; two runs of one round are seconds apart. So ratios are taken within a round, and the
median and the quartiles are those of the ratios, not of the figures.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


def order(names: Sequence[str], round_number: int) -> list[str]:
    """Who is loaded when in a round, from 0: as given in even rounds, from behind in odd ones."""
    return list(names) if round_number % 2 == 0 else list(reversed(names))


@dataclass(frozen=True)
class Spread:
    """How several figures of one thing lie; the quartiles are inclusive, of one figure they are that figure."""

    median: float
    low: float
    """The lower quartile."""
    high: float
    """The upper quartile."""
    least: float
    most: float
    count: int


def spread(figures: Sequence[float]) -> Spread:
    """Raises ValueError when there are none."""
    if not figures:
        raise ValueError("a spread of no figures")
    low, median, high = statistics.quantiles(figures, n=4, method="inclusive") if len(figures) > 1 else figures[:1] * 3
    return Spread(median, low, high, min(figures), max(figures), len(figures))


def paired(figures: Mapping[int, float], reference: Mapping[int, float]) -> list[float]:
    """Figure over reference in each round that both have: {0: 2.0, 1: 3.0}, {1: 2.0} -> [1.5]."""
    return [figures[each] / reference[each] for each in sorted(figures.keys() & reference.keys()) if reference[each]]


@dataclass(frozen=True)
class Verdict:
    """Whether a ratio is what it should be, by the median of the rounds."""

    measured: Spread
    target: float
    reached: bool
    rounds: int
    """How many of the rounds say so, each for itself."""


def at_least(ratios: Sequence[float], target: float) -> Verdict:
    """Of ratios that should not be lower than the target. Raises ValueError when there are none."""
    measured = spread(ratios)
    reached = measured.median >= target
    return Verdict(measured, target, reached, sum((ratio >= target) is reached for ratio in ratios))


def at_most(ratios: Sequence[float], target: float) -> Verdict:
    """Of ratios that should not be higher than the target. Raises ValueError when there are none."""
    measured = spread(ratios)
    reached = measured.median <= target
    return Verdict(measured, target, reached, sum((ratio <= target) is reached for ratio in ratios))
