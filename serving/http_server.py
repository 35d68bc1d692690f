"""HTTP/1.1 for one handler, on httptools: requests in, answers out, as bytes.

    bytes ──parser──▶ Request ──handler──▶ Response ──▶ bytes      one request of a connection at a time, in order

uvicorn costs 40 to 65 µs a request, as much as the call of a small model; this costs a quarter of that. As libevent
does under TensorFlow Serving: its pages for what is no request, keep-alive of HTTP/1.0, `100 Continue` only while the
body is missing, wishes for HTTP/2 ignored, idle connections closed after 50 s. `Limits` say what it takes of a stranger.
"""

import asyncio
import logging
import re
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, NamedTuple

import httptools

from serving.errors import DeadlineExceeded, ServingError, TooLarge

log = logging.getLogger(__name__)

IDLE_S = 50.0
"""Seconds without a byte after which a connection is closed, unless a request is in work."""

_SWEEP_S = 5.0
_BACKLOG = 2048
_EIGHT_BITS = re.compile(rb"[\x80-\xff]")
"""People and curl write UTF-8 into paths as it is; the parser takes only its escapes."""
_FIRST_LINE, _REST_OF_LINE = re.compile(rb"[\r\n]*[^\n]*"), re.compile(rb"[^\n]*")
_REQUEST_LINE = re.compile(rb"[A-Z]+ \S+ HTTP/1\.[01]\r?\n")
_PHRASES = {status.value: status.phrase for status in HTTPStatus} | {499: "Client Closed Request"}


@dataclass(slots=True)
class Request:
    """One request, its body as it came."""

    method: str
    path: bytes
    """As sent, with the query."""
    headers: dict[bytes, bytes]
    """By name in lower case; the first of each."""
    body: bytes
    version: str
    keep_alive: bool


class Response(NamedTuple):
    """One answer."""

    status: int
    body: bytes
    headers: bytes = b""
    """Complete lines, without Date, Content-Length and Connection."""
    close: bool = False


Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Limits:
    """What a stranger controls, bounded. The defaults are TensorFlow Serving's."""

    head_bytes: int = 1 << 20
    """Most bytes of a request's line and headers."""
    body_bytes: int | None = None
    """Most bytes of a body, as it comes; a larger one is refused as soon as that is known."""
    request_s: float | None = None
    """Seconds from the first byte of a request to its last."""
    connections: int | None = None
    """Connections at once; one more is closed as soon as it is made."""
    cancels: bool = False
    """Whether a caller who leaves takes back what is in work; half-closed connections count as left."""


def page(status: HTTPStatus) -> Response:
    """What libevent answers by itself."""
    title = f"{status.value} {status.phrase}"
    text = f"<HTML><HEAD>\n<TITLE>{title}</TITLE>\n</HEAD><BODY>\n<H1>{status.phrase}</H1>\n</BODY></HTML>\n"
    return Response(status.value, text.encode(), b"Content-Type: text/html\r\n", close=True)


def _page_of(error: ServingError) -> Response:
    return page(HTTPStatus(error.http_status))


