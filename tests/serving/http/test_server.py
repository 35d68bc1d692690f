"""HTTP on real sockets: order, keep-alive, what is no request, slow and leaving clients, the end. With TLS it is all the same."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import pytest
import uvloop

from signet.serving.http import connection
from signet.serving.http.server import HttpServer, Limits, Reply, Request, Response, answered_by, page
from signet.serving.process.byte_budget import ByteBudget
from signet.serving.tls.credentials import HTTP1, Credentials, server_context
from tests.certificates import Authority
from tests.tls_streams import open_tls

pytestmark = pytest.mark.usefixtures("way")

GET = b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n"
BAD_REQUEST, NOT_IMPLEMENTED = (page(status).body for status in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_IMPLEMENTED))


async def echo(request: Request) -> Response:
    return Response(200, b"%b %b %b" % (request.method.encode(), request.path, request.body))


def held() -> tuple[asyncio.Event, asyncio.Event, Callable[[Request], Awaitable[Response]]]:
    """A handler that says when it has started, and waits for a go-ahead."""
    started, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: Request) -> Response:
        started.set()
        await go_on.wait()
        return await echo(request)

    return started, go_on, slow


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> tuple[bytes, dict[bytes, bytes], bytes]:
        """Status line, headers by name as sent, body."""
        head = (await self.reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
        headers = dict(line.split(b": ", 1) for line in head[1:])
        return head[0], headers, await self.reader.readexactly(int(headers.get(b"Content-Length", 0)))

    async def ended(self) -> bool:
        return await self.reader.read(1) == b""


async def until(condition: Callable[[], object]) -> None:
    """Turn the loop until it is so."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)


Connect = Callable[[], Awaitable[Client]]

AUTHORITY = Authority()
SERVER = server_context(Credentials(*AUTHORITY.signed()), HTTP1)
CLIENT = ssl.create_default_context(cadata=AUTHORITY.pem.decode())


class Way:
    """How the connections of this module's tests are made."""

    tls = False


@pytest.fixture(params=["plain", "tls"])
def way(request):
    Way.tls = request.param == "tls"
    yield
    Way.tls = False


