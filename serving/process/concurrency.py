"""Small helpers for what is awaited."""

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


async def settled(value: T | Awaitable[T]) -> T:
    """A value that is there, or that has to be awaited."""
    return await value if isinstance(value, Awaitable) else value
