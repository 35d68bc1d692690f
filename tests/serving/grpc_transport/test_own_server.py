"""Our own gRPC server as raw clients find it: gRPC's letter, and every bound of what a stranger may cost."""

import asyncio
import gzip
import zlib

import pytest

from signet.serving.process.byte_budget import ByteBudget
from tests.serving.grpc_transport import methods
from tests.serving.grpc_transport.raw_client import connected, message, serving, settled
from tests.serving.h2 import wire

MISSING, EXHAUSTED, DEADLINE, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = "5", "8", "4", "12", "13", "14"


def run(test):
    asyncio.run(asyncio.wait_for(test, 60))


# gRPC's letter


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"content_type": "application/json"}, "415"),
        ({"content_type": "application/grpc-web"}, "415"),
        ({"content_type": ""}, "415"),
        ({"method": "GET"}, "405"),
    ],
)
def test_what_is_no_call_gets_its_http_status(more, status):
    async def test():
        async with serving() as (_, port), connected(port) as client:
            client.send(client.call(1, "Echo", **more), wire.data(1, message(b"x"), end=True))
            assert (await client.status(1))[0] == INTERNAL
            assert client.headers[1][0][":status"] == status
            client.send(client.call(3, "Echo"), wire.data(3, message(b"x"), end=True))
            assert await client.status(3) == ("0", "")

    run(test())


@pytest.mark.parametrize("content_type", ["application/grpc+proto", "application/grpc;charset=x"])
def test_formats_of_grpc_are_calls(content_type):
    async def test():
        async with serving() as (_, port), connected(port) as client:
            client.send(client.call(1, "Echo", content_type=content_type), wire.data(1, message(b"x"), end=True))
            assert await client.status(1) == ("0", "")

    run(test())


def test_an_unknown_encoding_is_told_which_there_are():
    async def test():
        async with serving() as (_, port), connected(port) as client:
            client.send(client.call(1, "Echo", ("grpc-encoding", "snappy")), wire.data(1, message(b"x"), end=True))
            assert (await client.status(1))[0] == UNIMPLEMENTED
            assert client.headers[1][0]["grpc-accept-encoding"] == "identity,gzip,deflate"

    run(test())


@pytest.mark.parametrize(
    ("fields", "body", "status", "told"),
    [
        ((), b"", UNIMPLEMENTED, "none came"),
        ((), message(b"1") * 2, UNIMPLEMENTED, "more came"),
        ((), message(b"12345")[:-1], INTERNAL, "ends within"),
        ((), b"\x02\0\0\0\0", INTERNAL, "expected 0 or 1"),
        ((), message(b"x", compressed=True), INTERNAL, "names no compression"),
        ((("grpc-encoding", "gzip"),), message(b"xxxx", compressed=True), INTERNAL, "cannot be read"),
        (
            (("grpc-encoding", "gzip"),),
            message(gzip.compress(b"x", mtime=0)[:-3], compressed=True),
            INTERNAL,
            "cut off",
        ),
        ((("grpc-encoding", "deflate"),), message(zlib.compress(b"x") + b"y", compressed=True), INTERNAL, "behind"),
        (
            (("grpc-encoding", "gzip"),),
            message(gzip.compress(bytes(1 << 21), mtime=0), compressed=True),
            EXHAUSTED,
            "larger",
        ),
        ((), b"\0\xff\xff\xff\xff", EXHAUSTED, "larger than max"),
        ((("grpc-timeout", "5x"),), message(b"x"), INTERNAL, "malformed grpc-timeout"),
        ((("a-bin", "!"),), message(b"x"), INTERNAL, "no base64"),
        ((("big", "x" * 16_200),), message(b"x"), EXHAUSTED, "metadata of more than"),
    ],
)
def test_a_request_that_cannot_be_taken_is_told_why_and_the_connection_lives_on(fields, body, status, told):
    async def test():
        async with serving() as (server, port), connected(port) as client:
            client.send(client.call(1, "Echo", *fields), wire.data(1, body, end=True))
            code, details = await client.status(1)
            assert (code, told in details) == (status, True), details
            client.send(client.call(3, "Echo"), wire.data(3, message(b"x"), end=True))
            assert await client.status(3) == ("0", "")
            assert (server.calls, server.budget.held_bytes) == (0, 0)

    run(test())


