"""Requests over HTTP/1.1, as lean as Python can: prepared bytes out, httptools' parser on what comes back.

A general client costs some 500 µs a request, and would be the bottleneck that it is to measure; this costs about 30.
A connection has one request at a time. Idle ones are used again, the latest first; a new one is opened when none is
idle, up to a limit, beyond which requests wait. The wait counts: latency begins when a request was to start.
"""

import asyncio
from collections import deque
from http import HTTPStatus
from typing import cast
from urllib.parse import urlsplit

import httptools

from signet.clients.client import values
from signet.clients.client.connecting import NOTHING, Access, without_password
from signet.clients.client.http_messages import Response
from signet.clients.load_test.run.target import BROKEN, OK, TIMEOUT, UNREACHABLE, Done
from signet.serving.errors import Unavailable, UsageError
from signet.serving.open_inference.binary import HEADER

_IDLE_S = 4.0
"""Idle connections are given up before the gateway, which waits 5 s, closes them under a request."""
_SAID_BYTES = 4096


class HttpTarget:
    """A server at a URL, as a `Target`. Everything runs on one event loop, which alone changes the pool of connections."""

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float,
        connections: int,
        access: Access = NOTHING,
        local_address: str | None = None,
    ) -> None:
        """timeout_s: for an answer, from when a request is sent. connections: the most that are open.

        local_address: of this machine, from which connections come; None: as the system chooses.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"the URL is {without_password(url)!r}; expected http://HOST:PORT")
        self.host, self.port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
        self.timeout_s = timeout_s
        self.waited = 0
        self._tls = access.ssl_context() if parts.scheme == "https" else None
        self._limit = connections
        self._local = (local_address, 0) if local_address else None
        self._open: set[_Connection] = set()
        self._connecting: set[asyncio.Task[_Connection | None]] = set()
        self._idle: list[_Connection] = []
        self._queue: deque[tuple[bytes, Done]] = deque()

    def send(self, payload: bytes, done: Done) -> None:
        """Send a whole request, head and body; `done` is called once with its outcome."""
        loop = asyncio.get_running_loop()
        while self._idle:
            connection = self._idle.pop()
            if loop.time() - connection.idle_since < _IDLE_S:
                connection.send(payload, done)
                return
            connection.close()
        if len(self._open) + len(self._connecting) >= self._limit:
            self.waited += 1
            self._queue.append((payload, done))
            return
        task = loop.create_task(self._connect(payload, done))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    def release(self, connection: "_Connection") -> None:
        """Take back a connection that has its answer, or let it carry the next waiting request."""
        if self._queue:
            connection.send(*self._queue.popleft())
        else:
            self._idle.append(connection)

    def lost(self, connection: "_Connection") -> None:
        """Forget a connection that is closed; a waiting request gets a new one."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if self._queue:
            self.send(*self._queue.popleft())

    async def close(self) -> None:
        """Give up what is in flight and close the connections."""
        self._queue.clear()
        for task in list(self._connecting):
            task.cancel()
        for connection in list(self._open):
            connection.close()
        await asyncio.sleep(0)

    async def ask(self, payload: bytes) -> Response:
        """The whole answer to one request, over a connection of its own. Raises `Unavailable`."""
        told: asyncio.Future[tuple[str, str]] = asyncio.get_running_loop().create_future()
        connection = await self._connect(payload, lambda *outcome: told.set_result(outcome), _WholeAnswer)
        outcome, said = await told
        if not isinstance(connection, _WholeAnswer) or connection.response is None:
            raise Unavailable(f"{outcome}: {said}")
        return connection.response

    async def _connect(
        self, payload: bytes, done: Done, make: "type[_Connection] | None" = None
    ) -> "_Connection | None":
        """A new connection with a request on it; None when there is none, which `done` is told."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.timeout_s):
                _, connection = await loop.create_connection(
                    lambda: (make or _Connection)(self, loop),
                    self.host,
                    self.port,
                    ssl=self._tls,
                    local_addr=self._local,
                )
        except TimeoutError:
            done(TIMEOUT, f"no connection within {self.timeout_s:g} s")
        except OSError as error:
            done(UNREACHABLE, str(error))
        else:
            self._open.add(connection)
            connection.send(payload, done)
            return connection
        return None


class _Connection(asyncio.Protocol):
    """One request at a time; also what httptools calls back."""

    def __init__(self, target: HttpTarget, loop: asyncio.AbstractEventLoop) -> None:
        self.idle_since = 0.0
        self._target, self._loop = target, loop
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._done: Done | None = None
        self._timeout: asyncio.TimerHandle | None = None
        self._said = b""

    def send(self, payload: bytes, done: Done) -> None:
        assert self._transport is not None, "it is connected"
        self._done = done
        self._timeout = self._loop.call_later(self._target.timeout_s, self._give_up)
        self._transport.write(payload)

    def close(self) -> None:
        self._take()
        if self._transport:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are not subclasses of it

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            done = self._take()
            self.close()
            done(BROKEN, f"the answer is not HTTP: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        done = self._take()
        self._target.lost(self)
        done(BROKEN, str(error or "the server closed the connection"))

    def on_body(self, body: bytes) -> None:
        """Called by httptools."""
        if self._parser.get_status_code() != HTTPStatus.OK and len(self._said) < _SAID_BYTES:
            self._said += body[:_SAID_BYTES]

    def on_message_complete(self) -> None:
        """Called by httptools."""
        status, said, done = self._parser.get_status_code(), self._said, self._take()
        self._said = b""
        # Free again before `done`, which may send the next request at once.
        if self._parser.should_keep_alive():
            self._parser = httptools.HttpResponseParser(self)
            self.idle_since = self._loop.time()
            self._target.release(self)
        else:
            self.close()
        if status == HTTPStatus.OK:
            done(OK, "")
        else:
            done(str(status), words(said))

    def _give_up(self) -> None:
        done = self._take()
        self.close()
        done(TIMEOUT, f"no answer within {self._target.timeout_s:g} s")

    def _take(self) -> Done:
        """The callback of the request, once: nobody's when there is no request, or its outcome was told."""
        done, self._done = self._done, None
        if self._timeout:
            self._timeout.cancel()
            self._timeout = None
        return done or _nobody


class _WholeAnswer(_Connection):
    """A connection for one request whose answer is looked at."""

    def __init__(self, target: HttpTarget, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(target, loop)
        self.response: Response | None = None
        self._body = bytearray()
        self._json_bytes: int | None = None

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by httptools."""
        if name.lower() == HEADER.lower().encode():
            self._json_bytes = int(value)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self.response = Response(self._parser.get_status_code(), bytes(self._body), json_bytes=self._json_bytes)
        done = self._take()
        self.close()
        done(OK, "")


def _nobody(outcome: str, said: str) -> None:
    pass


def words(body: bytes) -> str:
    """The message of an error as gateways write it, or the beginning of whatever it is."""
    try:
        return str(values.loads(body)["error"])
    except (KeyError, TypeError, ValueError):
        return body.decode(errors="replace")
