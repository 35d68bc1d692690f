"""Heads of requests that were parsed before: a caller sends the same one again and again.

    b"POST /v1/models/m:predict HTTP/1.1\\r\\n…\\r\\n\\r\\n" ──find──▶ what the parser has made of these very bytes

To parse a head costs as much as all else that is done for a small request over HTTP. What is known here has gone through the
parser and its checks once; the same bytes mean the same again.
"""

from typing import Any

from signet.serving.http.messages import Request

_END = b"\r\n\r\n"

_MOST_HEADS, _MOST_BYTES = 256, 1024
"""Heads that are kept, and the bytes of one: callers choose both."""


class KnownHead:
    """The head of a request whose connection stays open after it. Requests share it: nobody changes it, but for `owner`."""

    __slots__ = ("body_bytes", "headers", "method", "owner", "path", "version")

    def __init__(self, request: Request) -> None:
        self.method, self.path, self.headers = request.method, request.path, request.headers
        self.version, self.body_bytes = request.version, len(request.body)
        self.owner: Any = None
        """Whatever who answers has made of this head, so as to make it once for all requests that have it."""


class KnownHeads:
    """The heads that one server has seen lately. For its event loop."""

    def __init__(self) -> None:
        self._heads: dict[bytes, KnownHead] = {}

    def request(self, data: bytes) -> Request | None:
        """The request that `data` is, if it is one request as a whole, with a known head."""
        end = data.find(_END, 0, _MOST_BYTES) + len(_END)
        head = self._heads.get(data[:end])
        if head is None or len(data) - end != head.body_bytes:
            return None
        return Request(head.method, head.path, head.headers, data[end:], head.version, True, known=head)

    def learn(self, data: bytes, request: Request) -> None:
        """Keep the head of a request that `data` was, and nothing besides, unless it is one whose body has another framing."""
        end = data.find(_END, 0, _MOST_BYTES) + len(_END)
        # A head that ended elsewhere, as lines may end with a line feed alone, would not have this length.
        if len(data) - end != len(request.body) or end < len(_END) or not request.keep_alive:
            return
        headers = request.headers
        if b"transfer-encoding" in headers or b"expect" in headers or b"upgrade" in headers:
            return
        if headers.get(b"content-length", b"0") != b"%d" % len(request.body):
            return
        if len(self._heads) >= _MOST_HEADS:
            del self._heads[next(iter(self._heads))]
        self._heads[data[:end]] = KnownHead(request)
