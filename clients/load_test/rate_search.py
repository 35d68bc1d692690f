"""The highest rate that a server serves within its limits: doubled until they break, then narrowed down between.

10 ✓  20 ✓  40 ✓  80 ✗  57 ✓  67 ✗  62 ✓  ──▶ 62 a second
"""

from dataclasses import dataclass, field

MOST_TRIALS = 30


@dataclass
class RateSearch:
    """The next rate to try, given how the ones before went."""

    rate: float
    """The first rate to try, in requests per second."""
    precision: float = 0.05
    """The rate found is at most this much, as a share of it, below one that broke the limits."""
    kept: float | None = field(default=None, init=False)
    """The highest rate that met the limits so far."""
    broken: float | None = field(default=None, init=False)
    """The lowest rate that broke the limits so far."""

    def judged(self, rate: float, kept: bool) -> None:
        """Take in whether the limits were kept at a rate."""
        if kept:
            self.kept = rate
        else:
            self.broken = rate

    def next_rate(self) -> float | None:
        """The rate to try next; None when the rate is found, or there is none."""
        if self.kept is None and self.broken is None:
            return self.rate
        if self.broken is None:
            assert self.kept is not None, "one of the two was judged"
            return 2 * self.kept
        if self.kept is None:
            return self.broken / 2 if self.broken > 0.1 else None
        if self.broken <= self.kept * (1 + self.precision):
            return None
        return float((self.kept * self.broken) ** 0.5)
