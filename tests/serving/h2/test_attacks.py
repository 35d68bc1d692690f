"""What a stranger may do to a server, by the names under which it was done to others: what it costs, as counts and bytes."""

import pytest

from signet.serving.h2.events import ConnectionEnded, DataReceived, HeadersReceived, HeadersTooLarge, StreamReset
from signet.serving.h2.limits import Rate
from tests.serving.h2.wire import (
    ANSWER,
    BIG,
    CALM,
    CLOSED,
    COMPRESSION,
    CONTINUATION,
    DATA,
    END_HEADERS,
    FLOW_CONTROL,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    PROTOCOL,
    REFUSED,
    REQUEST,
    SETTINGS,
    Peer,
    Server,
    block,
    data,
    frame,
    request,
    rst,
    settings,
    u32,
    window,
)

READ_BYTES = 1 << 16


def flood(peer, pieces):
    """Send the pieces again and again in reads of a socket's size, until the connection has ended; how many were sent by then."""
    sent = 0
    waiting = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= READ_BYTES:
            peer.send(*waiting)
            sent += len(waiting)
            waiting, size = [], 0
            if peer.connection.ended:
                return sent
    peer.send(*waiting)
    return sent + len(waiting)


def kept_bytes(connection):
    """What the connection holds for its peer."""
    return connection.held_bytes + connection.unsent_bytes


def odd(count):
    return range(1, 2 * count + 1, 2)


# Streams that begin and end


def test_rapid_reset_ends_after_a_burst():
    """CVE-2023-44487."""
    peer = Server()
    flood(peer, [request(i) + rst(i) for i in odd(20_000)])
    assert peer.ending == CALM
    assert len(peer.told(StreamReset)) == 1000
    assert not peer.connection.streams


def test_rapid_reset_at_a_pace_that_is_allowed_goes_on():
    peer = Server(resets=Rate(5, 10))
    for i in odd(100):
        peer.send(request(i), rst(i))
        peer.clock.now += 0.1
    assert peer.ending is None


def test_streams_that_end_well_pay_for_those_that_are_reset():
    peer = Server(resets=Rate(5, 0))
    for i in range(1, 400, 4):
        peer.send(request(i, end=True), request(i + 2), rst(i + 2))
    assert peer.ending is None
    flood(peer, [request(i) + rst(i) for i in range(401, 500, 2)])
    assert peer.ending == CALM


@pytest.mark.parametrize(
    "fault",
    [
        lambda i: request(i) + window(i, 0),
        lambda i: request(i) + window(i, BIG),
        lambda i: request(i, end=True) + data(i),
        lambda i: request(i, end=True) + request(i, end=True),
        lambda i: request(i, ("content-length", "1"), end=True),
        lambda i: request(i, ("content-length", "1")) + data(i),
        lambda i: request(i) + frame(HEADERS, END_HEADERS, i, block(("x", "y"))),
        lambda i: request(i, ("connection", "close")),
    ],
    ids=["window 0", "window too large", "data", "headers", "length", "more data", "trailers", "malformed"],
)
def test_made_you_reset_ends_after_a_burst(fault):
    """CVE-2025-8671: faults upon which the server resets."""
    peer = Peer()
    flood(peer, [fault(i) for i in odd(20_000)])
    assert peer.ending == CALM
    assert 1000 <= len(peer.resets) <= 1001
    assert not peer.connection.streams
    assert len(peer.connection._reset_ids) <= 1024


def test_a_flood_of_refused_streams_ends_after_a_burst():
    peer = Peer(concurrent_streams=10)
    flood(peer, [request(i) for i in odd(20_000)])
    assert peer.ending == CALM
    assert set(peer.resets.values()) == {REFUSED}
    assert len(peer.resets) == 1001
    assert len(peer.told(HeadersReceived)) == 10


# Blocks of headers


@pytest.mark.parametrize("payload", [b"", b"\x00\x01a\x01b" * 100])
def test_continuation_flood_ends_at_once(payload):
    """CVE-2024-27316 and its family."""
    peer = Peer()
    held = []
    for piece in [frame(HEADERS, 0, 1, block(*REQUEST)), *[frame(CONTINUATION, 0, 1, payload)] * 100]:
        peer.send(piece)
        held.append(peer.connection.held_bytes)
    assert peer.ending == CALM
    assert max(held) <= len(block(*REQUEST)) + 8 * len(payload)
    assert peer.connection.held_bytes == 0


