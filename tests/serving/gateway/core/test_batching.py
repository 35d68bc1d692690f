"""The batcher: what is joined, what is not, and that nobody gets another's rows."""

import asyncio
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.serving.errors import DeadlineExceeded, Internal, InvalidInput, Overloaded, ServingError, Unavailable
from signet.serving.gateway.core.batching import Batcher, Pace, join, split


class Engine:
    """Doubles x; remembers the rows of each call; fails when a row is negative. Quick or in the background."""

    def __init__(self, quick: bool = True, error: type[ServingError] = InvalidInput) -> None:
        self.calls: list[int] = []
        self.timeouts: list[float] = []
        self.cancelled = 0
        self.called = asyncio.Event()
        self.quick, self.error = quick, error
        self.go = asyncio.Event()
        self.go.set()

    def run(self, inputs, timeout_s):
        self.calls.append(len(inputs["x"]))
        self.timeouts.append(timeout_s)
        self.called.set()
        return self.answer(inputs) if self.quick else self.later(inputs)

    async def later(self, inputs):
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return self.answer(inputs)

    def answer(self, inputs):
        if (inputs["x"] < 0).any():
            raise self.error("negative")
        return {"y": inputs["x"] * 2}


def one(_: object) -> int:
    return 1


def x(*values: float) -> dict[str, np.ndarray]:
    return {"x": np.array(values, np.float32)}


def test_join_and_split_are_opposites():
    parts = [{"x": np.ones((2, 3)), "z": np.zeros(2)}, {"x": np.full((1, 3), 5.0), "z": np.ones(1)}]
    for part, back in zip(parts, split(join(parts), [2, 1]), strict=True):
        for name, array in part.items():
            np.testing.assert_array_equal(back[name], array)


def test_outputs_without_a_row_each_cannot_be_split():
    with pytest.raises(Internal, match=r"output 'y' has shape \(1,\) for 3 rows"):
        split({"y": np.zeros(1)}, [2, 1])


async def gather(batcher: Batcher, engine: Engine, requests: list[dict[str, np.ndarray]], key: object = "k"):
    waiting = [batcher.answer(key, engine.run, inputs, len(inputs["x"])) for inputs in requests]
    return await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.parametrize("quick", [True, False])
def test_requests_of_one_turn_share_a_call(quick):
    async def run():
        engine = Engine(quick)
        answers = await gather(Batcher(8, one), engine, [x(1), x(2, 3), x(4)])
        assert [answer["y"].tolist() for answer in answers] == [[2], [4, 6], [8]]
        assert engine.calls == [4]

    asyncio.run(run())


@pytest.mark.parametrize("quick", [True, False])
def test_calls_have_at_most_max_rows_unless_one_request_has_more(quick):
    async def run():
        engine = Engine(quick)
        await gather(Batcher(3, one), engine, [x(1, 2), x(3), x(4, 5), x(*range(7)), x(6)])
        assert engine.calls == [3, 2, 7, 1]

    asyncio.run(run())


def test_what_arrives_while_all_slots_are_busy_goes_together():
    async def run():
        engine, batcher = Engine(quick=False), Batcher(8, one)
        engine.go.clear()
        first = asyncio.create_task(batcher.answer("k", engine.run, x(1), 1))
        await engine.called.wait()
        rest = [asyncio.create_task(batcher.answer("k", engine.run, x(i), 1)) for i in range(3)]
        while batcher.waiting() < len(rest):  # noqa: ASYNC110  # the queue tells nobody
            await asyncio.sleep(0)
        engine.go.set()
        await asyncio.gather(first, *rest)
        assert engine.calls == [1, 3]

    asyncio.run(run())


def test_different_keys_are_never_joined():
    async def run():
        engine, batcher = Engine(), Batcher(8, one)
        await asyncio.gather(*(batcher.answer(key, engine.run, x(1), 1) for key in "ab"))
        assert engine.calls == [1, 1]

    asyncio.run(run())


