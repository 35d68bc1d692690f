"""The client's side: what an answer must be, streams that wait, and what may be sent again elsewhere."""

import pytest

from signet.serving.h2 import hpack
from signet.serving.h2.client import CannotOpen, ClientConnection
from signet.serving.h2.events import (
    ConnectionEnded,
    DataReceived,
    GoAwayReceived,
    HeadersReceived,
    HeadersTooLarge,
    StreamReset,
    TrailersReceived,
    Writable,
)
from signet.serving.h2.limits import Rate
from tests.serving.h2.wire import (
    BIG,
    CALM,
    CANCEL,
    CLOSED,
    END_HEADERS,
    GOAWAY,
    HEADERS,
    NO_ERROR,
    PROTOCOL,
    PUSH,
    REFUSED,
    REQUEST,
    Peer,
    answer,
    block,
    client,
    data,
    frame,
    rst,
    settings,
    u32,
    window,
)

BLOCK = hpack.encode([(name.encode(), value.encode()) for name, value in REQUEST])
STATUS_0 = block(("grpc-status", "0"))


def go_away(last, code=NO_ERROR):
    return frame(GOAWAY, 0, 0, u32(last) + u32(code))


def trailers(stream_id=1, payload=STATUS_0, flags=END_HEADERS | 1):
    return frame(HEADERS, flags, stream_id, payload)


def sent(peer):
    """The streams whose HEADERS went out since the last look."""
    peer.collect()
    found = [one.stream_id for one in peer.of("Headers")]
    peer.frames.clear()
    return found


def test_a_client_begins_with_the_preface_and_takes_no_pushes():
    peer = Peer(ClientConnection, greet=False)
    (first, update) = peer.frames
    assert first.settings == {2: 0, 4: 1 << 20, 6: 16384}
    assert update.window_increment == (4 << 20) - 65535


@pytest.mark.parametrize("quick", [True, False])
def test_a_request_is_headers_and_data_either_way(quick):
    peer, connection = client()
    if quick:
        stream = connection.send_request(BLOCK, b"\0\0\0\0\2", b"hi")
    else:
        stream = connection.open(BLOCK)
        assert connection.send_message(stream, b"\0\0\0\0\2", b"hi", end_stream=True)
    peer.collect()
    head, body = peer.frames
    assert (head.stream_id, head.data, set(head.flags)) == (1, BLOCK, {"END_HEADERS"})
    assert (body.stream_id, body.data, set(body.flags)) == (1, b"\0\0\0\0\2hi", {"END_STREAM"})
    events = peer.send(answer(), data(1, b"you"), trailers())
    assert [type(event) for event in events] == [HeadersReceived, DataReceived, TrailersReceived]
    assert events[0].headers.status == b"200"
    assert events[1].data == b"you"
    assert events[2].headers.fields == [(b"grpc-status", b"0")]
    assert all(event.stream is stream for event in events)
    assert (stream.closed, connection.streams) == (True, {})
    assert connection.held_bytes == 3
    connection.consumed(stream, 3)
    assert connection.held_bytes == 0


def test_a_request_larger_than_windows_goes_out_as_they_open():
    peer, connection = client()
    stream = connection.send_request(BLOCK, b"12345", bytes(100_000))
    assert stream.queued_bytes == 100_005 - 65_535
    peer.send(window(0, 100_000), window(stream.id, 100_000))
    assert sum(len(one.data) for one in peer.of("Data")) == 100_005
    assert stream.queued_bytes == 0


def test_answers_may_be_trailers_only_or_informational_first():
    peer, connection = client()
    stream = connection.open(BLOCK, end_stream=True)
    assert peer.send(answer(status="100"), answer(1, ("x", "y"), status="103")) == []
    (event,) = peer.send(answer(1, ("grpc-status", "12"), end=True))
    assert event == HeadersReceived(stream, event.headers, True)
    assert stream.closed


