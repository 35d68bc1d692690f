"""What is sent: answers as frames, what windows hold back, turns between streams, graceful ends."""

import pytest

from signet.serving.h2 import hpack
from signet.serving.h2.events import (
    Drained,
    GoAwayReceived,
    HeadersReceived,
    PingAcknowledged,
    SettingsChanged,
    StreamReset,
    Writable,
)
from signet.serving.h2.limits import Limits
from tests.serving.h2.wire import (
    BIG,
    CANCEL,
    GOAWAY,
    HEAD,
    NO_ERROR,
    PING,
    REFUSED,
    TRAILERS,
    Peer,
    client,
    data,
    frame,
    request,
    rst,
    settings,
    u32,
    window,
)


def asked(*stream_ids, window_bytes=65535, **limits):
    """A server with requests that wait for their answers, and the streams."""
    peer = Peer(**limits)
    peer.send(settings(_4=window_bytes), *(request(stream_id, end=True) for stream_id in stream_ids))
    peer.frames.clear()
    return peer, [peer.connection.streams[stream_id] for stream_id in stream_ids]


def written(peer):
    """The frames since the last look, in short."""
    peer.collect()
    found = [
        (type(one).__name__.removesuffix("Frame"), one.stream_id, getattr(one, "data", None), "END_STREAM" in one.flags)
        for one in peer.frames
    ]
    peer.frames.clear()
    return found


@pytest.mark.parametrize("quick", [True, False])
def test_a_response_is_headers_data_and_trailers_either_way(quick):
    peer, (stream,) = asked(1)
    connection = peer.connection
    if quick:
        assert connection.send_response(stream, HEAD, b"\0\0\0\0\2", b"hi", TRAILERS)
    else:
        connection.send_headers(stream, HEAD)
        assert connection.send_message(stream, b"\0\0\0\0\2", b"hi")
        connection.send_headers(stream, TRAILERS, end_stream=True)
    assert written(peer) == [
        ("Headers", 1, HEAD, False),
        ("Data", 1, b"\0\0\0\0\2hi", False),
        ("Headers", 1, TRAILERS, True),
    ]
    assert stream.closed
    assert not connection.streams
    assert connection._send_window == 65535 - 7


def test_the_quick_way_waits_where_the_slow_one_would():
    peer, (stream,) = asked(1, window_bytes=3)
    assert not peer.connection.send_response(stream, HEAD, b"123", b"45", TRAILERS)
    assert written(peer) == [("Headers", 1, HEAD, False), ("Data", 1, b"123", False)]
    assert not stream.closed
    peer.send(window(1, 1))
    assert written(peer) == [("Data", 1, b"4", False)]
    assert stream.queued_bytes == 1 + len(TRAILERS)
    peer.send(window(1, 1))
    assert written(peer) == [("Data", 1, b"5", False), ("Headers", 1, TRAILERS, True)]
    assert stream.closed
    assert peer.connection.queued_bytes == 0
    assert not peer.told(Writable)  # there is nothing more to write


def test_a_large_body_goes_out_in_frames_as_the_peer_takes_them_without_copies():
    peer, (stream,) = asked(1, window_bytes=BIG)
    peer.send(settings(_5=20_000), window(0, 1 << 24))
    peer.frames.clear()
    body = bytes(100_000)
    assert peer.connection.send_message(stream, b"12345", body, end_stream=True)
    views = [piece for piece in peer.connection._out if isinstance(piece, memoryview)]
    assert all(view.obj is body for view in views)
    assert sum(map(len, views)) == 80_005
    assert [len(one[2]) for one in written(peer)] == [20_000] * 5 + [5]


def test_a_block_beyond_a_frame_is_continued():
    peer, (stream,) = asked(1)
    fields = [(b"x", b"y" * 40_000)]
    peer.connection.send_headers(stream, hpack.encode(fields), end_stream=True)
    found = written(peer)
    assert [(one[0], one[3]) for one in found] == [("Headers", True), ("Continuation", False), ("Continuation", False)]
    assert hpack.Decoder().decode(b"".join(one[2] for one in found), 1 << 20, 1 << 20)[0] == fields


