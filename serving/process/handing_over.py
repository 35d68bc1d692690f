"""Connections of a service's ports, handed over from its parent, which accepts them, to its children, which answer.

    listener ──accept──▶ HandingOver ──the socket itself (SCM_RIGHTS)──▶ Taker of the child with the fewest open ones

`SO_REUSEPORT` would have the kernel draw a child by lot for each connection: of four connections one child of two gets three
or four in five cases of eight. docs/decisions/0012-processes.md has figures.
"""

import array
import asyncio
import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

log = logging.getLogger(__name__)

HTTP, GRPC = range(2)
"""Kinds of connections; each goes over with its kind as its one byte."""

_BACKLOG = 2048
_AT_ONCE = 64
"""Connections that are accepted in one turn of the event loop."""
_PAUSE_S = 0.01
"""Seconds until the next try when no child takes connections, or there is no descriptor left to accept with."""


class Recipient(Protocol):
    """A child, as far as it takes connections. Its parent's event loop alone touches it."""

    def open(self, kind: int) -> int:
        """How many connections of a kind it has."""

    def give(self, kind: int, connection: socket.socket) -> bool:
        """Send it a connection without waiting; False when it takes none now, or no more."""


class HandingOver:
    """Accepts on listeners in the running event loop, and gives every connection away at once."""

    def __init__(self, recipients: Callable[[], Sequence[Recipient]]) -> None:
        """recipients: those that take connections now; with none connections wait in the system's backlog."""
        self._recipients = recipients
        self._loop = asyncio.get_running_loop()
        self._listeners: list[tuple[socket.socket, int]] = []
        self._refused: tuple[socket.socket, int] | None = None
        """A connection that is accepted and that nobody has taken yet, and its kind."""
        self._pause: asyncio.TimerHandle | None = None

    def listen(self, listener: socket.socket, kind: int) -> None:
        """Take connections on a bound socket, from now on."""
        listener.setblocking(False)
        listener.listen(_BACKLOG)
        self._listeners.append((listener, kind))
        if not self._pause:
            self._loop.add_reader(listener, self._accept, listener, kind)

    def stop(self) -> None:
        """Accept what has connected already, and close the listeners."""
        self._go_on()
        for listener, kind in self._listeners:
            while not self._pause and self._accept(listener, kind):
                pass
            self._loop.remove_reader(listener)
            listener.close()
        self._listeners.clear()
        if self._pause:
            self._pause.cancel()
        if self._refused:
            self._refused[0].close()
            self._refused = None

    def _accept(self, listener: socket.socket, kind: int) -> bool:
        """Whether there may be more."""
        for _ in range(_AT_ONCE):
            try:
                connection, _ = listener.accept()
            except (BlockingIOError, ConnectionAbortedError, InterruptedError):
                return False
            except OSError as error:
                log.error("connections cannot be accepted now: %s", error)
                self._wait()
                return False
            if not self._give(connection, kind):
                self._refused = connection, kind
                self._wait()
                return False
            connection.close()  # the child has its own
        return True

    def _give(self, connection: socket.socket, kind: int) -> bool:
        """Whether a child has it, the one with the fewest of its kind, of equals the one with the fewest in all."""
        recipients = [(child.open(kind), child.open(1 - kind), child) for child in self._recipients()]
        recipients.sort(key=lambda entry: entry[:2])
        return any(child.give(kind, connection) for _, _, child in recipients)

    def _wait(self) -> None:
        if not self._pause:
            for listener, _ in self._listeners:
                self._loop.remove_reader(listener)
            self._pause = self._loop.call_later(_PAUSE_S, self._go_on)

    def _go_on(self) -> None:
        if not self._pause:
            return
        self._pause.cancel()
        self._pause = None
        if self._refused:
            connection, kind = self._refused
            if not self._give(connection, kind):
                self._wait()
                return
            self._refused = None
            connection.close()
        for listener, kind in self._listeners:
            self._loop.add_reader(listener, self._accept, listener, kind)


def send(channel: socket.socket, kind: int, connection: socket.socket) -> None:
    """Send a connection through a Unix socket that does not block. Raises `OSError` when it does not go."""
    rights = array.array("i", [connection.fileno()])
    channel.sendmsg([bytes([kind])], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])


class Taker:
    """The child's end: takes connections in the running event loop, until the parent ends it."""

    def __init__(self, channel: socket.socket, takers: Mapping[int, Callable[[socket.socket], None]]) -> None:
        """takers: what to do with a connection, by its kind; a kind without is closed."""
        self._channel, self._takers = channel, takers
        self._loop = asyncio.get_running_loop()
        self.ended = asyncio.Event()
        """Set when no further one will come."""
        channel.setblocking(False)
        self._loop.add_reader(channel, self._read)

    def _read(self) -> None:
        space = socket.CMSG_SPACE(array.array("i").itemsize)
        for _ in range(_AT_ONCE):
            try:
                data, ancillary, _, _ = self._channel.recvmsg(1, space)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                data, ancillary = b"", []
            if not data:
                self._loop.remove_reader(self._channel)
                self.ended.set()
                return
            for level, sort, rights in ancillary:
                if (level, sort) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    self._take(data[0], array.array("i", rights))

    def _take(self, kind: int, descriptors: "array.array[int]") -> None:
        for descriptor in descriptors:
            connection = socket.socket(fileno=descriptor)
            if taker := self._takers.get(kind):
                taker(connection)
            else:
                connection.close()