def test_a_block_may_not_be_larger_than_its_limit():
    peer = Peer(header_block_bytes=30_000)
    peer.send(frame(HEADERS, 0, 1, bytes(16_000)), frame(CONTINUATION, 0, 1, bytes(14_001)))
    assert peer.ending == CALM


def test_hpack_bomb_is_read_once_and_not_kept():
    """One large entry of the table, named again and again: nothing is copied, and what is too large fails its stream."""
    peer = Server()
    big = b"\x40\x03x-a\x7f\xa1\x1d" + b"v" * 3872
    peer.send(frame(HEADERS, END_HEADERS, 1, block(*REQUEST) + big))
    peer.send(frame(HEADERS, END_HEADERS | 1, 3, block(*REQUEST) + b"\xbe" * 100))
    (event,) = peer.told(HeadersTooLarge)
    assert event.headers.fields == []
    assert event.headers.path == b"/a.B/C"
    assert event.headers.size > 380_000
    assert peer.ending is None
    peer.send(frame(HEADERS, END_HEADERS, 5, block(*REQUEST) + b"\xbe" * 16_000))
    assert peer.ending == CALM


def test_a_flood_of_blocks_that_are_too_large_ends_after_a_burst():
    peer = Server(resets=Rate(20, 1), header_list_bytes=1000)
    flood(peer, [request(i, ("x", "y" * 1000)) + rst(i) for i in odd(100)])
    assert peer.ending == CALM


def test_headers_beyond_the_soft_limit_fail_their_stream_alone():
    peer = Server(header_list_bytes=10_000)
    peer.send(request(1, ("x", "y" * 16_000)), request(3), data(3, end=True))
    peer.send(frame(HEADERS, 1, 5, block(*REQUEST)), frame(CONTINUATION, 0, 5, block(("x", "y" * 16_000))))
    peer.send(frame(CONTINUATION, END_HEADERS, 5, block(("x", "y" * 16_000))))
    assert [event.stream.id for event in peer.told(HeadersTooLarge)] == [1, 5]
    assert peer.answered == [3, 5]
    assert peer.ending is None


def test_what_is_remembered_of_blocks_is_bounded():
    peer = Server()
    for i in odd(500):
        peer.send(request(i, ("x-deadline", str(i)), end=True), frame(HEADERS, END_HEADERS, i, b""))
    assert len(peer.connection._heads) <= 64
    assert len(peer.connection._tails) <= 64
    before = len(peer.connection._heads)
    peer.send(request(5001, ("x", "y" * 1100), end=True))  # too large to be worth it
    assert len(peer.connection._heads) == before


def test_empty_names_are_malformed_and_not_kept():
    """CVE-2019-9516, 0-length headers leak."""
    peer = Server()
    peer.send(frame(HEADERS, END_HEADERS, 1, block(*REQUEST) + b"\x40\x00\x00" * 100))
    assert peer.resets == {1: PROTOCOL}
    assert not peer.told(HeadersReceived)
    assert peer.connection._decoder._size <= 4096


# Frames that bring nothing


FLOODS = {
    "CVE-2019-9512, PING": (lambda _: frame(PING, 0, 0, b"12345678"), 200, CALM),
    "answers to PINGs that were not sent": (lambda _: frame(PING, 1, 0, b"12345678"), 200, CALM),
    "CVE-2019-9515, SETTINGS": (lambda _: settings(_4=65535), 50, CALM),
    "empty SETTINGS": (lambda _: settings(), 50, CALM),
    "acknowledgements of SETTINGS that were not sent": (lambda _: frame(SETTINGS, 1, 0), 50, CALM),
    "CVE-2019-9518, empty DATA": (lambda _: frame(DATA, 0, 1), 1000, CALM),
    "DATA of nothing but padding": (lambda _: frame(DATA, PADDED, 1, b"\x03\0\0\0"), 1000, CALM),
    "CVE-2019-9513, PRIORITY": (lambda i: frame(PRIORITY, 0, 2 * i + 3, u32(1) + b"\x0f"), 1000, CALM),
    "GOAWAY": (lambda _: frame(GOAWAY, 0, 0, bytes(8)), 1000, CALM),
    "unknown kinds": (lambda _: frame(99, 0, 1, b"x"), 1000, CALM),
    "WINDOW_UPDATE": (lambda _: window(0, 1), 1000, CALM),
    "WINDOW_UPDATE of a stream": (lambda _: window(1, 1), 1000, CALM),
    "RST_STREAM of a closed stream": (lambda _: rst(1), 1000, CALM),
}


