"""HTTP/1.1 for one handler, on httptools: requests in, answers out, as bytes.

    listener ──▶ (TlsLayer) ──▶ Connection ──parser──▶ Request ──handler──▶ Response ──▶ bytes

uvicorn costs 40 to 65 µs a request, as much as the call of a small model; this costs a quarter of that. As libevent
does under TensorFlow Serving: its pages for what is no request, keep-alive of HTTP/1.0, `100 Continue` only while the
body is missing, wishes for HTTP/2 ignored, idle connections closed after 50 s. `Limits` say what it takes of a stranger.
docs/decisions/0001-own-http-server.md says why it is ours, and what it promises.
"""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from itertools import chain

from signet.serving.errors import ServingError
from signet.serving.http.connection import Connection
from signet.serving.http.known_heads import KnownHeads
from signet.serving.http.messages import (
    Completion,
    Door,
    Handler,
    Limits,
    Reply,
    Request,
    Response,
    Work,
    answered_by,
    page,
)
from signet.serving.process.back_pressure import BackPressure
from signet.serving.process.byte_budget import ByteBudget
from signet.serving.process.ports import all_made, prepare, waiting
from signet.serving.tls.layer import Contexts, TlsLayer

__all__ = ["Handler", "HttpServer", "Limits", "Reply", "Request", "Response", "Work", "answered_by", "page"]

_SWEEP_S = 5.0
"""Seconds between two looks for idle connections and for callers who do not read; a quarter of their limits at most."""

_LOOK_S = 0.05
"""Seconds between two looks, at the end, for connections that have nothing in work any more."""

_BACKLOG = 2048

_PLAIN = b"this port speaks TLS: ask it with https://\n"
_PLAIN_ANSWER = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
    % (
        len(_PLAIN),
        _PLAIN,
    )
)
"""To who speaks no TLS where it is spoken."""


def _page_of(error: ServingError) -> Response:
    return page(HTTPStatus(error.http_status))


def _uncounted(_: str) -> None:
    """Nobody counts what is turned away."""


