"""Histograms for the request path: `prometheus_client` collects them, but counting is ours.

Its own `observe` takes locks and walks the buckets: 4.5 µs against 0.24 µs here (2 cores, busy), eight times a request.
No lock is needed: one thread counts, and a scrape looks at a copy.
"""

import time
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar


class Series:
    """One histogram: values counted by bucket."""

    __slots__ = ("_bounds", "counts", "exemplars", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """bounds: the upper ends of the buckets, ascending; what is beyond the last falls under +Inf."""
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        self.exemplars: dict[int, Exemplar] | None = None
        """Bucket -> the last value of a trace in it."""

    def exemplify(self, value: float, trace_id: str) -> None:
        """Note the trace of a value that was observed: one of each bucket is told, the last."""
        if self.exemplars is None:
            self.exemplars = {}
        bucket = bisect_left(self._bounds, value)
        self.exemplars[bucket] = Exemplar({"trace_id": trace_id}, value, round(time.time(), 3))

    def buckets(self) -> list[tuple[str, int] | tuple[str, int, Exemplar]]:
        """As `cumulative`, with the exemplars that there are."""
        exemplars = self.exemplars
        if exemplars is None:
            return list(self.cumulative())
        return [
            (bound, count, exemplars[place]) if place in exemplars else (bound, count)
            for place, (bound, count) in enumerate(self.cumulative())
        ]

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def cumulative(self, form: str = "") -> Iterator[tuple[str, int]]:
        """Each bound as text, `+Inf` last, and how many values there are up to it."""
        sum_so_far = 0
        for bound, count in zip((*(format(bound, form) for bound in self._bounds), "+Inf"), self.counts, strict=True):
            sum_so_far += count
            yield bound, sum_so_far


class Histogram(Collector):
    """A family of series, told apart by label values."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str],
        bounds: Sequence[float],
        registry: CollectorRegistry | None,
    ) -> None:
        """registry: None for a histogram that is exposed in another way."""
        self.name, self.labels = name, tuple(labels)
        self._documentation, self._bounds = documentation, tuple(map(float, bounds))
        self._series: dict[tuple[str, ...], Series] = {}
        if registry:
            registry.register(self)

    def observe(self, value: float, *labels: str) -> None:
        """Count a value for these label values, in the order of the label names."""
        self.of(*labels).observe(value)

    def of(self, *labels: str) -> Series:
        """The series of these label values, to be kept by who observes often; a new one is empty."""
        series = self._series.get(labels)
        if series is None:
            series = self._series[labels] = Series(self._bounds)
        return series

    def drop(self, label: str, values: Collection[str]) -> None:
        """Forget the series with one of these values of a label."""
        place = self.labels.index(label)
        self._series = {labels: series for labels, series in self._series.items() if labels[place] not in values}

    def series(self) -> list[tuple[tuple[str, ...], Series]]:
        """The series of all label values that there are, with those values."""
        return list(self._series.items())

    def describe(self) -> Iterator[HistogramMetricFamily]:
        yield HistogramMetricFamily(self.name, self._documentation, labels=self.labels)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        family = HistogramMetricFamily(self.name, self._documentation, labels=self.labels)
        for labels, series in self.series():
            family.add_metric(labels, series.buckets(), series.total)
        yield family
