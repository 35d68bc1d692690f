"""Whether a candidate is slower than the stable version, on a machine that does other things too.

    rounds: stable, candidate │ candidate, stable │ …   so that what slows the machine down meets both alike
    candidate's rounds ──rank test──▶ above the bound on the stable one's? ──twice──▶ slower

The bound is applied to each of the stable version's times, then ranks decide (Mann and Whitney), so that a round that was
interrupted is one rank, not a large number. Only what two measurements say counts.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from signet.serving.releases.gate.answers import SURE

ROUNDS = 16
_FEWEST = 12
"""Rounds that can be beyond chance at all."""
_ROUND_S = 0.01
"""Seconds of calls in a round, about."""
_FEWEST_CALLS, _MOST_CALLS = 3, 50
_LONG_S = 0.3
"""A call from here on is made once in a round."""

Timer = Callable[[int], Sequence[float]]
"""Times so many calls, one after the other, in seconds."""


@dataclass(frozen=True)
class Measured:
    """Of each round, the median of its calls, in seconds."""

    stable: Sequence[float]
    candidate: Sequence[float]

    def above(self, ratio: float, floor_s: float) -> bool:
        """Whether the candidate takes longer than `ratio` times the stable version, and `floor_s` more, beyond chance."""
        granted = [max(ratio * seconds, seconds + floor_s) for seconds in self.stable]
        return deviations(granted, self.candidate) > SURE


def measure(stable: Timer, candidate: Timer, budget_s: float) -> Measured:
    """Some rounds, in turn; fewer when they take long. budget_s: seconds in all, about."""
    calls = [_calls(min(timer(3))) for timer in (stable, candidate)]
    times: tuple[list[float], list[float]] = ([], [])
    spent = 0.0
    for number in range(ROUNDS):
        for side in ((0, 1), (1, 0))[number % 2]:
            seconds = (stable, candidate)[side](calls[side])
            times[side].append(statistics.median(seconds))
            spent += sum(seconds)
        if spent > budget_s and number + 1 >= _FEWEST:
            break
    return Measured(*times)


def _calls(once_s: float) -> int:
    """Of a round, by what one takes."""
    return 1 if once_s > _LONG_S else max(_FEWEST_CALLS, min(_MOST_CALLS, round(_ROUND_S / max(1e-6, once_s))))


def deviations(one: Sequence[float], other: Sequence[float]) -> float:
    """By how many deviations of chance the other ones rank above the first (Mann and Whitney's U, by its normal likeness)."""
    wins = sum((b > a) + 0.5 * (b == a) for a in one for b in other)
    pairs = len(one) * len(other)
    deviation: float = (pairs * (len(one) + len(other) + 1) / 12) ** 0.5
    return (wins - pairs / 2) / deviation if deviation else 0.0