def test_an_answer_before_the_requests_end_stops_the_request_without_error():
    async def test():
        async with serving() as (_, port), connected(port) as client:
            client.send(client.call(1, "Early"), wire.data(1, message(b"x")))
            assert await client.status(1) == ("0", "")
            assert await client.reset(1) == wire.NO_ERROR
            client.send(client.call(3, "None"))
            assert (await client.status(3))[0] == UNIMPLEMENTED
            assert await client.reset(3) == wire.NO_ERROR

    run(test())


def test_an_early_answer_that_windows_hold_back_comes_whole_before_the_reset():
    async def test():
        async with serving() as (_, port), connected(port, window=2) as client:
            client.send(client.call(1, "Early"), wire.data(1, message(b"x")))
            await client.until(lambda frame: frame.type == wire.DATA)
            client.send(wire.window(1, 100))
            assert await client.status(1) == ("0", "")
            assert await client.reset(1) == wire.NO_ERROR
            assert b"".join(frame.data for frame in client.frames if frame.type == wire.DATA) == message(b"early")

    run(test())


def test_trailers_of_a_request_end_it():
    async def test():
        async with serving() as (_, port), connected(port) as client:
            tail = wire.frame(wire.HEADERS, wire.END_HEADERS | wire.END_STREAM, 1, wire.block(("x", "y")))
            client.send(client.call(1, "Echo"), wire.data(1, message(b"x")), tail)
            assert await client.status(1) == ("0", "")

    run(test())


# Time


def test_a_request_that_does_not_come_whole_in_time_is_refused():
    async def test():
        async with serving(server_limits={"request_s": 0.1}) as (server, port), connected(port) as client:
            client.send(client.call(1, "Echo"), client.call(3, "Echo"), wire.data(3, message(b"12345")[:-1]))
            client.send(client.call(5, "Chat"), wire.data(5, message(b"12345")[:-1]), client.call(7, "Chat"))
            for stream_id in (1, 3, 5):
                code, details = await client.status(stream_id)
                assert (code, "has not come whole" in details) == (DEADLINE, True)
            client.send(wire.data(7, message(b"x"), end=True))  # between its messages a stream may rest
            assert await client.status(7) == ("0", "")
            assert (server.calls, server.budget.held_bytes) == (0, 0)

    run(test())


def test_who_never_greets_is_sent_away():
    async def test():
        async with serving(server_limits={"handshake_s": 0.1}) as (_, port):
            async with connected(port, greet=False) as client:
                assert await client.end() == wire.SETTINGS_TIMEOUT
            async with connected(port, greet=False) as client:
                client.send(wire.PREFACE[:10])
                assert await client.end() == wire.SETTINGS_TIMEOUT

    run(test())


def test_an_idle_connection_is_closed_and_one_with_a_call_is_not():
    async def test():
        async with (
            serving(server_limits={"idle_s": 0.2}) as (_, port),
            connected(port) as idle,
            connected(port) as busy,
        ):
            busy.send(busy.call(1, "Sleep"), wire.data(1, message(b"1"), end=True))
            goaway = await idle.until(lambda frame: frame.type == wire.GOAWAY)
            assert goaway.last_stream_id == wire.BIG
            ping = await idle.until(lambda frame: frame.type == wire.PING)
            idle.send(wire.frame(wire.PING, 1, 0, ping.opaque_data))
            assert await idle.end() == wire.NO_ERROR
            assert await busy.status(1) == ("0", "")

    run(test())


def test_a_client_that_is_gone_without_a_word_is_found_by_pings():
    async def test():
        limits = {"keepalive_s": 0.1, "keepalive_answer_s": 0.1}
        async with serving(server_limits=limits) as (server, port), connected(port) as alive, connected(port) as gone:
            gone.send(gone.call(1, "Hold"), wire.data(1, message(b""), end=True))
            await gone.until(lambda frame: frame.type == wire.PING)
            pings = 0
            while len(server.connections) == 2:
                ping = await alive.until(lambda frame: frame.type == wire.PING and "ACK" not in frame.flags)
                alive.send(wire.frame(wire.PING, 1, 0, ping.opaque_data))
                pings += 1
            assert pings
            assert server.calls == 0
            alive.send(alive.call(1, "Echo"), wire.data(1, message(b"x"), end=True))
            assert await alive.status(1) == ("0", "")

    run(test())


