"""Backpressure by memory: one count of the bytes that strangers make a process hold; bodies wait unread for room in it.

    bodies that come ─┐                                  below the limit: all are read
    bodies in work   ─┼─▶ held_bytes ◀──── limit_bytes   above: bodies wait unread, first come, first served; one of them
    unread answers   ─┘                                  at a time may go on beyond it, so that the count can sink again

For one event loop: HTTP and gRPC of a process share it. `held_bytes` stays below the limit and, beyond it, one body,
what one read of a connection brings for each that waits, and one answer: unread ones may take half of it, then the caller
that has not read for longest is cut off.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from signet.serving.errors import Overloaded

SMALL_BYTES = 1 << 16
"""Bodies up to here may use the last eighth of the budget, which large ones leave free."""

_MAX_WAITING = 64
"""Bodies that wait for room; for one more the answer is no at once."""

_READ_BYTES = 1 << 18
"""What one read of a connection brings, at most."""


class Receiver(Protocol):
    """Whoever receives a body and can stop reading it."""

    def resume(self) -> None:
        """Read on: there is room."""


def _uncounted() -> None:
    """Nobody counts what is refused."""


class ByteBudget:
    """How many bytes are held, of how many that may be. For one event loop, which alone touches it."""

    def __init__(self, limit_bytes: int, refused: Callable[[], None] = _uncounted) -> None:
        """refused: called for everybody for whom there is no room."""
        self.limit_bytes, self.held_bytes, self._refused = limit_bytes, 0, refused
        self.large_limit_bytes = limit_bytes - limit_bytes // 8
        self.unread_bytes = 0
        """Bytes of those held that are answers which callers do not read."""
        self._over_limit: Receiver | None = None
        """The one receiver that may go on beyond the limit, so that the count can sink again."""
        self._waiting: dict[Receiver, None] = {}

    def change(self, size: int) -> None:
        """Count bytes that are held from now on, or for a negative size no more; what is here counts, wanted or not."""
        self.held_bytes += size
        if size < 0 and self._waiting:
            self._wake()

    @property
    def too_much_unread(self) -> bool:
        """Whether so much is unread that a caller who does not read has to be shed."""
        return self.unread_bytes > self.limit_bytes // 2

    def has_room(self, receiver: Receiver, body_bytes: int | None) -> bool:
        """Whether a body, of so many bytes if that is known, may be read on."""
        small = body_bytes is not None and body_bytes <= SMALL_BYTES
        if self.held_bytes < (self.limit_bytes if small else self.large_limit_bytes) or self._over_limit is receiver:
            return True
        if self._over_limit is None:
            self._over_limit = receiver
            return True
        return False

    def wait(self, receiver: Receiver) -> bool:
        """Queue a receiver, whose `resume` is called when there is room; False when too many wait."""
        if len(self._waiting) >= _MAX_WAITING:
            return False
        self._waiting[receiver] = None
        return True

    def release(self, receiver: Receiver) -> None:
        """Forget a receiver: its body is here, or will never be."""
        self._waiting.pop(receiver, None)
        if self._over_limit is receiver:
            self._over_limit = None
            self._wake()

    def refusal(self) -> Overloaded:
        """The error for a caller for whom there is no room; counts it as shed."""
        self._refused()
        return Overloaded(
            f"requests and answers hold {self.held_bytes} bytes of memory, of at most {self.limit_bytes}; "
            "try again in a second"
        )

    def hold(self, size: int) -> None:
        """Count bytes from now on. Raises `Overloaded` if they do not fit, unless nothing else is held."""
        if self.held_bytes and self.held_bytes + size > self.limit_bytes:
            raise self.refusal()
        self.change(size)

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """Hold bytes for a block. Raises `Overloaded` as `hold` does."""
        self.hold(size)
        try:
            yield
        finally:
            self.change(-size)

    def _wake(self) -> None:
        room = self.large_limit_bytes - self.held_bytes
        while self._waiting and (room > 0 or self._over_limit is None):
            receiver = next(iter(self._waiting))
            del self._waiting[receiver]
            if room <= 0:
                self._over_limit = receiver
            room -= _READ_BYTES
            receiver.resume()
