"""Deadlines of many things in work with one timer for all: a sweep finds those that are over.

    add(item, deadline) ──▶ the timer stands at the earliest ──▶ sweep ──▶ expire(item), once, unless it was discarded before

A timer of the event loop for each of them would cost several microseconds a request, and nearly all are never needed.
"""

import asyncio
import math
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)

_PAUSE_S = 0.005
"""Seconds between two sweeps, at least: thousands of different deadlines must not become thousands of sweeps. An item
expires so much late, at most, beside what the loop itself is late."""


class Deadlines(Generic[T]):
    """Tells of each item that its deadline has passed. For one event loop, which alone touches it."""

    def __init__(self, expire: Callable[[T], object]) -> None:
        """expire(item): called in the event loop at its deadline or soon after; the item is not known any more by then."""
        self._expire = expire
        self._open: dict[T, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf
        """When the timer fires; infinity without one. Not later than any deadline and a pause."""
        self._swept_at = -math.inf

    def __len__(self) -> int:
        """The number of items whose deadlines are watched."""
        return len(self._open)

    def add(self, item: T, deadline: float) -> None:
        """Watch an item until it is discarded. deadline: by `time.perf_counter`; infinity is none."""
        if deadline == math.inf:
            return
        self._open[item] = deadline
        if deadline < self._due:
            self._set_timer(deadline)

    def discard(self, item: T) -> None:
        """Watch the item no more; nothing happens if it is not watched."""
        self._open.pop(item, None)

    def _set_timer(self, deadline: float) -> None:
        due = max(deadline, self._swept_at + _PAUSE_S)
        if due >= self._due:
            return
        if self._timer:
            self._timer.cancel()
        self._due = due
        self._timer = asyncio.get_running_loop().call_later(max(0.0, due - time.perf_counter()), self._sweep)

    def _sweep(self) -> None:
        self._timer, self._due = None, math.inf
        now = self._swept_at = time.perf_counter()
        over = [item for item, deadline in self._open.items() if deadline <= now]
        for item in over:
            if self._open.pop(item, None) is not None:  # one that expired may have discarded others
                self._expire(item)
        if self._open:
            self._set_timer(min(self._open.values()))
