"""A counter without a lock, for Prometheus: only one thread counts, here the event loop.

prometheus-client's own counter takes a lock and checks each label again; this one costs a tenth of a microsecond.
"""

from collections.abc import Callable, Iterator, Sequence

from prometheus_client.core import CollectorRegistry, CounterMetricFamily
from prometheus_client.registry import Collector


class CounterSeries:
    """The count for one set of label values."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class Counter(Collector):
    """A family of counts, told apart by label values. Only the event loop counts; any thread may collect."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str], registry: CollectorRegistry) -> None:
        """name: without `_total`, which its samples end with."""
        self.name, self.labels, self._documentation = name, tuple(labels), documentation
        self._series: dict[tuple[str, ...], CounterSeries] = {}
        registry.register(self)

    def series(self, *labels: str) -> CounterSeries:
        """The count for these label values, in the order of the label names; 0 for new ones."""
        return self._series.setdefault(labels, CounterSeries())

    def drop(self, unwanted: Callable[[dict[str, str]], bool]) -> None:
        """Forget the counts whose labels are unwanted."""
        self._series = {
            labels: series
            for labels, series in self._series.items()
            if not unwanted(dict(zip(self.labels, labels, strict=True)))
        }

    def describe(self) -> Iterator[CounterMetricFamily]:
        yield CounterMetricFamily(self.name, self._documentation, labels=self.labels)

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily(self.name, self._documentation, labels=self.labels)
        for labels, series in list(self._series.items()):
            family.add_metric(labels, series.count)
        yield family
