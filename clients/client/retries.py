"""Retries: exponential backoff with full jitter, for a server that is overloaded or away, within a retry budget.

    send ✗ … wait 0 to 0.05 s … send ✗ … wait 0 to 0.1 s … send ✓

Predictions are idempotent: they change nothing, so that sending one twice does no harm. But a server that fails because
it has too much to do must not get more to do for it (a retry storm): retries are at most a tenth of the requests, and their
pauses are drawn at random, so that callers who failed together do not come back together.
"""

import random
import threading
from dataclasses import dataclass

from signet.serving.errors import Overloaded, ServingError, Unavailable


@dataclass(frozen=True)
class Retry:
    """How often and how patiently a client sends a request again; `NEVER` is the policy without retries."""

    attempts: int = 3
    """Times that a request is sent, at most; 1: never again."""
    first_delay_s: float = 0.05
    """Longest pause before the second attempt; twice as long before each further one."""
    longest_delay_s: float = 2.0
    """The pause beyond which the backoff does not grow."""
    budget: float = 0.1
    """Retries for each request, over all calls of a client."""
    burst: float = 10.0
    """Retries that may come at once, saved up from requests before."""


NEVER = Retry(attempts=1)


class Budget:
    """A client's retry budget, as a token bucket: requests fill it, retries draw from it."""

    def __init__(self, retry: Retry) -> None:
        self.retry = retry
        self._left = retry.burst
        """Retries that are left; any thread that calls writes it, under the lock."""
        self._lock = threading.Lock()

    def __getstate__(self) -> Retry:
        return self.retry

    def __setstate__(self, retry: Retry) -> None:
        self.__init__(retry)  # type: ignore[misc]

    def earn(self) -> None:
        """A request is about to be sent for the first time."""
        with self._lock:
            self._left = min(self.retry.burst, self._left + self.retry.budget)

    def pause_s(self, attempt: int, error: ServingError, left_s: float) -> float | None:
        """How long to wait before sending again; None: the error stands. attempt: how often it was sent, from 1.

        left_s: until the caller's deadline. A server that says when to come back is taken at its word.
        """
        if attempt >= self.retry.attempts or not isinstance(error, Overloaded | Unavailable):
            return None
        longest_s = min(self.retry.longest_delay_s, self.retry.first_delay_s * 2 ** (attempt - 1))
        pause_s = random.uniform(0, longest_s)  # noqa: S311  # no secret
        if error.retry_after_s is not None:
            pause_s += error.retry_after_s
        if pause_s >= left_s:
            return None
        with self._lock:
            if self._left < 1:
                return None
            self._left -= 1
        return pause_s
