"""What this process counts of one candidate beside its stable version, from the start of its release on, and what that says.

    an answered request ──▶ of the stable version, of the candidate ──▶ `Counts`; slow: beyond the bucket of the stable's p99
    a compared copy     ──▶ `Copies`                                    ──▶ alarm ──▶ a sentence why it is to be stopped

Counted are requests that chance has routed: none that names a version, a label or a side.
"""

import math
import time
from bisect import bisect_left
from collections.abc import Callable

from signet.serving.releases.judge import Counts, Evidence, FirstEvents, Policy, Step, Verdict, alarm, judge
from signet.serving.releases.release import Release

STEP_S = 600.0
"""Seconds after which a new step of evidence begins, so that a candidate is caught soon that turns bad late."""

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Upper ends of the buckets, as `signet_request_duration_seconds` has them."""
_LEAST = 200
"""Requests of the stable version before anything counts as slow."""
_AGAIN = 256
"""Requests of it after which its percentile is looked for anew."""
_PERCENTILE = 0.99


class Slowness:
    """How long the stable version takes. What was slow is said before the next request is known, so that chance decides."""

    def __init__(self) -> None:
        self.bound_s = math.inf
        """What takes longer is slow: the upper end of the bucket that holds the 99th percentile."""
        self._buckets = [0] * (len(SECONDS) + 1)
        self._seen = 0

    def observe(self, seconds: float) -> None:
        """Note how long a request of the stable version took."""
        self._buckets[bisect_left(SECONDS, seconds)] += 1
        self._seen += 1
        if self._seen >= _LEAST and (self._seen == _LEAST or self._seen % _AGAIN == 0):
            self.bound_s = self._percentile()

    def _percentile(self) -> float:
        below = 0
        for count, end in zip(self._buckets, SECONDS, strict=False):
            below += count
            if below >= _PERCENTILE * self._seen:
                return end
        return math.inf


class Trial:
    """One candidate on trial in this process. Only the event loop counts, and begins steps; any thread may read."""

    def __init__(self, release: Release, policy: Policy, clock: Callable[[], float] = time.monotonic) -> None:
        """release: open. policy: of its limits."""
        self.release, self.policy, self._clock = release, policy, clock
        self.stable, self.candidate = str(release.stable), str(release.candidate)
        self.evidence = Evidence()
        self.slowness = Slowness()
        self.verdict = ""
        """Why the candidate was stopped here; empty: it was not."""
        self._first_errors, self._first_slow = FirstEvents(), FirstEvents()
        self._since = self._step_since = clock()
        self._lowered = -math.inf
        self._step = self.evidence.begin(release.share)

    def follow(self, release: Release, policy: Policy) -> None:
        """The same candidate goes on with another share or other limits, or has been taken back. For whoever follows releases."""
        if release.share != self.release.share:
            self._since = self._clock()
            if release.share < self.release.share:
                self._lowered = self._since
        self.release, self.policy = release, policy

    @property
    def step(self) -> Step:
        """The one to count in."""
        return self._step_at(self._clock())

    def _step_at(self, now: float) -> Step:
        share = self.release.share
        if share != self._step.share or now - self._step_since >= STEP_S:
            self._step_since, self._step = now, self.evidence.begin(share)
        return self._step

    def observe(self, version: str, key: str, seconds: float, *, failed: bool) -> str | None:
        """Count a request that chance has routed and that has ended; gives why the candidate is to be stopped, or None.

        key: whose it was. failed: in the call, or by the server's fault.
        """
        candidate = version == self.candidate
        if not candidate and version != self.stable:
            return None
        now = self._clock()
        if now - seconds < self._lowered:
            return None  # it had a larger chance of the candidate than its step says, and would speak against it
        step = self._step_at(now)
        counts: Counts = step.candidate if candidate else step.stable
        slow = seconds > self.slowness.bound_s
        if not candidate:
            self.slowness.observe(seconds)
        counts.requests += 1
        if not (failed or slow):
            return None
        caller = hash(key)
        if failed:
            counts.errors += 1
            counts.error_keys += self._first_errors.first(caller, candidate=candidate)
        if slow:
            counts.slow += 1
            counts.slow_keys += self._first_slow.first(caller, candidate=candidate)
        return self._asked() if candidate else None

    def compared(self, *, failed: bool, differs: bool) -> str | None:
        """Count a copy that the candidate was shown; gives as above."""
        copies = self.step.copies
        copies.copies += 1
        copies.failed += failed
        copies.differs += differs and not failed
        return self._asked() if failed or differs else None

    def judged(self) -> Verdict:
        """What is known by now."""
        return judge(self.evidence, self.policy, share=self.release.share, baked_s=self.baked_s)

    @property
    def baked_s(self) -> float:
        """Seconds since this process has seen the present share."""
        return self._clock() - self._since

    def _asked(self) -> str | None:
        if self.verdict:
            return None
        reason = alarm(self.evidence, self.policy)
        self.verdict = reason or ""
        return reason
