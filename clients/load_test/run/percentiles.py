"""Percentiles, goodput and error rate of some part of a run, from its slices.

    slices (model × second) ──summary──▶ Summary: requests, outcomes, p50 … p99.9, good answers per second

Percentiles are of all requests: one that failed or timed out was never answered, so its latency is infinite. Goodput is
the good answers that came per second, whatever was offered.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from hdrh.histogram import HdrHistogram

from signet.clients.load_test.plan.slo import Measured
from signet.clients.load_test.run.recording import Slice, new_histogram
from signet.clients.load_test.run.target import OK

PERCENTILES = (50, 90, 95, 99, 99.9, 99.99)


class Summary:
    """Requests, outcomes and latencies of some part of a run; nothing changes it."""

    def __init__(self, outcomes: Counter[str], histogram: HdrHistogram, answered: int, seconds: float) -> None:
        """answered: good answers that came within these seconds; those that came later are in `outcomes` alone."""
        self.outcomes, self.histogram, self.answered, self.seconds = outcomes, histogram, answered, seconds
        self.requests = outcomes.total()
        self.good = outcomes[OK]

    @property
    def errors(self) -> float:
        """The share of requests that failed, 0 to 1."""
        return (self.requests - self.good) / self.requests if self.requests else 0.0

    @property
    def goodput(self) -> float:
        """Good answers that came per second."""
        return self.answered / self.seconds if self.seconds else 0.0

    def latency_s(self, percentile: float) -> float:
        """The latency below which that percentile of all requests was answered well; infinite when too many failed.

        NaN without requests. Rounded by less than a thousandth.
        """
        return self.latencies_s([percentile])[0]

    def latencies_s(self, percentiles: Sequence[float]) -> list[float]:
        """The `latency_s` of each percentile, ascending, in one pass."""
        if not self.requests:
            return [math.nan] * len(percentiles)
        if not self.good:
            return [math.inf] * len(percentiles)
        of_good = [percentile * self.requests / self.good for percentile in percentiles]
        reached = [min(share, 100.0) for share in of_good if share <= 100 + 1e-9]  # but for rounding
        found = self.histogram.get_percentile_to_value_dict(reached) if reached else {}
        return [found[share] / 1e6 for share in reached] + [math.inf] * (len(of_good) - len(reached))

    @property
    def mean_of_good_s(self) -> float:
        """Mean latency of the good answers; NaN without any."""
        return self.histogram.get_mean_value() / 1e6 if self.good else math.nan

    def measured(self) -> Measured:
        """The figures that limits are held against."""
        return Measured(self.latency_s, self.errors, self.goodput)

    def document(self) -> dict[str, Any]:
        """The summary as JSON has it."""
        return {
            "requests": self.requests,
            "good": self.good,
            "outcomes": dict(self.outcomes),
            "errors": self.errors,
            "goodput_per_s": self.goodput,
            "latency_s": {
                "mean_of_good": _finite(self.mean_of_good_s),
                **{f"p{percentile:g}": _finite(self.latency_s(percentile)) for percentile in PERCENTILES},
                "max": _finite(self.latency_s(100)),
            }
            if self.requests
            else None,
        }


def _finite(seconds: float) -> float | None:
    """None, JSON's null, for what was never answered."""
    return seconds if math.isfinite(seconds) else None


def summary(slices: Iterable[Slice], seconds: float) -> Summary:
    """The sum of the slices, which took so many seconds."""
    outcomes: Counter[str] = Counter()
    histogram = new_histogram()
    answered = 0
    for part in slices:
        outcomes.update(part.outcomes)
        answered += part.answered
        if part.histogram:
            histogram.decode_and_add(part.histogram)
    return Summary(outcomes, histogram, answered, seconds)