def test_a_peer_that_shrinks_its_table_is_told_that_ours_is_empty():
    peer, (first, second) = asked(1, 3)
    peer.send(settings(_1=100))
    written(peer)
    for stream in (first, second):
        peer.connection.send_response(stream, HEAD, b"", b"x", TRAILERS)
    assert [one[2] for one in written(peer) if one[0] == "Headers"] == [b"\x20" + HEAD, TRAILERS, HEAD, TRAILERS]


def test_streams_share_the_connections_window_by_turns():
    peer, streams = asked(1, 3, 5, window_bytes=BIG)
    connection = peer.connection
    connection.send_data(streams[0], bytes(65_535))  # all there is
    for stream in streams:
        assert not connection.send_data(stream, bytes(40_000))
    written(peer)
    order = []
    for _ in range(12):
        peer.send(window(0, 10_000))
        order += [one[1] for one in written(peer) if one[0] == "Data"]
    assert order == [1, 3, 5] * 4
    assert [event.stream for event in peer.told(Writable)] == streams


def test_a_stream_whose_window_is_shut_does_not_hold_up_others():
    peer, (first, second) = asked(1, 3, window_bytes=10)
    connection = peer.connection
    connection.send_data(first, bytes(100))
    assert connection.send_data(second, bytes(10))
    assert [len(one[2]) for one in written(peer)] == [10, 10]
    assert not connection.send_data(second, bytes(10))
    peer.send(window(3, 10))
    assert [(one[1], len(one[2])) for one in written(peer)] == [(3, 10)]
    assert first.queued_bytes == 90


def test_writable_comes_when_all_is_out():
    peer, (stream,) = asked(1, window_bytes=5)
    assert not peer.connection.send_data(stream, b"1234567")
    assert not peer.send(window(1, 1))
    assert peer.send(window(1, 1)) == [Writable(stream)]
    assert stream.queue is None
    assert peer.connection.send_data(stream, b"", end_stream=True)


def test_when_a_queue_last_moved_is_known():
    peer, (stream,) = asked(1, window_bytes=1)
    peer.connection.send_data(stream, b"12345")
    began = peer.clock.now
    peer.clock.now += 10
    peer.send(window(0, 1))
    assert stream.stalled_at == began
    peer.send(window(1, 1))
    assert stream.stalled_at == began + 10


def test_resetting_drops_the_queue():
    peer, (stream,) = asked(1, window_bytes=0)
    peer.connection.send_response(stream, HEAD, b"", bytes(1000), TRAILERS)
    peer.connection.reset(stream)
    assert [one[0] for one in written(peer)] == ["Headers", "RstStream"]
    peer.send(window(0, 1000), window(1, 1000))
    assert written(peer) == []
    assert (stream.closed, peer.connection.queued_bytes, peer.connection.streams) == (True, 0, {})
    for again in (
        peer.connection.reset,
        lambda s: peer.connection.send_data(s, b"x"),
        lambda s: peer.connection.send_headers(s, HEAD),
    ):
        again(stream)
    assert written(peer) == []


def test_the_peer_resets_a_stream_and_its_queue():
    peer, (stream,) = asked(1, window_bytes=0)
    peer.connection.send_response(stream, HEAD, b"", bytes(1000), TRAILERS)
    assert peer.send(rst(1, CANCEL)) == [StreamReset(stream, CANCEL, True, "")]
    assert peer.connection.unsent_bytes < 100


def test_an_early_answer_leaves_the_stream_to_be_reset():
    peer = Peer()
    peer.send(request(), data())
    stream = peer.connection.streams[1]
    peer.connection.send_response(stream, HEAD, b"", b"x", TRAILERS)
    assert not stream.closed
    peer.connection.reset(stream, NO_ERROR)
    assert [one[0] for one in written(peer)] == ["Headers", "Data", "Headers", "RstStream"]
    assert peer.send(data(end=True)) == []
    assert peer.connection.held_bytes == 0


def test_settings_and_pings_are_told():
    peer = Peer()
    assert peer.send(settings(_3=7, _4=9)) == [SettingsChanged({3: 7, 4: 9})]
    peer.connection.ping(b"are you?")
    peer.collect()
    assert peer.send(frame(PING, 1, 0, b"are you?")) == [PingAcknowledged(b"are you?")]


