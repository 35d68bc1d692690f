"""The way of spans to a collector: a bounded queue that the event loop fills and a thread empties.

    loop ──hand_over──▶ queue ──thread: spans, one message──▶ collector
                │ full: dropped, counted        │ away, slow, busy: again for a while; then, or refused: dropped, counted
                                                └ said in the log once, and once more when it takes them again

No request waits for any of it, and none fails.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

from google.protobuf.message import DecodeError

from signet.serving.tracing import otlp
from signet.serving.tracing.collector import Collector, NotTaken
from signet.serving.tracing.span import Recorded

log = logging.getLogger(__name__)

_MOST = 4096
"""Requests and calls that wait; a few hundred bytes each."""
_TOGETHER = 256
"""Of them in one message."""
_PERIOD_S = 1.0
"""Seconds that one waits for others."""
_AGAIN_S = 20.0
"""Seconds in which a message is sent again that the collector did not take."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 5.0


class Exporter:
    """`hand_over` is for the event loop, all below it for the thread; `_stopping` is written once, by `stop`."""

    def __init__(
        self,
        collector: Collector,
        resource: Mapping[str, str | int | float | bool],
        version: str,
        dropped: Callable[[str, int], None],
    ) -> None:
        """resource: which program the spans are of. dropped(reason, requests): told, in any thread, what was dropped."""
        self._collector, self._resource, self._version, self._dropped = collector, resource, version, dropped
        self._waiting: deque[Recorded] = deque()
        self._wake, self._stopping = threading.Event(), False
        self._complained = False
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def hand_over(self, recorded: Recorded) -> None:
        """Have the spans of a request or call sent, unless too many wait."""
        waiting = self._waiting
        if len(waiting) >= _MOST:
            self._dropped("queue_full", 1)
            return
        waiting.append(recorded)
        if len(waiting) == _TOGETHER:
            self._wake.set()

    def stop(self, grace_s: float) -> None:
        """Send what waits, for at most so many seconds."""
        self._stopping = True
        self._wake.set()
        self._thread.join(grace_s)
        if self._thread.is_alive():
            log.warning("the traces of the last seconds did not reach the collector within %g s", grace_s)

    def _run(self) -> None:
        while self._waiting or not self._stopping:
            if len(self._waiting) < _TOGETHER and not self._stopping:
                self._wake.wait(_PERIOD_S)
                self._wake.clear()
            if batch := [self._waiting.popleft() for _ in range(min(_TOGETHER, len(self._waiting)))]:
                try:
                    self._send(batch)
                except Exception:  # the thread has to go on
                    log.exception("the spans of %d requests and calls could not be sent", len(batch))
                    self._dropped("broken", len(batch))
        self._collector.close()

    def _send(self, batch: list[Recorded]) -> None:
        message = otlp.request(self._resource, self._version, (span for one in batch for span in one.spans()))
        until, pause_s = time.monotonic() + _AGAIN_S, _FIRST_PAUSE_S
        while True:
            try:
                self._taken(self._collector.post(message))
                return
            except NotTaken as problem:
                self._complain(str(problem))
                if not problem.passing:
                    self._dropped("refused", len(batch))
                    return
            if self._stopping or time.monotonic() + pause_s > until:
                self._dropped("unreachable", len(batch))
                return
            self._pause(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _pause(self, seconds: float) -> None:
        """Not longer than until the stop."""
        until = time.monotonic() + seconds
        while not self._stopping and (left_s := until - time.monotonic()) > 0:
            self._wake.wait(left_s)
            self._wake.clear()

    def _taken(self, answer: bytes) -> None:
        try:
            spans, why = otlp.rejected(answer)
        except DecodeError:  # a proxy's page, perhaps; it has said that all is well
            spans, why = 0, ""
        if spans:
            self._complain(f"it has not taken {spans} spans: {why}")
        elif self._complained:
            self._complained = False
            log.info("the collector at %s takes traces again", self._collector.address.shown)

    def _complain(self, problem: str) -> None:
        if not self._complained:
            self._complained = True
            shown = self._collector.address.shown
            log.warning("the collector at %s does not take traces, which are dropped after a while: %s", shown, problem)
