"""The budget of bytes: who may read on, who waits, and that the count is exact whatever senders and readers do."""

import asyncio
import contextlib
import socket

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.serving.errors import Overloaded
from signet.serving.http.server import HttpServer, Limits, Request, Response, answered_by
from signet.serving.process.byte_budget import SMALL_BYTES, ByteBudget

LIMIT = 1 << 20


class Receiver:
    """Notes that it may go on."""

    def __init__(self) -> None:
        self.went_on = 0

    def resume(self) -> None:
        self.went_on += 1


def full() -> ByteBudget:
    budget = ByteBudget(LIMIT)
    budget.change(LIMIT)
    return budget


def test_below_the_limit_everybody_reads_and_small_bodies_do_where_large_ones_wait():
    budget = ByteBudget(LIMIT)
    assert budget.has_room(Receiver(), None)
    budget.change(LIMIT - 1)
    assert budget.has_room(Receiver(), SMALL_BYTES)
    assert budget.has_room(Receiver(), None), "one may go beyond"
    assert not budget.has_room(Receiver(), SMALL_BYTES + 1)


def test_above_the_limit_one_body_goes_on_and_its_end_lets_the_next_one():
    budget, first, second, third = full(), Receiver(), Receiver(), Receiver()
    assert budget.has_room(first, None)
    assert not budget.has_room(second, None)
    assert budget.wait(second)
    assert budget.wait(third)
    budget.release(first)
    assert (second.went_on, third.went_on) == (1, 0)
    assert budget.has_room(second, None)
    budget.change(-LIMIT)
    assert third.went_on == 1


def test_no_more_than_a_few_wait():
    budget, waiting = full(), [Receiver() for _ in range(65)]
    assert budget.has_room(Receiver(), None)
    assert [budget.wait(receiver) for receiver in waiting] == [True] * 64 + [False]
    budget.release(waiting[0])
    assert budget.wait(waiting[64])


def test_what_does_not_fit_is_refused_unless_nothing_else_is_held():
    refused = []
    budget = ByteBudget(LIMIT, lambda: refused.append(1))
    with budget.holding(2 * LIMIT):
        with pytest.raises(Overloaded, match=f"hold {2 * LIMIT} bytes"), budget.holding(1):
            pass
        assert budget.held_bytes == 2 * LIMIT
    assert (budget.held_bytes, refused) == (0, [1])


CALLERS = st.lists(
    st.tuples(
        st.sampled_from([0, 100, 5_000, 70_000, 300_000]),  # bytes of the body
        st.sampled_from([1.0, 1.0, 0.5]),  # how much of it is sent
        st.sampled_from([10, 2_000_000]),  # bytes of the answer
        st.sampled_from(["reads", "reads", "leaves", "closes its side"]),
        st.booleans(),  # whether the body is chunked
    ),
    min_size=1,
    max_size=8,
)
LIMIT_BYTES, LARGEST, READ = 200_000, 300_000 + 2_000_000, 1 << 18


@settings(deadline=None, max_examples=15)
@given(CALLERS)
def test_the_count_stays_within_its_bound_and_ends_at_nothing(callers):
    """One caller after the other sends, and each then reads, leaves, or closes its side."""
    seen = []

    async def answer(request: Request) -> Response:
        seen.append(budget.held_bytes)
        await asyncio.sleep(0)
        return Response(200, bytes(int(request.path[1:])))

    budget = ByteBudget(LIMIT_BYTES)
    limits = Limits(body_bytes=1 << 20, request_s=0.2, room_s=0.05, unread_s=5.0, cancels=True)

    async def call(port: int, size: int, share: float, answered: int, then: str, chunked: bool) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
        body = bytes(int(size * share))
        if chunked:
            body = b"%x\r\n" % size + body + (b"\r\n0\r\n\r\n" if share == 1.0 else b"") if size else b"0\r\n\r\n"
        writer.write(b"POST /%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%b\r\n\r\n" % (answered, framing) + body)
        seen.append(budget.held_bytes)
        with contextlib.suppress(ConnectionError):
            if then == "leaves":
                writer.transport.abort()
                return
            if then == "closes its side":
                writer.write_eof()
            await reader.read()
        seen.append(budget.held_bytes)
        writer.close()

    async def test() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        server = HttpServer(answered_by(answer), limits, budget=budget)
        await server.start(listener)
        await asyncio.gather(*(call(listener.getsockname()[1], *caller) for caller in callers))
        await server.stop(10.0)
        for _ in range(3):
            await asyncio.sleep(0)  # requests that were taken back end

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(test(), 30))
    assert budget.held_bytes == 0
    assert max(seen) <= LIMIT_BYTES + LARGEST + len(callers) * (READ + 2_000_000)
