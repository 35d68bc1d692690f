"""One connection of the HTTP server: requests are answered one at a time, in order, with backpressure on the caller.

    bytes ──parser──▶ complete ──one at a time──▶ handler ──▶ Response ──▶ bytes ──▶ the caller reads them?
      ▲                                                                                        │ no
      └────────────── nothing is read while a request waits, answers are unread ◀──────────────┘
                      or a body finds no room in the budget of bytes

All that it holds is counted in the server's budget, and let go of as soon as it is of no use.
"""

import asyncio
import time
from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Protocol

from signet.serving.errors import DeadlineExceeded, ServingError, TooLarge
from signet.serving.http.known_heads import KnownHeads
from signet.serving.http.messages import Completion, Door, Handler, Limits, Request, Response, Work, page, without_body
from signet.serving.http.parser import BadRequest, RequestParser
from signet.serving.process.back_pressure import BackPressure
from signet.serving.process.byte_budget import SMALL_BYTES, ByteBudget
from signet.serving.process.ports import address_of, has_input

UNREAD_BYTES = 1 << 14
"""More than this of answers that the system does not take, and nothing more is read or answered."""

_PROGRESS_BYTES = 1 << 16
_LARGE_BYTES = 1 << 16
"""Bodies of answers from here on are not copied behind their head."""

_SIGN_S = 0.1
"""Seconds after which a caller who has closed its side is asked for a sign of life, then twice as many, and so on. Until then
whoever has left still has its place in the queue: under overload nearly all that is answered would be for nobody."""

_LINGER_S = 1.0
"""Seconds that a caller has to close after the last answer of a drain: closed with bytes unread, it would take that back."""

_PHRASES = {status.value: status.phrase for status in HTTPStatus} | {499: "Client Closed Request"}


class Server(Protocol):
    """What a connection needs of the server that it belongs to, which is an `HttpServer`.

    A connection and its server share one event loop. In `idle`, `receiving`, `unread` and `watched` a connection puts
    and removes itself only; whoever has been in one of them for longest stands first.
    """

    handler: Handler
    limits: Limits
    budget: ByteBudget
    known_heads: KnownHeads
    door: Door
    """Asked before a body is read that does not come with its head."""
    refusal: Callable[[ServingError], Response]
    """Makes the answer to a request that never reaches the handler."""
    completion: Completion | None
    """Asked for more headers of each answer."""
    pressure: BackPressure
    shed: Callable[[str], None]
    """Told why a connection is turned away."""
    idle: "dict[Connection, None]"
    """Connections without a request."""
    receiving: "dict[Connection, None]"
    """Connections whose request is not complete."""
    unread: "dict[Connection, None]"
    """Connections whose callers do not read what they are sent."""
    watched: "set[Connection]"
    """Connections whose callers may not be reading."""
    draining: bool
    """Whether a graceful shutdown is under way; written by the server."""

    def admit(self, connection: "Connection") -> bool:
        """Count a new connection; False when there is no room for it."""

    def remove(self, connection: "Connection") -> None:
        """Count a connection no more: it has ended."""

    def shed_slow_readers(self) -> None:
        """Shed the connections that have not read for longest while too much is unread."""

    def write(self, transport: asyncio.Transport, data: bytes) -> None:
        """Send at the end of this turn of the event loop."""

    def flush(self) -> None:
        """Send at once what waits for the end of the turn."""

    def date(self) -> bytes:
        """The line of a head that says the time."""


