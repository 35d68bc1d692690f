"""A rate limit: so many units a second, as many at once as come together in one second, and debts that are waited for.

    wait_s(now) ──▶ 0: take it ──▶ charge(units) ──▶ the next one waits, while more has been taken than came together

That is a token bucket in one number: when all that was taken will have come in. What costs more than is left is taken all the
same, and paid for later: whoever asks for a thousand rows at ten a second waits a hundred seconds for the next.
"""

_ROUNDING_S = 1e-6
"""More than the sum of many units is wrong by."""


class Rate:
    """One limit: something may be taken while there is a whole unit. Only the event loop touches it."""

    __slots__ = ("_burst_s", "_paid_at", "per_s")

    def __init__(self, per_s: float) -> None:
        """per_s: units a second, above 0."""
        self.per_s = per_s
        self._burst_s = max(1.0, 1 / per_s)
        """Seconds in which what may be taken at once comes together: a second, or what one unit takes."""
        self._paid_at = 0.0

    def wait_s(self, now: float) -> float:
        """Seconds until something may be taken again; 0: now. now: by `time.perf_counter`."""
        wait_s = self._paid_at + 1 / self.per_s - now - self._burst_s
        return wait_s if wait_s > _ROUNDING_S else 0.0

    def charge(self, units: float, now: float) -> None:
        """Note that so many were taken."""
        self._paid_at = max(self._paid_at, now) + units / self.per_s
