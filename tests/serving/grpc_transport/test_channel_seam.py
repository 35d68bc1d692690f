"""Cancel × answer × reset × GOAWAY × loss × deadline, in any order: each call ends exactly once, and nothing is left of it.

The channel and both sides of HTTP/2 are the real ones; bytes go from one to the other in memory, in pieces of any size.
"""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from signet.serving.grpc_transport.channel import OwnChannel
from signet.serving.h2 import frames, hpack
from signet.serving.h2.events import DataReceived
from signet.serving.h2.limits import Limits
from signet.serving.h2.server import ServerConnection
from tests.serving.grpc_transport.test_channel import is_clean

HEAD = hpack.encode([(b":status", b"200"), (b"content-type", b"application/grpc")])
REFUSED = hpack.encode([(b":status", b"200"), (b"content-type", b"application/grpc"), (b"grpc-status", b"8")])
DONE = hpack.encode([(b"grpc-status", b"0")])


class Wire:
    """A transport in memory, and the server at its other end."""

    def __init__(self, make_protocol, takes):
        self.to_server = bytearray()
        self.server = ServerConnection(Limits(concurrent_streams=takes, stream_window=65_535), lambda: 0.0)
        self.to_client = bytearray()
        self.requests = {}
        self.lost = self.closing = False
        self.protocol = make_protocol()
        self.protocol.connection_made(self)

    # What the client's side uses of a transport

    def get_extra_info(self, _name):
        return None

    def write(self, data):
        assert not self.lost
        self.to_server += data

    def close(self):
        if not self.closing:
            self.closing = True
            asyncio.get_running_loop().call_soon(self.lose)

    abort = close

    # What the test does with it

    def lose(self, error=None):
        if not self.lost:
            self.lost = True
            self.protocol.connection_lost(error)

    def carry(self, size):
        """Some bytes each way."""
        data, self.to_server = bytes(self.to_server[:size]), self.to_server[size:]
        for event in self.server.receive(data):
            if isinstance(event, DataReceived):
                self.server.consumed(event.stream, len(event.data))
                self.requests.setdefault(event.stream, bytearray()).extend(event.data)
        self.to_client += self.server.take_output()
        data, self.to_client = bytes(self.to_client[:size]), self.to_client[size:]
        if data and not self.lost and not self.closing:
            self.protocol.data_received(data)

    def open_streams(self):
        return [stream for stream in self.requests if not stream.closed]


class Network:
    """Where the channel connects to."""

    def __init__(self, takes):
        self.takes = takes
        self.wires = []
        self.refuses = False

    async def connect(self, make_protocol, _tls, _name, _within_s):
        await asyncio.sleep(0)
        if self.refuses:
            raise ConnectionRefusedError(111, "refused")
        self.wires.append(Wire(make_protocol, self.takes))
        return self.wires[-1].protocol

    def alive(self):
        return [wire for wire in self.wires if not wire.lost]


class Caller:
    """Who waits for one answer, and may do something when it comes."""

    def __init__(self, number, then=None):
        self.number, self.then = number, then
        self.ends = []
        self.was_cancelled_after = None
        self.handle = None

    def set_result(self, message):
        assert message == b"%d" % self.number * 3, "the answer of another call"
        self._end("answer")

    def set_exception(self, error):
        self._end(error.code)

    def _end(self, end):
        assert self.handle is not None, "told before the call was made"
        self.ends.append(end)
        if self.then:
            then, self.then = self.then, None
            then()

    def cancel(self):
        if self.was_cancelled_after is None:
            self.was_cancelled_after = len(self.ends)
        self.handle.cancel()


def answer(wire, stream, how):
    request = bytes(wire.requests[stream])
    if len(request) < 5 or len(request) != 5 + int.from_bytes(request[1:5], "big"):
        return  # it has not come whole
    message = request[5:].split(b" ")[0] * 3
    framed = b"\0" + len(message).to_bytes(4, "big") + message
    server = wire.server
    if how == "whole":
        server.send_response(stream, HEAD, framed[:5], message, DONE)
    elif how == "begin":
        server.send_headers(stream, HEAD)
        server.send_data(stream, framed[:3])
        wire.requests[stream] = bytearray(b"\0\0\0\0\0")  # the rest never comes
    elif how == "refuse":
        server.send_headers(stream, REFUSED, end_stream=True)
    else:
        server.reset(stream, how)


