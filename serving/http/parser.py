"""The bytes of one connection to requests: llhttp's framing, through httptools, and bounds of our own around it.

    bytes ──feed──▶ llhttp ──on_…──▶ complete: [Request, …]; the rest stays with the caller until those are taken

llhttp bounds nothing, tells trailers as it tells headers, and stops at a request that wishes for another protocol.
Here trailers are counted and dropped, what is no body has a limit, and such a wish is passed over, as libevent does.
"""

import re
from collections import deque
from http import HTTPStatus
from typing import Any

import httptools

from signet.serving.errors import TooLarge
from signet.serving.http.known_heads import KnownHeads
from signet.serving.http.messages import Limits, Request

_SLICE_BYTES = 4096
"""So many bytes are looked at together, unless they are of one body: they hold 150 requests at most."""

_PIECE_BYTES, _JOINED_BYTES = 1 << 12, 1 << 18
"""Pieces of a body smaller than that are joined up to this."""

_CHUNK_BYTES = 16
"""What a chunk may cost beside its data: its size and two line ends. Extensions are counted as the head is."""

_JOINED = frozenset((b"traceparent", b"tracestate", b"authorization", b"x-api-key"))
"""Fields that come joined by commas if there are several (RFC 9110, 5.3); two traceparents are none, nor are two keys, here and
behind us. Of others the first holds."""

_EIGHT_BITS = re.compile(rb"[\x80-\xff]")
"""People and curl write UTF-8 into paths as it is; llhttp takes only its escapes."""

_FIRST_LINE, _REST_OF_LINE = re.compile(rb"[\r\n]*[^\n]*"), re.compile(rb"[^\n]*")
_REQUEST_LINE = re.compile(rb"[A-Z]+ \S+ HTTP/1\.[01]\r?\n")
_HOST = re.compile(rb"(?:\[[0-9A-Fa-fvV.:]+\]|[A-Za-z0-9._~%!$&'()*+,;=-]*)(?::[0-9]*)?")


