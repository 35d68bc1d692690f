"""One connection of our own gRPC server: what a client sends becomes calls, their answers become frames.

    bytes ──▶ HTTP/2 (serving/h2) ──▶ UnaryCall, StreamCall ──▶ answers ──▶ one write at the end of the loop's turn
      ▲                                                                        │
      └── nothing is read while answers are unread, or requests find no room in the budget of bytes

Whatever ends a call, `forget` counts it no more: answered, refused, reset, expired, its connection lost.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from struct import Struct
from typing import Any, Protocol

from signet.serving.grpc_transport import answer_blocks
from signet.serving.grpc_transport.calls import Method
from signet.serving.grpc_transport.messages import PREFIX_BYTES
from signet.serving.grpc_transport.request_head import RequestHead
from signet.serving.grpc_transport.server_limits import ServerLimits
from signet.serving.grpc_transport.stream_call import StreamCall
from signet.serving.grpc_transport.unary_call import UnaryCall
from signet.serving.h2 import frames
from signet.serving.h2.events import (
    ConnectionEnded,
    DataReceived,
    Drained,
    Event,
    HeadersReceived,
    HeadersTooLarge,
    StreamReset,
    TrailersReceived,
    Writable,
)
from signet.serving.h2.headers import Headers
from signet.serving.h2.limits import Limits
from signet.serving.h2.server import ServerConnection as Http2
from signet.serving.h2.stream import Stream
from signet.serving.process.byte_budget import SMALL_BYTES, ByteBudget
from signet.serving.process.deadlines import Deadlines
from signet.serving.process.ports import address_of, has_input

log = logging.getLogger(__name__)

ServerCall = UnaryCall | StreamCall

_UNREAD_BYTES = 1 << 16
"""More than this of answers that the system does not take, and nothing more is read or asked of methods."""
_FLUSH_BYTES = 1 << 16
"""Bytes of answers that do not wait for the end of the loop's turn."""
_PROGRESS_BYTES = 1 << 16
"""So much less unread, in `unread_s`, is a caller that reads."""
_DRAIN_ANSWER_S = 5.0
"""Seconds in which a client has to show that it knows that no more calls are taken; then further ones are refused."""

_prefix = Struct(">BI").pack


class Server(Protocol):
    """What a connection needs of the server that it belongs to, which is an `OwnServer`. They share one event loop."""

    methods: Mapping[bytes, Method]
    limits: ServerLimits
    http2_limits: Limits
    budget: ByteBudget
    deadlines: "Deadlines[ServerCall]"
    calls: int
    """Calls in work, of all connections; connections count theirs."""
    shed: Callable[[str], None]
    """Told why a connection is turned away."""
    unread: "dict[ServerConnection, None]"
    """Connections whose callers do not read what they are sent, the one that has been so for longest first."""
    addresses: Counter[str]
    draining: bool
    """Whether clients are to make no more calls here; written by the server."""

    def admit(self, connection: "ServerConnection") -> bool:
        """Count a new connection; False when there is no room for it."""

    def remove(self, connection: "ServerConnection") -> None:
        """Count a connection no more: it has ended."""

    def shed_slow_readers(self) -> None:
        """Shed the connections that have not read for longest while too much is unread."""

    def flush_soon(self, connection: "ServerConnection") -> None:
        """Have a connection's output written at the end of this turn of the event loop."""


