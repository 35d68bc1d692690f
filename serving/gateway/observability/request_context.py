"""The request context: what is known of an inference request while it is answered, and by when it has to be.

    pipeline makes it ──▶ dialect and `Inference` fill it in ──▶ metrics and statistics are told with it

Its deadline is the earliest of the gateway's own limit and whatever the caller says; work that runs beside the event
loop is done `in_time`.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from signet.serving.errors import DeadlineExceeded
from signet.serving.gateway.observability.metrics import UNKNOWN


class RequestContext:
    """The context of one inference request, in whichever protocol. Only the event loop writes it."""

    __slots__ = (
        "bytes",
        "deadline",
        "model",
        "protocol",
        "queue_s",
        "rows",
        "signature",
        "stages",
        "started",
        "version",
    )

    def __init__(self, protocol: str, timeout_s: float) -> None:
        """timeout_s: seconds from now that answering may take, whatever the caller says."""
        self.protocol = protocol
        self.started = time.perf_counter()
        self.deadline = self.started + timeout_s
        """When the answer is due, by the clock of `time.perf_counter`."""
        self.model = self.version = self.signature = UNKNOWN
        """What answers the request; `unknown` until it is known that there is such a thing."""
        self.stages: list[tuple[str, float]] = []
        """Seconds spent in each stage of `metrics.STAGES` so far."""
        self.bytes = 0
        """Bytes of the request's body or message."""
        self.rows = 1
        self.queue_s: float | None = None
        """Seconds that the request waited in the batcher's queue; None before its call has started."""

    def limit(self, timeout_s: float | None) -> None:
        """Note the caller's own limit in seconds from the start of the request, if there is one: the shorter holds."""
        if timeout_s is not None:
            self.deadline = min(self.deadline, self.started + timeout_s)

    def left_s(self) -> float:
        """The seconds until the deadline. Raises `DeadlineExceeded` when there are none."""
        left_s = self.deadline - time.perf_counter()
        if left_s <= 0:
            raise self._over()
        return left_s

    @asynccontextmanager
    async def in_time(self) -> AsyncIterator[None]:
        """A block that is cut off at the deadline of the request. Raises `DeadlineExceeded`."""
        try:
            async with asyncio.timeout(self.deadline - time.perf_counter()):
                yield
        except TimeoutError:
            raise self._over() from None

    def call_started(self, queue_s: float) -> None:
        """The batcher starts the call that this request waited for so many seconds."""
        self.queue_s = queue_s

    def stage(self, name: str, started: float) -> None:
        """Note that the stage that began at `started` has ended now."""
        self.stages.append((name, time.perf_counter() - started))

    def _over(self) -> DeadlineExceeded:
        seconds = time.perf_counter() - self.started
        return DeadlineExceeded(f"the request timed out after {seconds:.1f} seconds")
