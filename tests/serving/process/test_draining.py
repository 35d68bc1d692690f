"""How long a drain lasts."""

import asyncio

import pytest

from signet.serving.process.draining import drain
from signet.serving.process.signals import Stop


def asked(*, by_hand: bool) -> Stop:
    stop = Stop()
    stop.by_hand = by_hand
    stop.set()
    return stop


def test_after_ctrl_c_it_is_over_when_nobody_is_connected():
    counts = [2, 1, 0]

    async def test() -> None:
        await drain(asked(by_hand=True), 3600, lambda: counts.pop(0))

    asyncio.run(test())
    assert counts == []


@pytest.mark.parametrize(("by_hand", "connections"), [(True, 1), (False, 0), (False, 1)])
def test_else_it_takes_its_seconds(by_hand, connections):
    async def test() -> None:
        loop = asyncio.get_running_loop()
        before = loop.time()
        await drain(asked(by_hand=by_hand), 0.05, lambda: connections)
        assert loop.time() - before >= 0.05

    asyncio.run(test())


def test_none_at_all_takes_no_time():
    async def test() -> None:
        await drain(asked(by_hand=False), 0.0, lambda: 1)

    asyncio.run(test())
