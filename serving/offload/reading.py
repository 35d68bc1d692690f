"""A large body, read by a worker process in two steps: what it asks for first, its arrays once the signature is known.

large = Reading(pool, parse, decode, body)
head = await large.head() ──▶ the version is leased ──▶ arrays = await large.arrays(signature) ──▶ large.close()
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from signet.serving.offload.pool import Offload, WorkerSession
from signet.serving.tensors.arrays import Arrays

T = TypeVar("T")


class Reading(Generic[T]):
    """One large body or message, which a worker process reads in two steps; to be closed, whatever happens."""

    def __init__(self, pool: Offload, parse: Callable[..., T], decode: Callable[..., Arrays], *body: Any) -> None:
        """parse: a step of `large_bodies` that takes the body. decode: the one after it, which takes what `arrays` gets."""
        self._pool = pool
        self._parse, self._decode, self._body = parse, decode, body
        self._session: WorkerSession | None = None

    async def head(self) -> T:
        """What the body asks for. Raises what `parse` raises, and `Overloaded`."""
        self._session = await self._pool.acquire()
        return await self._session.step(self._parse, *self._body)

    async def arrays(self, *arguments: Any) -> Arrays:
        """The arrays of the body; the worker is free then. Whoever asks again, for another version, has it read again."""
        if self._session is None:
            await self.head()
        session = self._session
        assert session is not None, "the head was read"
        arrays = await session.step(self._decode, *arguments)
        self.close()
        return arrays

    def close(self) -> None:
        """Let others have the worker, if this still has one; twice is harmless."""
        session, self._session = self._session, None
        if session:
            session.release()


@contextmanager
def reading(pool: Offload, parse: Callable[..., T], decode: Callable[..., Arrays], *body: Any) -> Iterator[Reading[T]]:
    """A `Reading` that is closed at the end of the block."""
    large = Reading(pool, parse, decode, *body)
    try:
        yield large
    finally:
        large.close()
