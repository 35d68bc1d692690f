"""The 95th percentile of what calls took lately, for the delay after which they are hedged."""

from collections import deque

_KEPT = 200
"""Durations that it is of."""
_FEWEST = 40
"""Before so many are known there is none: the 95th percentile of few is the longest of them."""
_STEP = 20
"""Durations after which it is found anew."""


class Percentile:
    """The 95th percentile of the last durations of one model on one server. For one event loop."""

    __slots__ = ("_found_s", "_last", "_new")

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=_KEPT)
        self._found_s: float | None = None
        self._new = 0

    def observe(self, seconds: float) -> None:
        """Note that a call took so long."""
        self._last.append(seconds)
        self._new += 1

    def seconds(self) -> float | None:
        """The percentile; None while too few calls are known."""
        if self._new >= _STEP and len(self._last) >= _FEWEST:
            self._new = 0
            self._found_s = sorted(self._last)[int(0.95 * len(self._last))]
        return self._found_s
