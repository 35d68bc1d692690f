"""`Services` on HTTP/2 frames of our own: the gRPC server, which listens, or is given connections by who accepts them.

    listen, adopt ──▶ (TlsLayer) ──▶ ServerConnection ──▶ UnaryCall, StreamCall ──▶ methods
    drain ──▶ GOAWAY, PING ──▶ GOAWAY with the last call ──▶ calls finish ──▶ closed; new connections get the same, with a call
    stop ──▶ no new connections ──▶ the same for all, but UNAVAILABLE for calls that outlast the grace

grpcio takes 270 to 350 µs of processor time for a unary echo, this a twentieth of that where many are in flight.
docs/decisions/0011-own-grpc-transport.md says why it is ours, and what it promises.
"""

import asyncio
import contextlib
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping

from signet.serving.grpc_transport.calls import Method, Services
from signet.serving.grpc_transport.server_connection import ServerCall, ServerConnection
from signet.serving.grpc_transport.server_limits import ServerLimits
from signet.serving.h2.limits import Limits
from signet.serving.process.byte_budget import ByteBudget
from signet.serving.process.deadlines import Deadlines
from signet.serving.process.ports import all_made, prepare, waiting
from signet.serving.tls.credentials import HTTP2
from signet.serving.tls.layer import Contexts, TlsLayer

_BACKLOG = 2048
_SWEEP_S = 1.0
"""Seconds between two looks at what takes too long; a quarter of the shortest limit at most."""
_TURN_S = 0.001
"""Seconds that an answer may wait for others of the same turn of the event loop."""
_GOODBYE_S = 1.0
"""Seconds that the last bytes of connections have to go out, once their calls have ended."""


def _uncounted(_: str) -> None:
    """Nobody counts what is turned away."""