def test_what_is_said_first_is_known_by_whom_it_concerns():
    peer = Peer(greet=False)
    assert (peer.connection.settings_received, peer.connection.settings_acknowledged) == (False, False)
    assert [(one.settings, one.stream_id) for one in peer.of("Settings")] == [({3: 1024, 4: 1 << 20, 6: 16384}, 0)]
    assert [one.window_increment for one in peer.of("WindowUpdate")] == [(4 << 20) - 65535]
    peer.send(b"PRI * HTTP/2.0\r\n")
    peer.send(b"\r\nSM\r\n\r\n" + settings())
    assert (peer.connection.settings_received, peer.connection.settings_acknowledged) == (True, False)
    peer.send(frame(4, 1, 0))
    assert peer.connection.settings_acknowledged


def test_a_server_drains_in_two_steps():
    peer, (stream,) = asked(1)
    server = peer.connection
    server.drain()
    server.drain()
    peer.collect()
    assert [one.last_stream_id for one in peer.of("GoAway")] == [BIG]
    assert [type(event) for event in peer.send(request(3, end=True))] == [HeadersReceived]  # was under way
    (ping,) = peer.of("Ping")
    assert peer.send(frame(PING, 1, 0, ping.opaque_data)) == [Drained()]
    assert [(one.last_stream_id, one.error_code) for one in peer.of("GoAway")] == [(BIG, NO_ERROR), (3, NO_ERROR)]
    assert peer.send(request(5, end=True)) == []
    assert peer.resets == {5: REFUSED}
    written(peer)
    server.send_response(stream, HEAD, b"", b"x", TRAILERS)
    assert len(written(peer)) == 3
    assert not server.ended
    assert [stream.id for stream in server.close()] == [3]


def test_a_client_that_does_not_answer_is_drained_without():
    peer, _ = asked(1)
    peer.connection.drain()
    peer.connection.refuse_new()
    peer.collect()
    assert [one.last_stream_id for one in peer.of("GoAway")] == [BIG, 1]
    peer.send(request(3))
    assert peer.resets == {3: REFUSED}


def test_a_client_says_farewell():
    peer = Peer()
    assert peer.send(frame(GOAWAY, 0, 0, u32(0) + u32(2) + b"bye")) == [GoAwayReceived(2, b"bye", [])]


def test_closing_says_why():
    peer, (stream,) = asked(1)
    assert peer.connection.close(4, "no SETTINGS in 10 s") == [stream]
    peer.collect()
    (last,) = peer.frames
    assert (last.error_code, last.additional_data, last.last_stream_id) == (4, b"no SETTINGS in 10 s", 1)
    assert stream.closed


@pytest.mark.parametrize(("name", "value"), [("stream_window", 65_534), ("connection_window", 1 << 31)])
def test_windows_that_http2_cannot_have_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} is {value}; from 65535 to 2147483647"):
        Limits(**{name: value})


def test_blocks_that_are_the_same_are_read_once_until_the_table_changes():
    peer = Peer()
    peer.send(request(1, end=True), request(3, end=True))
    first, second = (event.headers for event in peer.told(HeadersReceived))
    assert first is second
    indexed = frame(1, 5, 5, request(5)[9:] + b"\x40\x01x\x01y")
    peer.send(indexed, request(7, end=True))
    third, fourth = (event.headers for event in peer.told(HeadersReceived)[2:])
    assert fourth is not first
    assert fourth.fields == first.fields == []
    assert third.fields == [(b"x", b"y")]


def test_a_remembered_block_that_names_the_table_follows_it():
    """Index 62 is the newest entry: the same bytes mean another value when one was added."""
    peer = Peer()
    block = request(1)[9:]
    for i, value in ((1, b"a"), (5, b"b"), (9, b"c")):
        peer.send(frame(1, 5, i, block + b"\x40\x01x\x01" + value))
        peer.send(frame(1, 5, i + 2, block + b"\xbe"))
    assert [event.headers.fields for event in peer.told(HeadersReceived)] == [
        [(b"x", value)] for value in (b"a", b"a", b"b", b"b", b"c", b"c")
    ]


def test_clients_and_servers_have_no_part_in_each_others_streams():
    peer, connection = client()
    assert not connection.streams
    peer.send(request(1))
    assert peer.ending == 1