class Connection(asyncio.Protocol):
    """The state machine of one connection. Everything here runs in the server's event loop, which alone writes the fields.

    At most one request is in work (`_request`); nothing is read while another waits, answers are unread or a body finds no
    room. What is held is in the budget at all times: `_counted_bytes` and `_in_work_bytes` are what it was told. A
    connection is in one `_group` of the server at most, in none while a request is in work.
    """

    def __init__(self, server: Server) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.address = ""
        """The caller's address; empty for a UNIX socket."""
        self._server = server
        self._parser = RequestParser(server.limits, server.known_heads)
        self._transport: asyncio.Transport | None = None
        self._request: Request | None = None
        """The request in work."""
        self._work: Work | None = None
        """What of it can be cancelled."""
        self._starting = False
        """Whether the handler is being called."""
        self._unparsed: bytes = b""
        """Bytes that the parser has not looked at, because there are requests to be answered first."""
        self._group: dict[Connection, None] | None = None
        """The server's group that this connection is in: idle, receiving or unread."""
        self._progress_at = time.monotonic()
        """When a request last made progress."""
        self._counted_bytes = 0
        """Bytes that the budget knows of, without the request in work."""
        self._in_work_bytes = 0
        """Bytes of the request in work, which the budget knows of beside those."""
        self._unread_bytes = self._counted_unread_bytes = 0
        """Bytes of answers that the caller does not read; how many of them the budget knows of."""
        self._unread_since = 0.0
        """HTTP version of the request in work."""
        self._writable = self._reading = True
        self._ending = self._lingering = False
        """Whether no further request is taken; whether the last answer is out and only the caller's close is awaited."""
        self._last_answer: tuple[Request, Response] | None = None
        """The answer with which the connection ends, to what is no request or not complete; and what came of that."""
        self._other_side_closed = False
        self._request_timer: asyncio.TimerHandle | None = None
        """Times out a request that does not become complete."""
        self._room_timer: asyncio.TimerHandle | None = None
        """Gives up a body that waits for room."""
        self._sign_timer: asyncio.TimerHandle | None = None
        self._pause_timer: asyncio.TimerHandle | None = None
        """Ends the pause in which a caller who was refused is not read."""
        self._woken_at = 0.0
        """When bytes came last, by `time.perf_counter`."""
        self._linger_timer: asyncio.TimerHandle | None = None
        """Closes the connection whose caller does not, after the last answer of a drain."""
        self._in_budget = False
        """Whether the budget may know of a body that comes."""

    # The transport's side

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(high=UNREAD_BYTES)
        self.address = address_of(transport.get_extra_info("peername"))
        if self._server.admit(self):
            self._join_group(self._server.idle)
        else:
            self.abort()

    def connection_lost(self, _: Exception | None) -> None:
        """A request in work goes on, unless the limits say otherwise; its answer goes nowhere."""
        self._transport = None
        self._ending = True
        self._last_answer = None
        self._drop_incomplete()
        self._drop_complete()
        self._unread_bytes = 0
        self._count()
        if self._sign_timer:
            self._sign_timer.cancel()
        if self._linger_timer:
            self._linger_timer.cancel()
        if self._pause_timer:
            self._pause_timer.cancel()
        if self._request and self._server.limits.cancels:
            work = self._work
            self._work_ended()
            if work:
                work.cancel()
        self._join_group(None)
        self._server.remove(self)
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._woken_at = time.perf_counter()
        if self._ending:
            return  # also for whom a refusal waits: it would be lost if the connection were closed with bytes unread
        if self._unparsed:
            self._unparsed += data
            return
        self._read(data)
        self._advance()

    def eof_received(self) -> bool:
        """The other side may still read what it has asked for."""
        self._other_side_closed = True
        if self._transport and (self._request or self._parser.complete or self._unparsed):
            if self._request and self._server.limits.cancels:
                self._sign_timer = asyncio.get_running_loop().call_later(_SIGN_S, self._ask_for_a_sign, _SIGN_S)
            return True
        self._drop_incomplete()
        self._server.flush()
        self.close()
        return True  # it ends when what it was told is read

    def pause_writing(self) -> None:
        self._writable = False
        self._watch_reader()
        self._count()
        self._update_group()
        self._set_reading()
        self._server.shed_slow_readers()

    def resume_writing(self) -> None:
        self._writable = True
        self._watch_reader()
        self._advance()

    # Requests

    def _read(self, data: bytes | memoryview) -> None:
        parser = self._parser
        before = len(parser.complete)
        try:
            rest = parser.feed(data)
            self._unparsed = bytes(rest) if rest else b""
        except TooLarge as error:
            self._end_with(self._server.refusal(error))
        except BadRequest as error:
            self._end_with(page(error.status))
        if len(parser.complete) != before and (self._request_timer or self._in_budget):
            self._received()
        if parser.begun or parser.complete:  # a drip of empty lines is none
            self._progress_at = time.monotonic()

    def _advance(self) -> None:
        """Start what can be started, end what is at its end, and say whether more is to be read."""
        if not self._transport:
            return
        parser = self._parser
        if self._pause_timer is not None and not self._ending:
            self._count()
            self._update_group()
            self._set_reading()
            return
        if self._unparsed and not parser.complete and not self._request and self._writable:
            self._read(memoryview(self._unparsed))
        if parser.begun:
            self._watch_request()
        if not self._request and self._writable:
            if parser.complete:
                self._start(parser.complete.popleft())
            elif (self._ending or self._other_side_closed) and not self._lingering:
                self._finish()
        if parser.begun or parser.complete or self._counted_bytes or not self._writable:
            self._count()
        self._update_group()
        self._set_reading()

    def _start(self, request: Request) -> None:
        size = len(request.body)
        self._parser.complete_bytes -= size
        self._in_work_bytes = size
        self._server.budget.change(size)
        self._request, self._starting = request, True
        request.address = self.address
        work = self._server.handler(request, self._reply)
        self._starting = False
        if self._request:
            self._work = work
        else:
            # Not at once: answers without end would be one turn of the loop.
            asyncio.get_running_loop().call_soon(self._advance)

    def _reply(self, response: Response) -> None:
        request = self._request
        if request is None:
            return  # the caller has left
        self._answer(request, response)
        self._work_ended()
        self._progress_at = time.monotonic()
        if self._parser.complete or self._unparsed:
            self._server.flush()  # or nobody would know that the reader does not read
        if response.status == HTTPStatus.TOO_MANY_REQUESTS and self._starting and not self._ending:
            self._pause(self._server.pressure.refused(time.perf_counter() - self._woken_at))
        if not self._starting:
            self._advance()

    def _pause(self, seconds: float) -> None:
        """Read nothing for so long."""
        if seconds and self._pause_timer is None:
            self._pause_timer = asyncio.get_running_loop().call_later(seconds, self._end_pause)

    def _end_pause(self) -> None:
        self._pause_timer = None
        self._woken_at = time.perf_counter()
        self._advance()

    def _work_ended(self) -> None:
        self._request = self._work = None
        self._server.budget.change(-self._in_work_bytes)
        self._in_work_bytes = 0

    def _finish(self) -> None:
        """Nothing is left to be answered, but perhaps what was no request."""
        last, self._last_answer = self._last_answer, None
        if last:
            request, answer = last
            self._answer(request, answer if request.method != "HEAD" else without_body(answer))
        draining = self._server.draining
        if last or draining:
            self._server.flush()
        if (last or draining) and not self._other_side_closed and self._transport:
            self._lingering = True
            self._transport.write_eof()  # closed with bytes unread, it would take the answer back
            if draining:
                self._linger_briefly()
        else:
            self.close()

    def _linger_briefly(self) -> None:
        self._linger_timer = asyncio.get_running_loop().call_later(_LINGER_S, self.close)

    def _end_with(self, refusal: Response, head: Request | None = None) -> None:
        """The last answer of this connection, to a request that is not complete. head: of that; default: what came of it."""
        request = head or self._parser.remnant
        request.address = self.address
        self._ending, self._last_answer = True, (request, refusal)
        self._drop_incomplete()

    def _drop_incomplete(self) -> None:
        """Let go of what is not complete."""
        self._parser.drop()
        self._unparsed = b""
        self._received()

    def _drop_complete(self) -> None:
        self._parser.complete.clear()
        self._parser.complete_bytes = 0

    def _received(self) -> None:
        """The request that was coming is here, or is given up."""
        for timer in (self._request_timer, self._room_timer):
            if timer:
                timer.cancel()
        self._request_timer = self._room_timer = None
        if self._in_budget:
            self._in_budget = False
            self._server.budget.release(self)

    # Bounds

    def _watch_request(self) -> None:
        """A request that has begun has its time, while it is read, and its body finds room or waits for it."""
        parser, budget, limits = self._parser, self._server.budget, self._server.limits
        if parser.complete or self._unparsed or not self._writable:
            if self._request_timer:
                self._request_timer.cancel()
                self._request_timer = None
        elif not self._request_timer and limits.request_s is not None:
            self._request_timer = asyncio.get_running_loop().call_later(limits.request_s, self._time_out)
        if parser.in_head or self._room_timer:
            return
        if not self._in_budget and (parser.declared is None or parser.declared > SMALL_BYTES or parser.expects):
            head = parser.head
            head.address = self.address
            refusal = self._server.door(head)
            if refusal:
                self._end_with(refusal, head)
                return
        self._in_budget = True
        if budget.has_room(self, parser.declared):
            if parser.expects and not parser.has_body:
                parser.expects = False
                self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
        elif budget.wait(self):
            self._room_timer = asyncio.get_running_loop().call_later(limits.room_s, self._no_room)
        else:
            self._no_room()

    def resume(self) -> None:
        """Read on: there is room in the budget."""
        if self._room_timer:
            self._room_timer.cancel()
            self._room_timer = None
            self._advance()

    def _no_room(self) -> None:
        waited = self._room_timer is not None
        self._end_with(self._server.refusal(self._server.budget.refusal()))
        if waited:
            self._advance()

    def _time_out(self) -> None:
        """The rest of the request has not come in time."""
        self._request_timer = None
        self._end_with(self._server.refusal(DeadlineExceeded("the request was not received completely in time")))
        self._advance()

    def _ask_for_a_sign(self, after_s: float) -> None:
        """Closing one side and leaving look alike, until something is sent: who has left refuses it."""
        if self._request and self._request.version == "1.1":
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._sign_timer = asyncio.get_running_loop().call_later(2 * after_s, self._ask_for_a_sign, 2 * after_s)

    def _set_reading(self) -> None:
        wanted = self._ending or not (
            self._parser.complete
            or self._unparsed
            or not self._writable
            or self._room_timer is not None
            or self._pause_timer is not None
        )
        if wanted is self._reading or not self._transport:
            return
        if self._transport.is_closing() or self._other_side_closed:
            return
        self._reading = wanted
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _count(self) -> None:
        """Tell the budget what is held."""
        size = self._parser.held_bytes + len(self._unparsed) + self._unread_bytes
        if size != self._counted_bytes:
            change, self._counted_bytes = size - self._counted_bytes, size
            self._server.budget.change(change)
        if self._unread_bytes != self._counted_unread_bytes:
            self._server.budget.unread_bytes += self._unread_bytes - self._counted_unread_bytes
            self._counted_unread_bytes = self._unread_bytes

    def _update_group(self) -> None:
        server = self._server
        if self._request or not self._transport:
            group = None
        elif self._ending or not self._writable:
            group = server.unread
        else:
            group = server.receiving if self._parser.begun else server.idle
        if group is not self._group:
            self._join_group(group)

    def _join_group(self, group: "dict[Connection, None] | None") -> None:
        if self._group is not None:
            del self._group[self]
        if group is not None:
            group[self] = None
        self._group = group

    # Answers

    def _answer(self, request: Request, response: Response) -> None:
        """Write the answer; the connection may end with it."""
        stays = request.keep_alive and not response.close and not (self._server.draining and self._has_answered_all())
        head = [_status_line(request.version, response.status), response.headers, self._server.date()]
        if self._server.completion:
            head.append(self._server.completion(request, response))
        if not stays:
            head.append(b"Connection: close\r\n")
        elif request.version == "1.0":
            head.append(b"Connection: keep-alive\r\n")
        if request.method == "HEAD":
            self._write(*head, b"\r\n")
        elif len(response.body) < _LARGE_BYTES:
            self._write(*head, b"Content-Length: %d\r\n\r\n" % len(response.body), response.body)
        else:
            self._write(*head, b"Content-Length: %d\r\n\r\n" % len(response.body))
            self._write(response.body)
        if not stays:
            self._ending = True
            self._last_answer = None
            self._drop_complete()
            self._drop_incomplete()

    def _has_answered_all(self) -> bool:
        """Whether nothing has been read of a request behind the one in work."""
        return not (self._parser.begun or self._parser.complete or self._unparsed)

    def _write(self, *parts: bytes) -> None:
        if self._transport:
            self._server.write(self._transport, parts[0] if len(parts) == 1 else b"".join(parts))

    def _watch_reader(self) -> None:
        """From now on what waits for the caller has to become less."""
        if self._transport:
            self._unread_bytes = self._transport.get_write_buffer_size()
            self._unread_since = time.monotonic()
            self._server.watched.add(self)

    # The server's side

    def check_reader(self, now: float) -> None:
        """Cut off the caller if it has not read what waits for it for too long."""
        size = self._transport.get_write_buffer_size() if self._transport else 0
        if not size:
            self._server.watched.discard(self)
        if size > self._unread_bytes or size <= max(0, self._unread_bytes - _PROGRESS_BYTES):
            self._unread_bytes, self._unread_since = size, now
            self._count()
        elif self._unread_since + self._server.limits.unread_s < now:
            self.cut_off()

    def cut_off(self) -> None:
        """Shed a caller who does not read: what waits for it is let go."""
        self._server.shed("slow_reader")
        self.abort()
        self._server.watched.discard(self)
        self._unread_bytes = 0
        self._count()
        self._join_group(None)

    def close_when_idle(self) -> None:
        """For the end of a drain: close, unless something is to be answered, or the caller is about to close."""
        if self._linger_timer or self._request or not self._transport:
            return
        if self._lingering:
            self._linger_briefly()
        elif self._has_answered_all() and not has_input(self._transport):
            self.close()

    def close_if_idle_since(self, moment: float) -> None:
        if not self._request and self._writable and self._progress_at < moment:
            self.close()

    def evict(self) -> None:
        """Close this connection, as another one needs its place."""
        if self._group is self._server.idle and self._transport and not self._transport.get_write_buffer_size():
            self.close()
        else:
            self.abort()
        self._join_group(None)

    def close(self) -> None:
        if self._transport and not self._transport.is_closing():
            self._server.flush()
        if self._transport and not self._transport.is_closing():
            self._ending = True
            self._transport.close()
            if self._transport and self._transport.get_write_buffer_size():
                self._watch_reader()
                self._count()

    def abort(self) -> None:
        if self._transport:
            self._transport.abort()


@lru_cache
def _status_line(version: str, status: int) -> bytes:
    return f"HTTP/{version} {status} {_PHRASES.get(status, '')}\r\n".encode()
