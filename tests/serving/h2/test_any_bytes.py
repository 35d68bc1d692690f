"""Any bytes, in any pieces: the same events however they are cut, nothing raised, and nothing kept beyond the limits."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.h2.client import ClientConnection
from signet.serving.h2.headers import Headers
from signet.serving.h2.limits import Limits, Rate
from signet.serving.h2.server import ServerConnection
from signet.serving.h2.stream import Stream
from tests.serving.h2.wire import HEAD, PREFACE, REQUEST, TRAILERS, Clock, block, frame, parse, settings, u32

BLOCKS = [
    block(*REQUEST),
    block(*REQUEST) + b"\x40\x01x\x01y",
    block(*REQUEST) + b"\xbe",
    block((":status", "200")),
    block((":status", "100")),
    block(("grpc-status", "0")),
    block(*REQUEST, ("content-length", "4")),
    block(*REQUEST, ("x", "y" * 300)),
    b"\x20" + block(*REQUEST),
    b"",
    b"\xff",
]
PAYLOADS = [
    b"",
    b"data",
    b"\x00" * 5,
    b"\x02data..",
    bytes(8),
    u32(1),
    u32(0),
    u32(2**31 - 1),
    b"\0\4\0\0\0\1",
    b"\0\3\0\0\0\2",
    *BLOCKS,
]
SMALL = {
    "stream_window": 65_535,
    "connection_window": 65_535,
    "header_list_bytes": 400,
    "header_block_bytes": 2000,
    "concurrent_streams": 3,
    "resets": Rate(5, 1),
    "pings": Rate(5, 1),
    "settings": Rate(5, 1),
    "empty_frames": Rate(5, 1),
    "window_updates": Rate(5, 1),
}
"""Limits that a few dozen frames reach."""

kinds = st.integers(0, 10)
flags = st.sampled_from([0, 1, 4, 5, 8, 0x20, 0x2C, 0xFF]) | st.integers(0, 255)
streams = st.sampled_from([0, 1, 1, 3, 3, 5, 7, 2, 2**31 + 1])
wild = st.builds(frame, kinds, flags, streams, st.sampled_from(PAYLOADS) | st.binary(max_size=40))
sane = st.one_of(
    st.builds(
        lambda i, flag, text: frame(1, flag, i, text),
        streams,
        st.sampled_from([4, 5, 0, 1]),
        st.sampled_from(BLOCKS[:8]),
    ),
    st.builds(lambda i, end, text: frame(0, end, i, text), streams, st.booleans(), st.binary(max_size=2000)),
    st.builds(lambda i, more: frame(8, 0, i, u32(more)), streams, st.integers(0, 100_000)),
    st.builds(lambda i, code: frame(3, 0, i, u32(code)), streams, st.integers(0, 20)),
    st.builds(lambda key, value: settings(**{f"_{key}": value}), st.integers(1, 7), st.integers(0, 70_000)),
)
anything = st.lists(sane | wild | st.binary(max_size=12), max_size=30).map(b"".join)


def plain(value):
    """An event as what it says, so that those of two connections compare."""
    if isinstance(value, Stream):
        return value.id
    if isinstance(value, Headers):
        return [getattr(value, name) for name in Headers.__slots__ if name != "owner"]
    if isinstance(value, tuple):
        return [type(value).__name__, *map(plain, value)]
    return [plain(item) for item in value] if isinstance(value, list) else value


def started(side):
    """A connection of that side, for a client with requests under way, and what it is greeted with."""
    connection = side(Limits(**SMALL), Clock())
    if side is ClientConnection:
        for _ in range(4):
            connection.send_message(connection.open(block(*REQUEST)), b"", bytes(30_000), end_stream=True)
    return connection, (PREFACE if side is ServerConnection else b"") + settings()


def run(side, pieces):
    connection, greeting = started(side)
    events = connection.receive(greeting)
    for piece in pieces:
        events += connection.receive(piece)
    return connection, plain(events), connection.take_output()


def cut(data, edges):
    """The pieces of data between the edges, whatever their order, that lie within it."""
    inner = sorted({edge for edge in edges if 0 < edge < len(data)})
    return [data[start:stop] for start, stop in pairwise([0, *inner, len(data)])]


def bear(side, reads, choices):
    """Let the peer send these reads, and the owner act as the choices say: the connection's books balance at any time."""
    connection, greeting = started(side)
    connection.receive(greeting)
    parse(connection.take_output())
    choices = iter(choices)
    for data in reads:
        events = connection.receive(data)
        assert connection.held_bytes <= 65_535 + 16_384 + 9 + 2000
        if side is ServerConnection:
            assert len(connection.streams) <= 3
        for event in events:
            stream = getattr(event, "stream", None)
            if stream is not None:
                act(connection, stream, next(choices, 0))
        output = connection.take_output()
        # What is answered is no larger than what asks for it, but for what we send ourselves.
        assert len(output) <= 3 * len(data) + 2000 + 4 * 120_000
        parse(output)
        streams = [*connection.streams.values(), *getattr(connection, "_waiting", ())]
        assert connection.queued_bytes == sum(stream.queued_bytes for stream in streams)
        assert connection._unconsumed >= sum(stream.unconsumed for stream in streams) >= 0
        assert connection._receive_window + connection._unconsumed + connection._ungranted == 65_535 or connection.ended
        for stream in connection._ready:
            assert stream.queue
            assert stream.send_window > 0
    connection.lost()
    assert (connection.held_bytes, connection.queued_bytes, connection.streams) == (0, 0, {})


@pytest.mark.parametrize("side", [ServerConnection, ClientConnection])
@given(data=anything, edges=st.lists(st.integers(0, 3000), max_size=8))
def test_bytes_mean_the_same_however_they_are_cut(side, data, edges):
    _, events, output = run(side, [data])
    assert run(side, cut(data, edges))[1:] == (events, output)
    if len(data) < 500:
        assert run(side, cut(data, range(len(data))))[1:] == (events, output)


@pytest.mark.parametrize("side", [ServerConnection, ClientConnection])
@given(reads=st.lists(anything, max_size=5), choices=st.lists(st.integers(0, 5), max_size=10))
def test_any_frames_are_borne_within_the_limits(side, reads, choices):
    bear(side, reads, choices)


def act(connection, stream, choice):
    """What the owner of a connection may do with a stream at any time."""
    if choice == 1:
        connection.reset(stream)
    elif choice == 2:
        connection.send_response(stream, HEAD, b"12345", bytes(20_000), TRAILERS)
    elif choice == 3:
        connection.consumed(stream, 1000)
    elif choice == 4:
        connection.send_data(stream, bytes(3000))
    elif choice == 5:
        connection.send_headers(stream, TRAILERS, end_stream=True)
