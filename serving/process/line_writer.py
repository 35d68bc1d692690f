"""Lines of a log that are written off the event loop, and that may be lost but never waited for.

    event loop ──put──▶ queue, bounded ──a thread──▶ render ──▶ bytes ──▶ Sink: stderr, or a file
                          │ full: dropped, counted                         └── fails: lost, counted

What is put is written in its order. `close` writes what waits, as far as that goes within a time.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from signet.serving.process.supervision import ACCESS_LOG, Background, Failures

T = TypeVar("T")

MOST_LINES = 16_384
"""Lines that wait at most: some seconds of a busy server, and ten megabytes."""

_GATHER_S = 0.05
"""Seconds that the first line waits for others, so that a busy loop seldom wakes the thread."""

_TOGETHER = 64
"""Lines that are rendered in a row: the loop cannot run meanwhile."""


class Sink(Protocol):
    """Where lines go. For the writing thread alone."""

    def write(self, lines: Sequence[bytes]) -> int:
        """Write lines, each with its end. Gives how many of them are lost. Raises nothing."""

    def close(self) -> None:
        """Let go of what it writes to."""


class LineWriter(Generic[T]):
    """A queue of lines and the thread that writes them, which starts with the first.

    `put` is for one thread, such as that of an event loop, which alone writes `full`; the writing thread alone writes
    `lost`. They are counts: those that found the queue full, and those that could not be written.
    """

    def __init__(
        self,
        open_sink: Callable[[], Sink],
        render: Callable[[T], bytes],
        failures: Failures,
        most: int = MOST_LINES,
        gather_s: float = _GATHER_S,
    ) -> None:
        """open_sink: called by the writing thread, before the first line. render: a line with its end. most: in the queue."""
        self.full = self.lost = 0
        self._open_sink, self._render, self._most, self._gather_s = open_sink, render, most, gather_s
        self._queue: deque[T] = deque()
        self._sink: Sink | None = None
        self._started = self._closed = False
        self._thread = Background(ACCESS_LOG, self._step, failures, "access-log")

    def put(self, line: T) -> None:
        """Have a line written, unless too many wait."""
        queue = self._queue
        if len(queue) >= self._most or self._closed:
            self.full += 1
            return
        queue.append(line)
        if len(queue) == 1:
            if not self._started:
                self._started = True
                self._thread.start()
            self._thread.wake()

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what waits, within so many seconds if it is slow; from then on nothing is taken. Not for an event loop."""
        self._closed = True
        end = time.monotonic() + timeout_s
        self._thread.stop()
        if self._thread.join(timeout_s):
            self._drain(end)
            if self._sink:
                self._sink.close()

    def _step(self) -> float:
        self._thread.pause(self._gather_s)
        self._drain()
        return -1.0

    def _drain(self, end: float | None = None) -> None:
        """end: by `time.monotonic`, when no further lines are written."""
        queue, render = self._queue, self._render
        if not queue:
            return
        if self._sink is None:
            self._sink = self._open_sink()
        while queue and (end is None or time.monotonic() < end):
            together = [queue.popleft() for _ in range(min(len(queue), _TOGETHER))]
            try:
                self.lost += self._sink.write([render(line) for line in together])
            except BaseException:
                self.lost += len(together)
                raise
