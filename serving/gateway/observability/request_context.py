"""What becomes known of a request while it is answered: errors, metrics and statistics are told with it."""

import time

from signet.serving.gateway.observability.metrics import UNKNOWN


class RequestContext:
    """One request for an inference, in whichever protocol."""

    __slots__ = ("bytes", "model", "protocol", "queue_s", "rows", "signature", "stages", "started", "version")

    def __init__(self, protocol: str) -> None:
        self.protocol = protocol
        self.started = time.perf_counter()
        self.model = self.version = self.signature = UNKNOWN
        self.stages: list[tuple[str, float]] = []
        self.bytes = 0
        self.rows = 1
        self.queue_s: float | None = None
        """Seconds that it waited for a call; None before that."""

    def waited(self, seconds: float) -> None:
        """Its call starts now."""
        self.queue_s = seconds

    def stage(self, name: str, started: float) -> float:
        """A stage that began at `started` ends now; gives the moment."""
        now = time.perf_counter()
        self.stages.append((name, now - started))
        return now