@asynccontextmanager
async def serving(
    handler: Callable[[Request], Awaitable[Response]], limits: Limits | None = None, **more: Any
) -> AsyncIterator[tuple[HttpServer, Connect]]:
    """A server on a free port, and what connects to it."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = HttpServer(answered_by(handler), limits, **more, tls=(lambda: SERVER) if Way.tls else None)
    await server.start(listener)
    clients = []

    async def connect() -> Client:
        opened = open_tls(port, CLIENT) if Way.tls else asyncio.open_connection("127.0.0.1", port)
        clients.append(Client(*await opened))
        return clients[-1]

    try:
        yield server, connect
    finally:
        await server.stop(0.0)
        for client in clients:
            client.writer.close()


def run(test: Callable[[], Awaitable[None]]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(test(), 30))


def test_pipelined_requests_are_answered_in_order():
    async def slower_for_smaller(request: Request) -> Response:
        for _ in range(20 - int(request.path[1:])):
            await asyncio.sleep(0)
        return await echo(request)

    async def test() -> None:
        async with serving(slower_for_smaller) as (_, connect):
            client = await connect()
            client.send(b"".join(GET % b"%d" % i for i in range(20)))
            assert [(await client.answer())[2] for _ in range(20)] == [b"GET /%d " % i for i in range(20)]
            client.send(GET % b"0")
            assert (await client.answer())[2] == b"GET /0 "

    run(test)


@pytest.mark.parametrize(
    ("sent", "status", "body", "stays"),
    [
        (b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", b"HTTP/1.1 200 OK", b"POST /a abc", True),
        (
            b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK",
            b"POST /a abc",
            True,
        ),
        (b"GET http://x/a?b HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 200 OK", b"GET /a?b ", True),
        (b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"HTTP/1.1 200 OK", b"GET /a ", False),
        (b"GET /a HTTP/1.0\r\n\r\n", b"HTTP/1.0 200 OK", b"GET /a ", False),
        (b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", b"HTTP/1.0 200 OK", b"GET /a ", True),
        (
            b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
            b"HTTP/1.1 200 OK",
            b"GET /a ",
            True,
        ),
        (
            b"POST /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc",
            b"HTTP/1.1 200 OK",
            b"POST /a abc",
            True,
        ),
        (b"\x16\x03\x01\x02\x00\x01\x00", b"HTTP/1.1 400 Bad Request", BAD_REQUEST, False),
        (b"FOO / HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 501 Not Implemented", NOT_IMPLEMENTED, False),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 600_000, b"HTTP/1.1 400 Bad Request", BAD_REQUEST, False),
        (
            b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
            b"HTTP/1.1 400 Bad Request",
            BAD_REQUEST,
            False,
        ),
    ],
)
def test_requests_and_what_is_none(sent, status, body, stays):
    async def test() -> None:
        async with serving(echo) as (_, connect):
            client = await connect()
            client.send(sent)
            line, headers, received = await client.answer()
            assert (line, received) == (status, body)
            assert (headers.get(b"Connection") == b"close") is not stays
            if stays:
                client.send(GET % b"again")
                assert (await client.answer())[2] == b"GET /again "
            else:
                assert await client.ended()

    run(test)


def test_head_has_no_body():
    async def test() -> None:
        async with serving(echo) as (_, connect):
            client = await connect()
            client.send(b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n" + GET % b"b")
            assert (await client.answer())[0] == b"HTTP/1.1 200 OK"
            assert (await client.answer())[2] == b"GET /b "

    run(test)


def test_who_waits_for_a_go_ahead_gets_it_only_while_the_body_is_missing():
    head = b"POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"

    async def test() -> None:
        async with serving(echo) as (_, connect):
            client = await connect()
            client.send(head + b"abc")
            assert (await client.answer())[0] == b"HTTP/1.1 200 OK"
            client.send(head)
            assert (await client.answer())[0] == b"HTTP/1.1 100 Continue"
            client.send(b"abc")
            assert (await client.answer())[2] == b"POST /a abc"

    run(test)


def test_who_has_closed_its_side_is_still_answered():
    async def test() -> None:
        async with serving(echo) as (_, connect):
            client = await connect()
            client.send(GET % b"a")
            client.writer.write_eof()
            assert (await client.answer())[2] == b"GET /a "
            assert await client.ended()

    run(test)


def test_a_reader_that_does_not_read_holds_up_no_more_than_its_own_answers():
    handled = []

    async def large(request: Request) -> Response:
        handled.append(request.path)
        return Response(200, bytes(1 << 20))

    async def test() -> None:
        async with serving(large) as (_, connect):
            lazy, other = await connect(), await connect()
            lazy.send(b"".join(GET % b"lazy" for _ in range(500)))
            for _ in range(10):
                other.send(GET % b"other")
                await other.answer()
            assert handled.count(b"/other") == 10
            assert handled.count(b"/lazy") < 100
            for _ in range(500):
                await lazy.answer()

    run(test)


def test_who_leaves_disturbs_nobody():
    started, go_on, slow = held()

    async def test() -> None:
        async with serving(slow) as (_, connect):
            client = await connect()
            client.send(GET % b"a")
            await started.wait()
            client.writer.transport.abort()
            go_on.set()
            client = await connect()
            client.send(GET % b"b")
            assert (await client.answer())[2] == b"GET /b "

    run(test)


def test_an_answer_to_who_has_gone_takes_no_other_with_it():
    async def test() -> None:
        async with serving(echo) as (server, connect):
            gone = await connect()
            gone.send(GET % b"1")
            await gone.answer()
            (left,) = server.connections
            clients = [await connect() for _ in range(2)]
            for client in clients:
                client.send(GET % b"2")
                await client.answer()
            transports = [left._transport, *(other._transport for other in server.connections - {left})]
            left.abort()
            await left.closed
            for transport in transports:  # in one turn of the loop
                server.write(transport, b"HTTP/1.1 200 OK\r\n\r\n")
            assert [(await client.answer())[0] for client in clients] == [b"HTTP/1.1 200 OK"] * 2

    run(test)


def test_idle_connections_are_closed():
    async def test() -> None:
        async with serving(echo, Limits(idle_s=0.01)) as (_, connect):
            assert await (await connect()).ended()

    run(test)


def test_the_end_waits_for_what_is_in_work_and_for_nothing_else():
    started, go_on, slow = held()

    async def test() -> None:
        async with serving(slow) as (server, connect):
            idle, busy = await connect(), await connect()
            busy.send(GET % b"a")
            await started.wait()
            stopping = asyncio.create_task(server.stop(20))
            assert await idle.ended()
            assert not stopping.done()
            go_on.set()
            _, headers, body = await busy.answer()
            assert (headers[b"Connection"], body) == (b"close", b"GET /a ")
            await stopping
            with pytest.raises(ConnectionRefusedError):
                await connect()

    run(test)


def test_the_end_does_not_wait_for_ever():
    started, _, stuck = held()

    async def test() -> None:
        async with serving(stuck) as (server, connect):
            client = await connect()
            client.send(GET % b"a")
            await started.wait()
            await server.stop(0.05)
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await client.answer()

    run(test)


CHUNKED = b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nabcd", b"200 OK"),
        (b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", b"413 Request Entity Too Large"),
        (
            b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
            b"413 Request Entity Too Large",
        ),
        (CHUNKED + b"2\r\nab\r\n3\r\ncde\r\n", b"413 Request Entity Too Large"),
        (CHUNKED + b"2\r\nab\r\n", b"504 Gateway Timeout"),
        (b"GET /a HTTP/1.1\r\nHost: x\r\nx: ", b"504 Gateway Timeout"),
        (b"POST /a\r\n\r\n", b"400 Bad Request"),
        (b"GET /a HTTP/1.1\r\nHost: x\r\nx: " + b"y" * 300 + b"\r\n\r\n", b"400 Bad Request"),
    ],
)
def test_what_goes_beyond_the_limits_is_refused(sent, status):
    async def test() -> None:
        async with serving(echo, Limits(head_bytes=200, body_bytes=4, request_s=0.05)) as (_, connect):
            client = await connect()
            client.send(sent)
            assert (await client.answer())[0] == b"HTTP/1.1 " + status
            if not status.startswith(b"200"):
                assert await client.ended()

    run(test)


def test_a_caller_who_leaves_takes_back_what_it_asked_for(monkeypatch):
    monkeypatch.setattr(connection, "_SIGN_S", 0.01)
    started, taken_back = asyncio.Event(), asyncio.Event()

    async def waits(_: Request) -> Response:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            taken_back.set()
        raise AssertionError("unreachable")

    async def test() -> None:
        async with serving(waits, Limits(cancels=True)) as (_, connect):
            client = await connect()
            client.send(GET % b"a")
            await started.wait()
            client.writer.close()
            await taken_back.wait()

    run(test)


def test_a_header_without_end_is_refused():
    async def test() -> None:
        async with serving(echo, Limits(head_bytes=200)) as (_, connect):
            client = await connect()
            client.send(b"GET /a HTTP/1.1\r\nHost: x\r\nx: ")
            answer = asyncio.create_task(client.answer())
            while not answer.done():
                client.send(b"y" * 100)
                await asyncio.sleep(0)
            assert answer.result()[0] == b"HTTP/1.1 400 Bad Request"

    run(test)


@pytest.mark.parametrize("cancels", [False, True])
def test_who_has_closed_its_side_gets_all_its_answers(cancels):
    async def test() -> None:
        async with serving(echo, Limits(cancels=cancels)) as (_, connect):
            client = await connect()
            client.send(b"".join(GET % b"%d" % i for i in range(300)))
            client.writer.write_eof()
            assert [(await client.answer())[2] for _ in range(300)] == [b"GET /%d " % i for i in range(300)]
            assert await client.ended()

    run(test)


def test_trailers_are_no_headers():
    seen = []

    async def note(request: Request) -> Response:
        seen.append(request.headers)
        return await echo(request)

    async def test() -> None:
        async with serving(note) as (_, connect):
            client = await connect()
            client.send(CHUNKED + b"1\r\na\r\n0\r\nContent-Encoding: gzip\r\nX-Request-Timeout: 0\r\n\r\n" + GET % b"b")
            assert (await client.answer())[2] == b"POST /a a"
            assert (await client.answer())[2] == b"GET /b "

    run(test)
    assert [sorted(headers) for headers in seen] == [[b"host", b"transfer-encoding"], [b"host"]]


@pytest.mark.parametrize(
    "flood",
    [
        CHUNKED + b"0\r\n" + b"x: y\r\n" * 100,
        CHUNKED + b"0\r\nx: " + b"y" * 300,
        CHUNKED + b"1;" + b"x" * 300,
        b"\r\n" * 200,
    ],
    ids=["trailers", "a trailer without end", "a chunk extension", "empty lines"],
)
@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_what_is_no_body_is_bounded(flood, piece):
    """In pieces, too: the parser tells of none of them until its line has ended, of some never."""

    async def test() -> None:
        async with serving(echo, Limits(head_bytes=200)) as (_, connect):
            client = await connect()
            for start in range(0, len(flood), piece):
                client.send(flood[start : start + piece])
                await asyncio.sleep(0)
            assert (await client.answer())[0] == b"HTTP/1.1 400 Bad Request"

    run(test)


def test_many_small_chunks_are_a_body():
    async def test() -> None:
        async with serving(echo, Limits(head_bytes=200)) as (_, connect):
            client = await connect()
            client.send(CHUNKED + b"1\r\na\r\n" * 20_000 + b"0\r\n\r\n")
            assert (await client.answer())[2] == b"POST /a " + b"a" * 20_000

    run(test)


def test_a_drip_of_empty_lines_does_not_keep_a_connection():
    async def test() -> None:
        async with serving(echo, Limits(idle_s=0.05)) as (_, connect):
            client = await connect()
            ended = asyncio.create_task(client.ended())
            with contextlib.suppress(RuntimeError):  # it is closed already, and `ended` does not know yet
                while not ended.done():
                    client.send(b"\r\n")
                    await asyncio.sleep(0.001)
            with contextlib.suppress(ConnectionResetError):
                assert await ended

    run(test)


UPGRADE = b"GET /%d HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"


def test_thousands_of_wishes_for_another_protocol_are_answered():
    async def test() -> None:
        async with serving(echo) as (_, connect):
            client = await connect()
            client.send(b"".join(UPGRADE % i for i in range(3000)))
            assert [(await client.answer())[2] for _ in range(3000)] == [b"GET /%d " % i for i in range(3000)]

    run(test)


def test_a_wish_for_another_protocol_hides_no_other_field():
    async def test() -> None:
        async with serving(echo) as (_, connect):
            client = await connect()
            client.send(
                b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nConnection: close\r\nUpgrade: h2c\r\n\r\n"
            )
            assert (await client.answer())[1][b"Connection"] == b"close"
            assert await client.ended()

    run(test)


def test_pipelined_requests_wait_unread():
    """A flood of them costs no more than what one look at them makes."""
    started, go_on, slow = held()

    async def test() -> None:
        async with serving(slow) as (server, connect):
            client = await connect()
            client.send(GET % b"a" + b"".join(GET % b"%d" % i for i in range(2_000)))
            await started.wait()
            (held_open,) = server.connections
            for _ in range(10):
                await asyncio.sleep(0)
            assert len(held_open._parser.complete) < 200
            go_on.set()
            assert (await client.answer())[2] == b"GET /a "
            assert [(await client.answer())[2] for _ in range(2_000)][-1] == b"GET /1999 "

    run(test)


@pytest.mark.parametrize("last", [b"", b"GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"])
def test_a_caller_who_does_not_read_is_cut_off(last):
    """Also one whose connection is closing; what was kept for it is let go."""
    reasons = []

    async def large(_: Request) -> Response:
        return Response(200, bytes(8 << 20))

    async def test() -> None:
        budget = ByteBudget(1 << 30)
        async with serving(large, Limits(unread_s=0.05), budget=budget, shed=reasons.append) as (server, connect):
            client = await connect()
            client.writer.transport.pause_reading()
            client.send(last or GET % b"a")
            await until(lambda: server.connections and budget.held_bytes)
            (held_open,) = server.connections
            await held_open.closed
            assert budget.held_bytes == 0

    run(test)
    assert reasons == ["slow_reader"]


def test_unread_answers_take_half_of_the_budget_and_one_more():
    """Whoever has not read for longest is cut off, and not the one who reads."""
    reasons, seen = [], []
    size = 16 << 20  # the system keeps some of it

    async def large(_: Request) -> Response:
        seen.append(budget.unread_bytes)
        return Response(200, bytes(size))

    budget = ByteBudget(4 * size)

    async def test() -> None:
        async with serving(large, budget=budget, shed=reasons.append) as (server, connect):
            lazy = [await connect() for _ in range(8)]
            for client in lazy:
                client.writer.transport.pause_reading()
                client.send(GET % b"a")
            await until(lambda: len(seen) == 8 and len(server.connections) < 8)
            reader = await connect()
            reader.send(GET % b"a")
            assert len((await reader.answer())[2]) == size
        await until(lambda: (budget.held_bytes, budget.unread_bytes) == (0, 0))

    run(test)
    assert max(seen) <= 3 * size
    assert set(reasons) == {"slow_reader"}


def test_a_body_for_which_there_is_no_room_gets_429_before_it_is_read():
    async def test() -> None:
        budget = ByteBudget(1000)
        budget.change(1000)
        limits = Limits(room_s=0.05)
        async with serving(echo, limits, budget=budget) as (_, connect):
            beyond, refused = await connect(), await connect()
            head = b"POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
            beyond.send(head)
            assert (await beyond.answer())[0] == b"HTTP/1.1 100 Continue"
            refused.send(head)
            assert (await refused.answer())[0] == b"HTTP/1.1 429 Too Many Requests"
            beyond.send(b"abc")
            assert (await beyond.answer())[2] == b"POST /a abc"

    run(test)


def test_a_body_that_is_given_up_is_let_go_at_once():
    async def test() -> None:
        budget = ByteBudget(1 << 30)
        async with serving(echo, Limits(request_s=0.05), budget=budget) as (_, connect):
            client = await connect()
            client.send(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n" + bytes(500_000))
            assert (await client.answer())[0] == b"HTTP/1.1 504 Gateway Timeout"
            assert budget.held_bytes == 0

    run(test)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [(Limits(connections=3), "connections"), (Limits(address_connections=3), "address_connections")],
)
@pytest.mark.parametrize("begun", [b"", b"GET /a HTTP"], ids=["idle", "slow heads"])
def test_a_new_connection_takes_the_place_of_the_longest_idle_one(limits, reason, begun):
    reasons = []

    async def test() -> None:
        async with serving(echo, limits, shed=reasons.append) as (server, connect):
            clients = [await connect() for _ in range(3)]
            for client in clients:
                client.send(GET % b"used")
                await client.answer()
                client.send(begun)
            await until(lambda: not begun or len(server.receiving) == 3)
            probe = await connect()
            probe.send(GET % b"probe")
            assert (await probe.answer())[2] == b"GET /probe "
            with contextlib.suppress(ConnectionResetError):
                assert await clients[0].ended()
            assert len(server.connections) == 3

    run(test)
    assert reasons == [reason]


def test_requests_in_work_are_not_given_up_for_new_connections():
    started, go_on, slow = held()

    async def test() -> None:
        async with serving(slow, Limits(connections=1)) as (_, connect):
            busy = await connect()
            busy.send(GET % b"a")
            await started.wait()
            with contextlib.suppress(ConnectionResetError):
                assert await (await connect()).ended()
            go_on.set()
            assert (await busy.answer())[2] == b"GET /a "

    run(test)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::2", True),
    ],
)
def test_what_counts_as_one_address(one, other, same):
    addresses = [connection.address_of((host, 1)) for host in (one, other)]
    assert (addresses[0] == addresses[1]) is same


BUSY = Response(429, b"busy", close=True)


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 1000000\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Length: 3\r\nExpect: 100-continue\r\n",
    ],
)
def test_a_request_is_refused_by_its_head_and_nothing_behind_it_is_one(framing):
    """Its body looks like a request: it must not become one, though nobody reads the body."""

    async def test() -> None:
        seen: list[bytes] = []

        async def handler(request: Request) -> Response:
            seen.append(request.path)
            return await echo(request)

        async with serving(handler, door=lambda request: BUSY if request.path == b"/full" else None) as (_, connect):
            client = await connect()
            client.send(GET % b"first" + b"POST /full HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n")
            assert (await client.answer())[2] == b"GET /first "
            status, headers, body = await client.answer()
            assert (status, headers[b"Connection"], body) == (b"HTTP/1.1 429 Too Many Requests", b"close", b"busy")
            client.send(GET % b"smuggled" * 100)
            assert await client.ended()
            assert seen == [b"/first"]

    run(test)


def test_a_small_body_is_read_and_its_connection_stays():
    """The handler refuses it: that costs less than a new connection."""

    async def test() -> None:
        asked: list[bytes] = []

        def door(request: Request) -> None:
            asked.append(request.path)

        async with serving(echo, door=door) as (_, connect):
            client = await connect()
            client.send(b"POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na")
            await asyncio.sleep(0)
            client.send(b"bc")
            assert (await client.answer())[2] == b"POST /small abc"
            client.send(b"POST /large HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
            await until(lambda: asked)
            client.send(bytes(100000))
            assert (await client.answer())[2] == b"POST /large " + bytes(100000)
            assert asked == [b"/large"], "once"

    run(test)


def test_who_was_refused_is_not_read_for_a_moment_when_refusing_costs_too_much():
    """Its requests wait where they are; others are answered, and it goes on by itself."""

    async def test() -> None:
        pauses = [0.2, 0.0, 0.0]
        seen: list[bytes] = []

        def handler(request: Request, reply: Reply) -> None:
            seen.append(request.path)
            reply(Response(429, b"busy") if request.path.startswith(b"/busy") else Response(200, b"fine"))

        async with serving(echo) as (server, connect):
            server.handler = handler
            server.pressure.refused = lambda _: pauses.pop(0)
            refused, other = await connect(), await connect()
            refused.send(GET % b"busy1" + GET % b"busy2")
            assert (await refused.answer())[2] == b"busy"
            refused.send(GET % b"busy3")
            other.send(GET % b"livez")
            assert (await other.answer())[2] == b"fine"
            assert seen == [b"/busy1", b"/livez"]
            assert [(await refused.answer())[2] for _ in range(2)] == [b"busy"] * 2
            assert seen == [b"/busy1", b"/livez", b"/busy2", b"/busy3"]

    run(test)
