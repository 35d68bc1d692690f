"""Streams under any windows and cuts, of one side and of both: nothing is lost, order is kept, and what is held is bounded."""

import asyncio
import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from signet.serving.gateway.grpc import v2_stream
from signet.serving.grpc_transport.calls import Method
from signet.serving.grpc_transport.own_server import OwnServer
from signet.serving.grpc_transport.server_connection import ServerConnection
from signet.serving.grpc_transport.server_limits import ServerLimits
from signet.serving.open_inference import open_inference_pb2 as pb2
from signet.serving.process.byte_budget import ByteBudget
from tests.serving.grpc_transport.raw_client import message
from tests.serving.grpc_transport.test_server_seam import Transport
from tests.serving.h2 import wire

SIZES = st.sampled_from([0, 1, 9, 1000, 16_379, 16_380, 30_000])
WINDOW = 65_535


class Streams:
    """One connection of a server, and what its client has sent and read of several streams."""

    def __init__(self, window):
        self.budget = ByteBudget(1 << 24)
        self.waiting = []  # calls of ModelStreamInfer that are in work
        methods = {"/a.B/Repeat": repeat, "/a.B/Chat": chat, "/a.B/Infer": v2_stream.stream_handler(self.infer)}
        services = {path: Method(stream=method) for path, method in methods.items()}
        self.server = OwnServer(services, ServerLimits(1 << 20), budget=self.budget)
        self.server.http2_limits = replace(self.server.http2_limits, stream_window=WINDOW, connection_window=2 * WINDOW)
        self.connection = ServerConnection(self.server)
        self.transport = Transport(self.connection)
        self.connection.connection_made(self.transport)
        self.connection.data_received(wire.PREFACE + wire.settings(_4=window) + wire.frame(wire.SETTINGS, 1, 0))
        self.windows = {0: WINDOW}  # what the server may send
        self.first_window = window
        self.room = {0: WINDOW}  # what the client may send
        self.read = 0
        self.bodies, self.ended = {}, {}

    def infer(self, request, call):
        self.waiting.append((request, call))

    def answer(self, index):
        if self.waiting:
            request, call = self.waiting.pop(index % len(self.waiting))
            call.answer(request)

    def open(self, stream_id, name):
        self.windows[stream_id], self.room[stream_id] = self.first_window, WINDOW
        self.bodies[stream_id] = b""
        head = {"path": f"/a.B/{name}"}
        fields = tuple((f":{key}", head.get(key, value)) for key, value in PSEUDO)
        self.connection.data_received(
            wire.request(stream_id, ("te", "trailers"), ("content-type", "application/grpc"), fields=fields)
        )

    def send(self, stream_id, piece, end):
        """As much of a piece of a request as windows let through: how much."""
        size = min(len(piece), self.room[0], self.room[stream_id], 16_384)
        last = end and size == len(piece)
        if size or last:
            self.connection.data_received(wire.data(stream_id, piece[:size], end=last))
            self.room[0] -= size
            self.room[stream_id] -= size
        return size

    def grant(self, stream_id, size):
        if stream_id not in self.ended and self.windows[stream_id] < WINDOW:  # nobody grants without end
            self.windows[stream_id] += size
            self.connection.data_received(wire.window(stream_id, size))

    async def turn(self):
        """Let the loop turn until the server has no more to say; read that."""
        for _ in range(8):
            await asyncio.sleep(0)
        self.connection.flush()
        written = self.transport.written[self.read :]
        self.read += len(written)
        for frame in wire.parse(written):
            number = frame.stream_id
            assert frame.type not in (wire.GOAWAY, wire.RST), frame
            if frame.type == wire.DATA:
                assert number not in self.ended
                self.bodies[number] += frame.data
                self.windows[0] -= len(frame.data)
                self.windows[number] -= len(frame.data)
                assert min(self.windows[0], self.windows[number]) >= 0, "more than the window"
            if frame.type == wire.WINDOW:
                self.room[number] += frame.window_increment
            if "END_STREAM" in frame.flags:
                self.ended[number] = True


async def repeat(requests, _):
    """Server-streaming: each byte of the one request is how many kilobytes an answer has."""
    request = await anext(requests)
    for number, size in enumerate(request):
        yield bytes([number % 251]) * (size * 1000)


async def chat(requests, _):
    async for request in requests:
        yield request


PSEUDO = (("method", "POST"), ("scheme", "http"), ("path", ""), ("authority", "x"))


def expected(name, requests):
    if name == "Repeat":
        return b"".join(message(bytes([number % 251]) * (size * 1000)) for number, size in enumerate(requests[0]))
    if name == "Chat":
        return b"".join(map(message, requests))
    return b"".join(message(streamed(request)) for request in requests)


def streamed(request):
    """A ModelStreamInferResponse whose inference gave the request back."""
    body = request + v2_stream._FINAL
    return b"\x12" + v2_stream._varint(len(body)) + body


def requests_of(name, sizes):
    """The messages of a call."""
    if name == "Repeat":
        return [bytes(size % 50 for size in sizes)]
    if name == "Chat":
        return [bytes([number % 251]) * size for number, size in enumerate(sizes)]
    return [
        pb2.ModelInferResponse(id=f"{number}", raw_output_contents=[bytes(size)]).SerializeToString()
        for number, size in enumerate(sizes)
    ]


STREAMS = st.lists(
    st.tuples(st.sampled_from(["Repeat", "Chat", "Infer"]), st.lists(SIZES, min_size=1, max_size=8)),
    min_size=1,
    max_size=4,
)


@settings(max_examples=100, deadline=None)
@given(STREAMS, st.sampled_from([0, 1, 7000, WINDOW]), st.sampled_from([3, 999, 16_384]), st.integers(0, 1 << 30))
def test_streams_lose_nothing_whatever_the_windows_and_the_order(streams, window, cut, seed):
    rng = random.Random(seed)  # when answers come is the loop's affair, so they draw nothing of hypothesis

    async def test():
        seam = Streams(window)
        left, asked = {}, {}
        for number, (name, sizes) in enumerate(streams):
            stream_id = 1 + 2 * number
            requests = requests_of(name, sizes)
            asked[stream_id] = expected(name, requests)
            left[stream_id] = b"".join(map(message, requests))
            seam.open(stream_id, name)
        while len(seam.ended) < len(streams):
            before = (len(left), sum(map(len, left.values())), seam.read, len(seam.waiting))
            for stream_id in rng.sample(sorted(left), len(left)):
                piece = left[stream_id][: cut if len(left[stream_id]) < 20 * cut else 16_384]
                sent = seam.send(stream_id, piece, end=len(piece) == len(left[stream_id]))
                left[stream_id] = left[stream_id][sent:]
                if not left[stream_id]:
                    del left[stream_id]
            seam.answer(rng.randrange(100))
            await seam.turn()
            assert seam.budget.held_bytes <= len(streams) * (WINDOW + 200_000) * 2
            if rng.random() < 0.5 or before == (len(left), sum(map(len, left.values())), seam.read, len(seam.waiting)):
                for stream_id in rng.sample(sorted(seam.bodies), len(seam.bodies)):
                    size = rng.choice([700, 20_000, 200_000])
                    seam.grant(stream_id, size)
                    seam.grant(0, size)
        assert seam.bodies == asked
        assert (seam.server.calls, seam.budget.held_bytes, seam.budget.unread_bytes) == (0, 0, 0)
        seam.connection.connection_lost(None)
        assert not seam.server.connections

    asyncio.run(asyncio.wait_for(test(), 60))
