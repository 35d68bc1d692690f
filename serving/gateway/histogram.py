"""Histograms for the request path: `prometheus_client` collects them, but counting is ours.

Its own `observe` takes locks and walks the buckets: 4.5 µs against 0.24 µs here (2 cores, busy), eight times a request.
No lock is needed: the event loop counts and is scraped in one thread.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector


class Series:
    """One histogram: values counted by bucket."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """bounds: the upper ends of the buckets, ascending; what is beyond the last falls under +Inf."""
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value


class Histogram(Collector):
    """A family of series, told apart by label values."""

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str], bounds: Sequence[float], registry: CollectorRegistry
    ) -> None:
        self._name, self._documentation = name, documentation
        self._labels, self._bounds = tuple(labels), tuple(bounds)
        self._series: dict[tuple[str, ...], Series] = {}
        registry.register(self)

    def observe(self, value: float, *labels: str) -> None:
        """Count a value for these label values, in the order of the label names."""
        series = self._series.get(labels)
        if series is None:
            series = self._series[labels] = Series(self._bounds)
        series.observe(value)

    def describe(self) -> Iterator[HistogramMetricFamily]:
        yield HistogramMetricFamily(self._name, self._documentation, labels=self._labels)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
        for labels, series in self._series.items():
            buckets, sum_so_far = [], 0
            for bound, count in zip((*map(str, map(float, self._bounds)), "+Inf"), series.counts, strict=True):
                sum_so_far += count
                buckets.append((bound, sum_so_far))
            family.add_metric(labels, buckets, series.total)
        yield family
