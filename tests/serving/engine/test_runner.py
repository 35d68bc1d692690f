"""Where and how calls run: by measured time, and so that no session is freed under a running call."""

import asyncio
import random
import threading
import time

import numpy as np
import pytest

from signet.serving.engine import runner as runners
from signet.serving.engine.loading import load
from signet.serving.engine.runner import Runner, size_class
from signet.serving.errors import DeadlineExceeded
from tests.servers import GOLDEN_MODELS

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
