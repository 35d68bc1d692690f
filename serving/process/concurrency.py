"""Calls side by side for one request: none of them goes on after the request is answered.

    [call, call, call] ──gather_or_cancel──▶ [answer, answer, answer], or the first error when all have ended

`asyncio.gather` raises at once and lets the others run on: what they use would be given back under them.
"""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import TypeVar

T = TypeVar("T")


async def gather_or_cancel(calls: Iterable[Awaitable[T]]) -> list[T]:
    """Gather the answers, in order; when one fails, or the caller leaves, the others are cancelled and awaited first."""
    futures = [asyncio.ensure_future(call) for call in calls]
    try:
        return await asyncio.gather(*futures)
    finally:
        if pending := [future for future in futures if not future.done()]:
            for future in pending:
                future.cancel()
            await asyncio.wait(pending)
