"""The drain: the time between the word to stop and the end, in which a server answers on while others turn away from it.

    SIGTERM ──▶ not ready; answers say `Connection: close`, GOAWAY ──drain_s──▶ no new connections ──▶ work ends ──▶ exit 0
    Ctrl-C  ──▶ the same, but the drain is over as soon as nobody is connected: no balancer is told by a terminal

docs/decisions/0016-drain.md says why in this order.
"""

import asyncio
from collections.abc import Callable

from signet.serving.process.signals import Stop

DRAIN_S = 2.0
"""Seconds of a drain where nobody says otherwise: a balancer that asks for readiness every second has turned away by then."""

_LOOK_S = 0.02


async def drain(stop: Stop, drain_s: float, connections: Callable[[], int]) -> None:
    """Wait while a server drains. connections: how many there are now."""
    loop = asyncio.get_running_loop()
    end = loop.time() + drain_s
    while (left_s := end - loop.time()) > 0 and (connections() or not stop.by_hand):  # noqa: ASYNC110 - connections are many events
        await asyncio.sleep(min(left_s, _LOOK_S) if stop.by_hand else left_s)