@pytest.mark.parametrize("case", FLOODS)
def test_floods_end_after_a_burst(case):
    piece, burst, code = FLOODS[case]
    peer = Peer()
    peer.send(request())
    pieces = [piece(i) for i in range(20_000)]
    sent = flood(peer, pieces)
    assert peer.ending == code
    assert sent <= READ_BYTES
    answers = len(peer.frames) - 1
    assert answers <= burst
    if "not sent" not in case and "SETTINGS" in case:
        assert answers >= burst - 1
    assert kept_bytes(peer.connection) == 0


@pytest.mark.parametrize("case", [case for case in FLOODS if "RST" not in case and "GOAWAY" not in case])
def test_as_many_at_a_slow_pace_are_borne(case):
    peer = Peer()
    peer.send(request())
    for i in range(2000):
        peer.send(FLOODS[case][0](i))
        peer.clock.now += 1
    assert peer.ending is None


def test_pings_between_data_are_no_flood():
    """Clients that estimate the bandwidth send one for each few reads of DATA (gRPC's BDP probes)."""
    peer = Server()
    peer.send(request())
    for _ in range(1000):
        peer.send(data(1, b"x"), frame(PING, 0, 0, bytes(8)))
    assert peer.ending is None
    assert len(peer.of("Ping")) == 1000


def test_window_updates_for_data_that_was_sent_are_no_flood():
    peer = Server()
    for i in odd(5000):
        peer.send(request(i, end=True), window(0, 5), window(i, 5))
    assert peer.ending is None
    assert len(peer.answered) == 5000


def test_window_updates_with_a_thousand_requests_at_once_are_no_flood():
    """gRPC's clients send one or two with each request, long before it is answered."""
    peer = Peer()
    for i in odd(1000):
        peer.send(request(i, end=True), window(0, 5), window(i, 5))
    assert peer.ending is None
    flood(peer, [window(1, 1)] * 20_000)
    assert peer.ending == CALM


# Windows


def test_data_dribble_costs_no_more_than_its_updates():
    """CVE-2019-9511: a window that opens byte by byte."""
    peer = Server()
    peer.send(settings(_4=0), request(end=True))
    peer.connection.send_data(peer.told(HeadersReceived)[0].stream, b"")
    peer.send(*[window(1, 1)] * len(ANSWER))
    assert [one.data for one in peer.of("Data")] == [ANSWER[i : i + 1] for i in range(len(ANSWER))]
    assert peer.answered == [1]
    flood(peer, [window(1, 1)] * 20_000)
    assert peer.ending == CALM


def test_what_a_closed_window_holds_back_is_counted():
    """CVE-2019-9517, internal data buffering: answers of a client that opens no window are numbers that a server can bound."""
    peer = Peer()
    peer.send(settings(_4=0))
    for i in odd(50):
        peer.send(request(i, end=True))
        stream = peer.connection.streams[i]
        peer.connection.send_response(stream, block((":status", "200")), b"12345", bytes(1_000_000), block(("a", "b")))
        assert stream.queued_bytes >= 1_000_005
        assert stream.stalled_at == peer.clock.now
    assert 50 * 1_000_005 <= peer.connection.queued_bytes <= 50 * 1_000_020
    peer.collect()
    assert peer.connection.unsent_bytes == peer.connection.queued_bytes
    for stream in list(peer.connection.streams.values()):
        peer.connection.reset(stream)
    assert peer.connection.queued_bytes == 0
    assert peer.connection.take_output().count(u32(8)) >= 50


def test_the_window_of_a_stream_is_kept():
    peer = Peer(stream_window=70_000, connection_window=200_000)
    peer.send(request(1), request(3))
    peer.send(*[data(1, bytes(14_000))] * 5)
    assert peer.connection.held_bytes == 70_000
    peer.send(data(1, b"x"), data(3))
    assert peer.resets == {1: FLOW_CONTROL}
    assert peer.ending is None
    assert peer.connection.held_bytes == 4