def test_requests_without_rows_go_alone():
    async def run():
        engine, batcher = Engine(), Batcher(8, one)
        await asyncio.gather(*(batcher.answer("k", engine.run, x(1), rows) for rows in (None, 1, 0, 1)))
        assert engine.calls == [1, 1, 1, 1]

    asyncio.run(run())


@pytest.mark.parametrize("quick", [True, False])
def test_a_request_that_fails_in_company_fails_alone(quick):
    async def run():
        engine = Engine(quick)
        good, bad, also_good = await gather(Batcher(8, one), engine, [x(1), x(-1), x(2)])
        assert good["y"].tolist() == [2]
        assert also_good["y"].tolist() == [4]
        assert isinstance(bad, InvalidInput)
        assert engine.calls == [3, 1, 1, 1]

    asyncio.run(run())


def test_an_unreachable_backend_is_not_asked_again_for_each_request():
    async def run():
        engine = Engine(error=Unavailable)
        answers = await gather(Batcher(8, one), engine, [x(-1), x(2)])
        assert all(isinstance(answer, Unavailable) for answer in answers)
        assert engine.calls == [2]

    asyncio.run(run())


def test_a_caller_who_left_costs_no_call():
    async def run():
        engine, batcher = Engine(quick=False), Batcher(1, one)
        engine.go.clear()
        first = asyncio.create_task(batcher.answer("k", engine.run, x(1), 1))
        await engine.called.wait()
        leaving = asyncio.create_task(batcher.answer("k", engine.run, x(2), 1))
        staying = asyncio.create_task(batcher.answer("k", engine.run, x(3), 1))
        await asyncio.sleep(0)
        leaving.cancel()
        engine.go.set()
        assert (await staying)["y"].tolist() == [6]
        assert engine.calls == [1, 1]
        await first

    asyncio.run(run())


def test_a_call_is_cancelled_when_all_its_callers_have_left_and_not_before():
    async def run():
        engine, batcher = Engine(quick=False), Batcher(8, one)
        engine.go.clear()
        callers = [asyncio.create_task(batcher.answer("k", engine.run, x(i), 1)) for i in range(3)]
        await engine.called.wait()
        for caller in callers[:2]:
            caller.cancel()
        await asyncio.wait(callers[:2])
        assert engine.cancelled == 0
        callers[2].cancel()
        await asyncio.wait(callers)
        await asyncio.sleep(0)
        assert (engine.calls, engine.cancelled) == ([3], 1)
        engine.go.set()
        assert (await batcher.answer("k", engine.run, x(4), 1))["y"].tolist() == [8]

    asyncio.run(run())


def test_who_stays_gets_the_answer_of_a_call_that_others_left():
    async def run():
        engine, batcher = Engine(quick=False), Batcher(8, one)
        engine.go.clear()
        leaving, staying = (asyncio.create_task(batcher.answer("k", engine.run, x(i), 1)) for i in (1, 2))
        await engine.called.wait()
        leaving.cancel()
        await asyncio.wait([leaving])
        engine.go.set()
        assert (await staying)["y"].tolist() == [4]

    asyncio.run(run())


def test_a_call_may_take_as_long_as_its_most_patient_caller_waits():
    async def run():
        engine, batcher = Engine(quick=False), Batcher(8, one)
        engine.go.clear()
        started = time.perf_counter()
        hasty = asyncio.create_task(batcher.answer("k", engine.run, x(1), 1, 0.01))
        patient = asyncio.create_task(batcher.answer("k", engine.run, x(2), 1, 30))
        with pytest.raises(DeadlineExceeded, match=r"no answer within 0\.0 seconds"):
            await hasty
        assert (len(engine.timeouts), engine.cancelled) == (1, 0)
        assert 30 - (time.perf_counter() - started) <= engine.timeouts[0] <= 30
        engine.go.set()
        assert (await patient)["y"].tolist() == [4]

    asyncio.run(run())


