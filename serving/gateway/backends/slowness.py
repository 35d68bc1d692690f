"""Slowness: a model server whose calls take several times as long as the quickest one's counts as if it had more calls in work.

    answer after s seconds ──▶ median of its last calls on the model ──▶ over 5 × the least of all ──▶ calls × (its / least)

Without it each third call of three goes to the slow one whenever there is little to do. What is known holds for a second without
an answer: then a call is tried there again, so that a server which has become quick is found out.
"""

from collections import deque

_KEPT = 9
"""Calls that the median is of, and before which nothing is known: no stall and no cold call makes a slow server."""
_STEP = 3
"""Calls after which the median is found anew."""
_KNOWN_S = 1.0
"""Seconds after the last answer for which the median holds. The next answer is then all that is known."""
_ALIKE = 5.0
"""Servers whose medians are within this factor are equals: calls of one model differ as much by their rows."""


class Pace:
    """How long calls on one model take on one server, about. For one event loop."""

    __slots__ = ("_at_s", "_last", "_median_s", "_new")

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=_KEPT)
        self._median_s, self._at_s, self._new = 0.0, 0.0, 0

    def observe(self, seconds: float, now_s: float) -> None:
        """Note that a call took so long."""
        if self._median_s and now_s - self._at_s > _KNOWN_S:
            self._last.extend([seconds] * _KEPT)
            self._new = _STEP
        self._last.append(seconds)
        self._at_s = now_s
        self._new += 1
        if self._new >= _STEP and len(self._last) == _KEPT:
            self._new = 0
            self._median_s = sorted(self._last)[_KEPT // 2]

    def lags(self, seconds: float, now_s: float) -> None:
        """Note that a call was taken back after so long: it would have taken longer, as the median may have said already."""
        if seconds > self._median_s:
            self.observe(seconds, now_s)
        else:
            self._at_s = now_s

    def estimate_s(self, now_s: float) -> float:
        """Seconds that a call takes; 0 when that is not known."""
        return self._median_s if now_s - self._at_s <= _KNOWN_S else 0.0


def factor(estimate_s: float, least_s: float) -> float:
    """How much more a server's call counts that takes so long where the quickest one's takes the least; 0: not known."""
    return estimate_s / least_s if least_s and estimate_s > _ALIKE * least_s else 1.0