def test_an_answer_that_nobody_takes_is_dropped_and_counted_no_more():
    async def test():
        told = []
        async with (
            serving(shed=told.append, server_limits={"unread_s": 0.2}) as (server, port),
            connected(port, window=0) as client,
        ):
            client.send(client.call(1, "Echo"), wire.data(1, message(bytes(9000)), end=True))
            client.send(client.call(3, "Endless"), wire.data(3, message(b""), end=True))
            await client.until(lambda frame: frame.type == wire.HEADERS)
            await settled(lambda: server.budget.unread_bytes)
            resets = {(await client.until(lambda frame: frame.type == wire.RST)).stream_id for _ in range(2)}
            assert resets == {1, 3}
            assert told == ["slow_reader"] * 2
            assert (server.calls, server.budget.unread_bytes, server.budget.held_bytes) == (0, 0, 0)

    run(test())


def test_a_connection_that_is_too_old_takes_no_more_calls():
    async def test():
        async with serving(server_limits={"age_s": 0.1, "age_grace_s": 0.1}) as (_, port), connected(port) as client:
            client.send(client.call(1, "Echo"), wire.data(1, message(b"x"), end=True))
            assert await client.status(1) == ("0", "")
            ping = await client.until(lambda frame: frame.type == wire.PING)
            client.send(wire.frame(wire.PING, 1, 0, ping.opaque_data))
            assert await client.end() == wire.NO_ERROR

    run(test())


# Counts and bytes


def test_calls_beyond_the_limit_are_refused():
    async def test():
        async with serving(server_limits={"calls": 2}) as (server, port), connected(port) as client:
            for stream_id in (1, 3, 5):
                client.send(client.call(stream_id, "Hold"), wire.data(stream_id, message(b""), end=True))
            assert await client.status(5) == (EXHAUSTED, "Concurrent RPC limit exceeded!")
            assert server.calls == 2
            client.send(wire.rst(1), client.call(7, "Echo"), wire.data(7, message(b""), end=True))
            assert await client.status(7) == ("0", "")

    run(test())


@pytest.mark.parametrize("limit", ["connections", "address_connections"])
def test_one_connection_too_many_takes_the_place_of_one_without_a_call(limit):
    async def test():
        told = []
        async with (
            serving(shed=told.append, server_limits={limit: 2}) as (server, port),
            connected(port) as busy,
            connected(port) as idle,
        ):
            busy.send(busy.call(1, "Hold"), wire.data(1, message(b""), end=True))
            idle.send(idle.call(1, "Echo"), wire.data(1, message(b""), end=True))
            assert await idle.status(1) == ("0", "")
            await settled(lambda: server.calls)
            async with connected(port) as third:
                assert await idle.end() in (None, wire.NO_ERROR)
                third.send(third.call(1, "Hold"), wire.data(1, message(b""), end=True))
                await settled(lambda: not (server.calls < 2))
                async with connected(port) as refused:
                    await refused.end()
                    assert told == [limit] * 2
                    assert server.calls == 2

    run(test())


def test_requests_wait_unread_for_room_in_the_budget_and_then_are_refused():
    async def test():
        budget = ByteBudget(1 << 20)
        async with (
            serving(budget=budget, server_limits={"room_s": 0.2}) as (_, port),
            connected(port) as first,
            connected(port) as second,
        ):
            budget.change(1 << 20)  # others hold all there is
            half = message(bytes(200_000))[:100_000]
            for client in (first, second):
                client.send(client.call(1, "Echo"))
                client.send(*(wire.data(1, half[at : at + 10_000]) for at in range(0, 100_000, 10_000)))
                await settled(lambda: budget.held_bytes > (1 << 20) + 90_000)
            # The first may go on beyond the limit, so that the count can sink again.
            code, details = await second.status(1)
            assert (code, "hold" in details) == (EXHAUSTED, True)
            rest = message(bytes(200_000))[100_000:]
            pieces = [rest[at : at + 10_000] for at in range(0, len(rest), 10_000)]
            first.send(wire.window(0, 1 << 20), wire.window(1, 1 << 20))
            first.send(*(wire.data(1, piece, end=piece is pieces[-1]) for piece in pieces))
            assert await first.status(1) == ("0", "")
            budget.change(-(1 << 20))
        assert (budget.held_bytes, budget.unread_bytes) == (0, 0)

    run(test())