def test_what_waited_beyond_its_time_never_reaches_the_model():
    async def run():
        engine, batcher = Engine(), Batcher(8, one)
        late = asyncio.create_task(batcher.answer("k", engine.run, x(1), 1, 0.001))
        in_time = asyncio.create_task(batcher.answer("k", engine.run, x(2), 1, 30))
        asyncio.get_running_loop().call_soon(time.sleep, 0.01)  # a busy loop: the timer comes after the flush
        assert (await in_time)["y"].tolist() == [4]
        with pytest.raises(DeadlineExceeded):
            await late
        assert engine.calls == [1]

    asyncio.run(run())


@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 5), min_size=1, max_size=20),
    bad=st.sets(st.integers(0, 19)),
    max_rows=st.integers(1, 8),
    slots=st.integers(1, 3),
    quick=st.booleans(),
)
def test_joined_answers_equal_those_given_alone(sizes, bad, max_rows, slots, quick):
    async def run():
        requests = []
        for i, size in enumerate(sizes):
            values = np.arange(size) + 10.0 * i
            requests.append(x(*(-values - 1 if i in bad else values)))
        answers = await gather(Batcher(max_rows, lambda _: slots), Engine(quick), requests)
        for i, (request, answer) in enumerate(zip(requests, answers, strict=True)):
            if i in bad and sizes[i]:
                assert isinstance(answer, InvalidInput)
            else:
                np.testing.assert_array_equal(answer["y"], request["x"] * 2)

    asyncio.run(run())


def test_inputs_without_a_tensor_are_a_call_like_any_other():
    async def run():
        told = []
        batcher = Batcher(8, one, lambda key, rows: told.append(rows))
        asked = [batcher.answer("k", lambda inputs, _: {"y": np.zeros(3)}, {}, None) for _ in range(2)]
        assert [answer["y"].shape for answer in await asyncio.gather(*asked)] == [(3,), (3,)]
        assert told == [1, 1]

    asyncio.run(run())


def test_a_flush_that_comes_late_leaves_the_queue_that_took_its_place_alone():
    """A call ends and a quick request comes in one turn of the loop, then a slow one: never two calls in one slot."""

    async def run():
        engine, batcher, loop = Engine(quick=False), Batcher(1, one), asyncio.get_running_loop()
        engine.go.clear()
        ended = loop.create_future()
        asked = [asyncio.create_task(batcher.answer("k", lambda *_: ended, x(1), 1))]

        def ask_slowly():
            asked.append(asyncio.create_task(batcher.answer("k", engine.run, x(3), 1)))

        await asyncio.sleep(0)
        await asyncio.sleep(0)
        loop.call_soon(ended.set_result, {"y": x(1)["x"]})
        loop.call_soon(ask_slowly)
        asked.append(asyncio.create_task(batcher.answer("k", Engine().run, x(2), 1)))
        await engine.called.wait()
        ask_slowly()
        for _ in range(5):
            await asyncio.sleep(0)
        assert (engine.calls, batcher.waiting()) == ([1], 1)
        engine.go.set()
        await asyncio.gather(*asked)

    asyncio.run(run())


def test_what_gets_no_slot_waits_until_there_is_room_and_the_oldest_goes_first():
    async def run():
        engine, room = Engine(), {"k": 0, "l": 0}
        batcher = Batcher(1, room.__getitem__)
        asked = [asyncio.create_task(batcher.answer(key, engine.run, x(n), 1)) for n, key in enumerate("lkl")]
        for _ in range(5):
            await asyncio.sleep(0)
        assert (engine.calls, batcher.waiting()) == ([], 3)
        room["k"] = 1
        batcher.flush("l".__eq__)
        assert engine.calls == []
        batcher.flush(lambda _: True)
        assert (len(engine.calls), batcher.waiting()) == (1, 2)
        room["l"] = 1
        batcher.flush("l".__eq__)
        answers = await asyncio.gather(*asked)
        assert [answer["y"].tolist() for answer in answers] == [[0], [2], [4]]
        assert not batcher._queues

    asyncio.run(run())


