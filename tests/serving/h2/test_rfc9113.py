"""The cases of h2spec (strict, 147), by the sections of RFC 9113 and RFC 7541 that they are about: what each must come to.

Where h2spec takes several ends for right, the table says which is ours.
"""

import pytest

from signet.serving.h2.events import DataReceived, HeadersReceived
from tests.serving.h2.wire import (
    ANSWER,
    BIG,
    CLOSED,
    COMPRESSION,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FLOW_CONTROL,
    FRAME_SIZE,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PROTOCOL,
    PUSH,
    REQUEST,
    RST,
    SETTINGS,
    WINDOW,
    WITH_PRIORITY,
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

PARTS = [block(REQUEST[i]) for i in range(4)]
WHOLE = block(*REQUEST)
END = END_STREAM
WEIGHT = u32(0) + b"\x0f"


def begun(stream_id: int = 1) -> bytes:
    """HEADERS that leave their block open."""
    return frame(HEADERS, END, stream_id, PARTS[0])


def continuation(flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    return frame(CONTINUATION, flags, stream_id, payload)


def blocked(payload: bytes) -> bytes:
    """HEADERS that hold a whole block and end their stream."""
    return frame(HEADERS, END | END_HEADERS, 1, payload)


def literal(first: int, name: bytes, value: bytes) -> bytes:
    """A header by a first byte of HPACK, a name that is an index or a string, and a value."""
    return bytes((first,)) + name + value


NAME, VALUE = b"\x04test", b"\x05value"
NAME_HUFFMAN, VALUE_HUFFMAN = b"\x83\x49\x50\x9f", b"\x84\xee\x3a\x2d\x2f"

ANSWERED = {
    # Generic tests: what is allowed, and answered.
    "1: preface": [request(end=True)],
    "2: PRIORITY on an idle stream": [frame(PRIORITY, 0, 1, WEIGHT), request(end=True)],
    "2: WINDOW_UPDATE on a half-closed stream": [request(end=True), window(1, 100)],
    "2: PRIORITY on a half-closed stream": [request(end=True), frame(PRIORITY, 0, 1, WEIGHT)],
    "2: RST_STREAM on a half-closed stream": [request(end=True), rst()],
    "2: PRIORITY on a closed stream": [request(end=True), rst(), frame(PRIORITY, 0, 1, WEIGHT)],
    "3.1: a DATA frame": [request(), data(end=True)],
    "3.1: several DATA frames": [request(), data(), data(end=True)],
    "3.1: a padded DATA frame": [request(), frame(DATA, END | PADDED, 1, b"\x05data12345")],
    "3.2: HEADERS": [request(end=True)],
    "3.2: padded HEADERS": [frame(HEADERS, END | END_HEADERS | PADDED, 1, b"\x06" + WHOLE + bytes(6))],
    "3.2: HEADERS with priority": [frame(HEADERS, END | END_HEADERS | WITH_PRIORITY, 1, u32(0) + b"\xff" + WHOLE)],
    "3.3: PRIORITY of weight 1": [frame(PRIORITY, 0, 1, u32(0) + b"\x00"), request(end=True)],
    "3.3: PRIORITY of weight 256": [frame(PRIORITY, 0, 1, u32(0) + b"\xff"), request(end=True)],
    "3.3: PRIORITY with a dependency": [
        frame(PRIORITY, 0, 1, u32(0) + b"\xff"),
        frame(PRIORITY, 0, 3, u32(1) + b"\xff"),
        request(end=True),
    ],
    "3.3: exclusive PRIORITY": [frame(PRIORITY, 0, 3, u32(1 << 31 | 1) + b"\xff"), request(end=True)],
    "3.3: PRIORITY for an idle stream, then HEADERS of a lower one": [
        frame(PRIORITY, 0, 5, u32(3) + b"\xff"),
        request(3, end=True),
    ],
    "3.4: RST_STREAM": [request(end=True), rst(), request(3, end=True)],
    "3.5: SETTINGS": [settings(_3=100), request(end=True)],
    "3.7: PING": [frame(PING, 0, 0, b"h2spec.."), request(end=True)],
    "3.8: GOAWAY": [request(end=True), frame(GOAWAY, 0, 0, u32(0) + u32(0))],
    "3.9: WINDOW_UPDATE of the connection": [window(0, 100), request(end=True)],
    "3.9: WINDOW_UPDATE of a stream": [request(), window(1, 100), data(end=True)],
    "3.10: a CONTINUATION": [begun(), continuation(END_HEADERS, 1, b"".join(PARTS[1:]))],
    "3.10: several CONTINUATIONs": [
        begun(),
        continuation(0, 1, PARTS[1]),
        continuation(END_HEADERS, 1, PARTS[2] + PARTS[3]),
    ],
    "4: GET": [request(end=True, fields=((":method", "GET"), *REQUEST[1:]))],
    "4: HEAD": [request(end=True, fields=((":method", "HEAD"), *REQUEST[1:]))],
    "4: POST": [request(), data(end=True)],
    "4: POST with trailers": [request(1, ("trailer", "x-test")), data(), blocked(block(("x-test", "ok")))],
    # Each way of writing a header.
    "5: indexed": [blocked(b"\x83\x86\x84" + PARTS[3])],
    "5: literal with indexing, indexed name": [blocked(WHOLE + literal(0x40 | 58, b"", VALUE))],
    "5: literal with indexing, indexed name, Huffman": [blocked(WHOLE + literal(0x40 | 58, b"", VALUE_HUFFMAN))],
    "5: literal with indexing, new name": [blocked(WHOLE + literal(0x40, NAME, VALUE))],
    "5: literal with indexing, new name, Huffman": [blocked(WHOLE + literal(0x40, NAME_HUFFMAN, VALUE_HUFFMAN))],
    "5: literal without indexing, indexed name": [blocked(WHOLE + literal(0x0F, b"\x2b", VALUE))],
    "5: literal without indexing, indexed name, Huffman": [blocked(WHOLE + literal(0x0F, b"\x2b", VALUE_HUFFMAN))],
    "5: literal without indexing, new name": [blocked(WHOLE + literal(0, NAME, VALUE))],
    "5: literal without indexing, new name, Huffman": [blocked(WHOLE + literal(0, NAME_HUFFMAN, VALUE_HUFFMAN))],
    "5: literal never indexed, indexed name": [blocked(WHOLE + literal(0x1F, b"\x2b", VALUE))],
    "5: literal never indexed, indexed name, Huffman": [blocked(WHOLE + literal(0x1F, b"\x2b", VALUE_HUFFMAN))],
    "5: literal never indexed, new name": [blocked(WHOLE + literal(0x10, NAME, VALUE))],
    "5: literal never indexed, new name, Huffman": [blocked(WHOLE + literal(0x10, NAME_HUFFMAN, VALUE_HUFFMAN))],
    "5: a size of the table": [blocked(b"\x3f\x61" + WHOLE)],
    "5: several sizes of the table": [blocked(b"\x20\x3f\xe1\x1f" + WHOLE)],
    # RFC 9113: what must be borne.
    "4.1: a frame of an unknown kind": [frame(255, 0, 0, bytes(8)), request(end=True)],
    "4.1: flags that are not defined": [frame(PING, 0x16, 0, bytes(8)), request(end=True)],
    "4.1: the reserved bit": [frame(PING, 0, 1 << 31, bytes(8)), frame(HEADERS, END | END_HEADERS, 1 << 31 | 1, WHOLE)],
    "4.2: DATA of 2^14 bytes": [request(), data(1, bytes(1 << 14), end=True)],
    "5.5: an unknown frame": [frame(22, 0, 0, b"unknown"), request(end=True)],
    "6.5.2: an unknown setting": [settings(_255=1), request(end=True)],
    "6.7: an answer to a PING that was not sent": [frame(PING, 1, 0, b"invalid."), request(end=True)],
    "6.10: CONTINUATIONs behind HEADERS": [
        begun(),
        continuation(0, 1, PARTS[1]),
        continuation(END_HEADERS, 1, PARTS[2] + PARTS[3]),
    ],
    "7: GOAWAY with an unknown code": [frame(GOAWAY, 0, 0, u32(0) + u32(0xFF)), request(end=True)],
    "7: RST_STREAM with an unknown code": [request(), rst(1, 0xFF), request(3, end=True)],
}


@pytest.mark.parametrize("case", ANSWERED)
def test_what_is_allowed_is_answered(case):
    peer = Server()
    for piece in ANSWERED[case]:
        peer.send(piece)
    assert peer.ending is None
    assert peer.resets == {}
    assert len(peer.answered) == 1 + case.startswith("3.4")
    assert peer.of("Data")[-1].data == ANSWER


ENDED = {
    "3.4: no preface": ([b"INVALID CONNECTION PREFACE\r\n\r\n"], PROTOCOL),
    "3.4: HTTP/1": (
        [b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"],
        PROTOCOL,
    ),
    "3.4: HEADERS before SETTINGS": ([PREFACE, request()], PROTOCOL),
    "3.4: PING before SETTINGS": ([PREFACE, frame(PING, 0, 0, bytes(8))], PROTOCOL),
    "3.4: an acknowledgement before SETTINGS": ([PREFACE, frame(SETTINGS, 1, 0)], PROTOCOL),
    "4.2: DATA beyond MAX_FRAME_SIZE": ([request(), data(1, bytes((1 << 14) + 1))], FRAME_SIZE),
    "4.2: HEADERS beyond MAX_FRAME_SIZE": ([blocked(bytes((1 << 14) + 1))], FRAME_SIZE),
    "4.3: a block that is not HPACK": ([blocked(WHOLE + b"\x00\x85\xf2\xb2\x4a\x84")], COMPRESSION),
    "4.3: PRIORITY within a block": ([begun(), frame(PRIORITY, 0, 1, WEIGHT)], PROTOCOL),
    "4.3: HEADERS of another stream within a block": ([begun(), request(3)], PROTOCOL),
    "5.1: idle: DATA": ([data()], PROTOCOL),
    "5.1: idle: RST_STREAM": ([rst()], PROTOCOL),
    "5.1: idle: WINDOW_UPDATE": ([window(1, 100)], PROTOCOL),
    "5.1: idle: CONTINUATION": ([continuation(END_HEADERS, 1, WHOLE)], PROTOCOL),
    "5.1: half-closed: CONTINUATION": ([request(end=True), continuation(END_HEADERS, 1, WHOLE)], PROTOCOL),
    "5.1: closed: HEADERS after RST_STREAM": ([request(), rst(), request(end=True)], CLOSED),
    "5.1: closed: CONTINUATION after RST_STREAM": ([request(), rst(), continuation(END_HEADERS, 1, WHOLE)], PROTOCOL),
    "5.1.1: an even stream": ([request(2)], PROTOCOL),
    "5.1.1: a lower stream than before": ([request(5), request(3)], CLOSED),
    "5.3.1: HEADERS that depend on themselves": (
        [frame(HEADERS, END_HEADERS | WITH_PRIORITY, 1, u32(1) + b"\xff" + WHOLE)],
        PROTOCOL,
    ),
    "5.3.1: PRIORITY that depends on itself": ([frame(PRIORITY, 0, 2, u32(2) + b"\xff")], PROTOCOL),
    "5.4.1: a bad PING": ([frame(PING, 0, 3, bytes(8))], PROTOCOL),
    "5.5: an unknown frame within a block": ([begun(), frame(22, 0, 0, b"unknown")], PROTOCOL),
    "6.1: DATA on stream 0": ([request(), data(0)], PROTOCOL),
    "6.1: DATA with more padding than frame": ([request(), frame(DATA, END | PADDED, 1, b"\x06Test")], PROTOCOL),
    "6.1: padded DATA without a length of padding": ([request(), frame(DATA, END | PADDED, 1)], PROTOCOL),
    "6.2: PRIORITY behind open HEADERS": ([begun(), frame(PRIORITY, 0, 1, WEIGHT)], PROTOCOL),
    "6.2: HEADERS behind open HEADERS": ([begun(), request(3)], PROTOCOL),
    "6.2: HEADERS on stream 0": ([request(0)], PROTOCOL),
    "6.2: HEADERS with more padding than frame": ([frame(HEADERS, END_HEADERS | PADDED, 1, b"\xff" + WHOLE)], PROTOCOL),
    "6.2: HEADERS too short for their priority": ([frame(HEADERS, END_HEADERS | WITH_PRIORITY, 1, u32(0))], FRAME_SIZE),
    "6.3: PRIORITY on stream 0": ([frame(PRIORITY, 0, 0, WEIGHT)], PROTOCOL),
    "6.3: PRIORITY of 4 bytes": ([frame(PRIORITY, 0, 1, u32(0))], FRAME_SIZE),
    "6.4: RST_STREAM on stream 0": ([rst(0)], PROTOCOL),
    "6.4: RST_STREAM on an idle stream": ([rst(1)], PROTOCOL),
    "6.4: RST_STREAM of 3 bytes": ([request(), frame(RST, 0, 1, bytes(3))], FRAME_SIZE),
    "6.5: an acknowledgement with a payload": ([frame(SETTINGS, 1, 0, bytes(6))], FRAME_SIZE),
    "6.5: SETTINGS on a stream": ([frame(SETTINGS, 0, 1, bytes(6))], PROTOCOL),
    "6.5: SETTINGS of 3 bytes": ([frame(SETTINGS, 0, 0, bytes(3))], FRAME_SIZE),
    "6.5.2: ENABLE_PUSH 2": ([settings(_2=2)], PROTOCOL),
    "6.5.2: INITIAL_WINDOW_SIZE 2^31": ([settings(_4=1 << 31)], FLOW_CONTROL),
    "6.5.2: MAX_FRAME_SIZE 2^14 - 1": ([settings(_5=(1 << 14) - 1)], PROTOCOL),
    "6.5.2: MAX_FRAME_SIZE 2^24": ([settings(_5=1 << 24)], PROTOCOL),
    "6.7: PING on a stream": ([frame(PING, 0, 1, bytes(8))], PROTOCOL),
    "6.7: PING of 6 bytes": ([frame(PING, 0, 0, bytes(6))], FRAME_SIZE),
    "6.8: GOAWAY on a stream": ([frame(GOAWAY, 0, 1, bytes(8))], PROTOCOL),
    "6.8: GOAWAY of 4 bytes": ([frame(GOAWAY, 0, 0, bytes(4))], FRAME_SIZE),
    "6.9: WINDOW_UPDATE of 0": ([window(0, 0)], PROTOCOL),
    "6.9: WINDOW_UPDATE of 3 bytes": ([frame(WINDOW, 0, 0, bytes(3))], FRAME_SIZE),
    "6.9.1: a window beyond 2^31 - 1": ([window(0, BIG), window(0, BIG)], FLOW_CONTROL),
    "6.9.2: INITIAL_WINDOW_SIZE beyond 2^31 - 1": ([settings(_4=0xFFFFFFFF)], FLOW_CONTROL),
    "6.9.2: INITIAL_WINDOW_SIZE that takes a window too far": (
        [request(), window(1, BIG - 65535), settings(_4=65536)],
        FLOW_CONTROL,
    ),
    "6.10: another frame than CONTINUATION": ([begun(), continuation(0, 1, PARTS[1]), data()], PROTOCOL),
    "6.10: CONTINUATION on stream 0": ([begun(), continuation(END_HEADERS, 0, PARTS[1])], PROTOCOL),
    "6.10: CONTINUATION behind whole HEADERS": ([request(), continuation(END_HEADERS, 1, PARTS[1])], PROTOCOL),
    "6.10: CONTINUATION behind a whole block": (
        [begun(), continuation(END_HEADERS, 1, b"".join(PARTS[1:])), continuation(END_HEADERS, 1, PARTS[1])],
        PROTOCOL,
    ),
    "6.10: CONTINUATION behind DATA": ([request(), data(), continuation(END_HEADERS, 1, PARTS[1])], PROTOCOL),
    "8.4: PUSH_PROMISE": ([request(), frame(PUSH, END_HEADERS, 1, u32(2) + WHOLE)], PROTOCOL),
    "HPACK 2.3.3: an index that is not there": ([blocked(WHOLE + b"\xc6")], COMPRESSION),
    "HPACK 2.3.3: a literal whose name is not there": ([blocked(WHOLE + b"\x7f\x07" + VALUE)], COMPRESSION),
    "HPACK 4.2: a size of the table behind headers": ([blocked(WHOLE + b"\x20")], COMPRESSION),
    "HPACK 5.2: Huffman with 8 bits of padding": (
        [blocked(WHOLE + b"\x00" + NAME + b"\x85\xee\x3a\x2d\x2f\xff")],
        COMPRESSION,
    ),
    "HPACK 5.2: Huffman padded with zeros": ([blocked(WHOLE + b"\x00" + NAME + b"\x84\x50\x2d\x4c\x40")], COMPRESSION),
    "HPACK 5.2: Huffman with its end": (
        [blocked(WHOLE + b"\x00" + NAME + b"\x86\xff\xff\xff\xff\xff\xff")],
        COMPRESSION,
    ),
    "HPACK 6.1: index 0": ([blocked(WHOLE + b"\x80")], COMPRESSION),
    "HPACK 6.3: a size of the table beyond the setting": ([blocked(b"\x3f\xe2\x1f" + WHOLE)], COMPRESSION),
}


@pytest.mark.parametrize("case", ENDED)
def test_what_breaks_the_connection_ends_it(case):
    pieces, code = ENDED[case]
    peer = Server(greet=not case.startswith("3.4"))
    peer.send(*pieces)
    assert peer.ending == code
    assert peer.send(request(11, end=True)) == []


TRAILER = blocked(block(("x", "y")))
FAILED = {
    "5.1: half-closed: DATA": ([request(end=True), data()], CLOSED),
    "5.1: half-closed: HEADERS": ([request(end=True), TRAILER], CLOSED),
    "5.1: closed: DATA after RST_STREAM": ([request(), rst(), data()], CLOSED),
    "6.1: DATA on a stream that is not open": ([request(end=True), data(end=True)], CLOSED),
    "6.9: WINDOW_UPDATE of 0 on a stream": ([request(), window(1, 0)], PROTOCOL),
    "6.9.1: a stream's window beyond 2^31 - 1": ([request(), window(1, BIG), window(1, BIG)], FLOW_CONTROL),
    "8.1: HEADERS again without END_STREAM": (
        [request(), data(), frame(HEADERS, END_HEADERS, 1, block(("x", "y")))],
        PROTOCOL,
    ),
    "8.1.1: content-length larger than DATA": ([request(1, ("content-length", "5")), data(end=True)], PROTOCOL),
    "8.1.1: content-length less than DATA": ([request(1, ("content-length", "3")), data()], PROTOCOL),
    "8.1.1: content-length of several DATA frames": (
        [request(1, ("content-length", "9")), data(), data(end=True)],
        PROTOCOL,
    ),
    "8.1.1: content-length without DATA": ([request(1, ("content-length", "1"), end=True)], PROTOCOL),
    "8.1.1: content-length and trailers": ([request(1, ("content-length", "5")), data(), TRAILER], PROTOCOL),
    "8.3: pseudo-headers as trailers": ([request(), data(), blocked(block((":method", "GET")))], PROTOCOL),
}
MALFORMED = {
    "8.2.1: uppercase": (*REQUEST, ("X-TEST", "ok")),
    "8.2.1: a space in a name": (*REQUEST, ("x test", "ok")),
    "8.2.1: a colon in a name": (*REQUEST, ("x:test", "ok")),
    "8.2.1: an empty name": (*REQUEST, ("", "ok")),
    "8.2.1: a line end in a name": (*REQUEST, ("x\ny", "ok")),
    "8.2.1: NUL in a value": (*REQUEST, ("x", "a\0b")),
    "8.2.1: CR in a value": (*REQUEST, ("x", "a\rb")),
    "8.2.1: LF in a value": (*REQUEST, ("x", "a\nb")),
    "8.2.1: a space before a value": (*REQUEST, ("x", " a")),
    "8.2.1: a tab behind a value": (*REQUEST, ("x", "a\t")),
    "8.2.2: connection": (*REQUEST, ("connection", "keep-alive")),
    "8.2.2: proxy-connection": (*REQUEST, ("proxy-connection", "close")),
    "8.2.2: keep-alive": (*REQUEST, ("keep-alive", "1")),
    "8.2.2: transfer-encoding": (*REQUEST, ("transfer-encoding", "chunked")),
    "8.2.2: upgrade": (*REQUEST, ("upgrade", "h2c")),
    "8.2.2: te": (*REQUEST, ("te", "trailers, deflate")),
    "8.3: an unknown pseudo-header": (*REQUEST, (":test", "ok")),
    "8.3: one of answers": (*REQUEST, (":status", "200")),
    "8.3: one behind others": (*REQUEST[:3], ("x", "y"), REQUEST[3]),
    "8.3.1: an empty :path": (*REQUEST[:2], (":path", ""), REQUEST[3]),
    "8.3.1: a :path that is none": (*REQUEST[:2], (":path", "a"), REQUEST[3]),
    "8.3.1: no :method": REQUEST[1:],
    "8.3.1: no :scheme": (REQUEST[0], *REQUEST[2:]),
    "8.3.1: no :path": (*REQUEST[:2], REQUEST[3]),
    "8.3.1: :method twice": (REQUEST[0], *REQUEST),
    "8.3.1: :scheme twice": (REQUEST[1], *REQUEST),
    "8.3.1: :path twice": (REQUEST[2], *REQUEST),
    "8.3.1: :authority twice": (REQUEST[3], *REQUEST),
    "8.3.1: a host that is not :authority": (*REQUEST, ("host", "y")),
    "8.5: CONNECT": ((":method", "CONNECT"), (":authority", "x:1")),
    "8.6: content-length that is no number": (*REQUEST, ("content-length", "-1")),
    "8.6: two content-lengths": (*REQUEST, ("content-length", "1"), ("content-length", "2")),
}


@pytest.mark.parametrize("case", [*FAILED, *MALFORMED])
def test_what_breaks_a_stream_ends_that_alone(case):
    pieces, code = FAILED.get(case) or ([request(fields=MALFORMED[case])], PROTOCOL)
    peer = Server()
    peer.send(*pieces)
    assert peer.resets == {1: code}
    if case in MALFORMED:
        assert not peer.told(HeadersReceived)
    peer.send(request(3, end=True))
    assert peer.ending is None
    assert 3 in peer.answered


def test_5_1_frames_on_a_closed_stream():
    for piece, ending, resets in (
        (data(), None, {1: CLOSED}),
        (TRAILER, CLOSED, {}),
        (continuation(4, 1), PROTOCOL, {}),
    ):
        peer = Server()
        peer.send(request(end=True))
        assert peer.answered == [1]
        peer.send(piece)
        assert peer.ending == ending
        assert peer.resets == resets


def test_5_1_2_more_streams_than_allowed_are_refused():
    peer = Server(concurrent_streams=10)
    peer.send(*(request(stream_id) for stream_id in range(1, 25, 2)))
    assert peer.resets == {21: 7, 23: 7}
    assert len(peer.told(HeadersReceived)) == 10


def test_6_5_3_the_last_of_several_values_counts_and_each_frame_is_acknowledged():
    peer = Server()
    peer.send(frame(SETTINGS, 0, 0, b"\0\4" + u32(100) + b"\0\4" + u32(1)), request(end=True))
    assert [set(one.flags) for one in peer.of("Settings")] == [{"ACK"}]
    assert [one.data for one in peer.of("Data")] == [ANSWER[:1]]


def test_6_7_a_ping_is_answered():
    peer = Server()
    peer.send(frame(PING, 0, 0, b"h2spec!!"))
    assert [(one.opaque_data, set(one.flags)) for one in peer.of("Ping")] == [(b"h2spec!!", {"ACK"})]


def test_6_9_1_data_is_as_small_as_the_window():
    peer = Server()
    peer.send(settings(_4=1), request(end=True))
    assert [one.data for one in peer.of("Data")] == [ANSWER[:1]]


def test_6_9_2_a_change_of_the_first_window_changes_open_streams():
    peer = Server()
    peer.send(settings(_4=0), request(end=True))
    assert not peer.of("Data")
    peer.send(settings(_4=1))
    assert [one.data for one in peer.of("Data")] == [ANSWER[:1]]


def test_6_9_2_a_window_may_be_negative():
    peer = Server()
    peer.send(settings(_4=3), request(end=True))
    peer.send(settings(_4=2))
    assert [len(one.data) for one in peer.of("Data")] == [3]
    peer.send(window(1, 1))
    assert [len(one.data) for one in peer.of("Data")] == [3]
    peer.send(window(1, 1))
    assert [len(one.data) for one in peer.of("Data")] == [3, 1]


def test_padding_is_no_data_and_counts_as_flow():
    peer = Server()
    events = peer.send(request(), frame(DATA, END | PADDED, 1, b"\x05data12345"))
    assert [event.data for event in events if isinstance(event, DataReceived)] == [b"data"]
    assert peer.connection.held_bytes == 0
