"""A model under open-loop load, event by event: the product's batcher, load and policies on a made-up clock and event loop.

    seeded arrivals ──▶ a refusal costs the loop r seconds ──▶ Load.refusal ──▶ Batcher ──▶ calls of a + c·rows seconds
                                                                                            └──▶ in time? goodput

Nothing of admission is written here a second time, so that a policy that collapses in the product collapses here.
"""

import asyncio
import heapq
import random
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from signet.serving.gateway.core.batching import Batcher, Pace
from signet.serving.gateway.core.load import Load

MOST_S = 30.0


@dataclass
class Model:
    """What calls take."""

    call_s: float
    row_s: float
    max_rows: int
    slots: int = 1
    varies: float = 0.2
    """Share by which seconds vary."""

    @property
    def capacity(self) -> float:
        """Rows a second in full calls."""
        return self.slots * self.max_rows / (self.call_s + self.row_s * self.max_rows)


@dataclass
class Result:
    asked: int = 0
    refused: int = 0
    in_time: int = 0
    late: int = 0
    dropped: int = 0
    """Admitted, and refused before a call, or timed out."""
    left: int = 0
    """Admitted, and gone before there was an answer: their time was over, which they had not told."""
    waited_s: list[float] = field(default_factory=list)
    """Of those answered in time, from coming to answer."""
    good_since: dict[int, int] = field(default_factory=dict)
    """Second -> answers in time."""


_ROW = {"x": np.zeros(1)}


class _Loop:
    def __init__(self):
        self.ready = deque()

    def call_soon(self, function, *arguments, context=None):
        self.ready.append((function, arguments))

    def get_debug(self):
        return False


class _Caller:
    __slots__ = ("answered", "came_at", "result", "world")

    def __init__(self, world, now):
        self.world, self.came_at, self.answered = world, now, False

    def done(self):
        return self.answered

    def set_result(self, outputs):
        assert not self.answered, "answered twice"
        self.answered = True
        result, taken = self.world.result, self.world.now - self.came_at
        if taken <= self.world.deadline_s:
            result.in_time += 1
            result.waited_s.append(taken)
            result.good_since[int(self.world.now)] = result.good_since.get(int(self.world.now), 0) + 1
        else:
            result.late += 1

    def set_exception(self, error):
        assert not self.answered, "answered twice"
        self.answered = True
        self.world.result.dropped += 1


class World:
    """One model with its batcher, behind one event loop whose work takes time."""

    def __init__(self, model, *, deadline_s, refusal_s, request_s=0.00003, seed=1, sheds=True, says_deadline=True):
        """deadline_s: from the coming of a request to its answer. refusal_s, request_s: of the loop, for each. sheds: whether
        admission looks at the wait. says_deadline: whether the server knows the deadline."""
        self.model, self.deadline_s, self.refusal_s, self.request_s = model, deadline_s, refusal_s, request_s
        self.sheds, self.says_deadline = sheds, says_deadline
        self.random = random.Random(seed)
        self.now = 0.0
        self.result = Result()
        self.loop = _Loop()
        self.calls = []
        self.batcher = Batcher(
            model.max_rows, lambda _: model.slots, None, None, MOST_S, loop=self.loop, clock=lambda: self.now
        )
        self.batcher.deadlines = _NoDeadlines()
        self.load = Load("m", lambda: model.slots, float(model.max_rows))
        self.pace = Pace(load=self.load)
        self.slower = 1.0
        self.leaving = deque()
        """When callers leave who have told nobody."""

    def run(self, inputs, timeout_s):
        rows = len(inputs["x"])
        seconds = (self.model.call_s + self.model.row_s * rows) * self.slower
        seconds *= 1 + self.model.varies * (2 * self.random.random() - 1)
        future = asyncio.Future(loop=self.loop)
        heapq.heappush(self.calls, (self.now + seconds, len(self.calls) + self.random.random(), future, rows))
        return future

    def _turn(self):
        """What the loop has to do at once; calls that are over by now end."""
        while True:
            while self.loop.ready:
                function, arguments = self.loop.ready.popleft()
                function(*arguments)
            if not self.calls or self.calls[0][0] > self.now:
                return
            _, _, future, rows = heapq.heappop(self.calls)
            if not future.done():
                future.set_result({"y": np.zeros(rows)})

    def until(self, moment):
        while self.leaving and self.leaving[0][0] <= moment:
            when, caller, ticket = self.leaving.popleft()
            self._calls_until(when)
            if not caller.answered:
                caller.answered = True
                self.result.left += 1
                ticket.leave()
                self._turn()
        self._calls_until(moment)

    def _calls_until(self, moment):
        while self.calls and self.calls[0][0] <= moment:
            self.now = max(self.now, self.calls[0][0])
            self._turn()
        self.now = max(self.now, moment)

    def come(self, moment):
        """A request comes; the loop sees it when it is free."""
        self.until(moment)
        self.result.asked += 1
        seen = self.now
        deadline = seen + (self.deadline_s if self.says_deadline else MOST_S)
        said = deadline if self.says_deadline else None
        if self.sheds and (self.load.rows or self.load.running) and self.load.refusal(said, MOST_S, seen):
            self.result.refused += 1
            self.now += self.refusal_s
        else:
            caller = _Caller(self, moment)
            ticket = self.batcher.submit("k", self.run, _ROW, 1, caller, deadline, pace=self.pace)
            if not self.says_deadline:
                self.leaving.append((moment + self.deadline_s, caller, ticket))
            self.now += self.request_s
        self._turn()

    def drive(self, rate, requests):
        """Requests that come at random."""
        moment = self.now
        for _ in range(requests):
            moment += self.random.expovariate(rate)
            self.come(moment)
        return moment

    def settle(self):
        while self.calls or self.loop.ready:
            self.until(self.calls[0][0] if self.calls else self.now)
            self._turn()


class _NoDeadlines:
    """Callers who have timed out cost nothing here but their place; who is late counts as late."""

    def add(self, *_):
        pass

    def discard(self, *_):
        pass


def goodput(model, load, requests, **how):
    """Answers in time a second, as a share of capacity, at `load` times the capacity."""
    world = World(model, **how)
    world.drive(0.5 * model.capacity, 200)  # its calls are known
    world.settle()
    before, world.result = world.now, Result()
    ended = world.drive(load * model.capacity, requests)
    world.settle()
    result = world.result
    assert result.refused + result.in_time + result.late + result.dropped + result.left == result.asked, (
        "somebody has no answer"
    )
    return result.in_time / (max(ended, world.now) - before) / model.capacity, result