class BadRequest(Exception):
    """What came is no HTTP request that can be answered."""

    def __init__(self, problem: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(problem)
        self.status = status


class RequestParser:
    """The parser of one connection; after an error it is of no more use. llhttp calls the `on_…` methods."""

    def __init__(self, limits: Limits, known: KnownHeads | None = None) -> None:
        """known: the heads that connections with the same limits have sent; default: none yet."""
        self._known = known or KnownHeads()
        self.complete: deque[Request] = deque()
        """Requests that came whole, in order; whoever answers them takes them away."""
        self.begun = False
        """Whether a request has begun and is not complete."""
        self.expects = False
        """Whether the sender of the request that has begun waits for `100 Continue` before the body."""
        self.declared: int | None = None
        """Bytes that the body of the request that has begun will have, where that is known."""
        self.complete_bytes = 0
        """Bytes of the bodies of complete requests; who takes one away takes its bytes away here."""
        self.in_head = self._in_line = False
        self._limits = limits
        self._llhttp: Any = httptools.HttpRequestParser(self)
        self._upgrades = False
        self._head_bytes = self._other_bytes = self._chunks = 0
        self._version = ""
        self._host: bytes | None = None
        self._path = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._headers: dict[bytes, bytes] = {}
        self._pieces: list[bytes | bytearray] = []
        """The pieces of the body; small ones are joined, or they would take more than their bytes."""
        self._body_bytes = 0

    @property
    def held_bytes(self) -> int:
        """Bytes held: of the request that is not complete, and of the bodies of those that are."""
        return self.complete_bytes + (self._head_bytes + self._body_bytes if self.begun else 0)

    @property
    def has_body(self) -> bool:
        """Whether a part of the body is here of the request that is not complete."""
        return bool(self._body_bytes)

    @property
    def head(self) -> Request:
        """The request that has begun, whose head is complete, without its body."""
        method = self._llhttp.get_method().decode()
        path = self._path if self._path.startswith(b"/") else _path_of(self._path)
        return Request(method, path, self._headers, b"", self._version, False)

    @property
    def remnant(self) -> Request:
        """What has come of the head of the request that has begun, for the answer to one that never comes whole."""
        if not self.begun:
            return Request("", b"", {}, b"", "1.1", False)
        method = self._llhttp.get_method().decode() if self._path else ""
        return Request(method, self._path, self._headers, b"", "1.1", False)

    def feed(self, data: bytes | memoryview) -> memoryview | None:
        """Parse more bytes. Gives those that were not looked at, because requests are complete that should be taken first.

        Raises `BadRequest` and `TooLarge`; the requests that were complete before stay.
        """
        if len(data) <= _SLICE_BYTES:
            if self.begun or self._other_bytes or self._in_line or not isinstance(data, bytes):
                self._feed(data)
                return None
            request = self._known.request(data)
            if request:
                self.complete.append(request)
                self.complete_bytes += len(request.body)
                return None
            complete = len(self.complete)
            self._feed(data)
            if len(self.complete) == complete + 1 and not self.begun:
                self._known.learn(data, self.complete[-1])
            return None
        rest = memoryview(data)
        while rest:
            if self.complete:
                return rest
            size = max(_SLICE_BYTES, (self.declared or 0) - self._body_bytes)
            self._feed(rest[:size])
            rest = rest[size:]
        return None

    def drop(self) -> None:
        """Let go of the request that is not complete, and of llhttp, which holds this as this holds it."""
        self.begun = self.expects = False
        self._pieces, self._fields, self._headers, self._path = [], [], {}, b""
        self._body_bytes = 0
        self._llhttp = None

    def _feed(self, data: bytes | memoryview) -> None:
        if self._in_line or not (self.begun or _is_plain(data)):
            data = self._with_escapes(data)
        body_bytes, complete = self._body_bytes, len(self.complete)
        try:
            self._execute(data)
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, BadRequest | TooLarge):
                raise error.__context__ from None
            unknown = isinstance(error, httptools.HttpParserInvalidMethodError) and _REQUEST_LINE.match(data)
            status = HTTPStatus.NOT_IMPLEMENTED if unknown else HTTPStatus.BAD_REQUEST
            raise BadRequest(str(error), status) from error
        if len(self.complete) != complete:
            self._other_bytes = 0
            return
        # llhttp tells of a field only when it is complete, and of chunk extensions and line ends not at all.
        self._other_bytes += len(data) - (self._body_bytes - body_bytes)
        if self._other_bytes > self._limits.head_bytes + _CHUNK_BYTES * self._chunks:
            raise BadRequest("too much comes that is no body")

    def _with_escapes(self, data: bytes | memoryview) -> bytes | memoryview:
        """The same, but with escapes in what of it belongs to the first line of a request."""
        match = (_REST_OF_LINE if self._in_line else _FIRST_LINE).match(data)
        assert match is not None, "both match anything"
        line = match[0]
        self._in_line = len(line) == len(data) and (self._in_line or bool(line.strip(b"\r\n")))
        if line.isascii():
            return data
        return _EIGHT_BITS.sub(lambda byte: b"%%%02X" % ord(byte[0]), line) + bytes(data[len(line) :])

    def _execute(self, data: bytes | memoryview) -> None:
        while (place := self._stops_at(data)) is not None and self._upgrades:  # else CONNECT, which ends the connection
            data = memoryview(data)[place:]
            self._begin_again()

    def _stops_at(self, data: bytes | memoryview) -> int | None:
        """Where llhttp stops because another protocol begins there; None: it has read all."""
        try:
            self._llhttp.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return int(upgrade.args[0])
        return None

    def _begin_again(self) -> None:
        """The same head without its wish for another protocol, at which llhttp has stopped."""
        lines = [b"%b %b HTTP/%b" % (self._llhttp.get_method(), self._path, self._version.encode())]
        lines += [b"%b: %b" % field for field in self._fields if field[0] != b"upgrade"]
        self._llhttp = httptools.HttpRequestParser(self)
        self._llhttp.feed_data(b"\r\n".join([*lines, b"", b""]))

    # llhttp's side

    def on_message_begin(self) -> None:
        self.begun = self.in_head = True
        self._upgrades = False
        self.declared = None
        self._head_bytes = self._chunks = 0
        self._path = b""
        self._fields = []
        self._headers = {}

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        self._path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        if not self.in_head:
            return  # a trailer
        name, value = name.lower(), value.rstrip(b" \t")  # llhttp leaves blanks behind a value
        self._fields.append((name, value))
        if name not in self._headers:
            self._headers[name] = value
        elif name in _JOINED:
            self._headers[name] += b"," + value

    def on_headers_complete(self) -> None:
        self.in_head = self._in_line = False
        self._version = self._llhttp.get_http_version()
        if self._version not in ("1.1", "1.0"):
            raise BadRequest(f"the version is {self._version}; expected 1.1 or 1.0")
        if self._limits.checks_host:
            self._check_host()
        if b"transfer-encoding" in self._headers:
            self._check_codings()
        self._upgrades = self._llhttp.should_upgrade() and self._llhttp.get_method() != b"CONNECT"
        if self._upgrades:
            return  # it comes again, from `_begin_again`
        declared = self._headers.get(b"content-length")
        if declared is not None and declared.isdigit():
            self.declared = int(declared)
            self._check_body(self.declared)
        self.expects = b"expect" in self._headers and self._headers[b"expect"].lower() == b"100-continue"

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        self._check_body(self._body_bytes)
        pieces = self._pieces
        if not pieces or len(body) >= _PIECE_BYTES:
            pieces.append(body)
        elif isinstance(pieces[-1], bytearray) and len(pieces[-1]) < _JOINED_BYTES:
            pieces[-1] += body
        else:
            pieces.append(bytearray(body))

    def on_chunk_header(self) -> None:
        self._chunks += 1

    def on_message_complete(self) -> None:
        if self._upgrades:
            return
        self.begun = self.expects = False
        llhttp, path = self._llhttp, self._path
        method = llhttp.get_method().decode()
        body = b"".join(self._pieces)  # one piece is given as it is
        self._pieces, self._body_bytes, self.declared = [], 0, None
        self.complete_bytes += len(body)
        self.complete.append(
            Request(
                method,
                path if path.startswith(b"/") else _path_of(path),
                self._headers,
                body,
                self._version,
                llhttp.should_keep_alive() and method != "CONNECT",
            )
        )

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._limits.head_bytes:
            raise BadRequest("the head of the request is too long")

    def _check_body(self, size: int) -> None:
        most = self._limits.body_bytes
        if most is not None and size > most:
            raise TooLarge(f"the body has {size} bytes; at most {most} are allowed")

    def _check_codings(self) -> None:
        """llhttp takes any codings before `chunked` and passes over them; the body would not be what the caller meant."""
        codings = [value.lower() for name, value in self._fields if name == b"transfer-encoding"]
        if codings != [b"chunked"]:
            raise BadRequest("there is a transfer coding beside chunked")
        if self._version == "1.0":
            raise BadRequest("HTTP/1.0 knows no transfer coding (RFC 9112, 6.1)")

    def _check_host(self) -> None:
        host = self._headers.get(b"host")
        if host is None:
            if self._version == "1.1":
                raise BadRequest("there is no Host")
            return
        if len(self._fields) != len(self._headers) and sum(name == b"host" for name, _ in self._fields) > 1:
            raise BadRequest("there are several Hosts")
        if host != self._host and not _HOST.fullmatch(host):
            raise BadRequest("the Host is none")
        self._host = host  # most connections name one


def _is_plain(data: bytes | memoryview) -> bool:
    """Whether it begins with a line of a request that needs no escapes: most do, and this is quick to see."""
    return isinstance(data, bytes) and data.isascii() and b"\n" in data and data[0] > 0x20


def _path_of(target: bytes) -> bytes:
    """Of `http://host/path?query`, as one asks a proxy: path and query."""
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError:
        return target
    path = url.path or b"/"
    return path + b"?" + url.query if url.query else path