class HttpServer:
    """The HTTP server: listens on a socket, or is given connections, in the running event loop, which alone touches it.

    Every connection is in `connections` until it is lost, and counted in `_addresses` under its address; the groups
    `idle`, `receiving` and `unread` are disjoint, and each connection puts and removes itself there.
    """

    def __init__(
        self,
        handler: Handler,
        limits: Limits | None = None,
        refusal: Callable[[ServingError], Response] = _page_of,
        *,
        budget: ByteBudget | None = None,
        shed: Callable[[str], None] = _uncounted,
        door: Door = lambda _: None,
        completion: Completion | None = None,
        closed: Callable[[], None] = lambda: None,
        tls: Contexts | None = None,
    ) -> None:
        """refusal: the answer to a request that never reaches the handler: `TooLarge`, `Overloaded`, `DeadlineExceeded`.

        budget: shared with whoever else holds a stranger's bytes. shed: told the reason when a connection is turned away,
        or another for it: `connections`, `address_connections`, `slow_reader`.
        door: asked before a large body is read. completion: gives more headers for each answer. closed: told when one has
        ended. tls: gives the context of each connection, which is counted, and has its time, from its beginning, not from its
        handshake.
        """
        self.handler, self.limits, self.refusal, self.shed = handler, limits or Limits(), refusal, shed
        self.door, self.completion = door, completion
        self.pressure = BackPressure()
        self.budget = budget or ByteBudget(1 << 62)
        self.known_heads = KnownHeads()
        self.connections: set[Connection] = set()
        self.idle: dict[Connection, None] = {}
        """Connections without a request, the one that has been so for longest first."""
        self.receiving: dict[Connection, None] = {}
        """Connections whose request is not complete, the one that has been so for longest first."""
        self.unread: dict[Connection, None] = {}
        """Connections whose callers do not read, the one that has been so for longest first."""
        self.watched: set[Connection] = set()
        """Connections whose callers may not be reading."""
        self.draining = False
        self._addresses: Counter[str] = Counter()
        self._closed, self._tls = closed, tls
        self._server: asyncio.Server | None = None
        self._listener: socket.socket | None = None
        self._adopting: set[asyncio.Task[None]] = set()
        """Connections of `adopt` that are not in `connections` yet."""
        self._sweeper: asyncio.Task[None] | None = None
        self._second, self._date = 0, b""
        self._outbox: list[tuple[asyncio.Transport, bytes]] = []

    async def start(self, listener: socket.socket | None) -> None:
        """Take connections on a bound socket; None: those alone that are given to `adopt`."""
        if listener:
            prepare(listener)
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(self._connection, sock=listener, backlog=_BACKLOG)
            self._listener = listener
        self._sweeper = asyncio.create_task(self._sweep())

    def adopt(self, accepted: socket.socket) -> None:
        """Take a connection that somebody else has accepted, on a listener that went through `prepare`."""
        accepted.setblocking(False)
        task = asyncio.create_task(self._adopt(accepted))
        self._adopting.add(task)
        task.add_done_callback(self._adopting.discard)

    async def _adopt(self, accepted: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self._connection, accepted)
        except OSError:  # its caller has left meanwhile
            accepted.close()
            self._closed()

    def _connection(self) -> asyncio.Protocol:
        connection = Connection(self)
        return TlsLayer(connection, self._tls(), plain=_PLAIN_ANSWER) if self._tls else connection

    def drain(self) -> None:
        """Answer on, and have each connection end with its next answer, which says so. Connections are taken as before."""
        self.draining = True

    async def stop(self, grace_s: float) -> None:
        """Shut down gracefully: take no new connections, and give the requests in work that many seconds.

        Idle connections are closed, once the system has no bytes of theirs: a request that it has is answered.
        """
        self.draining = True
        if self._server and self._listener:
            for accepted in waiting(self._listener):
                self.adopt(accepted)
            self._server.close()
            self._listener = None
            await all_made()
        if self._adopting:
            await asyncio.wait(self._adopting)
        end = time.monotonic() + grace_s
        while self.connections and (left_s := end - time.monotonic()) > 0:
            for connection in list(self.connections):
                connection.close_when_idle()
            await asyncio.wait([one.closed for one in self.connections], timeout=min(left_s, _LOOK_S))
        if self._sweeper:
            self._sweeper.cancel()
        for connection in list(self.connections):
            connection.abort()

    def admit(self, connection: Connection) -> bool:
        """Count a new connection. When there are too many, the longest idle one goes; False: there is none to go."""
        limits, address = self.limits, connection.address
        admitted = True
        if limits.address_connections is not None and self._addresses[address] >= limits.address_connections:
            admitted = self._evict_one(address)
            self.shed("address_connections")
        elif limits.connections is not None and len(self.connections) >= limits.connections:
            admitted = self._evict_one(None)
            self.shed("connections")
        self.connections.add(connection)
        self._addresses[address] += 1
        return admitted

    def remove(self, connection: Connection) -> None:
        """Count a connection no more: it has ended."""
        self.watched.discard(connection)
        if connection in self.connections:
            self._closed()
            self.connections.discard(connection)
            self._addresses[connection.address] -= 1
            if not self._addresses[connection.address]:
                del self._addresses[connection.address]

    def shed_slow_readers(self) -> None:
        """While too much is unread, cut off who has not read for longest; one may stay, whatever it asked for."""
        while self.budget.too_much_unread and len(self.unread) > 1:
            next(iter(self.unread)).cut_off()

    def _evict_one(self, address: str | None) -> bool:
        for connection in chain(self.idle, self.receiving, self.unread):
            if address is None or connection.address == address:
                connection.evict()
                return True
        return False

    def write(self, transport: asyncio.Transport, data: bytes) -> None:
        """Send data at the end of this turn of the event loop, together with what else it answers.

        A write that wakes the reader on another core costs more than all else in a small answer: 16 connections get
        6,700 answers a second rather than 5,400, 64 get 6,900 rather than 5,200 (digits, 2 cores).
        """
        if len(self.connections) == 1:
            transport.write(data)  # there is nobody to wait for
            return
        if not self._outbox:
            asyncio.get_running_loop().call_soon(self.flush)
        self._outbox.append((transport, data))

    def flush(self) -> None:
        """Send at once what waits for the end of the turn."""
        outbox, self._outbox = self._outbox, []
        for transport, data in outbox:
            if not transport.is_closing():  # or what is for others would be lost with it
                transport.write(data)

    def date(self) -> bytes:
        """The Date header, which is made once a second."""
        second = int(time.time())
        if second != self._second:
            self._second, self._date = second, f"Date: {formatdate(second, usegmt=True)}\r\n".encode()
        return self._date

    async def _sweep(self) -> None:
        limits = self.limits
        pause_s = min(_SWEEP_S, limits.idle_s / 4, limits.unread_s / 4)
        while True:
            await asyncio.sleep(pause_s)
            now = time.monotonic()
            for connection in list(self.watched):
                connection.check_reader(now)
            for connection in list(self.connections):
                connection.close_if_idle_since(now - limits.idle_s)