@pytest.mark.parametrize(
    "pieces",
    [
        [data()],
        [trailers()],
        [answer(status="101")],
        [answer(status="20")],
        [answer(status="abc")],
        [answer(status="099")],
        [answer(1, (":path", "/"))],
        [answer(1, (":status", "200"))],
        [answer(1, ("Upper", "x"))],
        [answer(status="100", end=True)],
        [answer(1, ("content-length", "3")), data(1, b"four")],
        [answer(1, ("content-length", "3")), trailers()],
        [answer(1, ("content-length", "3"), end=True)],
        [answer(), trailers(flags=END_HEADERS)],
        [answer(), trailers(payload=block((":status", "200")))],
        [answer(), window(1, 0)],
    ],
)
def test_malformed_answers_fail_their_stream_alone(pieces):
    peer, connection = client()
    stream = connection.open(BLOCK, end_stream=True)
    other = connection.open(BLOCK, end_stream=True)
    last = peer.send(*pieces)[-1]
    assert isinstance(last, StreamReset)
    assert (last.stream, last.code, last.by_peer) == (stream, PROTOCOL, False)
    assert last.reason
    assert peer.resets == {1: PROTOCOL}
    peer.send(answer(other.id, end=True))
    assert other.closed
    assert peer.ending is None


@pytest.mark.parametrize("status", ["204", "304"])
def test_a_length_of_what_is_not_sent_is_borne(status):
    peer, connection = client()
    connection.open(BLOCK, end_stream=True)
    (event,) = peer.send(answer(1, ("content-length", "3"), status=status, end=True))
    assert isinstance(event, HeadersReceived)


def test_an_answers_headers_beyond_the_limit_fail_it_alone():
    peer, connection = client(header_list_bytes=1000)
    stream = connection.open(BLOCK, end_stream=True)
    (event,) = peer.send(answer(1, ("x", "y" * 1000)))
    assert isinstance(event, HeadersTooLarge)
    connection.reset(stream)
    assert peer.ending is None


@pytest.mark.parametrize(
    ("piece", "code"),
    [
        (frame(PUSH, END_HEADERS, 1, u32(2) + BLOCK), PROTOCOL),
        (settings(_2=1), PROTOCOL),
        (answer(2), PROTOCOL),
        (answer(3), PROTOCOL),
        (data(3), PROTOCOL),
        (rst(3), PROTOCOL),
        (window(2, 1), PROTOCOL),
    ],
)
def test_what_a_server_may_never_do_ends_the_connection(piece, code):
    peer, connection = client()
    stream = connection.open(BLOCK)
    (event,) = peer.send(piece)
    assert isinstance(event, ConnectionEnded)
    assert event.streams == [stream]
    assert peer.ending == code
    assert not connection.can_open


def test_streams_beyond_the_servers_limit_wait_for_others_to_end():
    peer, connection = client()
    peer.send(settings(_3=2))
    streams = [connection.send_request(BLOCK, b"", b"%d" % i) for i in range(5)]
    assert [stream.id for stream in streams] == [1, 3, 0, 0, 0]
    assert connection.waiting_streams == 3
    assert connection.queued_bytes > 0
    assert sent(peer) == [1, 3]
    peer.send(answer(3, end=True))
    assert [one.data for one in peer.of("Data")] == [b"2"]
    assert sent(peer) == [5]
    connection.reset(streams[3])  # while it waits: nobody hears of it
    connection.reset(streams[0])
    assert sent(peer) == [7]
    assert [stream.id for stream in streams] == [1, 3, 5, 0, 7]
    assert (connection.waiting_streams, connection.queued_bytes) == (0, 0)


def test_streams_may_be_written_to_while_they_wait():
    peer, connection = client()
    peer.send(settings(_3=0))
    stream = connection.open(BLOCK)
    assert not connection.send_data(stream, b"one")
    assert not connection.send_data(stream, b"two")
    assert sent(peer) == []
    events = peer.send(settings(_3=1))
    assert Writable(stream) in events
    assert [one.data for one in peer.of("Data")] == [b"one", b"two"]
    assert connection.send_data(stream, b"", end_stream=True)


def test_a_stream_that_waited_has_the_window_of_when_it_is_sent():
    peer, connection = client()
    peer.send(settings(_3=0))
    stream = connection.send_request(BLOCK, b"", bytes(10))
    peer.send(settings(_3=1, _4=4))
    assert [len(one.data) for one in peer.of("Data")] == [4]
    assert stream.queued_bytes == 6


def test_until_the_server_has_said_how_many_it_takes_a_hundred_go_out():
    peer = Peer(ClientConnection, greet=False)
    connection = peer.connection
    for _ in range(150):
        connection.open(BLOCK, end_stream=True)
    assert len(connection.streams) == 100
    peer.send(settings())
    assert len(connection.streams) == 150


