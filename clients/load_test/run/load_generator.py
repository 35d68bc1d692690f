"""Runs steps of load against a target: starts requests when they are due and records how each went.

open loop (no coordinated omission: latency counts from when a request was due, even if it was sent late):
              offsets ──Pacer──▶ start what is due ──▶ target.send ──▶ record(done - intended start)
closed loop:  so many callers, each of which starts again when it is answered
"""

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from signet.clients.load_test.plan import arrivals
from signet.clients.load_test.plan.steps import Step
from signet.clients.load_test.run.pacer import Pacer
from signet.clients.load_test.run.recording import WARM_UP, Interval, Recorder
from signet.clients.load_test.run.target import BROKEN, UNFINISHED, UNREACHABLE, Target

Again = Callable[[str], None]
"""What a caller of a closed loop does after an outcome: it asks again."""

_AGAIN_S = 0.01
"""A closed loop's pause after a connection that failed: else it would do nothing but fail."""
_MOST_AT_ONCE = 100
"""Requests started before the loop looks at answers again, when this process cannot keep up."""
_HEARTBEAT_S = 0.02
"""Between two looks at the event loop's lag in a closed loop."""
_GRACE_S = 1.0
"""How long an interrupted run waits for what is in flight."""


@dataclass(frozen=True)
class Share:
    """The requests of one model, and their part in the mix."""

    weight: float
    payloads: Sequence[bytes]
    """The bodies of the requests, sent in turn."""


class LoadGenerator:
    """Runs steps of load on one target and records them. The event loop alone reads and writes its fields."""

    def __init__(self, target: Target, shares: Sequence[Share], *, poisson: bool, seed: int) -> None:
        self.recorder = Recorder(len(shares))
        self.at_step = WARM_UP
        self.begun = 0.0
        """The time at which the first counted step began, by `time.perf_counter`; 0 before."""
        self._target = target
        self._chance = random.Random(seed)  # noqa: S311  # no secret
        self._poisson = poisson
        self._models = range(len(shares))
        self._weights = list(itertools.accumulate(share.weight for share in shares))
        self._payloads = [itertools.cycle(share.payloads) for share in shares]
        self._over = asyncio.Event()
        self._interrupted = False

    @property
    def interrupted(self) -> bool:
        """Whether `interrupt` ended the run."""
        return self._interrupted

    def interrupt(self) -> None:
        """Start no more requests."""
        self._interrupted = True
        self._over.set()

    async def run(self, steps: Sequence[Step], first: int = 0) -> None:
        """Run the steps, all open or all closed, one right after the other; the first has this number.

        Returns when the last is over; requests may still be in flight. `WARM_UP` as the number: they do not count.
        """
        self._over = asyncio.Event()
        if self._interrupted:
            return
        if steps[0].in_flight:
            for number, step in enumerate(steps, first):
                await self._closed(number, step)
        else:
            await self._open(steps, first)

    async def settle(self, longest_s: float) -> None:
        """Wait until nothing is in flight; what still is after so long counts as failed."""
        try:
            async with asyncio.timeout(_GRACE_S if self._interrupted else longest_s):
                await self.recorder.drain()
        except TimeoutError:
            self.recorder.give_up(UNFINISHED)

    async def _open(self, steps: Sequence[Step], first: int) -> None:
        started = time.perf_counter() + 0.001
        ends = started + sum(step.seconds for step in steps)
        due = self._due(steps, first, started)
        upcoming = next(due, None)
        self._begin(first, started)

        def tick() -> float:
            nonlocal upcoming
            now = time.perf_counter()
            for _ in range(_MOST_AT_ONCE):
                if not upcoming or upcoming[0] > now or self._over.is_set():
                    break
                at, number, second = upcoming
                self.recorder.record_late(number, time.perf_counter() - at)
                self._begin(number, at)
                self._start(self.recorder.interval(number, second), at)
                upcoming = next(due, None)
            if self._over.is_set() or now >= ends:
                self._over.set()
                return float("inf")
            return upcoming[0] if upcoming else ends

        with Pacer(tick, self._lagged):
            await self._over.wait()

    def _due(self, steps: Sequence[Step], first: int, started: float) -> Iterator[tuple[float, int, int]]:
        """For each request the time at which it is due, by `time.perf_counter`, its step and the second within it."""
        for number, step in enumerate(steps, first):
            for offset in arrivals.offsets(step, self._chance if self._poisson else None):
                yield started + offset, number, int(offset)
            started += step.seconds

    async def _closed(self, number: int, step: Step) -> None:
        if self._interrupted:
            return
        started = time.perf_counter()
        ends = started + step.seconds
        self._begin(number, started)

        def ask() -> None:
            now = time.perf_counter()
            if now < ends and not self._over.is_set():
                self._start(self.recorder.interval(number, int(now - started)), now, again)

        def again(outcome: str) -> None:
            if outcome in (BROKEN, UNREACHABLE):
                asyncio.get_running_loop().call_later(_AGAIN_S, ask)
            else:
                ask()

        def tick() -> float:
            now = time.perf_counter()
            if self._over.is_set() or now >= ends:
                self._over.set()
                return float("inf")
            return min(ends, now + _HEARTBEAT_S)

        for _ in range(step.in_flight):
            ask()
        with Pacer(tick, self._lagged):
            await self._over.wait()
        if not self._interrupted:
            self._over.clear()

    def _lagged(self, seconds: float) -> None:
        self.recorder.record_lag(self.at_step, seconds)

    def _begin(self, number: int, at: float) -> None:
        self.at_step = number
        if number != WARM_UP and not self.begun:
            self.begun = at

    def _start(self, interval: Interval, at: float, again: Again | None = None) -> None:
        model = 0 if len(self._models) == 1 else self._chance.choices(self._models, cum_weights=self._weights)[0]
        interval.start(model)
        self._target.send(next(self._payloads[model]), partial(_done, interval, model, at, again))


def _done(interval: Interval, model: int, at: float, again: Again | None, outcome: str, said: str) -> None:
    interval.record(model, outcome, said, time.perf_counter() - at)
    if again:
        again(outcome)
