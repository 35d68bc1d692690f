"""The end of the HTTP server, whatever its connections are doing: what it has begun to read is answered, the rest is not read."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.serving.http import connection as connection_module
from signet.serving.http import server as server_module
from signet.serving.http.connection import Connection
from signet.serving.http.server import HttpServer, Limits, Request, Response
from tests.serving.http.test_server import GET, echo, run, serving, until, way

__all__ = ["way"]

REQUESTS = [
    b"POST /0 HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabcdef",
    b"POST /1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"GET /2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"POST /3 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    GET % b"4",
]
BYTES = b"".join(REQUESTS)


class Watched(Connection):
    """A connection that counts the bytes it has read, but for those behind its last answer."""

    read_bytes = 0

    def data_received(self, data: bytes) -> None:
        if not self._ending:
            Watched.read_bytes += len(data)
        super().data_received(data)


class Seam:
    """One connection that sends `REQUESTS` in pieces of any size, and a handler that answers when it is told."""

    def __init__(self, server: HttpServer, peer: socket.socket) -> None:
        self.server, self.peer = server, peer
        self.sent_bytes, self.got = 0, b""
        self.asked: list[Request] = []
        self.replies: list[Callable[[Response], None]] = []
        self.stopping: asyncio.Task[None] | None = None
        self.answered = 0
        self.last_in_drain = self.cut = self.left = False
        """Whether the last answer came while the server drained, it takes no more bytes, and it has sent its last."""
        server.handler = self.handle
        peer.setblocking(False)

    def handle(self, request: Request, reply: Callable[[Response], None]) -> None:
        self.asked.append(request)
        self.replies.append(reply)

    def send(self, size: int) -> None:
        try:
            self.sent_bytes += self.peer.send(BYTES[self.sent_bytes :][:size])
        except (BrokenPipeError, ConnectionResetError):
            self.cut = True

    def receive(self) -> None:
        try:
            data = self.peer.recv(1 << 16)
        except (BlockingIOError, ConnectionResetError):
            return
        self.got += data
        self.left |= not data

    def answer(self, _: int = 0) -> None:
        for reply in self.replies:
            self.answered += 1
            self.last_in_drain = self.server.draining
            reply(Response(200, b"%d" % self.answered))
        self.replies = []

    def drain(self, _: int = 0) -> None:
        self.server.drain()

    def stop(self, _: int = 0) -> None:
        self.stopping = self.stopping or asyncio.create_task(self.server.stop(60))

    async def finish(self) -> None:
        """As a caller that sends what it has begun to send, reads everything, and leaves when there is no more."""
        self.stop()
        whole = next(end for end in ENDS if end >= self.sent_bytes)
        while self.stopping and not self.stopping.done():
            if self.sent_bytes < whole and not self.cut:
                self.send(whole - self.sent_bytes)
            self.answer()
            self.receive()
            if self.left:
                self.peer.close()
                await self.stopping
                return
            await asyncio.sleep(0)
        while not self.left:
            self.receive()
        self.peer.close()


ENDS = [sum(map(len, REQUESTS[:count])) for count in range(len(REQUESTS) + 1)]
STEPS = st.one_of(
    st.tuples(st.just("send"), st.one_of(st.integers(1, 60), st.sampled_from([len(one) for one in REQUESTS]))),
    st.tuples(st.sampled_from(["answer", "drain", "stop"]), st.just(0)),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(STEPS, st.integers(0, 3)), max_size=10))
def test_whatever_has_begun_to_be_read_is_answered(steps):
    """And the last answer says that it is, unless it had been sent before."""
    original, server_module.Connection = server_module.Connection, Watched  # type: ignore[misc]
    Watched.read_bytes = 0

    async def test() -> None:
        server = HttpServer(lambda *_: None, Limits(idle_s=60, unread_s=60))
        await server.start(None)
        ours, theirs = socket.socketpair()
        server.adopt(ours)
        seam = Seam(server, theirs)
        for (name, size), turns in steps:
            getattr(seam, name)(*([size] if size else []))
            for _ in range(turns):
                await asyncio.sleep(0)
        await seam.finish()
        heads = seam.got.split(b"HTTP/1.")[1:]
        begun = sum(start < Watched.read_bytes for start in ENDS[:-1])
        assert len(heads) == len(seam.asked) == begun
        says = [b"\r\nConnection: close\r\n" in head for head in heads]
        assert not any(says[:-1])
        assert says[-1:] in ([], [seam.last_in_drain])
        assert not server.connections

    try:
        run(test)
    finally:
        server_module.Connection = original  # type: ignore[misc]


@pytest.mark.usefixtures("way")
def test_a_connection_ends_with_its_next_answer_and_idle_ones_stay():
    async def test() -> None:
        async with serving(echo) as (server, connect):
            kept, idle = await connect(), await connect()
            kept.send(GET % b"a")
            _, headers, _ = await kept.answer()
            assert b"Connection" not in headers
            await until(lambda: len(server.connections) == 2)
            server.drain()
            kept.send(GET % b"b")
            _, headers, body = await kept.answer()
            assert (headers[b"Connection"], body) == (b"close", b"GET /b ")
            assert await kept.ended()
            kept.writer.close()
            new = await connect()
            new.send(b"GET /c HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            _, headers, body = await new.answer()
            assert (headers[b"Connection"], body) == (b"close", b"GET /c ")
            new.writer.close()
            await until(lambda: len(server.connections) == 1)
            idle.send(GET % b"d")
            _, headers, _ = await idle.answer()
            assert headers[b"Connection"] == b"close"

    run(test)


@pytest.mark.usefixtures("way")
def test_pipelined_requests_are_answered_and_the_last_answer_ends_the_connection():
    async def test() -> None:
        async with serving(echo) as (server, connect):
            client = await connect()
            await until(lambda: server.connections)
            server.drain()
            client.send(GET % b"a" + GET % b"b" + GET % b"c")
            answers = [await client.answer() for _ in range(3)]
            assert [headers.get(b"Connection") for _, headers, _ in answers] == [None, None, b"close"]
            assert [body for _, _, body in answers] == [b"GET /a ", b"GET /b ", b"GET /c "]
            assert await client.ended()

    run(test)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(connection_module, "_LINGER_S", 0.05)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("accepted", [True, False])
def test_what_the_system_holds_at_the_end_is_answered(accepted):
    """Of an idle connection, and of one that nobody has accepted yet."""

    async def test() -> None:
        async with serving(echo) as (server, _):
            address: Any = server._listener and server._listener.getsockname()
            with socket.create_connection(address) as client:
                if accepted:
                    await until(lambda: server.connections)
                client.sendall(GET % b"a")
                await server.stop(20)  # the loop has had no turn since
                client.settimeout(20)
                assert b"\r\nConnection: close\r\n" in client.recv(1 << 16)

    run(test)


@pytest.mark.usefixtures("way", "impatient")
def test_what_the_system_holds_of_a_connection_at_the_end_is_answered():
    async def test() -> None:
        async with serving(echo) as (server, connect):
            client = await connect()
            client.send(GET % b"a")
            assert (await client.answer())[2] == b"GET /a "
            client.send(GET % b"b")
            await server.stop(20)  # the loop has had no turn since
            _, headers, body = await client.answer()
            assert (headers[b"Connection"], body) == (b"close", b"GET /b ")

    run(test)


@pytest.mark.usefixtures("way", "impatient")
def test_a_caller_who_does_not_close_after_the_last_answer_is_not_waited_for():
    async def test() -> None:
        async with serving(echo) as (server, connect):
            client = await connect()
            await until(lambda: server.connections)
            server.drain()
            client.send(GET % b"a")
            await client.answer()
            await server.stop(3600)

    run(test)


@pytest.mark.usefixtures("way")
def test_a_caller_who_does_not_read_is_not_waited_for():
    async def large(_: Request) -> Response:
        return Response(200, bytes(64 << 20))

    async def test() -> None:
        async with serving(large, Limits(unread_s=0.2)) as (server, connect):
            client = await connect()
            client.send(GET % b"a")
            await until(lambda: server.watched)
            await server.stop(3600)

    run(test)