def test_who_has_not_read_for_longest_is_shed_when_too_much_is_unread():
    async def test():
        told = []
        budget = ByteBudget(100_000)
        async with (
            serving(budget=budget, shed=told.append) as (_, port),
            connected(port, window=0) as first,
            connected(port, window=0) as second,
        ):
            for client in (first, second):
                for stream_id in (1, 3, 5, 7):
                    body = wire.data(stream_id, message(bytes(10_000)), end=True)
                    client.send(client.call(stream_id, "Echo"), body)
                await client.until(lambda frame: frame.type == wire.HEADERS and frame.stream_id == 7)
                if client is first:
                    assert budget.unread_bytes > 40_000
            await first.end()
            assert told == ["slow_reader"]
        assert (budget.held_bytes, budget.unread_bytes) == (0, 0)

    run(test())


def test_a_stream_whose_requests_nobody_asks_for_keeps_its_window_shut():
    async def test():
        async with serving() as (server, port), connected(port, window=0) as client:
            client.send(client.call(1, "Chat"))  # it cannot answer, so it asks for no more
            piece = wire.data(1, message(bytes(16_000)))
            sent = 0
            while sent + 16_005 <= 1 << 20:
                client.send(piece)
                sent += 16_005
            client.send(wire.frame(wire.PING, 0, 0, b"are you?"))
            await client.until(lambda frame: frame.type == wire.PING)
            assert not [frame for frame in client.frames if frame.type == wire.WINDOW and frame.stream_id]
            assert server.budget.held_bytes > sent * 0.8
            client.send(wire.rst(1))
            client.send(wire.frame(wire.PING, 0, 0, b"and now?"))
            await client.until(lambda frame: frame.type == wire.PING)
            await settled(lambda: not (server.calls))
            assert server.budget.held_bytes == 0

    run(test())


# The end


def test_a_graceful_stop_says_so_finishes_calls_and_closes():
    async def test():
        async with serving(grace_s=20) as (server, port), connected(port) as client:
            client.send(client.call(1, "Sleep"), wire.data(1, message(b"0.3"), end=True))
            await settled(lambda: server.calls)
            stopping = asyncio.create_task(server.stop(20))
            first = await client.until(lambda frame: frame.type == wire.GOAWAY)
            ping = await client.until(lambda frame: frame.type == wire.PING)
            client.send(client.call(3, "Echo"), wire.data(3, message(b"x"), end=True))  # it did not know yet
            client.send(wire.frame(wire.PING, 1, 0, ping.opaque_data))
            second = await client.until(lambda frame: frame.type == wire.GOAWAY)
            assert (first.last_stream_id, second.last_stream_id) == (wire.BIG, 3)
            client.send(client.call(5, "Echo", end=True))
            assert await client.reset(5) == wire.REFUSED
            assert await client.status(3) == ("0", "")
            assert await client.status(1) == ("0", "")
            await client.end()
            await stopping

    run(test())


def test_calls_that_outlast_the_grace_are_told():
    async def test():
        before = methods.ends["hold cancelled"]
        async with serving() as (server, port), connected(port) as client:
            client.send(client.call(1, "Hold"), wire.data(1, message(b""), end=True))
            client.send(client.call(3, "Chat"), wire.data(3, message(b"x")))
            await client.until(lambda frame: frame.type == wire.DATA)
            await server.stop(0.05)
            assert await client.status(1) == (UNAVAILABLE, "the server shuts down")
            assert await client.status(3) == (UNAVAILABLE, "the server shuts down")
            await client.end()
            assert methods.ends["hold cancelled"] == before + 1
            assert server.calls == 0

    run(test())


def test_a_lost_connection_ends_its_calls():
    async def test():
        before = methods.ends["hold cancelled"]
        async with serving() as (server, port):
            async with connected(port) as client:
                client.send(client.call(1, "Hold"), wire.data(1, message(b""), end=True))
                client.send(client.call(3, "Endless"), wire.data(3, message(b""), end=True))
                client.send(client.call(5, "Echo"), wire.data(5, message(b"123")[:-1]))
                await client.until(lambda frame: frame.type == wire.DATA)
            await settled(lambda: not (server.connections or server.calls))
            assert methods.ends["hold cancelled"] == before + 1
            assert (server.budget.held_bytes, server.budget.unread_bytes) == (0, 0)

    run(test())