def test_only_so_many_wait():
    peer, connection = client(queued_streams=2)
    peer.send(settings(_3=0))
    connection.open(BLOCK)
    connection.open(BLOCK)
    assert not connection.can_open
    with pytest.raises(CannotOpen, match="takes no more streams"):
        connection.open(BLOCK)


def test_numbers_run_out():
    peer, connection = client()
    connection._next_id = BIG - 2
    assert [connection.open(BLOCK).id for _ in range(2)] == [BIG - 2, BIG]
    assert not connection.can_open
    with pytest.raises(CannotOpen):
        connection.send_request(BLOCK, b"", b"")
    peer.collect()
    assert peer.send(answer(BIG, end=True))


def test_going_away_tells_what_may_be_sent_again():
    peer, connection = client()
    peer.send(settings(_3=3))
    streams = [connection.open(BLOCK, end_stream=True) for _ in range(5)]
    (event,) = peer.send(go_away(3, NO_ERROR))
    assert event == GoAwayReceived(NO_ERROR, b"", streams[2:])
    assert not connection.can_open
    assert [stream.closed for stream in streams] == [False, False, True, True, True]
    with pytest.raises(CannotOpen):
        connection.open(BLOCK)
    peer.send(answer(1, end=True), answer(3, end=True))
    assert not connection.streams
    assert connection.queued_bytes == 0


def test_going_away_in_two_steps():
    peer, connection = client()
    first, second = (connection.open(BLOCK, end_stream=True) for _ in range(2))
    assert peer.send(go_away(BIG)) == [GoAwayReceived(NO_ERROR, b"", [])]
    assert peer.send(go_away(1)) == [GoAwayReceived(NO_ERROR, b"", [second])]
    peer.send(answer(1, end=True))
    assert first.closed


def test_a_refused_stream_may_be_sent_again():
    peer, connection = client()
    stream = connection.open(BLOCK, end_stream=True)
    assert peer.send(rst(1, REFUSED)) == [StreamReset(stream, REFUSED, True, "")]
    assert connection.can_open


def test_many_refused_streams_are_no_flood_of_the_servers():
    peer, connection = client(resets=Rate(5, 0))
    for _ in range(500):
        stream = connection.open(BLOCK, end_stream=True)
        peer.send(rst(stream.id, REFUSED))
    assert peer.ending is None


def test_what_comes_for_streams_that_we_have_reset_is_borne():
    """A sweep of deadlines resets a thousand calls at once, whose answers are under way."""
    peer, connection = client()
    peer.send(settings())
    streams = [connection.open(BLOCK, end_stream=True) for _ in range(2000)]
    for stream in streams:
        connection.reset(stream)
    peer.collect()
    for stream in streams:
        peer.send(answer(stream.id), data(stream.id, b"late"), trailers(stream.id))
    assert peer.ending is None
    assert connection.held_bytes == 0
    peer.send(answer(connection.open(BLOCK, end_stream=True).id, end=True))
    assert isinstance(peer.events[-1], HeadersReceived)


def test_a_flood_of_informational_answers_ends():
    peer, connection = client()
    connection.open(BLOCK)
    peer.send(*[answer(status="102")] * 1001)
    assert peer.ending == CALM


def test_a_server_that_ends_early_and_wants_no_more():
    peer, connection = client()
    stream = connection.open(BLOCK)
    connection.send_data(stream, bytes(100_000))
    events = peer.send(answer(), trailers(), rst(1, NO_ERROR))
    assert [type(event) for event in events] == [HeadersReceived, TrailersReceived, StreamReset]
    assert connection.queued_bytes == 0


def test_more_than_an_answer_fails():
    peer, connection = client()
    connection.open(BLOCK)
    peer.send(answer(end=True), data())
    assert peer.resets == {1: CLOSED}


def test_the_transport_is_gone():
    peer, connection = client()
    peer.send(settings(_3=1))
    streams = [connection.open(BLOCK) for _ in range(3)]
    assert connection.lost() == streams
    assert all(stream.closed for stream in streams)
    assert not connection.can_open
    assert peer.send(answer()) == []
    connection.reset(streams[0], CANCEL)
    assert connection.unsent_bytes == len(connection.take_output())
