"""Where and how calls run: by measured time, and so that no session is freed under a running call."""

import asyncio
import random
import threading
import time
from collections import defaultdict

import numpy as np
import pytest

from signet.serving.engine import runner as runners
from signet.serving.engine.loading import load
from signet.serving.engine.runner import Runner, size_class
from signet.serving.errors import DeadlineExceeded
from tests.servers import GOLDEN_MODELS, wait_until

ROW = {"x": np.ones((1, 4), np.float32)}


@pytest.fixture
def quick():
    servable = load("three_out", 1, GOLDEN_MODELS / "three_out" / "1")
    servable.signature = servable.signatures["serving_default"]
    yield servable
    servable.close()


@pytest.fixture
def slow(slow_model):
    servable = load("slow", 1, slow_model)
    servable.signature = servable.signatures["serving_default"]
    yield servable
    servable.close()


def run(coroutine):
    return asyncio.run(coroutine)


def test_quick_calls_become_inline_and_answers_stay_the_same(quick, monkeypatch):
    monkeypatch.setattr(runners, "QUICK_S", 60.0)

    async def main():
        runner = Runner(1)
        first, second = [await runner.run(quick, quick.signature, ROW) for _ in range(2)]
        inline = runner.run(quick, quick.signature, ROW)
        assert isinstance(inline, dict), "one call each in TensorFlow's threads and in one thread of ours, then inline"
        for name, array in inline.items():
            np.testing.assert_allclose(array, first[name], rtol=1e-6)
            np.testing.assert_allclose(array, second[name], rtol=1e-6)
        beside = runner.run(quick, quick.signature, ROW, beside=True)
        assert not isinstance(beside, dict), "the event loop is not to stand still for it"
        await beside
        other = runner.run(quick, quick.signature, {"x": np.ones((64, 4), np.float32)})
        assert not isinstance(other, dict), "what a size takes says nothing about another"
        await other
        runner.close()

    run(main())


def test_one_slow_call_does_not_drive_those_after_it_into_threads(quick):
    async def main():
        runner = Runner(1)
        quick.seconds["key", False], quick.seconds["key", True] = 200e-6, 50e-6
        runner.call(quick, "key", lambda _: time.sleep(0.1), None)
        assert runner.call(quick, "key", lambda _: "inline", None) == "inline"
        quick.seconds["key", True] = 50e-6
        for _ in range(60):  # all of them slow is another matter
            answer = runner.call(quick, "key", lambda _: time.sleep(0.001), None)
            if answer is not None:
                await answer
        assert await runner.call(quick, "key", lambda _: "in a thread", None) == "in a thread"
        runner.close()

    run(main())


def test_the_quicker_way_is_taken_and_the_other_tried_again_now_and_then(quick, monkeypatch):
    monkeypatch.setattr(runners, "QUICK_S", 0.0)
    random.seed(0)
    ways = []

    async def main():
        runner = Runner(1)
        for _ in range(400):
            await runner.call(quick, "key", lambda options: ways.append(options.in_caller), None)
            quick.seconds["key", False], quick.seconds["key", True] = 0.002, 0.001
        runner.close()

    run(main())
    assert ways[:2] == [False, True]
    assert 300 < sum(ways) < 400


def test_calls_near_their_time_limit_keep_it(quick):
    async def main():
        runner = Runner(1)
        options = []
        for timeout_s in (None, 30, 0.05):
            quick.seconds["key", False], quick.seconds["key", True] = 0.002, 0.001
            await runner.call(quick, "key", options.append, timeout_s)
        assert [(chosen.in_caller, chosen.timeout_s) for chosen in options[1:]] == [(True, None), (False, 0.05)]
        runner.close()

    run(main())


def test_graphs_with_loops_are_never_inline_and_always_limited(slow):
    async def main():
        runner = Runner(1)
        for _ in range(5):
            answer = runner.run(slow, slow.signature, {"steps": np.array([1], np.int32)}, timeout_s=30)
            assert (await answer)["count"].tolist() == [1]
        with pytest.raises(DeadlineExceeded):
            await runner.run(slow, slow.signature, {"steps": np.array([1 << 30], np.int32)}, timeout_s=0.1)
        runner.close()

    assert slow.loops
    run(main())


