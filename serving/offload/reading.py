"""A large body, read in two steps: what it asks for first, its arrays once the signature is known.

large = Reading(pool, parse, decode, body)
head = await large.head() ──▶ the version is leased ──▶ arrays = await large.arrays(signature) ──▶ large.close()

A worker process does both, but for JSON that is nearly all long lists of numbers: that a thread of this process reads, with
the interpreter's lock let go, and its arrays go through no pipe.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Generic, TypeVar

from signet.serving.json_arrays import number_arrays
from signet.serving.offload.large_bodies import StepState
from signet.serving.offload.pool import Offload, WorkerSession
from signet.serving.tensors.arrays import Arrays

T = TypeVar("T")


class Reading(Generic[T]):
    """One large body or message, which is read in two steps; to be closed, whatever happens."""

    def __init__(
        self,
        pool: Offload,
        parse: Callable[..., T],
        decode: Callable[..., Arrays],
        *body: Any,
        text: bytes | None = None,
    ) -> None:
        """parse: a step of `large_bodies` that takes the body. decode: the one after it, which takes what `arrays` gets.

        text: where JSON is; `parse` then also takes `read`, what reads strict JSON.
        """
        self._pool = pool
        self._parse, self._decode, self._body, self._text = parse, decode, body, text
        self._session: WorkerSession | None = None
        self._kept: StepState | None = None
        """What `parse` left for `decode` in this process, if it ran here."""

    async def head(self) -> T:
        """What the body asks for. Raises what `parse` raises, and `Overloaded`."""
        if self._text is not None and number_arrays.may_be_light(self._text):
            kept: StepState = {}
            parse = partial(self._parse, kept, *self._body, read=number_arrays.light_loads)
            try:
                head = await self._pool.in_thread(parse)
            except number_arrays.Heavy:
                pass
            else:
                self._kept = kept
                return head
        self._session = await self._pool.acquire()
        return await self._session.step(self._parse, *self._body)

    async def arrays(self, *arguments: Any) -> Arrays:
        """The arrays of the body; the worker is free then. Whoever asks again, for another version, has it read again."""
        if self._session is None and self._kept is None:
            await self.head()
        if self._kept is not None:
            kept, self._kept = self._kept, None
            return self._decode(kept, *arguments)
        session = self._session
        assert session is not None, "the head was read"
        arrays = await session.step(self._decode, *arguments)
        self.close()
        return arrays

    def close(self) -> None:
        """Let others have the worker, if this still has one; twice is harmless."""
        self._kept = None
        session, self._session = self._session, None
        if session:
            session.release()


@contextmanager
def reading(
    pool: Offload, parse: Callable[..., T], decode: Callable[..., Arrays], *body: Any, text: bytes | None = None
) -> Iterator[Reading[T]]:
    """A `Reading` that is closed at the end of the block."""
    large = Reading(pool, parse, decode, *body, text=text)
    try:
        yield large
    finally:
        large.close()
