"""Copies: after the answer, when nothing else is to be done, one at a time, never more than fit, each accounted for."""

import asyncio
from collections import Counter
from dataclasses import replace
from functools import partial
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.serving.errors import Internal, InvalidInput, NotFound
from signet.serving.gateway.core.batching import split
from signet.serving.gateway.releases import shadow as shadows
from signet.serving.gateway.releases.comparison import Difference
from signet.serving.gateway.releases.copying import Copying, OutputCounts
from signet.serving.gateway.releases.shadow import AWAY, FULL, SHOWN, Copy, Shadow
from signet.serving.gateway.releases.trial import Trial
from signet.serving.process.concurrency import settled
from signet.serving.releases.judge import Policy
from signet.serving.releases.release import Release, Stage, lowered
from tests.servers import wait_until
from tests.serving.gateway.releases.house import House, ask

EVENTS = st.lists(
    st.tuples(st.sampled_from(["request", "burst", "answer", "call", "turn"]), st.integers(0, 3)), max_size=60
)


SHADOW = Release("m", 1, 1, 2, Stage.SHADOW, shadow=1.0, salt="s")


class World:
    """Requests that wait or run, answers that are sent, and a candidate whose calls end when the test says so."""

    def __init__(self):
        self.in_work, self.sent, self.count, self.told, self.calls = 0, set(), Counter(), [], []
        self.most_calls = 0
        self.shadow = Shadow(
            self.show,
            lambda model: not self.in_work,
            lambda copy, found: self.told.append((copy.signature, found)),
            lambda model, outcome: self.count.update([outcome]),
        )

    async def show(self, copy):
        assert copy.signature in self.sent, "before the answer's last byte"
        assert not self.in_work, "a request was in work when the copy began"
        call = asyncio.get_running_loop().create_future()
        self.calls.append(call)
        self.most_calls = max(self.most_calls, len(self.calls))
        try:
            return await call
        finally:
            self.calls.remove(call)

    def answer(self, number):
        """A request is answered, as exchanges do: who counts it is told first, then its bytes go out."""
        self.in_work -= 1
        self.shadow.answered(copy(str(number)))
        self.sent.add(str(number))


def copy(signature="s", rows=1):
    return Copy("m", None, signature, {"x": np.zeros((rows, 2))}, {"y": np.zeros(rows)})


@settings(max_examples=60, deadline=None)
@given(EVENTS)
def test_a_copy_begins_after_its_answer_when_nothing_is_in_work_and_none_is_lost(events):
    async def main():
        world, made = World(), 0
        for event, number in events:
            if event == "request":
                world.in_work += 1
            elif event == "burst":
                for _ in range(20 * number):
                    world.in_work += 1
                    world.answer(made)
                    made += 1
            elif event == "answer" and world.in_work:
                world.answer(made)
                made += 1
            elif event == "call" and world.calls and not world.calls[0].done():
                world.calls[0].set_result({"y": np.zeros(1)})
            elif event == "turn":
                await asyncio.sleep(0)
            assert world.shadow.waiting <= shadows.MOST_COPIES
        world.in_work = 0
        while world.shadow.waiting or world.calls or sum(world.count.values()) < made:
            if world.calls and not world.calls[0].done():
                world.calls[0].set_result({"y": np.zeros(1)})
            await asyncio.sleep(0)
        assert world.most_calls <= 1
        assert world.count[SHOWN] + world.count[FULL] == made
        assert len(world.told) == world.count[SHOWN]

    with mock.patch.object(shadows, "LOOK_S", 0.0):
        asyncio.run(main())


@pytest.mark.parametrize(
    ("error", "outcome", "told"), [(Internal("x"), SHOWN, 1), (InvalidInput("x"), SHOWN, 1), (NotFound("x"), AWAY, 0)]
)
def test_what_the_candidate_cannot_answer_is_told(error, outcome, told):
    async def main():
        world = World()
        world.sent.add("s")
        world.shadow.answered(copy())
        while not world.calls:  # noqa: ASYNC110
            await asyncio.sleep(0)
        world.calls[0].set_exception(error)
        while not world.count:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert world.count == {outcome: 1}
        assert world.told == [("s", None)] * told

    asyncio.run(main())


