"""Throttling: so many requests at a time, a rate limit in rows a second, and backing off as soon as the server is busy.

    with throttle.turn(rows): send()          waits until it may
    throttle.yield_to_others(retry_after_s)   the server said 429: half as many at a time, and none for a while

As long as the server is not busy again, one more at a time is allowed every ten seconds.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from signet.serving.errors import Cancelled

ONE_MORE_EVERY_S = 10.0
"""Ten times as long as a gateway asks to be left alone: what is lost by trying again is a tenth."""
BUSY_S = 1.0
"""How long a busy server is left alone that does not say how long."""


class Throttle:
    """Shared by the threads of a job; `_changed` is the lock of every field."""

    def __init__(self, concurrency: int, rows_per_s: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        """rows_per_s: None for as fast as it goes. clock: tells the time in seconds."""
        self._clock = clock
        self._most, self._active = concurrency, 0
        self._allowed, self._allowed_since = float(concurrency), 0.0
        self._row_s = 1 / rows_per_s if rows_per_s else 0.0
        self._next = self._not_before = clock()
        self._changed = threading.Condition()
        self._stopped = False

    @contextmanager
    def turn(self, rows: int) -> Iterator[None]:
        """Wait until so many rows may be sent. Raises `Cancelled` when the job has ended meanwhile."""
        self._wait(rows)
        try:
            yield
        finally:
            with self._changed:
                self._active -= 1
                self._changed.notify_all()

    def limit(self, now: float) -> float:
        """Requests at a time, as the server's answers allow; now: by the clock."""
        return min(self._most, self._allowed + max(0.0, now - self._allowed_since) / ONE_MORE_EVERY_S)

    def yield_to_others(self, retry_after_s: float | None) -> None:
        """Back off: the server is busy. retry_after_s: as long as it says, if it does."""
        with self._changed:
            now = self._clock()
            self._allowed = max(1.0, self.limit(now) / 2)
            pause_s = BUSY_S if retry_after_s is None else retry_after_s
            self._not_before = max(self._not_before, now + pause_s)
            self._allowed_since = self._not_before

    def pause(self, seconds: float) -> None:
        """Wait so long. Raises `Cancelled` when the job has ended meanwhile."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped, seconds)
            self._check()

    def stop(self) -> None:
        """Let nobody have a turn any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _wait(self, rows: int) -> None:
        with self._changed:
            while True:
                self._check()
                now = self._clock()
                start = max(self._next, self._not_before)
                if self._active >= int(self.limit(now)):
                    self._changed.wait()
                elif now < start:
                    self._changed.wait(start - now)
                else:
                    break
            self._active += 1
            self._next = max(self._next, now - 1) + rows * self._row_s  # a pause is made up for, by a second at most

    def _check(self) -> None:
        if self._stopped:
            raise Cancelled("another row ended the run")
