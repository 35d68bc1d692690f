"""The end of our own gRPC server: calls are answered until their client has seen GOAWAY, whatever state connections are in."""

import asyncio
import socket

from hypothesis import given, settings
from hypothesis import strategies as st

from signet.serving.grpc_transport.calls import Method
from signet.serving.grpc_transport.own_server import OwnServer
from signet.serving.grpc_transport.server_connection import ServerConnection
from signet.serving.grpc_transport.server_limits import ServerLimits
from tests.serving.grpc_transport.raw_client import RawClient, connected, message, serving, settled
from tests.serving.grpc_transport.test_server_seam import Transport
from tests.serving.h2 import wire


def run(test):
    asyncio.run(asyncio.wait_for(test(), 60))


async def acknowledge(client: RawClient) -> None:
    """Read the first GOAWAY and answer the PING behind it."""
    first = await client.until(lambda frame: frame.type == wire.GOAWAY)
    assert first.last_stream_id == wire.BIG
    ping = await client.until(lambda frame: frame.type == wire.PING)
    client.send(wire.frame(wire.PING, 1, 0, ping.opaque_data))


def echo(client: RawClient, stream_id: int) -> bytes:
    return client.call(stream_id, "Echo") + wire.data(stream_id, message(b"x"), end=True)


def test_an_idle_connection_ends_once_its_client_knows_and_a_new_one_after_its_first_calls():
    async def test():
        async with serving(grace_s=20) as (server, port), connected(port) as idle:
            await settled(lambda: server.connections)
            server.drain()
            await acknowledge(idle)
            await idle.end()
            async with connected(port) as new:
                new.send(echo(new, 1), echo(new, 3))
                await acknowledge(new)
                assert await new.status(1) == await new.status(3) == ("0", "")
                await new.end()

    run(test)


def test_a_new_connection_without_a_call_stays_until_the_end_of_the_drain():
    async def test():
        async with serving(grace_s=20) as (server, port):
            server.drain()
            async with connected(port) as new:
                new.send(wire.frame(wire.PING, 0, 0, b"are you "))
                await new.until(lambda frame: frame.type == wire.PING)
                assert not any(frame.type == wire.GOAWAY for frame in new.frames)
                stopping = asyncio.create_task(server.stop(20))
                await acknowledge(new)
                await new.end()
                await stopping

    run(test)


def test_a_call_that_nobody_has_accepted_yet_is_answered_at_the_end():
    async def test():
        async with serving(grace_s=20) as (server, port):
            with socket.create_connection(("127.0.0.1", port)) as connection:
                client = RawClient(*await asyncio.open_connection(sock=connection.dup()))
                greeting = wire.PREFACE + wire.settings() + wire.frame(wire.SETTINGS, 1, 0)
                connection.sendall(greeting + echo(client, 1))
                stopping = asyncio.create_task(server.stop(20))
                await acknowledge(client)
                assert await client.status(1) == ("0", "")
                await client.end()
                client.writer.close()
                await stopping

    run(test)


def test_who_has_sent_nothing_is_not_waited_for():
    async def test():
        async with serving(grace_s=20) as (server, port), connected(port, greet=False) as client:
            await settled(lambda: server.connections)
            await server.stop(3600)
            await client.end()

    run(test)


class Seam:
    """One connection, calls on it whose requests come in two halves, and a drain that its client answers or not yet."""

    def __init__(self):
        self.calls = []
        self.server = OwnServer({"/a.B/C": Method(unary=self.handle)}, ServerLimits(1 << 16, request_s=60))
        self.connection = ServerConnection(self.server)
        self.transport = Transport(self.connection)
        self.connection.connection_made(self.transport)
        self.server.flush_soon = lambda connection: connection.flush()
        self.receive(wire.PREFACE + wire.settings() + wire.frame(wire.SETTINGS, 1, 0))
        self.next_id, self.acknowledged = 1, False
        self.taken, self.late, self.halves = [], [], []

    def receive(self, data):
        if not self.transport.closing:
            self.connection.data_received(data)

    def handle(self, request, call):
        self.calls.append(call)

    def call(self):
        """Half of a request."""
        number, self.next_id = self.next_id, self.next_id + 2
        (self.late if self.acknowledged else self.taken).append(number)
        head = wire.request(number, ("te", "trailers"), ("content-type", "application/grpc"))
        self.receive(head + wire.data(number, BODY[:8]))
        if not self.acknowledged:
            self.halves.append(number)

    def rest(self):
        while self.halves:
            number = self.halves.pop()
            self.receive(wire.data(number, BODY[8:], end=True))

    def answer(self):
        while self.calls:
            self.calls.pop().answer(b"y")

    def drain(self):
        self.server.drain()

    def acknowledge(self):
        for one in wire.parse(self.transport.written):
            if one.type == wire.PING and "ACK" not in one.flags and not self.acknowledged:
                self.acknowledged = True
                self.receive(wire.frame(wire.PING, 1, 0, one.opaque_data))


BODY = message(b"0123456789")


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(["call", "rest", "answer", "drain", "acknowledge"]), max_size=12))
def test_every_call_until_the_client_knows_is_answered_and_every_later_one_may_be_tried_again(steps):
    """Later ones get REFUSED_STREAM, or the connection has closed before: after its last answer, never before."""

    async def test():
        seam = Seam()
        for step in [*steps, "drain", "acknowledge", "rest", "answer"]:
            getattr(seam, step)()
        seam.connection.flush()
        frames = list(wire.parse(seam.transport.written))
        ended = {one.stream_id for one in frames if one.stream_id and "END_STREAM" in one.flags}
        reset = {one.stream_id: one.error_code for one in frames if one.type == wire.RST}
        assert ended == set(seam.taken)
        assert set(reset) <= set(seam.late)
        assert set(reset.values()) <= {wire.REFUSED}
        assert seam.transport.closing
        last = [one.last_stream_id for one in frames if one.type == wire.GOAWAY]
        assert last == [wire.BIG, max(seam.taken, default=0)]
        seam.connection.connection_lost(None)
        assert (seam.server.calls, len(seam.server.connections)) == (0, 0)

    asyncio.run(test())
