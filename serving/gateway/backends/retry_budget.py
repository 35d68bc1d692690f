"""The retry budget: a share of all calls may be tried twice, so that retries cannot bury servers in trouble."""


class RetryBudget:
    """A token bucket of retries: every call adds a share of one, every second a few, each retry takes one. For one loop."""

    def __init__(
        self, share: float = 0.2, per_second: float = 10.0, most: float = 100.0, saved: float | None = None
    ) -> None:
        """share: retries that each call adds. per_second: retries added each second. most: saved up, at most.

        saved: at the start; None: the most. Of n calls in t seconds so many are tried again, at most: saved + share × n +
        per_second × t.
        """
        self._share, self._per_second, self._most = share, per_second, most
        self._left = most if saved is None else saved
        self._filled_at_s = 0.0

    def add_call(self) -> None:
        """Count a call that is made for the first time."""
        self._left = min(self._most, self._left + self._share)

    def take(self, now_s: float) -> bool:
        """Take a retry from the budget; False when there is none left at this time of a monotonic clock."""
        self._left = min(self._most, self._left + (now_s - self._filled_at_s) * self._per_second)
        self._filled_at_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True
