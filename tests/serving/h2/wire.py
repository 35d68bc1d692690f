"""The other side of a connection under test: frames by hand, and what is answered read by `hyperframe`.

frames ──▶ Peer.send ──▶ the connection ──▶ Peer.frames, Peer.events
"""

import struct
from collections.abc import Callable
from typing import Any

from hyperframe import frame as others

from signet.serving.h2 import hpack
from signet.serving.h2.client import ClientConnection
from signet.serving.h2.connection import Connection
from signet.serving.h2.events import DataReceived, Event, HeadersReceived, HeadersTooLarge, TrailersReceived
from signet.serving.h2.limits import Limits
from signet.serving.h2.server import ServerConnection

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED, WITH_PRIORITY = 1, 4, 8, 32
(
    NO_ERROR,
    PROTOCOL,
    INTERNAL,
    FLOW_CONTROL,
    SETTINGS_TIMEOUT,
    CLOSED,
    FRAME_SIZE,
    REFUSED,
    CANCEL,
    COMPRESSION,
    _,
    CALM,
) = range(12)
BIG = 2**31 - 1

REQUEST = ((":method", "POST"), (":scheme", "http"), (":path", "/a.B/C"), (":authority", "x"))
HEAD = hpack.encode([(b":status", b"200"), (b"content-type", b"text/plain")])
TRAILERS = hpack.encode([(b"grpc-status", b"0")])
ANSWER = b"five!"


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"", length: int | None = None) -> bytes:
    """Any frame; length: what it says of itself, when that is not the truth."""
    size = len(payload) if length is None else length
    return size.to_bytes(3, "big") + bytes((kind, flags)) + stream_id.to_bytes(4, "big") + payload


def u32(value: int) -> bytes:
    return struct.pack(">I", value)


def block(*fields: tuple[str, str]) -> bytes:
    """Literals without indexing, short ones."""
    out = b""
    for name, value in fields:
        assert len(name) < 127
        out += b"\x00" + bytes((len(name),)) + name.encode()
        out += (bytes((len(value),)) if len(value) < 127 else b"\x7f" + _rest(len(value) - 127)) + value.encode()
    return out


def _rest(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes((value & 127 | 128,))
        value >>= 7
    return out + bytes((value,))


def request(
    stream_id: int = 1, *more: tuple[str, str], end: bool = False, fields: tuple[tuple[str, str], ...] = REQUEST
) -> bytes:
    """HEADERS of a request."""
    return frame(HEADERS, END_HEADERS | end, stream_id, block(*fields, *more))


def data(stream_id: int = 1, payload: bytes = b"data", end: bool = False) -> bytes:
    return frame(DATA, end, stream_id, payload)


def rst(stream_id: int = 1, code: int = CANCEL) -> bytes:
    return frame(RST, 0, stream_id, u32(code))


def settings(**values: int) -> bytes:
    """SETTINGS by their numbers: `_4=1`."""
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", int(key[1:]), value) for key, value in values.items()))


def window(stream_id: int, more: int) -> bytes:
    return frame(WINDOW, 0, stream_id, u32(more))


def parse(output: bytes) -> list[Any]:
    """Frames of our output, as others read them."""
    found = []
    output = output.removeprefix(PREFACE)
    while output:
        one, length = others.Frame.parse_frame_header(memoryview(output[:9]), strict=True)
        one.parse_body(memoryview(output[9 : 9 + length]))
        found.append(one)
        output = output[9 + length :]
    return found


class Clock:
    """Time that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Peer:
    """One connection under test, what it has answered, and what it has told its owner."""

    def __init__(
        self, side: Callable[..., Connection] = ServerConnection, *, greet: bool = True, **limits: Any
    ) -> None:
        self.clock = Clock()
        self.connection = side(Limits(**limits), self.clock)
        self.events: list[Event] = []
        self.frames: list[Any] = []
        self.largest_output = 0
        self.collect()
        if greet:
            self.send(PREFACE if side is ServerConnection else b"", settings(), frame(SETTINGS, 1, 0))
            self.frames.clear()
            self.events.clear()

    def send(self, *pieces: bytes) -> list[Event]:
        """Give the connection these bytes in one piece; what it tells of them."""
        events = self.connection.receive(b"".join(pieces))
        self.events += events
        self.answer(events)
        self.collect()
        return events

    def answer(self, events: list[Event]) -> None:
        """What the owner of the connection does with events."""

    def collect(self) -> None:
        output = self.connection.take_output()
        self.largest_output = max(self.largest_output, len(output))
        self.frames += parse(output)

    def of(self, kind: str) -> list[Any]:
        """The frames of a kind, such as \"RstStream\", that came so far."""
        return [one for one in self.frames if type(one).__name__ == f"{kind}Frame"]

    def told(self, kind: type) -> list[Any]:
        return [event for event in self.events if type(event) is kind]

    @property
    def ending(self) -> int | None:
        """The code of the GOAWAY with which the connection ended, if it has."""
        assert not self.connection.ended or self.frames[-1].type == GOAWAY
        return self.frames[-1].error_code if self.connection.ended else None

    @property
    def resets(self) -> dict[int, int]:
        return {one.stream_id: one.error_code for one in self.of("RstStream")}


class Server(Peer):
    """A server that answers any request with a little DATA, once the request has ended."""

    def answer(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, DataReceived):
                self.connection.consumed(event.stream, len(event.data))
            ended = isinstance(event, TrailersReceived) or (
                isinstance(event, HeadersReceived | HeadersTooLarge | DataReceived) and event.end_stream
            )
            if ended:
                self.connection.send_headers(event.stream, HEAD)  # type: ignore[union-attr]
                self.connection.send_data(event.stream, ANSWER, end_stream=True)  # type: ignore[union-attr]

    @property
    def answered(self) -> list[int]:
        """Streams that were answered whole."""
        return [one.stream_id for one in self.of("Data") if "END_STREAM" in one.flags]


def client(**limits: Any) -> tuple[Peer, ClientConnection]:
    """A client under test, with a server by hand that has greeted it."""
    peer = Peer(ClientConnection, **limits)
    assert isinstance(peer.connection, ClientConnection)
    return peer, peer.connection


def answer(stream_id: int = 1, *more: tuple[str, str], end: bool = False, status: str = "200") -> bytes:
    """HEADERS of an answer."""
    return frame(HEADERS, END_HEADERS | end, stream_id, block((":status", status), *more))
