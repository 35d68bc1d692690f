"""Requests for the HTTP parser, good and nearly good, made by a grammar; what h11 and our parser make of them.

line, fields, body: each as it should be, or a way that parsers are known to differ in ──▶ bytes ──▶ Reading, Reading
"""

from dataclasses import dataclass

import h11
from hypothesis import strategies as st

from signet.serving.errors import TooLarge
from signet.serving.http.known_heads import KnownHeads
from signet.serving.http.messages import Limits
from signet.serving.http.parser import BadRequest, RequestParser

LIMITS = Limits(head_bytes=1 << 16, body_bytes=1 << 20)


@dataclass(frozen=True)
class Reading:
    """What a parser makes of the bytes of a connection."""

    requests: tuple[tuple[str, bytes, tuple[tuple[bytes, bytes], ...], bytes], ...]
    """Method, target, fields by name (the first of each), body."""
    refused: bool
    """Whether what comes behind them is no request."""


def ours(data: bytes, piece: int = 1 << 20, known: KnownHeads | None = None) -> Reading:
    """Read by our parser, in pieces of so many bytes."""
    return of_pieces([data[start : start + piece] for start in range(0, len(data), piece)], known)


def of_pieces(pieces: list[bytes], known: KnownHeads | None = None) -> Reading:
    """Read by our parser, as it comes. known: the heads of other connections; default: none."""
    parser, requests, refused = RequestParser(LIMITS, known), [], False
    try:
        for piece in pieces:
            rest: bytes | memoryview | None = piece
            while rest:
                try:
                    rest = parser.feed(rest)
                except (BadRequest, TooLarge):
                    rest, refused = None, True
                while parser.complete:
                    request = parser.complete.popleft()
                    requests.append((request.method, request.path, _fields(request.headers), request.body))
                    if not request.keep_alive:
                        return Reading(tuple(requests), refused=False)
                if refused:
                    return Reading(tuple(requests), refused=True)
    finally:
        parser.drop()
    return Reading(tuple(requests), refused=False)


def by_h11(data: bytes) -> Reading:
    """Read by h11, whose answers are all 200; without empty lines before a request, which it would refuse (RFC 9112, 2.2)."""
    connection = _connection(data)
    requests = []
    request, body = None, b""
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                request, body = event, b""
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                assert request is not None
                fields: dict[bytes, bytes] = {}
                for name, value in request.headers:
                    fields.setdefault(bytes(name), bytes(value))
                requests.append((request.method.decode(), bytes(request.target), _fields(fields), body))
                if request.method == b"CONNECT":
                    return Reading(tuple(requests), refused=False)
                connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is not h11.DONE:
                    return Reading(tuple(requests), refused=False)
                connection = _connection(connection.trailing_data[0])
            else:
                return Reading(tuple(requests), refused=False)
    except h11.RemoteProtocolError:
        return Reading(tuple(requests), refused=True)


