"""Deadlines: each item expires once, not before its time, and costs no timer of its own."""

import asyncio
import math
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from signet.serving.process.deadlines import Deadlines

steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 30), st.sampled_from([-1.0, 0.0, 0.001, 0.004, 0.02, 5.0, math.inf])),
        st.tuples(st.just("discard"), st.integers(0, 30), st.just(0.0)),
        st.tuples(st.just("sleep"), st.just(0), st.sampled_from([0.0, 0.002, 0.01])),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_each_item_expires_once_in_its_time_unless_it_is_discarded(steps):
    async def run():
        due: dict[int, float] = {}
        expired: list[int] = []

        def expire(item):
            assert due.pop(item) <= time.perf_counter()
            expired.append(item)

        deadlines = Deadlines(expire)
        for verb, item, seconds in steps:
            if verb == "sleep":
                await asyncio.sleep(seconds)
            elif verb == "discard":
                deadlines.discard(item)
                due.pop(item, None)
            elif item not in due:
                due[item] = time.perf_counter() + seconds
                deadlines.add(item, due[item])
        assert len(deadlines) == sum(deadline < math.inf for deadline in due.values())
        soon = {item for item, deadline in due.items() if deadline < time.perf_counter() + 1}
        for _ in range(1000):
            if not soon & due.keys():
                break
            await asyncio.sleep(0.002)
        assert not soon & due.keys(), "they never expired"
        assert len(deadlines) == sum(deadline < math.inf for deadline in due.values())

    asyncio.run(run())


def test_one_that_expires_may_take_others_back():
    async def run():
        expired = []

        def expire(item):
            expired.append(item)
            deadlines.discard("other")

        deadlines = Deadlines(expire)
        deadlines.add("one", time.perf_counter())
        deadlines.add("other", time.perf_counter())
        await asyncio.sleep(0.02)
        assert expired == ["one"]

    asyncio.run(run())


def test_thousands_of_items_have_one_timer():
    class Loop(asyncio.SelectorEventLoop):
        timers = 0

        def call_at(self, *arguments, **options):
            self.timers += 1
            return super().call_at(*arguments, **options)

    async def run():
        deadlines = Deadlines(lambda _: None)
        before, now = loop.timers, time.perf_counter()
        for item in range(5000):
            deadlines.add(item, now + 30 + item / 1000)
            deadlines.discard(item - 100)
        assert loop.timers - before == 1

    loop = Loop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(run())