class HttpServer:
    """Listens on a socket in the running event loop."""

    def __init__(
        self,
        handler: Handler,
        limits: Limits | None = None,
        refusal: Callable[[ServingError], Response] = _page_of,
    ) -> None:
        """refusal: the answer to a request that never reaches the handler: `TooLarge` or `DeadlineExceeded`."""
        self.handler, self.limits, self.refusal = handler, limits or Limits(), refusal
        self.connections: set[Connection] = set()
        self.stopping = False
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._second, self._date = 0, b""
        self._outbox: list[tuple[asyncio.Transport, bytes]] = []

    async def start(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), sock=listener, backlog=_BACKLOG)
        self._sweeper = asyncio.create_task(self._sweep())

    async def stop(self, drain_s: float) -> None:
        """Take no new requests; give those in work that many seconds."""
        self.stopping = True
        if self._sweeper:
            self._sweeper.cancel()
        if self._server:
            self._server.close()
        for connection in list(self.connections):
            connection.close_when_idle()
        deadline = time.monotonic() + drain_s
        while self.connections and time.monotonic() < deadline:
            await asyncio.wait([connection.closed for connection in self.connections], timeout=drain_s)
        for connection in list(self.connections):
            connection.abort()

    def write(self, transport: asyncio.Transport, data: bytes) -> None:
        """Send what one turn of the event loop answers in one go, at its end.

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
            transport.write(data)

    def date(self) -> bytes:
        """The line, made once a second."""
        second = int(time.time())
        if second != self._second:
            self._second, self._date = second, f"Date: {formatdate(second, usegmt=True)}\r\n".encode()
        return self._date

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            oldest = time.monotonic() - IDLE_S
            for connection in list(self.connections):
                connection.close_if_idle_since(oldest)


class Connection(asyncio.Protocol):
    """One connection: the parser calls the `on_…` methods."""

    def __init__(self, server: HttpServer) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._worker: asyncio.Task[None] | None = None
        self._waiting: deque[Request] = deque()
        self._writable = asyncio.Event()
        self._writable.set()
        self._last_byte = time.monotonic()
        self._ending = False
        """No further request is read; the connection ends with the last answer."""
        self._paused = False
        self._began = self._expects = False
        """Whether a request has begun and is not complete; whether its sender waits for `100 Continue`."""
        self._in_head = self._in_line = False
        """Whether what comes next belongs to the head of a request; to its first line."""
        self._overdue: asyncio.TimerHandle | None = None
        """Gives up a request that does not become complete."""
        self._head_bytes = self._body_bytes = 0
        self._path = b""
        self._headers: dict[bytes, bytes] = {}
        self._chunks: list[bytes] = []

    # The transport's side

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        most = self._server.limits.connections
        if most is not None and len(self._server.connections) >= most:
            self.abort()
        self._server.connections.add(self)

    def connection_lost(self, _: Exception | None) -> None:
        """A request in work goes on, unless the limits say otherwise; its answer goes nowhere."""
        self._transport = None
        self._ending = True
        self._waiting.clear()
        self._in_time()
        if self._worker and self._server.limits.cancels:
            self._worker.cancel()
        self._writable.set()
        self._server.connections.discard(self)
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        if self._ending:
            return  # also for whom a refusal waits: it would be lost if the connection were closed with bytes unread
        self._last_byte = time.monotonic()
        in_head = self._in_head
        if self._in_line or not self._began:
            data = self._with_escapes(data)
        try:
            self._parser.feed_data(data)
            if in_head and self._in_head:  # the parser tells of a header only when it is complete
                self._count(len(data))
        except httptools.HttpParserUpgrade as upgrade:
            self._parse_again(data[upgrade.args[0] :])
            return
        except (httptools.HttpParserError, ValueError) as error:
            self._refuse(data, error)
            return
        if self._began and not self._overdue and self._server.limits.request_s is not None:
            self._overdue = asyncio.get_running_loop().call_later(self._server.limits.request_s, self._give_up)
        if self._expects and not self._chunks:
            self._expects = False
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._waiting and self._transport:
            self._paused = True  # until those are answered
            self._transport.pause_reading()

    def _with_escapes(self, data: bytes) -> bytes:
        """The same, but with escapes in what of it belongs to the first line of a request."""
        match = (_REST_OF_LINE if self._in_line else _FIRST_LINE).match(data)
        assert match is not None, "both match anything"
        line = match[0]
        self._in_line = len(line) == len(data)
        if line.isascii():
            return data
        return _EIGHT_BITS.sub(lambda byte: b"%%%02X" % ord(byte[0]), line) + data[len(line) :]

    def eof_received(self) -> bool:
        """The other side may still read what it has asked for."""
        self._ending = True
        return self._worker is not None and not self._server.limits.cancels

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # The parser's side

    def on_message_begin(self) -> None:
        self._began = self._in_head = True
        self._head_bytes = self._body_bytes = 0
        self._path = b""
        self._headers = {}
        self._chunks = []

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        self._path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        self._headers.setdefault(name.lower(), value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._parser.get_http_version() == "0.9":
            raise ValueError("the request line has no version")
        self._expects = self._headers.get(b"expect", b"").lower() == b"100-continue"
        declared = self._headers.get(b"content-length", b"")
        self._check_body(int(declared) if declared.isdigit() else 0)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        self._check_body(self._body_bytes)
        self._chunks.append(body)

    def _check_body(self, size: int) -> None:
        most = self._server.limits.body_bytes
        if most is not None and size > most:
            raise TooLarge(f"the body has {size} bytes; the most is {most}")

    def on_message_complete(self) -> None:
        if self._parser.should_upgrade() and self._parser.get_method() != b"CONNECT":
            return  # it comes again, from `_parse_again`
        self._began = self._expects = False
        self._in_time()
        chunks = self._chunks
        request = Request(
            self._parser.get_method().decode(),
            self._path if self._path.startswith(b"/") else _path_of(self._path),
            self._headers,
            chunks[0] if len(chunks) == 1 else b"".join(chunks),
            self._parser.get_http_version(),
            self._parser.should_keep_alive(),
        )
        if self._worker:
            self._waiting.append(request)
        else:
            self._worker = asyncio.get_running_loop().create_task(self._work(request))

    def _parse_again(self, rest: bytes) -> None:
        """The same request without its wish for another protocol: httptools stops at the body of one that has it."""
        method = self._parser.get_method()
        if method == b"CONNECT":
            return
        lines = [b"%b %b HTTP/%b" % (method, self._path, self._parser.get_http_version().encode())]
        lines += [b"%b: %b" % header for header in self._headers.items() if header[0] != b"upgrade"]
        self._parser = httptools.HttpRequestParser(self)
        self.data_received(b"\r\n".join([*lines, b"", b""]) + rest)

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._server.limits.head_bytes:
            raise ValueError("the head of the request is too long")

    def _in_time(self) -> None:
        if self._overdue:
            self._overdue.cancel()
            self._overdue = None

    def _give_up(self) -> None:
        """The rest of the request has not come in time."""
        self._end_with(self._server.refusal(DeadlineExceeded("the whole request was not here in time")))

    # The handler's side

    async def _work(self, request: Request) -> None:
        """Answer this request, and those that have come meanwhile."""
        try:
            while self._answer(request, await self._server.handler(request)) and self._waiting:
                self._server.flush()  # or nobody would know that the reader does not read
                await self._writable.wait()
                if not self._waiting:
                    break  # the connection is lost
                request = self._waiting.popleft()
        except BaseException:
            self.abort()
            raise
        finally:
            self._worker = None
        if self._ending or (self._server.stopping and not self._began):
            self.close()
        elif self._paused and self._transport:
            self._paused = False
            self._transport.resume_reading()

    def _answer(self, request: Request, response: Response) -> bool:
        """Write the answer. Gives whether the connection goes on."""
        stays = request.keep_alive and not response.close and not self._server.stopping
        head = [
            b"HTTP/%b %d " % (request.version.encode(), response.status),
            _PHRASES.get(response.status, "").encode(),
            b"\r\n",
            response.headers,
            self._server.date(),
        ]
        if not stays:
            head.append(b"Connection: close\r\n")
        elif request.version == "1.0":
            head.append(b"Connection: keep-alive\r\n")
        if request.method == "HEAD":
            self._write(*head, b"\r\n")
        else:
            self._write(*head, b"Content-Length: %d\r\n\r\n" % len(response.body), response.body)
        if not stays:
            self._ending = True
        return stays

    def _refuse(self, data: bytes, error: Exception) -> None:
        """For what cannot be parsed; 501 when it is only the method that is not known."""
        if isinstance(error.__context__, TooLarge):
            self._end_with(self._server.refusal(error.__context__))
            return
        unknown = isinstance(error, httptools.HttpParserInvalidMethodError) and _REQUEST_LINE.match(data)
        self._end_with(page(HTTPStatus.NOT_IMPLEMENTED if unknown else HTTPStatus.BAD_REQUEST))

    def _end_with(self, refusal: Response) -> None:
        """The last answer of this connection, to a request that is not complete."""
        self._ending, self._began = True, False
        self._in_time()
        if self._worker or not self._transport:
            return  # the connection ends with the answer that is in work
        self._answer(Request("", b"", {}, b"", "1.1", False), refusal)
        self._server.flush()
        self._transport.write_eof()

    def _write(self, *parts: bytes) -> None:
        if self._transport:
            self._server.write(self._transport, b"".join(parts))

    # The server's side

    def close_when_idle(self) -> None:
        if not self._worker and not self._began:
            self.close()

    def close_if_idle_since(self, moment: float) -> None:
        if not self._worker and self._last_byte < moment:
            self.close()

    def close(self) -> None:
        if self._transport:
            self._server.flush()
            self._transport.close()

    def abort(self) -> None:
        if self._transport:
            self._transport.abort()


def _path_of(target: bytes) -> bytes:
    """Of `http://host/path?query`, as one asks a proxy: path and query."""
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError:
        return target
    path = url.path or b"/"
    return path + b"?" + url.query if url.query else path
