"""Outlier ejection, a circuit breaker for each model server: out after failures in a row, longer with each relapse.

    in ──3 failures in a row──▶ out 1 s ──▶ in, on trial ──1 failure──▶ out 2 s, 4 s, … 30 s
                                              └─as long again without a failure──▶ in

A failure while it is out starts the time anew: a dead server, which status polls keep asking, never comes back in.
"""

import random

_FAILURES = 3
_FIRST_EJECTION_S = 1.0
_LONGEST_EJECTION_S = 30.0
_JITTER = 0.2
"""Share by which a time is made longer or shorter, so that many gateways do not come back at the same moment."""


class OutlierEjection:
    """Whether one model server is ejected: left out while there are others.

    Times are those of one monotonic clock, in seconds. Only the event loop calls; a scrape may read `is_ejected` in another
    thread. It is in while `_ejection_s` is 0, out until `_until_s`, then on trial until it answers or fails again.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._ejection_s = 0.0
        """Seconds for which the server was ejected last; above 0 it is out or on trial."""
        self._until_s = 0.0

    def is_ejected(self, now_s: float) -> bool:
        """Whether the server is left out at this moment."""
        return now_s < self._until_s

    def succeeded(self, now_s: float) -> None:
        """Note that the server has answered."""
        self._failures = 0
        if self._ejection_s and now_s > self._until_s + self._ejection_s:
            self._ejection_s = 0.0

    def failed(self, now_s: float) -> bool:
        """Note that the server failed or did not answer; True when that ejects it and it was in before."""
        was_ejected = self.is_ejected(now_s)
        self._failures += 1
        if not was_ejected:
            if not self._ejection_s and self._failures < _FAILURES:
                return False
            self._ejection_s = min(max(_FIRST_EJECTION_S, 2 * self._ejection_s), _LONGEST_EJECTION_S)
        self._until_s = now_s + self._ejection_s * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311  # not a secret
        return not was_ejected
