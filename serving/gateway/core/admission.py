"""Admission control: load that would only wait is shed at once, with 429 or RESOURCE_EXHAUSTED, before it is read.

    request ──▶ fewer than `max_in_flight` in work? ──▶ answered
                 └── no ──▶ `Overloaded`; the caller tries again in a second

There is no rate limit: what is bounded is what is in work, here in requests and in `process/byte_budget.py` in bytes.
"""

from signet.serving.errors import Overloaded
from signet.serving.gateway.observability.metrics import Metrics


class Admission:
    """Admits the inference requests of one gateway, over all protocols. Only the event loop counts."""

    def __init__(self, max_in_flight: int, metrics: Metrics) -> None:
        """max_in_flight: most requests that are in work at once."""
        self._max_in_flight, self._metrics = max_in_flight, metrics
        self._in_flight = 0

    def admit(self, protocol: str) -> None:
        """Count one request more as in work, until it leaves. Raises `Overloaded` when there are too many."""
        if self._in_flight >= self._max_in_flight:
            self._metrics.shed.labels("in_flight").inc()
            raise Overloaded(f"{self._in_flight} requests are in progress, which is the limit; try again in a second")
        self._in_flight += 1
        self._metrics.in_flight[protocol].count += 1

    def leave(self, protocol: str) -> None:
        """Count an admitted request as in work no more."""
        self._in_flight -= 1
        self._metrics.in_flight[protocol].count -= 1
