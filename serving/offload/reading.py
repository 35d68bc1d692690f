"""A large body, read by a worker process in two steps: what it asks for first, its arrays once the signature is known.

async with reading(pool, parse, decode, body) as large:
    head = await large.head() ──▶ the version is leased ──▶ arrays = await large.arrays(signature)
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Generic, TypeVar

from signet.serving.offload.pool import Offload, WorkerSession
from signet.serving.tensors.arrays import Arrays

T = TypeVar("T")


class Reading(Generic[T]):
    """One large body or message, which a worker process reads in two steps."""

    def __init__(
        self, pool: Offload, stack: AsyncExitStack, parse: Callable[..., T], decode: Callable[..., Arrays], *body: Any
    ) -> None:
        self._pool, self._stack = pool, stack
        self._parse, self._decode, self._body = parse, decode, body
        self._session: WorkerSession | None = None

    async def head(self) -> T:
        """What the body asks for. Raises what `parse` raises, and `Overloaded`."""
        self._session = await self._stack.enter_async_context(self._pool.session())
        return await self._session.step(self._parse, *self._body)

    async def arrays(self, *arguments: Any) -> Arrays:
        """The arrays of the body; the worker is free then. Whoever asks again, for another version, has it read again."""
        if self._session is None:
            await self.head()
        session, self._session = self._session, None
        assert session is not None, "the head was read"
        arrays = await session.step(self._decode, *arguments)
        session.release()
        return arrays


@asynccontextmanager
async def reading(
    pool: Offload, parse: Callable[..., T], decode: Callable[..., Arrays], *body: Any
) -> AsyncIterator[Reading[T]]:
    """parse: a step of `large_bodies` that takes the body. decode: the one after it, which takes what `arrays` gets."""
    async with AsyncExitStack() as stack:
        yield Reading(pool, stack, parse, decode, *body)
