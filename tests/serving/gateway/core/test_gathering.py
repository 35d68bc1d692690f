"""Gathering: who goes together and how long anybody waits for others, on an event loop whose turns and clock are made up."""

import asyncio
from collections import deque

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.serving.gateway.core.batching import Batcher, Pace

LEAST_S = 0.0005
MAX_ROWS = 8


class Turns:
    """An event loop that takes one turn when it is told to; its clock stands still but for what a turn or a call takes."""

    def __init__(self) -> None:
        self.now = 100.0
        self.number = 0
        self._ready = deque()

    def call_soon(self, function, *arguments, context=None):
        self._ready.append((function, arguments))

    def get_debug(self):
        return False

    def turn(self, seconds):
        due, self._ready = self._ready, deque()
        for function, arguments in due:
            function(*arguments)
        self.now += seconds
        self.number += 1


class Model:
    """Runs calls inline, or in the background until they are ended; remembers when each began and with how many rows."""

    def __init__(self, turns, inline, call_s):
        self.turns, self.inline, self.call_s = turns, inline, call_s
        self.began: list[tuple[int, float, int]] = []
        self.running: list[tuple[asyncio.Future, dict]] = []

    def run(self, inputs, timeout_s):
        self.began.append((self.turns.number, self.turns.now, len(inputs["x"])))
        if self.inline:
            self.turns.now += self.call_s
            return {"y": inputs["x"]}
        self.running.append((asyncio.Future(loop=self.turns), inputs))
        return self.running[-1][0]

    def end_one(self):
        future, inputs = self.running.pop(0)
        self.turns.now += self.call_s
        future.set_result({"y": inputs["x"]})


class Caller:
    """Waits for an answer."""

    def __init__(self, turns):
        self.turns, self.asked_at = turns, (turns.number, turns.now)
        self.answered_in = None

    def done(self):
        return self.answered_in is not None

    def set_result(self, outputs):
        assert not self.done()
        self.answered_in = self.turns.number

    def set_exception(self, error):
        raise AssertionError(error)


class Scene:
    """A batcher, its model, and callers that come."""

    def __init__(self, *, inline=True, call_s=0.0001, slots=2):
        self.turns, self.pace = Turns(), Pace()
        self.model = Model(self.turns, inline, call_s)
        self.batcher = Batcher(MAX_ROWS, lambda _: slots, loop=self.turns, clock=lambda: self.turns.now)
        self.tickets = []
        self.callers = []

    def come(self, rows=1):
        caller = Caller(self.turns)
        inputs = {"x": np.full(rows, len(self.callers))}
        self.tickets.append(self.batcher.submit("k", self.model.run, inputs, rows, caller, pace=self.pace))
        self.callers.append(caller)
        return caller

    def settle(self):
        """Turn until everybody has an answer."""
        for _ in range(1000):
            if all(caller.done() for caller in self.callers):
                return
            if self.model.running:
                self.model.end_one()
            self.turns.turn(0.0)
        raise AssertionError("somebody waits for ever")


@settings(max_examples=100)
@given(
    inline=st.booleans(),
    call_s=st.floats(0, 0.05),
    gaps=st.lists(st.tuples(st.integers(0, 3), st.floats(0, 0.01)), max_size=20),
)
def test_a_caller_alone_never_waits(inline, call_s, gaps):
    scene = Scene(inline=inline, call_s=call_s)
    for turns, seconds in gaps:
        for _ in range(turns):
            scene.turns.turn(seconds)
        asked_in, calls = scene.turns.number, len(scene.model.began)
        caller = scene.come()
        scene.turns.turn(seconds)
        assert scene.model.began[calls:] == [(asked_in, scene.model.began[-1][1], 1)], "its call begins in that turn"
        assert scene.tickets[-1].waited_s == 0
        if not inline:
            scene.model.end_one()
            scene.turns.turn(0)
        assert caller.done()


def test_after_company_a_caller_alone_waits_for_one_turn_once():
    scene = Scene()
    for _ in range(3):
        scene.come()
    scene.settle()
    waited = []
    for _ in range(3):
        asked_in = scene.turns.number
        scene.come()
        scene.settle()
        waited.append(scene.model.began[-1][0] - asked_in)
    assert waited == [1, 0, 0]


@settings(max_examples=200)
@given(
    arrivals=st.lists(st.lists(st.integers(1, 4), max_size=4), min_size=1, max_size=40),
    turn_s=st.floats(0, 0.0004),
    call_s=st.floats(0, 0.01),
    inline=st.booleans(),
    slots=st.integers(1, 3),
    ends=st.lists(st.booleans(), min_size=40, max_size=40),
)
def test_nobody_waits_longer_than_a_call_takes_while_a_slot_is_free(arrivals, turn_s, call_s, inline, slots, ends):
    """And calls have `max_rows` at most, and everybody is answered once."""
    scene = Scene(inline=inline, call_s=call_s, slots=slots)
    free_since = scene.turns.now
    for rows, end in zip(arrivals, ends, strict=False):
        for count in rows:
            scene.come(count)
        if end and scene.model.running:
            scene.model.end_one()
        waiting = [ticket for ticket in scene.tickets if ticket.waited_s is None]
        estimate = max(LEAST_S, scene.pace.call_s)
        began = len(scene.model.began)
        running = len(scene.model.running)
        scene.turns.turn(turn_s)
        if running >= slots:
            free_since = scene.turns.now
        left = [ticket for ticket in waiting if ticket.waited_s is None]
        if left and len(scene.model.began) == began and running < slots:
            since = max(left[0].queued_at, free_since)
            assert scene.turns.now - turn_s - since <= estimate + call_s, "it went on gathering"
    scene.settle()
    assert all(rows <= MAX_ROWS for _, _, rows in scene.model.began)
    assert sum(rows for *_, rows in scene.model.began) == sum(ticket.rows for ticket in scene.tickets)


def test_what_comes_turn_by_turn_goes_together_and_a_turn_without_more_ends_it():
    scene = Scene()
    scene.pace.together = 4
    for _ in range(3):
        scene.come()
        scene.turns.turn(0.00001)
        assert not scene.model.began
    scene.turns.turn(0.00001)
    assert [rows for *_, rows in scene.model.began] == [3]


def test_a_full_call_begins_at_once():
    scene = Scene()
    scene.pace.together = 4
    for _ in range(MAX_ROWS):
        scene.come()
    scene.turns.turn(0)
    assert [rows for *_, rows in scene.model.began] == [MAX_ROWS]


def test_gathering_ends_when_the_oldest_has_waited_for_as_long_as_a_call_takes():
    scene = Scene()
    scene.pace.together, scene.pace.call_s = 4, 2**-9
    turns = 0
    while not scene.model.began:
        scene.come()
        scene.turns.turn(2**-11)
        turns += 1
    assert turns == 5, "four turns take as long as a call"


def test_calls_in_threads_gather_only_while_another_one_runs():
    scene = Scene(inline=False)
    scene.pace.together, scene.pace.inline, scene.pace.call_s = 4, False, 0.01
    scene.come()
    scene.turns.turn(0.00001)
    assert len(scene.model.began) == 1, "nothing ran"
    scene.pace.together = 4
    scene.come()
    scene.turns.turn(0.00001)
    scene.come()
    scene.turns.turn(0.00001)
    assert len(scene.model.began) == 1, "one runs: they gather"
    scene.turns.turn(0.00001)
    assert [rows for *_, rows in scene.model.began] == [1, 2]
    scene.settle()