ACTIONS = st.one_of(
    st.tuples(st.just("call"), st.sampled_from([0, 10, 20_000, 200_000]), st.sampled_from(["", "", "call", "cancel"])),
    st.tuples(st.just("turn"), st.just(0), st.just("")),
    st.tuples(st.just("carry"), st.sampled_from([7, 100, 50_000, 1 << 20, 1 << 20]), st.just("")),
    st.tuples(
        st.just("answer"),
        st.integers(0, 9),
        st.sampled_from(["whole", "whole", "begin", "refuse", frames.CANCEL, frames.REFUSED_STREAM]),
    ),
    st.tuples(st.just("caller"), st.integers(0, 20), st.sampled_from(["cancel", "expire"])),
    st.tuples(st.just("listen"), st.integers(0, 30), st.just("")),
    st.tuples(
        st.just("server"), st.integers(0, 3), st.sampled_from(["", "", "", "", "", "lose", "drain", "go away", "break"])
    ),
    *[st.tuples(st.just("round"), st.just(1 << 20), st.just(""))] * 2,
)


class Play:
    """The channel, its callers, and what may happen to them."""

    def __init__(self, takes):
        self.channel, self.network, self.callers = OwnChannel("127.0.0.1:1"), Network(takes), []
        self.channel._target = self.network

    def call(self, size, then=""):
        number = len(self.callers)

        def react():
            if then == "call":
                self.call(10)
            elif then == "cancel":
                self.callers[number // 2].cancel()

        caller = Caller(number, react)
        self.callers.append(caller)
        caller.handle = self.channel.call("/p.S/M", b"%d " % number + b"x" * size, 1000, caller)

    def caller(self, number, action):
        if self.callers:
            caller = self.callers[number % len(self.callers)]
            if action == "cancel":
                caller.cancel()
            else:
                caller.handle.expire()  # as the sweep of deadlines does

    def carry(self, size, _):
        for wire in self.network.alive():
            wire.carry(size)

    def listen(self, number, _):
        self.network.refuses = number == 1

    def answer(self, number, how):
        if (wire := self.wire(number)) and (streams := wire.open_streams()):
            answer(wire, streams[number % len(streams)], how)

    def server(self, number, action):
        if not (wire := self.wire(number)):
            return
        if action == "lose":
            wire.lose(ConnectionResetError("reset"))
        elif action == "drain":
            wire.server.drain()
        elif action == "go away":
            wire.to_client += wire.server.take_output() + frames.go_away(2 * number + 1, frames.NO_ERROR)
        elif action == "break":
            wire.to_client += frames.frame(frames.DATA, 0, 0, b"x")

    def wire(self, number):
        wires = self.network.alive()
        return wires[number % len(wires)] if wires else None


async def play(actions, takes):
    playing = Play(takes)
    for action, number, more in actions:
        if action in ("turn", "carry"):
            await asyncio.sleep(0)
        if action == "round":
            for _ in range(5):
                await asyncio.sleep(0)
                playing.carry(number, more)
        elif action != "turn":
            getattr(playing, action)(number, more)
    await playing.channel.close()
    for _ in range(4):
        await asyncio.sleep(0)
    return playing.channel, playing.callers


@settings(deadline=None)
@given(st.lists(ACTIONS, max_size=60), st.sampled_from([1, 3, 100]))
def test_each_call_ends_exactly_once_and_nothing_is_left(actions, takes):
    channel, callers = asyncio.run(play(actions, takes))
    for caller in callers:
        assert len(caller.ends) == (1 if caller.was_cancelled_after is None else caller.was_cancelled_after)
        assert caller.handle.over
        assert caller.handle.stream is None
    assert is_clean(channel)


def test_answers_come_where_nothing_goes_wrong():
    """What the property says nothing of: that calls are answered at all."""
    some = [("call", 10, ""), ("call", 200_000, ""), ("turn", 0, ""), *[("turn", 0, "")] * 6]
    carried = [("carry", 1 << 20, "")] * 12
    actions = [*some, *carried, ("answer", 0, "whole"), *carried, ("answer", 0, "whole"), *carried]
    _, callers = asyncio.run(play(actions, 100))
    assert [caller.ends for caller in callers] == [["answer"], ["answer"]]