class OwnServer:
    """For one event loop, which alone touches it. Every connection is in `connections` until it is lost."""

    def __init__(
        self,
        services: Services,
        limits: ServerLimits,
        *,
        budget: ByteBudget | None = None,
        shed: Callable[[str], None] = _uncounted,
        closed: Callable[[], None] = lambda: None,
    ) -> None:
        """budget: shared with whoever else holds a stranger's bytes. shed: told the reason when a connection is turned away,
        or another for it: `connections`, `address_connections`, `slow_reader`. closed: told when one has ended.
        """
        self.methods: Mapping[bytes, Method] = {path.encode(): method for path, method in services.items()}
        self.limits, self.shed = limits, shed
        self.http2_limits = Limits(concurrent_streams=limits.connection_calls, header_list_bytes=limits.metadata_bytes)
        self.budget = budget or ByteBudget(1 << 62)
        self.deadlines: Deadlines[ServerCall] = Deadlines(_expire)
        self.calls = 0
        self.connections: dict[ServerConnection, None] = {}
        """The one that has been there for longest first."""
        self.unread: dict[ServerConnection, None] = {}
        self.addresses: Counter[str] = Counter()
        self.draining = False
        self._closed = closed
        self._stopping = False
        self._servers: list[asyncio.Server] = []
        self._listeners: list[tuple[socket.socket, Contexts | None]] = []
        self._adopting: set[asyncio.Task[None]] = set()
        """Connections of `adopt` that are not in `connections` yet."""
        self._sweeper: asyncio.TimerHandle | None = None
        self._outbox: list[ServerConnection] = []
        self._outbox_since = 0.0

    async def listen(self, listener: socket.socket, tls: Contexts | None = None) -> None:
        """Take connections on a bound socket: TCP or UNIX. tls: gives the context of each, which is to agree on h2."""
        prepare(listener)
        loop = asyncio.get_running_loop()
        create = loop.create_unix_server if listener.family == socket.AF_UNIX else loop.create_server
        self._servers.append(await create(lambda: self._connection(tls), sock=listener, backlog=_BACKLOG))
        self._listeners.append((listener, tls))
        self.start()

    def start(self) -> None:
        """Look after connections from now on; `listen` does it too."""
        if not self._sweeper:
            self._sweep()

    def adopt(self, accepted: socket.socket, tls: Contexts | None = None) -> None:
        """Take a connection that somebody else has accepted, on a listener that went through `prepare`. tls: as for `listen`."""
        accepted.setblocking(False)
        task = asyncio.create_task(self._adopt(accepted, tls))
        self._adopting.add(task)
        task.add_done_callback(self._adopting.discard)

    async def _adopt(self, accepted: socket.socket, tls: Contexts | None) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: self._connection(tls), accepted)
        except OSError:  # its client has left meanwhile
            accepted.close()
            self._closed()

    def _connection(self, tls: Contexts | None) -> asyncio.Protocol:
        connection = ServerConnection(self)
        return TlsLayer(connection, tls(), HTTP2, self.limits.handshake_s) if tls else connection

    def drain(self) -> None:
        """Answer on, and tell each client to make no more calls here: those that there are, at once, others with a call."""
        self.draining = True
        for connection in list(self.connections):
            connection.drain()

    async def stop(self, grace_s: float) -> None:
        """Shut down gracefully: take no new connections and calls, and give those in work that many seconds."""
        for listener, tls in self._listeners:
            for accepted in waiting(listener):
                self.adopt(accepted, tls)
        self._listeners.clear()
        for server in self._servers:
            server.close()
        await all_made()
        if self._adopting:
            await asyncio.wait(self._adopting)
        self._stopping = True
        self.drain()
        for connection in list(self.connections):
            connection.close_if_silent()
        await self._emptied(grace_s)
        for connection in list(self.connections):
            connection.end_calls()
        await self._emptied(_GOODBYE_S)
        if self._sweeper:
            self._sweeper.cancel()
        for connection in list(self.connections):
            connection.abort()

    async def _emptied(self, timeout_s: float) -> None:
        """Until there is no connection, at most so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.connections:
                    await asyncio.wait([connection.closed for connection in self.connections])

    # Connections tell

    def admit(self, connection: ServerConnection) -> bool:
        """Count a new connection. When there are too many, the oldest without a call goes; False: there is none to go."""
        limits, address = self.limits, connection.address
        admitted = not self._stopping
        if limits.address_connections is not None and self.addresses[address] >= limits.address_connections:
            admitted = self._evict_one(address)
            self.shed("address_connections")
        elif limits.connections is not None and len(self.connections) >= limits.connections:
            admitted = self._evict_one(None)
            self.shed("connections")
        self.connections[connection] = None
        self.addresses[address] += 1
        return admitted

    def remove(self, connection: ServerConnection) -> None:
        """Count a connection no more: it has ended."""
        self.unread.pop(connection, None)
        if connection in self.connections:
            del self.connections[connection]
            self._closed()
            self.addresses[connection.address] -= 1
            if not self.addresses[connection.address]:
                del self.addresses[connection.address]

    def _evict_one(self, address: str | None) -> bool:
        """End the oldest connection without a call, or without one whose request is complete."""
        candidates = [one for one in self.connections if address in (None, one.address) and not one.leaving]
        idle = next((one for one in candidates if not one.busy), None)
        victim = idle or next((one for one in candidates if not one.working), None)
        if victim:
            victim.evict()
        return victim is not None

    def shed_slow_readers(self) -> None:
        """While too much is unread, cut off who has not read for longest; one may stay, whatever it asked for."""
        while self.budget.too_much_unread and len(self.unread) > 1:
            next(iter(self.unread)).cut_off()

    def flush_soon(self, connection: ServerConnection) -> None:
        """Write what a connection has at the end of this turn of the event loop, or when the first answer has waited for 1 ms.

        One write takes many answers: system calls and waking the reader cost more than all else in a small answer.
        """
        outbox = self._outbox
        if not connection.flush_due:
            connection.flush_due = True
            outbox.append(connection)
            if len(outbox) == 1:
                self._outbox_since = time.perf_counter()
                asyncio.get_running_loop().call_soon(self._flush)
                return
        if time.perf_counter() - self._outbox_since > _TURN_S:
            self._flush()

    def _flush(self) -> None:
        outbox, self._outbox = self._outbox, []
        for connection in outbox:
            connection.flush()

    def _sweep(self) -> None:
        now = time.perf_counter()
        for connection in list(self.connections):
            connection.look(now)
        limits = self.limits
        seconds = (limits.handshake_s, limits.request_s, limits.unread_s, limits.room_s, limits.idle_s, limits.age_s)
        pause_s = min([_SWEEP_S, *(s / 4 for s in (*seconds, limits.keepalive_answer_s) if s is not None)])
        self._sweeper = asyncio.get_running_loop().call_later(pause_s, self._sweep)


def _expire(call: ServerCall) -> None:
    call.expire()