def test_copies_that_wait_have_so_many_bytes_at_most(monkeypatch):
    monkeypatch.setattr(shadows, "MOST_BYTES", 100)

    async def main():
        world = World()
        world.in_work = 1
        for rows in (1, 5, 1, 1):
            world.shadow.answered(copy(rows=rows))
        await asyncio.sleep(0)
        assert (world.shadow.waiting, world.count) == (3, {FULL: 1})
        world.shadow.stop()
        assert world.shadow.waiting == 0

    asyncio.run(main())


def test_a_copy_of_one_caller_s_rows_has_the_bytes_of_the_whole_call_that_it_keeps():
    joined = split({"y": np.zeros((32, 10))}, [1, 31])[0]["y"]
    one = Copy("m", None, "s", {"x": np.zeros(3)}, {"y": joined})
    assert (joined.nbytes, one.nbytes) == (80, 3 * 8 + 32 * 10 * 8)


def test_a_gateway_shows_its_candidate_copies_and_tells_how_outputs_differ(tmp_path):
    house = House(tmp_path, 1, 2)
    house.write(Stage.SHADOW, 1, 2, shadow=1.0)
    with house.started() as gateway:
        releases = gateway.gateway.releases
        for number in range(1, 6):
            assert ask(gateway) == 1
            wait_until(partial(shown, gateway, number), what="a copy")
        found = releases.copying.outputs_of("m")
        assert [output.copies for output in found.values()] == [5] * len(found)
        assert found
        assert ask(gateway, "/versions/1") == 1
        assert ask(gateway, "/versions/2") == 2
        gateway.turn()
        counted = releases.brake.trials["m"].evidence.steps[-1].copies
        assert (counted.copies, counted.failed, counted.differs) == (5, 0, 0)
        answers_otherwise(gateway)
        assert ask(gateway) == 1
        wait_until(lambda: gateway.turn() or counted.differs == 1, what="a copy that differs")


def test_an_output_is_told_of_once_a_copy_has_been_counted(monkeypatch):
    """Any thread divides by the copies: of metrics."""
    trial = Trial(SHADOW, Policy())
    copying, found, count = Copying(mock.Mock(), mock.Mock(), mock.Mock(trials={"m": trial})), [], OutputCounts.add

    def add(self, *difference):
        found.append(copying.outputs_of("m"))
        count(self, *difference)

    monkeypatch.setattr(OutputCounts, "add", add)
    for _ in range(2):
        copying._told(Copy("m", trial, "s", {}, {}), {"y": Difference()})
    assert [{name: counts.copies for name, counts in known.items()} for known in found] == [{}, {"y": 1}]


def test_copies_that_waited_until_their_candidate_was_taken_back_are_shown_to_nobody():
    backend, brake, old = mock.Mock(), mock.Mock(), Trial(SHADOW, Policy())
    copying = Copying(mock.Mock(), backend, brake)
    waited = Copy("m", old, "s", {}, {})
    brake.trials = {"m": old}
    old.follow(lowered(SHADOW, by="signet", reason="it fails"), Policy())
    with pytest.raises(NotFound, match="no copies any more"):
        asyncio.run(copying._show(waited))
    brake.trials = {"m": Trial(replace(SHADOW, candidate=3, salt="t"), Policy())}
    with pytest.raises(NotFound, match="no copies any more"):
        asyncio.run(copying._show(waited))
    copying._told(waited, {"y": Difference(missing=True)})
    copying._told(waited, None)
    assert not copying.outputs_of("m")
    backend.lease.assert_not_called()
    brake.compared.assert_not_called()


def shown(gateway, number):
    gateway.turn()
    return gateway.gateway.releases.copying.outcomes.get(("m", SHOWN)) == number


def answers_otherwise(gateway):
    """From now on version 2 has other outputs."""
    backend = gateway.gateway.backend
    run = backend.run

    async def other(lease, *arguments, **how):
        outputs = await settled(run(lease, *arguments, **how))
        return {name: array * 2 + 1 for name, array in outputs.items()} if lease.version == 2 else outputs

    backend.run = other