def test_the_window_of_the_connection_is_kept():
    peer = Peer(stream_window=70_000, connection_window=100_000)
    peer.send(*map(request, odd(10)))
    peer.send(*[data(i, bytes(10_000)) for i in odd(10)])
    assert peer.connection.held_bytes == 100_000
    peer.send(data(1, b"x"))
    assert peer.ending == FLOW_CONTROL
    assert peer.connection.held_bytes == 0


def test_windows_are_given_back_as_bytes_are_consumed():
    peer = Peer(stream_window=70_000, connection_window=100_000)
    peer.send(request())
    stream = peer.connection.streams[1]
    for _ in range(100):
        for event in peer.send(data(1, bytes(10_000))):
            assert isinstance(event, DataReceived)
            peer.connection.consumed(stream, len(event.data))
        peer.collect()
        assert peer.connection.held_bytes == 0
    assert peer.ending is None
    assert peer.resets == {}
    granted = sum(one.window_increment for one in peer.of("WindowUpdate") if one.stream_id)
    assert 1_000_000 - 35_000 <= granted <= 1_000_000
    assert len(peer.of("WindowUpdate")) < 60


def test_consuming_more_than_came_grants_no_more():
    peer = Peer()
    peer.send(request(), data(1, bytes(1000)))
    peer.connection.consumed(peer.connection.streams[1], 1 << 40)
    assert peer.connection.held_bytes == 0
    assert peer.connection._receive_window + peer.connection._ungranted == 4 << 20


@pytest.mark.parametrize("how", ["reset by the peer", "reset by us", "answered", "refused", "closed"])
def test_what_a_stream_has_not_consumed_goes_back_to_the_connection(how):
    peer = Peer(stream_window=70_000, connection_window=100_000, concurrent_streams=2)
    for i in odd(20):
        peer.send(request(i))
        stream = peer.connection.streams[i]
        last = how == "answered"
        peer.send(*[data(i, bytes(16_000))] * 3, data(i, bytes(1000), end=last))
        if how == "reset by the peer":
            peer.send(rst(i))
        elif how == "answered":
            peer.connection.send_response(stream, block((":status", "200")), b"", b"", block(("a", "b")))
        elif how == "reset by us":
            peer.connection.reset(stream)
            peer.send(data(i, bytes(2000)))  # under way
        elif how == "refused":
            peer.send(rst(i))
            peer.send(data(i, bytes(2000)))
        else:
            peer.send(data(i, end=True), data(i, bytes(2000)))
            assert peer.resets[i] == CLOSED
        peer.collect()
        assert peer.connection.held_bytes == 0
    assert peer.ending is None
    assert peer.connection._receive_window + peer.connection._ungranted == 100_000


def test_data_for_streams_that_we_have_reset_is_borne():
    """An upload that was answered early: frames are under way, and must not end the connection of other calls."""
    peer = Peer(stream_window=1 << 20)
    for i in odd(40):
        peer.send(request(i))
        peer.connection.reset(peer.connection.streams[i])
        peer.send(
            *[data(i, bytes(16_000))] * 10,
            data(i, b"x", end=True),
            frame(HEADERS, END_HEADERS | 1, i, block(("a", "b"))),
        )
    assert peer.ending is None
    assert set(peer.resets.values()) == {8}
    assert len(peer.of("RstStream")) == 40  # once each


def test_a_flood_for_streams_that_we_have_reset_ends():
    peer = Peer()
    peer.send(request())
    peer.connection.reset(peer.connection.streams[1])
    flood(peer, [data(1, b"x")] * 20_000)
    assert peer.ending == CALM
    assert len(peer.frames) == 2


def test_nothing_is_heard_or_said_after_the_end():
    peer = Server()
    peer.send(request(), settings(_4=0), request(3, end=True))
    stream = peer.connection.streams[1]
    peer.send(frame(HEADERS, END_HEADERS, 5, b"\x80"))
    assert peer.ending == COMPRESSION
    (event,) = peer.told(ConnectionEnded)
    assert {stream.id for stream in event.streams} == {1, 3}
    assert stream.closed
    assert peer.send(request(7, end=True), bytes(100_000)) == []
    peer.connection.send_headers(stream, block((":status", "200")))
    peer.connection.send_data(stream, b"x")
    peer.connection.reset(stream)
    assert peer.connection.close() == []
    assert peer.connection.take_output() == b""
    assert kept_bytes(peer.connection) == 0
