"""Every order of a call's possible ends: it ends exactly once, and nothing stays counted."""

import asyncio
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from signet.serving.grpc_transport.calls import Method
from signet.serving.grpc_transport.own_server import OwnServer
from signet.serving.grpc_transport.server_connection import ServerConnection
from signet.serving.grpc_transport.server_limits import ServerLimits
from signet.serving.process.byte_budget import ByteBudget
from tests.serving.grpc_transport.raw_client import message
from tests.serving.h2 import wire


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self, protocol):
        super().__init__()
        self.protocol, self.written, self.closing = protocol, b"", False

    def set_write_buffer_limits(self, high=None, low=None):
        pass

    def get_write_buffer_size(self):
        return 0

    def is_closing(self):
        return self.closing

    def write(self, data):
        assert not self.closing, "written after the end"
        self.written += data

    def close(self):
        self.closing = True

    abort = close

    def pause_reading(self):
        pass

    resume_reading = pause_reading


class Seam:
    """One connection with one call on it, and what may happen to that."""

    def __init__(self, window, *, timeout):
        self.begun, self.cancelled = [], []
        self.budget = ByteBudget(1 << 20)
        limits = ServerLimits(1 << 16, request_s=60)
        self.server = OwnServer({"/a.B/C": Method(unary=self.handle)}, limits, budget=self.budget)
        self.connection = ServerConnection(self.server)
        self.transport = Transport(self.connection)
        self.is_lost = self._request_ended = False
        self.connection.connection_made(self.transport)
        more = (("grpc-timeout", "60S"),) if timeout else ()
        head = wire.request(1, ("te", "trailers"), ("content-type", "application/grpc"), *more)
        greeting = wire.PREFACE + wire.settings(_4=window) + wire.frame(wire.SETTINGS, 1, 0)
        self.connection.data_received(greeting + head)

    def handle(self, request, call):
        self.begun.append(call)
        call.on_cancel = lambda: self.cancelled.append(call)

    def do(self, step):
        if step in ANSWERS or (not self.is_lost and (not self.transport.closing or step == "lost")):
            getattr(self, step)()

    def send(self, frame, *, ends):
        if not self._request_ended:
            self._request_ended = ends
            self.connection.data_received(frame)

    def body(self):
        self.send(wire.data(1, BODY[:8]), ends=False)

    def rest(self):
        self.send(wire.data(1, BODY[8:], end=True), ends=True)

    def trailers(self):
        self.send(wire.frame(wire.HEADERS, wire.END_HEADERS | wire.END_STREAM, 1, wire.block(("x", "y"))), ends=True)

    def reset(self):
        self.send(wire.rst(1), ends=True)

    def answer(self):
        for call in self.begun:
            call.answer(b"x" * 10)

    def large(self):
        for call in self.begun:
            call.answer(bytes(40_000))

    def refuse(self):
        for call in self.begun:
            call.refuse("ABORTED", "so")

    def deadline(self):
        for stream in list(self.connection._h2.streams.values()):  # as the sweep does, whose clock no test turns
            if stream.owner is not None and stream.owner in self.server.deadlines._open:
                self.server.deadlines.discard(stream.owner)
                stream.owner.expire()

    def window(self):
        self.connection.data_received(wire.window(1, 50_000))

    def look(self):
        self.connection.look(time.perf_counter() + 1e6)

    def drain(self):
        self.connection.drain()

    def lost(self):
        self.is_lost = True
        self.connection.connection_lost(None)


ANSWERS = ("answer", "large", "refuse")
BODY = message(b"0123456789")
STEPS = (*ANSWERS, "body", "rest", "trailers", "reset", "deadline", "window", "look", "drain", "lost")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(STEPS), max_size=8), st.sampled_from([0, 7, 1 << 16]), st.booleans())
def test_a_call_ends_once_and_nothing_stays_counted(steps, window, timeout):
    """The handler may answer at any time, after any other end too; the client sees one end of the stream at most."""

    async def test():
        seam = Seam(window, timeout=timeout)
        for step in [*steps, "lost", "answer"]:
            seam.do(step)
        await asyncio.sleep(0)  # flushes that are due
        assert (seam.server.calls, len(seam.server.deadlines), len(seam.server.connections)) == (0, 0, 0)
        assert (seam.budget.held_bytes, seam.budget.unread_bytes) == (0, 0)
        assert len(seam.begun) <= 1
        assert seam.cancelled in ([], seam.begun)
        assert len(seam.cancelled) == len(seam.begun) or any(step in ANSWERS for step in steps)
        ends = [one for one in wire.parse(seam.transport.written) if one.stream_id == 1 and "END_STREAM" in one.flags]
        assert len(ends) <= 1

    asyncio.run(test())