@pytest.mark.parametrize("rows", [2, 3])
def test_when_more_waits_than_fits_each_caller_has_its_turn(rows):
    """Ten requests of one caller came before two of another: the next call has some of both."""

    async def run():
        engine, pace = Engine(quick=False), Pace()
        batcher = Batcher(2 * rows, one)
        callers = pace.load.callers
        engine.go.clear()
        order, tickets = [], []

        def ask(name, caller):
            share = callers.enter(caller, 0.0)
            future = asyncio.get_running_loop().create_future()
            future.add_done_callback(lambda _: order.append(name))
            ticket = batcher.submit("k", engine.run, x(*[1] * rows), rows, future, pace=pace, share=share)
            tickets.append((future, ticket))

        ask("first", "hot")
        await engine.called.wait()
        for n in range(10):
            ask(f"hot {n}", "hot")
        for n in range(2):
            ask(f"other {n}", "other")
        engine.go.set()
        await asyncio.gather(*[future for future, _ in tickets])
        assert order[0] == "first"
        assert {name for name in order[1:5] if name.startswith("other")} == {"other 0", "other 1"}
        assert [name for name in order if name.startswith("hot")] == [f"hot {n}" for n in range(10)]

    asyncio.run(run())


def test_a_queue_that_ran_out_of_callers_while_it_had_no_slot_is_forgotten():
    async def run():
        batcher = Batcher(1, lambda _: 0)
        asked = asyncio.create_task(batcher.answer("k", Engine().run, x(1), 1))
        await asyncio.sleep(0)
        asked.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        batcher.flush(lambda _: True)
        assert not batcher._queues

    asyncio.run(run())


RAISED = (ValueError, StopIteration, KeyError, RecursionError, asyncio.CancelledError, InvalidInput, Overloaded, None)
"""What a function that was handed in may raise; None: nothing, but its answer is no good."""

faults = st.lists(st.tuples(st.sampled_from(["fine", "fine", *RAISED]), st.booleans()), min_size=1, max_size=12)


class Faulty:
    """Functions for a batcher that raise as they are told, one after the other and round again."""

    def __init__(self, faults) -> None:
        self.faults, self.turn, self.pending = faults, 0, 0

    def __call__(self, *_: object) -> int:
        fault, _ = self.next()
        if fault not in ("fine", None):
            raise fault("told to")
        return 1

    def next(self):
        self.turn += 1
        return self.faults[self.turn % len(self.faults)]

    def run(self, inputs, timeout_s):
        fault, quick = self.next()
        return self.answer(inputs, fault) if quick else self.later(inputs, fault)

    async def later(self, inputs, fault):
        await asyncio.sleep(0)
        return self.answer(inputs, fault)

    def answer(self, inputs, fault):
        if fault not in ("fine", None):
            raise fault("told to")
        return {"y": inputs["x"] * 2} if fault else [{"y": 7}, {"y": np.zeros(99)}, None][self.turn % 3]


@settings(max_examples=150, deadline=None)
@given(
    told=st.tuples(faults, faults, faults),
    sizes=st.lists(st.sampled_from([None, 0, 1, 1, 2, 5]), min_size=1, max_size=12),
    leaving=st.sets(st.integers(0, 11)),
    max_rows=st.integers(1, 6),
)
def test_every_request_is_answered_once_whatever_the_callbacks_raise(told, sizes, leaving, max_rows):
    async def run():
        slots, observe, model = (Faulty(faults) for faults in told)
        wrong = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: wrong.append(context))
        batcher = Batcher(max_rows, slots, observe)
        asked = []
        for i, size in enumerate(sizes):
            inputs = x(*range(size or 1)) if size != 0 else x()
            asked.append(asyncio.create_task(batcher.answer("k", model.run, inputs, size)))
            if i % 3 == 2:
                await asyncio.sleep(0)
        for i in leaving:
            if i < len(asked):
                asked[i].cancel()
        _, hanging = await asyncio.wait(asked, timeout=30)
        assert not hanging
        assert not wrong, "answered twice, or an error that nobody got"
        assert not batcher.waiting()
        for i, task in enumerate(asked):
            assert task.cancelled() <= (i in leaving)

    asyncio.run(run())
