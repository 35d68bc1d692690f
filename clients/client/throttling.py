"""Adaptive throttling: a client whose calls are refused for overload refuses most of them itself, before they are sent.

    call ──check──▶ sent ──▶ answered or refused ──record──▶ AcceptWindow, one for each model of the server
             └── `Throttled`, with probability max(0, (requests − K·accepts) / (requests + 1)), counted as a request

A server that is asked for ten times as much as it can do spends its time on refusals; a client that remembers how many it
got spares it most of them: about K requests are sent for each that is accepted. What is accepted and what is refused is the
server's word: 429 or RESOURCE_EXHAUSTED, and 503 or UNAVAILABLE with a time to come back, are refusals; all else, a bad
request too, was accepted. The formula is that of Google's "Site Reliability Engineering", chapter 21, "Handling Overload".
"""

import random
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from signet.serving.errors import Overloaded, ServingError, Throttled, Unavailable

K = 2.0
"""Requests for each accepted one up to which nothing is refused here: half of what is sent may be refused by the server."""
WINDOW_S = 10.0
"""How long an answer is remembered. A server that refuses nothing for so long is asked without restraint again."""
_BUCKETS = 10
"""Parts of a window: what is remembered ends with its part, so that a request costs no entry of its own."""
MODELS = 1024
"""Most models that a client remembers, those asked last: their names are the caller's choice."""


def refusal_probability(requests: int, accepts: int, k: float = K) -> float:
    """The share of calls to refuse here, 0 to 1, after so many requests, of which the server accepted so many."""
    return max(0.0, (requests - k * accepts) / (requests + 1))


@dataclass(slots=True)
class _Bucket:
    """What happened in one part of the window."""

    number: int
    """Parts of a window since the clock's zero."""
    accepts: int = 0
    refusals: int = 0
    """By the server."""
    held: int = 0
    """Calls that were refused here."""


@dataclass(frozen=True)
class Counts:
    """The calls of one model within the window."""

    accepts: int
    refusals: int
    """By the server."""
    held: int
    """Refused by the client itself."""

    @property
    def requests(self) -> int:
        return self.accepts + self.refusals + self.held


class AcceptWindow:
    """The answers of one server to the calls of one model. Threads may share it; `_lock` is the lock of every field."""

    def __init__(
        self,
        window_s: float = WINDOW_S,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """clock: tells the time in seconds. chance: gives numbers from 0 to below 1."""
        self._bucket_s = window_s / _BUCKETS
        self._clock, self._chance = clock, chance
        self._buckets: deque[_Bucket] = deque()
        self._accepts = self._refusals = self._held = 0
        """The sums of the buckets."""
        self._back_at = 0.0
        """When the server said that callers may come back, by the clock."""
        self._throttled = 0
        self._lock = threading.Lock()

    @property
    def throttled(self) -> int:
        """Calls that were refused here, from the beginning."""
        return self._throttled

    def counts(self) -> Counts:
        """What the window remembers now."""
        with self._lock:
            self._forget(self._clock())
            return Counts(self._accepts, self._refusals, self._held)

    def probability(self) -> float:
        """The share of calls that is refused here now, 0 to 1."""
        counts = self.counts()
        return refusal_probability(counts.requests, counts.accepts)

    def admit(self) -> bool:
        """Whether a call may be sent; one that may not is counted as refused here."""
        with self._lock:
            if not self._refusals:  # the usual case: nothing was refused, or all of it long ago
                return True
            now = self._clock()
            self._forget(now)
            requests = self._accepts + self._refusals + self._held
            if self._chance() >= refusal_probability(requests, self._accepts):
                return True
            self._bucket(now).held += 1
            self._held += 1
            self._throttled += 1
            return False

    def record(self, *, accepted: bool, retry_after_s: float | None = None) -> None:
        """Take in the server's answer to a request. retry_after_s: when to come back, as it said with a refusal."""
        with self._lock:
            now = self._clock()
            self._forget(now)
            bucket = self._bucket(now)
            if accepted:
                bucket.accepts += 1
                self._accepts += 1
            else:
                bucket.refusals += 1
                self._refusals += 1
                self._back_at = max(self._back_at, now + (retry_after_s or 0.0))

    def back_in_s(self) -> float | None:
        """Seconds until the time that the server said last; None when it said none, or it is over."""
        with self._lock:
            left_s = self._back_at - self._clock()
            return left_s if left_s > 0 else None

    def _bucket(self, now: float) -> _Bucket:
        number = int(now / self._bucket_s)
        if not self._buckets or self._buckets[-1].number != number:
            self._buckets.append(_Bucket(number))
        return self._buckets[-1]

    def _forget(self, now: float) -> None:
        """Drop what is older than the window, and calls refused here without a refusal of the server to justify them."""
        oldest = int(now / self._bucket_s) - _BUCKETS
        while self._buckets and self._buckets[0].number <= oldest:
            gone = self._buckets.popleft()
            self._accepts -= gone.accepts
            self._refusals -= gone.refusals
            self._held -= gone.held
        if not self._refusals and self._held:
            self._held = 0
            for bucket in self._buckets:
                bucket.held = 0


class Throttle:
    """What one client remembers of its server, model by model. Threads and event loops may share it."""

    def __init__(self, server: str, make: Callable[[], AcceptWindow] = AcceptWindow) -> None:
        """server: its address, for messages."""
        self._server, self._make = server, make
        self._windows: OrderedDict[str, AcceptWindow] = OrderedDict()
        """By model, the one asked last at the end; written under the lock."""
        self._lock = threading.Lock()

    def check(self, model: str) -> None:
        """Raise `Throttled` for a call that is not to be sent."""
        window = self._window(model)
        if window.admit():
            return
        counts = window.counts()
        share = refusal_probability(counts.requests, counts.accepts)
        error = Throttled(
            f"model {model!r} at {self._server}: not sent, as the server refused {counts.refusals:,} of the last "
            f"{counts.accepts + counts.refusals:,} requests that it got; while it is overloaded, {share:.0%} of the calls "
            "are refused here. Call less often, later, or by a client with throttle=False"
        )
        error.retry_after_s = window.back_in_s()
        raise error

    def record(self, model: str, error: ServingError | None) -> None:
        """Take in how a request ended. error: None for a good answer."""
        accepted = not refuses(error)
        self._window(model).record(accepted=accepted, retry_after_s=error.retry_after_s if error else None)

    def counts(self) -> Mapping[str, int]:
        """The calls that were refused here, from the beginning, by model."""
        with self._lock:
            return {model: window.throttled for model, window in self._windows.items() if window.throttled}

    def _window(self, model: str) -> AcceptWindow:
        with self._lock:
            window = self._windows.get(model)
            if window is None:
                window = self._windows[model] = self._make()
                if len(self._windows) > MODELS:
                    self._windows.popitem(last=False)
            else:
                self._windows.move_to_end(model)
            return window


def refuses(error: ServingError | None) -> bool:
    """Whether an answer is a refusal for overload, rather than an answer to what was asked."""
    return isinstance(error, Overloaded) or (isinstance(error, Unavailable) and error.retry_after_s is not None)
