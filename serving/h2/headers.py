"""What a block of headers says, checked as RFC 9113, 8 asks: of a request, of an answer, of trailers.

names and values ──▶ pseudo-headers, others, content-length; or the problem that makes the message malformed
"""

import re
from typing import Any

from .hpack import Field

_NAMES = re.compile(rb"(?::?[!#$%&'*+\-.^_`|~0-9a-z]+\n)*")
"""Names, each with a line end behind it. Uppercase letters are malformed, and a colon may only begin a name."""
_BAD_VALUES = re.compile(rb"[\x00\r]|[ \t]\n|\n[ \t]")
"""What values, each between line ends, may not hold."""

_HOPS = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))
"""Headers of one connection of HTTP/1, which HTTP/2 does not have."""
_LOOKED_AT = _HOPS | {b"te", b"content-length", b"host"}
_NO_BODY = frozenset((b"204", b"304"))
"""Answers whose content-length is not that of a body."""

UNKNOWN = -1
"""A content-length that nothing says."""


class Headers:
    """One block of headers. Streams whose blocks are the same bytes share it: nobody changes it, but for `owner`."""

    __slots__ = (
        "authority",
        "content_length",
        "fields",
        "method",
        "owner",
        "path",
        "problem",
        "scheme",
        "size",
        "status",
    )

    def __init__(self, size: int) -> None:
        self.method = self.scheme = self.path = self.authority = self.status = b""
        """Pseudo-headers; empty where there is none."""
        self.fields: list[Field] = []
        """The others in order, names in lower case."""
        self.content_length = UNKNOWN
        self.size = size
        """Bytes as MAX_HEADER_LIST_SIZE counts them."""
        self.problem = ""
        """What makes the message malformed. Headers that come in events have none."""
        self.owner: Any = None
        """Whatever who uses the connection has made of these headers, so as to make it once for all that are the same."""


def request(fields: list[Field], size: int) -> Headers:
    """What the fields say as a request's head; size: theirs, as HPACK counts."""
    headers = Headers(size)
    pseudo = _split(headers, fields)
    if pseudo is None:
        return headers
    headers.method = pseudo.pop(b":method", b"")
    headers.scheme = pseudo.pop(b":scheme", b"")
    headers.path = pseudo.pop(b":path", b"")
    authority = pseudo.pop(b":authority", None)
    headers.authority = authority or b""
    if pseudo:
        headers.problem = f"pseudo-header {min(pseudo)!r} in a request"
    elif not headers.method or not headers.scheme or not headers.path:
        headers.problem = "a request needs :method, :scheme and :path"
    elif headers.path[:1] != b"/" and (headers.path, headers.method) != (b"*", b"OPTIONS"):
        headers.problem = f":path {headers.path[:100]!r} does not begin with '/'"
    elif authority is not None and any(name == b"host" and value != authority for name, value in headers.fields):
        headers.problem = f"host differs from :authority {authority[:100]!r}"
    return headers


def response(fields: list[Field], size: int) -> Headers:
    """What the fields say as an answer's head, final or informational."""
    headers = Headers(size)
    pseudo = _split(headers, fields)
    if pseudo is None:
        return headers
    headers.status = pseudo.pop(b":status", b"")
    if pseudo:
        headers.problem = f"pseudo-header {min(pseudo)!r} in an answer"
    elif (
        len(headers.status) != 3
        or not headers.status.isdigit()
        or headers.status[:1] == b"0"
        or headers.status == b"101"
    ):
        headers.problem = f":status {headers.status[:100]!r}; there must be one, of 3 digits, and not 101"
    elif headers.status in _NO_BODY:
        headers.content_length = UNKNOWN
    return headers


def trailers(fields: list[Field], size: int) -> Headers:
    """What the fields say as trailers."""
    headers = Headers(size)
    if _split(headers, fields):
        headers.problem = "pseudo-headers among trailers"
    headers.content_length = UNKNOWN
    return headers


def _split(headers: Headers, fields: list[Field]) -> dict[bytes, bytes] | None:
    """Fill in the fields, and give the pseudo-headers; None when there is a problem already."""
    names = b"\n".join([name for name, _ in fields]) + b"\n" if fields else b""
    values = b"\n".join([b"", *[value for _, value in fields], b""])
    if not _NAMES.fullmatch(names) or names.count(b"\n") != len(fields):
        headers.problem = "a header's name is not a token in lower case"
        return None
    if _BAD_VALUES.search(values) or values.count(b"\n") != len(fields) + 1:
        headers.problem = "a header's value holds a control character, or has spaces around it"
        return None
    pseudo: dict[bytes, bytes] = {}
    for name, value in fields:
        if name[:1] != b":":
            break
        if name in pseudo:
            headers.problem = f"{name[:100]!r} twice"
            return None
        pseudo[name] = value
    headers.fields = fields[len(pseudo) :]
    if b":" in names and names.count(b":") != len(pseudo):
        headers.problem = "a pseudo-header behind other headers"
        return None
    for name, value in headers.fields:
        if name in _LOOKED_AT:
            _look_at(headers, name, value)
    return None if headers.problem else pseudo


def _look_at(headers: Headers, name: bytes, value: bytes) -> None:
    if name in _HOPS:
        headers.problem = f"{name!r} is a header of HTTP/1"
    elif name == b"te":
        if value != b"trailers":
            headers.problem = f"te {value[:100]!r}; HTTP/2 has 'trailers' alone"
    elif name == b"content-length":
        length = int(value) if value.isdigit() and len(value) <= 18 else UNKNOWN
        if length == UNKNOWN or headers.content_length not in (UNKNOWN, length):
            headers.problem = f"content-length {value[:100]!r}; it must be one number"
        headers.content_length = length