def test_a_call_whose_caller_left_keeps_the_session(quick):
    async def main():
        runner = Runner(1)
        entered, leave = threading.Event(), threading.Event()

        def work(options):
            entered.set()
            assert leave.wait(30)
            return quick.predict(quick.signature, ROW, (), options)

        assert quick.acquire()
        running = asyncio.ensure_future(runner.call(quick, "running", work, None))
        waiting = asyncio.ensure_future(runner.call(quick, "waiting", work, None))
        await asyncio.to_thread(entered.wait, 30)
        running.cancel()
        waiting.cancel()
        quick.release()
        quick.close()
        assert not quick.closed.is_set()
        leave.set()
        assert await asyncio.to_thread(quick.closed.wait, 30)
        runner.close()

    run(main())


@pytest.fixture
def other():
    servable = load("other", 1, GOLDEN_MODELS / "three_out" / "1")
    yield servable
    servable.close()


class Held:
    """Calls that stand still in their threads until they are let go one by one; the order in which they began is noted."""

    def __init__(self) -> None:
        self.begun = []
        self.go = defaultdict(threading.Event)

    def call(self, name):
        go = self.go[name]

        def work(_):
            self.begun.append(name)
            assert go.wait(30)
            return name

        return work

    async def begin(self, *names):
        """Wait until these have begun, and no others."""
        await asyncio.to_thread(wait_until, lambda: sorted(self.begun) == sorted(names), 30, f"the calls {names}")
        self.begun.clear()


def test_a_model_that_has_all_threads_delays_no_other_and_what_waits_goes_in_turn(quick, other):
    async def main():
        runner, held, told = Runner(1), Held(), []
        runner.on_room = told.append
        hot = [runner.call(quick, "k", held.call(f"hot {n}"), None) for n in range(3)]
        assert runner.may_start("other")
        rare = [runner.call(other, "k", held.call(f"rare {n}"), None) for n in range(2)]
        await held.begin("hot 0", "rare 0")
        assert not runner.may_start("other")
        assert not runner.may_start("a third one"), "there is one spare thread, and it is taken"
        held.go["hot 0"].set()
        await held.begin("hot 1")
        assert told == ["a third one"]
        held.go["rare 0"].set()
        await held.begin("rare 1")
        for name in ("hot 1", "hot 2", "rare 1"):
            held.go[name].set()
        assert await asyncio.gather(*hot, *rare) == ["hot 0", "hot 1", "hot 2", "rare 0", "rare 1"]
        runner.close()

    run(main())


def test_who_was_refused_a_thread_is_told_of_room_once_others_have_ended(quick):
    async def main():
        runner, held, told = Runner(1), Held(), []
        runner.on_room = told.append
        calls = [runner.call(quick, "k", held.call(f"{n}"), None) for n in range(2)]
        await held.begin("0")
        assert not runner.may_start("three_out")
        held.go["0"].set()
        await held.begin("1")
        assert told == [], "what waits here goes first"
        held.go["1"].set()
        await asyncio.gather(*calls)
        await asyncio.sleep(0)
        assert told == ["three_out"]
        assert runner.may_start("three_out")
        runner.close()

    run(main())


def test_calls_that_wait_for_a_thread_are_given_up_when_nobody_needs_them(quick):
    async def main():
        runner, held = Runner(1), Held()
        calls = [runner.call(quick, "k", held.call(f"{n}"), None) for n in range(4)]
        await held.begin("0")
        calls[2].cancel()
        for name in list(held.go):
            held.go[name].set()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert [str(answer) for answer in answers] == ["0", "1", "", "3"]
        await held.begin("1", "3")
        runner.close()
        quick.close()
        assert quick.closed.is_set(), "nobody holds it any more"

    run(main())


def test_what_a_call_raises_belongs_to_its_caller_also_when_it_had_to_wait(quick):
    async def main():
        runner = Runner(1)
        calls = [runner.call(quick, "k", lambda _: 1 / 0, None) for _ in range(3)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(answer) for answer in answers] == [ZeroDivisionError] * 3
        assert await runner.call(quick, "k", lambda _: "fine", None) == "fine"
        runner.close()

    run(main())


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([ROW], (1, 3)),
        ([{"x": np.zeros((3, 10)), "y": np.zeros(3)}], (2, 6)),
        ([{"x": np.zeros((3, 10))}] * 3, (4, 7)),
        ([{"x": np.zeros(())}], (1, 1)),
        ([{}], (1, 0)),
    ],
)
def test_sizes_are_told_apart_by_their_order_of_magnitude(parts, expected):
    assert size_class(parts) == expected