class ServerConnection(asyncio.Protocol):
    """Everything here runs in the server's event loop, which alone writes the fields.

    What is held is in the budget at all times: `_counted_bytes` and `_counted_unread_bytes` are what it was told.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._h2 = Http2(server.http2_limits, time.perf_counter)
        self._transport: asyncio.Transport | None = None
        self.message_bytes = server.limits.message_bytes
        self.address, self.peer = "", "unix:"
        """Whom its calls count for; who its methods see."""
        self.flush_due = False
        """Whether the server knows that there is output; written by it too."""
        self.paused = False
        """Whether answers wait because the client does not read."""
        self.leaving = False
        """Whether it has been ended in favour of another."""
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._incomplete: dict[ServerCall, None] = {}
        """Calls of whose request, or a message in it, a part has come."""
        self._pending_bytes = 0
        """What those, and streams whose requests wait, hold."""
        self._lingering: set[Stream] = set()
        """Streams whose answer is whole before the request, and waits for windows."""
        self._unflushed_bytes = 0
        self._counted_bytes = self._counted_unread_bytes = 0
        self._reading = True
        self._in_budget = False
        """Whether the budget may know of requests that come."""
        self._waits_since: float | None = None
        """When requests began to wait for room."""
        now = time.perf_counter()
        self._made_at = self._heard_at = self._idle_since = now
        self._begun = self._begun_before = 0
        """Calls so far, and when it was last looked."""
        self._asked_at: float | None = None
        """When the client was asked whether it is there."""
        self._drained_at: float | None = None
        """When the client was told to make no more calls."""
        self._unread_bytes, self._unread_since = 0, now

    # The transport's side

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(high=_UNREAD_BYTES)
        peer = transport.get_extra_info("peername")
        self.address, self.peer = address_of(peer), _peer(peer)
        if self._server.admit(self):
            self.flush()
        else:
            self.abort()

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None
        self._lose(self._h2.lost())
        self._lingering.clear()
        self._end_waiting()
        self._count()
        self._count_unread()
        self._server.remove(self)
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        now = self._heard_at = time.perf_counter()
        h2 = self._h2
        for event in h2.receive(data):
            if isinstance(event, DataReceived):
                self._data(event.stream, event.data, event.end_stream)
            elif isinstance(event, HeadersReceived):
                self._headers(event.stream, event.headers, event.end_stream, now)
            else:
                self._rare(event)
        if self._lingering:
            self._end_lingering()
        held = h2.held_bytes + self._pending_bytes
        if held != self._counted_bytes or self._incomplete:
            self._count()
            self._find_room()
        if h2.has_output:
            self._server.flush_soon(self)
        if self._drained_at is not None:
            self._close_if_drained()
        elif self._server.draining and self._begun:
            self.drain()

    def eof_received(self) -> bool:
        return False  # a client that has closed its side reads no more either, as far as gRPC is concerned

    def pause_writing(self) -> None:
        self.paused = True
        self._set_reading()
        self._count_unread()
        self._server.shed_slow_readers()

    def resume_writing(self) -> None:
        self.paused = False
        self.flush()
        self._set_reading()
        for stream in list(self._h2.streams.values()):
            if stream.owner is not None:
                stream.owner.room()

    # What arrives

    def _headers(self, stream: Stream, headers: Headers, ends: bool, now: float) -> None:
        if stream.closed:
            return
        server = self._server
        self._begun += 1
        head = headers.owner
        if head is None:
            head = headers.owner = RequestHead(headers, server.methods)
        if head.refusal is not None:
            self._end_stream(stream, head.refusal)
            return
        limits = server.limits
        if limits.calls is not None and server.calls >= limits.calls:
            self._end_stream(stream, answer_blocks.refusal("RESOURCE_EXHAUSTED", "Concurrent RPC limit exceeded!"))
            return
        refusal = head.method.door(head, self.peer)
        if refusal:
            self._end_stream(stream, answer_blocks.refusal(*refusal))
            return
        server.calls += 1
        call: ServerCall
        call = stream.owner = (StreamCall if head.method.stream else UnaryCall)(self, stream, head, now)
        if head.timeout_s is not None:
            server.deadlines.add(call, call.deadline)
        if ends:
            self._feed(call, b"", ends=True)

    def _data(self, stream: Stream, data: bytes, ends: bool) -> None:
        call = stream.owner
        if call is None or call.ended:
            self._h2.consumed(stream, len(data))
        elif ends and call.takes_whole(data):
            call.handle(data[PREFIX_BYTES:])
            if not stream.closed:
                self._h2.consumed(stream, len(data))
        else:
            self._feed(call, data, ends=ends)

    def _feed(self, call: ServerCall, data: bytes, *, ends: bool) -> None:
        budget = self._server.budget
        call.feed(data, ends, max(SMALL_BYTES, budget.large_limit_bytes - budget.held_bytes))
        self.held(call)

    def _rare(self, event: Event) -> None:
        if isinstance(event, StreamReset):
            self._lingering.discard(event.stream)
            if event.stream.owner is not None:
                event.stream.owner.lost()
        elif isinstance(event, TrailersReceived):
            if event.stream.owner is not None and not event.stream.owner.ended:
                self._feed(event.stream.owner, b"", ends=True)
        elif isinstance(event, HeadersTooLarge):
            if not event.stream.closed:
                self._refuse_headers(event.stream)
        elif isinstance(event, Writable):
            if event.stream.owner is not None:
                event.stream.owner.room()
        elif isinstance(event, Drained):
            self._close_if_drained()
        elif isinstance(event, ConnectionEnded):
            log.info("%s breaks HTTP/2: %s", self.peer, event.reason)
            self._lose(event.streams)
            self.close()

    def _refuse_headers(self, stream: Stream) -> None:
        details = f"metadata of more than {self._server.limits.metadata_bytes} bytes"
        call = stream.owner
        if call is not None:
            call.end_by_us("RESOURCE_EXHAUSTED", details)
        else:
            self._end_stream(stream, answer_blocks.refusal("RESOURCE_EXHAUSTED", details))

    # What calls ask for

    def answer(self, call: UnaryCall, message: bytes, trailers: bytes) -> None:
        """Send the whole answer of a call that ends by it."""
        self.forget(call)
        stream = call.stream
        size = len(message)
        self._h2.send_response(stream, answer_blocks.HEAD, _prefix(0, size), message, trailers)
        if not stream.remote_ended:
            self._end_early(stream)
        self._written(size)

    def end_stream(self, call: ServerCall, block: bytes) -> None:
        """Send the last block of a call, which ends by it."""
        self.forget(call)
        self._end_stream(call.stream, block)

    def send_message(self, call: StreamCall, message: bytes, first: bool) -> bool:
        """Send one of many answers; False when it waits for windows."""
        if first:
            self._h2.send_headers(call.stream, answer_blocks.HEAD)
        sent = self._h2.send_message(call.stream, _prefix(0, len(message)), message)
        self._written(len(message))
        return sent

    def forget(self, call: ServerCall) -> None:
        """Count a call no more: it has ended."""
        call.ended = True
        server = self._server
        server.calls -= 1
        if call.deadline != _NEVER:
            server.deadlines.discard(call)
        if call.held_bytes or call in self._incomplete:
            self.held(call)

    def held(self, call: ServerCall) -> None:
        """Count what a call holds of requests that are not complete or not asked for."""
        size = 0 if call.ended else call.pending_bytes
        self._pending_bytes += size - call.held_bytes
        call.held_bytes = size
        if call.incomplete:
            self._incomplete[call] = None
        else:
            self._incomplete.pop(call, None)

    def consumed(self, stream: Stream, size: int) -> None:
        """Let the client send as many bytes again."""
        if size:
            self._h2.consumed(stream, size)
            self._count()
            if self._h2.has_output:
                self._server.flush_soon(self)

    # The server's side

    @property
    def busy(self) -> bool:
        """Whether a call is in work, or an answer under way."""
        return bool(self._h2.streams)

    @property
    def working(self) -> bool:
        """Whether a call is in work whose request is complete."""
        return any(stream.owner is None or stream.owner.in_work for stream in self._h2.streams.values())

    def flush(self) -> None:
        """Write what there is."""
        self.flush_due = False
        transport = self._transport
        if transport is None or self.paused or transport.is_closing():
            return
        self._unflushed_bytes = 0
        output = self._h2.take_output()
        if output:
            transport.write(output)
        if self._h2.queued_bytes or self._counted_unread_bytes or transport.get_write_buffer_size():
            self._count_unread()

    def drain(self) -> None:
        """Take no more calls: tell the client, and close when the last one has ended."""
        if self._drained_at is None and self._transport:
            self._drained_at = time.perf_counter()
            self._h2.drain()
            self.flush()

    def close_if_silent(self) -> None:
        """For the end of a drain: close if not a byte has come yet."""
        if self._transport and self._heard_at == self._made_at and not has_input(self._transport):
            self.close()

    def end_calls(self) -> None:
        """End all calls whatever their methods do: their time to finish is over. Then the connection closes."""
        for stream in list(self._h2.streams.values()):
            if stream.owner is not None and not stream.owner.ended:
                stream.owner.end_by_us("UNAVAILABLE", "the server shuts down")
        self.close()

    def close(self, code: int = frames.NO_ERROR, reason: str = "") -> None:
        """End the connection, once what was written is sent; calls in work are lost."""
        if self._transport:
            self._lose(self._h2.close(code, reason))
            self.flush()
            self._transport.close()

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport:
            self._transport.abort()

    def evict(self) -> None:
        """End the connection in favour of a new one."""
        self.leaving = True
        self.close(frames.NO_ERROR, "too many connections")
        self.abort()

    def cut_off(self) -> None:
        """Shed a client that does not read: what waits for it is let go."""
        self._server.shed("slow_reader")
        self.abort()
        self._lose(self._h2.lost())
        self._unflushed_bytes = 0
        self._server.unread.pop(self, None)
        self._server.budget.unread_bytes -= self._counted_unread_bytes
        self._server.budget.change(-self._counted_unread_bytes)
        self._counted_unread_bytes = 0

    def resume(self) -> None:
        """Read on: there is room in the budget."""
        self._waits_since = None
        self._set_reading()

    def look(self, now: float) -> None:
        """End what takes too long. Called some times in each of the limits' seconds."""
        limits = self._server.limits
        if not self._h2.settings_received:
            late = self._drained_at is not None and now - self._drained_at > _DRAIN_ANSWER_S
            if late or now - self._made_at > limits.handshake_s:
                self.close(frames.SETTINGS_TIMEOUT, "no SETTINGS in time")
            return
        self._look_at_requests(now)
        self._look_at_reader(now)
        if self._transport and not self._transport.is_closing():
            self._look_at_age(now)
        if self._transport and not self._transport.is_closing():
            self._look_for_life(now)
        self._count()

    # Time

    def _look_at_requests(self, now: float) -> None:
        limits = self._server.limits
        if self._waits_since is not None and now - self._waits_since > limits.room_s:
            self._refuse_incomplete()
        if limits.request_s is not None:
            for stream in list(self._h2.streams.values()):
                call = stream.owner
                if call is not None and call.incomplete and now - call.begun_at > limits.request_s:
                    call.end_by_us("DEADLINE_EXCEEDED", f"the request has not come whole within {limits.request_s:g} s")

    def _look_at_reader(self, now: float) -> None:
        """Cut off who does not take what waits for it: one call, or the connection."""
        unread_s = self._server.limits.unread_s
        size = self._transport.get_write_buffer_size() if self._transport else 0
        if not size or size > self._unread_bytes or size <= max(0, self._unread_bytes - _PROGRESS_BYTES):
            self._unread_bytes, self._unread_since = size, now
        elif now - self._unread_since > unread_s:
            self.cut_off()
            return
        if not self._h2.queued_bytes or self.paused:
            return
        for stream in list(self._h2.streams.values()):
            if stream.queued_bytes and now - stream.stalled_at > unread_s:
                self._server.shed("slow_reader")
                self._h2.reset(stream, frames.CANCEL)
                self._lingering.discard(stream)
                if stream.owner is not None:
                    stream.owner.lost()
        self.flush()

    def _look_at_age(self, now: float) -> None:
        limits = self._server.limits
        if self._h2.streams or self._begun != self._begun_before:
            self._idle_since, self._begun_before = now, self._begun
        if self._drained_at is None:
            idle = limits.idle_s is not None and now - self._idle_since > limits.idle_s
            if idle or (limits.age_s is not None and now - self._made_at > limits.age_s):
                self.drain()
        elif now - self._drained_at > _DRAIN_ANSWER_S:
            self._h2.refuse_new()
            self.flush()
            self._close_if_drained()
            too_old = limits.age_s is not None and limits.age_grace_s is not None
            if too_old and now - self._drained_at > limits.age_grace_s:  # type: ignore[operator]  # it is not None
                self.end_calls()

    def _look_for_life(self, now: float) -> None:
        limits = self._server.limits
        if not self._reading or now - self._heard_at <= limits.keepalive_s:
            self._asked_at = None
        elif self._asked_at is None or self._asked_at < self._heard_at:
            self._asked_at = now
            self._h2.ping(b"alive?  ")
            self.flush()
        elif now - self._asked_at > limits.keepalive_answer_s:
            self.abort()

    # Inside

    def _end_stream(self, stream: Stream, block: bytes) -> None:
        self._h2.send_headers(stream, block, end_stream=True)
        if not stream.remote_ended:
            self._end_early(stream)
        self._count()
        self._written(len(block))

    def _end_early(self, stream: Stream) -> None:
        """The answer is whole before the request: the rest of that is not wanted."""
        if stream.queued_bytes:
            self._lingering.add(stream)
        else:
            self._h2.reset(stream, frames.NO_ERROR)

    def _end_lingering(self) -> None:
        for stream in [stream for stream in self._lingering if stream.closed or not stream.queued_bytes]:
            self._lingering.discard(stream)
            self._h2.reset(stream, frames.NO_ERROR)

    def _written(self, size: int) -> None:
        self._unflushed_bytes += size
        if self._unflushed_bytes >= _FLUSH_BYTES:
            self.flush()
        elif not self.flush_due:
            self._server.flush_soon(self)
        if self._drained_at is not None:
            self._close_if_drained()

    def _close_if_drained(self) -> None:
        if self._h2.refuses_new and not self._h2.streams and self._transport:
            self.flush()
            self._transport.close()

    def _lose(self, streams: list[Stream]) -> None:
        for stream in streams:
            if stream.owner is not None:
                stream.owner.lost()

    def _count(self) -> None:
        """Tell the budget what is held of requests."""
        size = self._h2.held_bytes + self._pending_bytes
        if size != self._counted_bytes:
            counted, self._counted_bytes = self._counted_bytes, size
            self._server.budget.change(size - counted)

    def _count_unread(self) -> None:
        """Tell the budget what is held of answers."""
        size = self._h2.queued_bytes
        if self._transport:
            size += self._transport.get_write_buffer_size() + (self._unflushed_bytes if self.paused else 0)
        more = size - self._counted_unread_bytes
        if not more:
            return
        self._counted_unread_bytes = size
        budget, unread = self._server.budget, self._server.unread
        budget.unread_bytes += more
        budget.change(more)
        if not size:
            unread.pop(self, None)
            return
        if self not in unread:
            unread[self] = None
        if more > 0:
            self._server.shed_slow_readers()

    def _find_room(self) -> None:
        """Requests that have begun find room in the budget, or nothing is read until there is."""
        if not self._incomplete:
            self._end_waiting()
            return
        if self._waits_since is not None:
            return
        self._in_budget = True
        budget = self._server.budget
        if budget.has_room(self, next(iter(self._incomplete)).expected_bytes if len(self._incomplete) == 1 else None):
            return
        if budget.wait(self):
            self._waits_since = time.perf_counter()
            self._set_reading()
        else:
            self._refuse_incomplete()

    def _refuse_incomplete(self) -> None:
        error = self._server.budget.refusal()
        for call in list(self._incomplete):
            call.end_by_us(error.grpc_code, str(error))
        self._end_waiting()
        self._count()

    def _end_waiting(self) -> None:
        """No request is coming any more."""
        if self._in_budget:
            self._in_budget = False
            self._waits_since = None
            self._server.budget.release(self)
            self._set_reading()

    def _set_reading(self) -> None:
        reading = not self.paused and self._waits_since is None
        if self._transport is None or reading is self._reading:
            return
        self._reading = reading
        if reading:
            self._heard_at = time.perf_counter()
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()


_NEVER = float("inf")


def _peer(peer: Any) -> str:
    """Where a client is, as gRPC writes it."""
    if not isinstance(peer, tuple):
        return "unix:"
    host, port = peer[:2]
    if host.startswith("::ffff:"):
        return f"ipv4:{host[7:]}:{port}"
    return f"ipv6:%5B{host}%5D:{port}" if ":" in host else f"ipv4:{host}:{port}"
