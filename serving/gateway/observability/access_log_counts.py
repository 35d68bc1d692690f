"""What an access log counts."""

from collections.abc import Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, Metric

from signet.serving.process.line_writer import LineWriter


class AccessLogCounts:
    """The counts of one process; any thread reads them."""

    def __init__(self) -> None:
        self.summarized = 0
        """Failed requests that stand in a summary alone; written by the event loop."""
        self._writer: LineWriter[Any] | None = None

    def watch(self, writer: LineWriter[Any]) -> None:
        """Tell of the lines that this one drops."""
        self._writer = writer

    def families(self) -> Iterator[Metric]:
        """The counts as Prometheus reads them."""
        dropped = CounterMetricFamily(
            "signet_log_dropped",
            "Lines of the access log that are lost, by reason: queue (the writer is behind), write (disk full, nobody reads).",
            labels=["reason"],
        )
        dropped.add_metric(["queue"], self._writer.full if self._writer else 0)
        dropped.add_metric(["write"], self._writer.lost if self._writer else 0)
        yield dropped
        text = "Failed requests without a line of their own: one line sums up many alike."
        yield CounterMetricFamily("signet_log_summarized", text, value=self.summarized)