def _connection(data: bytes) -> h11.Connection:
    """One on which these bytes have come, from the beginning of a request on."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 16)
    connection.receive_data(data.lstrip(b"\r\n"))
    return connection


def _fields(fields: dict[bytes, bytes]) -> tuple[tuple[bytes, bytes], ...]:
    """In order; without the wish for another protocol, which we pass over, and with the coding as h11 writes it."""
    coding = fields.get(b"transfer-encoding", b"").lower()
    kept = {name: value for name, value in fields.items() if name not in (b"upgrade", b"transfer-encoding")}
    return tuple(sorted((kept | ({b"transfer-encoding": coding} if coding else {})).items()))


def _mostly(good: list[bytes], odd: list[bytes]) -> st.SearchStrategy[bytes]:
    """Seven of eight are good, so that most requests are nearly so."""
    return st.integers(0, 7).flatmap(lambda number: st.sampled_from(odd if number == 0 else good))


_METHODS = _mostly([b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"DELETE"], [b"FOO", b"get", b"G@T", b"", b"CONNECT"])
_TARGETS = _mostly(
    [b"/", b"/a?b=c", b"/v1/models/m:predict", b"/%2F%00"], [b"*", b"/a b", b"a", b"/\x00", b"/\x7f", b"", b"/\xc3\xbc"]
)
_VERSIONS = _mostly([b"HTTP/1.1"], [b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.2", b"HTTP/0.9", b"http/1.1", b"HTTP/11", b""])
_ENDS = _mostly([b"\r\n"], [b"\n", b"\r", b"\r\r\n", b" \r\n", b"\x00\r\n"])
_HOSTS = _mostly(
    [b"Host: x", b"Host: localhost:8080", b"host: [::1]:80", b"Host:"],
    [b"", b"Host : x", b"Host: x\r\nHost: y", b"Host: a b", b"Host: a/b", b"X: y\r\n Host: x", b"Host: x\r\nHost: x"],
)
_FIELDS = _mostly(
    [b"", b"Accept: */*", b"X: a  b\t", b"X:", b"Connection: keep-alive", b"Expect: 100-continue"],
    [
        b"X : y",
        b" X: y",
        b"X: y\r\n z",
        b"X",
        b": y",
        b"X: \x00",
        b"X: \x01",
        b"X: \xff",
        b"X\x00: y",
        b"X: a\rTransfer-Encoding: chunked",
        b"X: a\nTransfer-Encoding: chunked",
        b"\r",
        b"Connection: close",
        b"Connection: Upgrade\r\nUpgrade: h2c",
        b"(X): y",
        b"X_Y: z",
    ],
)
_LENGTHS = _mostly(
    [b"Content-Length: %d"],
    [
        b"Content-Length: +%d",
        b"Content-Length: -%d",
        b"Content-Length: 0x%d",
        b"Content-Length: %d, %d",
        b"Content-Length: %d\r\nContent-Length: %d",
        b"Content-Length: 1%d\r\nContent-Length: %d",
        b"Content-Length: 0%d",
        b"Content-Length : %d",
        b"Content-Length: %d ",
        b"Content-Length: %d 1",
        b" Content-Length: %d",
        b"Content-Length:\r\n %d",
        b"Content-Length: 1844674407370955161%d",
        b"Content-Length:",
        b"Content-Length: %d\r\nTransfer-Encoding: chunked",
    ],
)
_CODINGS = _mostly(
    [b"Transfer-Encoding: chunked", b"transfer-encoding:chunked", b"Transfer-Encoding: Chunked"],
    [
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: identity, chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: identity",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding: \x0bchunked",
        b"Transfer-Encoding:\r\n chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4",
        b"Content-Length: 4\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked;q=1",
        b"Transfer-Encoding: ,chunked",
        b'Transfer-Encoding: "chunked"',
        b"X: y\rTransfer-Encoding: chunked",
    ],
)
_BODIES = st.sampled_from([b"", b"a", b"abcd", b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n"])
_SIZES = _mostly(
    [b"%x"], [b"0x%x", b"-%x", b"+%x", b" %x", b"%x ", b"0%x", b"fffffffffffffffff%x", b"%xg", b"%x_", b""]
)
_EXTENSIONS = _mostly([b"", b";a=b"], [b";", b';a="b;c"', b";a=\n", b" ;a", b";a=\x00", b"\r", b";a\rb"])
_CHUNK_ENDS = _mostly([b"\r\n"], [b"\n", b"", b"\r", b"xx", b"\r\r\n"])
_TRAILERS = _mostly(
    [b"", b"X: y\r\n", b"Content-Length: 9\r\nTransfer-Encoding: gzip\r\n"],
    [b"X : y\r\n", b" X: y\r\n", b"X\r\n", b"\x00\r\n", b"X: y\n", b"GET / HTTP/1.1\r\n"],
)


@st.composite
def _chunked(draw: st.DrawFn) -> bytes:
    body = b""
    for data in draw(st.lists(_BODIES.filter(len), max_size=3)):
        size = draw(_SIZES)
        body += (size % len(data) if size else b"") + draw(_EXTENSIONS) + draw(_ENDS) + data + draw(_CHUNK_ENDS)
    return body + draw(_mostly([b"0"], [b"00", b"0x0", b""])) + draw(_ENDS) + draw(_TRAILERS) + draw(_ENDS)


@st.composite
def _request(draw: st.DrawFn) -> bytes:
    head = draw(_METHODS) + b" " + draw(_TARGETS) + b" " + draw(_VERSIONS) + draw(_ENDS)
    fields, body = [draw(_HOSTS), draw(_FIELDS)], b""
    match draw(st.integers(0, 2)):
        case 1:
            body = draw(_BODIES)
            form = draw(_LENGTHS)
            fields.insert(draw(st.integers(0, 2)), form.replace(b"%d", b"%d" % len(body)))
        case 2:
            fields.insert(draw(st.integers(0, 2)), draw(_CODINGS))
            body = draw(_chunked())
    return head + b"".join(field + draw(_ENDS) for field in fields if field) + draw(_ENDS) + body


CONNECTIONS = st.lists(_request(), min_size=1, max_size=3).map(b"".join)
"""The bytes of one connection: one to three requests."""
