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


async def until(stop: asyncio.Event, outcome: asyncio.Future[T]) -> None:
    """Wait for the stop, or for the outcome, whose error is raised."""
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait((stopped, outcome), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if outcome.done():
        outcome.result()


async def settled(value: T | Awaitable[T]) -> T:
    """A value that is there, or that has to be awaited."""
    return await value if isinstance(value, Awaitable) else value
