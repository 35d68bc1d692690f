"""CORS: which pages of other origins a browser lets read the answers of this gateway.

    `--cors-origins` ──origins──▶ Cors        OPTIONS with Access-Control-Request-Method ──▶ preflight ──▶ 200, or 403
                                              any answer ──▶ headers_for(its Origin): the same bytes for each origin

It is the browser that refuses: whoever is no browser reads all answers anyway. Without origins there is no header of it.
"""

import re
from collections.abc import Collection

from signet.serving.gateway.settings import ANY_ORIGIN
from signet.serving.http.messages import Request, Response
from signet.serving.rest_dialect import json_codec

_EXPOSED = (
    b"Access-Control-Expose-Headers: X-Request-Id, X-Signet-Model-Version, Retry-After, Inference-Header-Content-Length, "
    b"Server-Timing, ETag, Date\r\n"
)
_GRANT = b"Access-Control-Allow-Origin: %b\r\nAccess-Control-Allow-Credentials: true\r\n"
_GRANT_TO_ALL = b"Access-Control-Allow-Origin: *\r\n" + _EXPOSED
"""Without credentials: a browser would refuse both together."""

# Chromium keeps no answer for longer than those 7200 seconds.
_PREFLIGHT = (
    b"Access-Control-Allow-Methods: GET, HEAD, POST, OPTIONS\r\nAccess-Control-Max-Age: 7200\r\n"
    b"Access-Control-Allow-Headers: Accept, Authorization, Content-Encoding, Content-Type, Inference-Header-Content-Length, "
    b"Traceparent, Tracestate, X-Api-Key, X-Request-Id, X-Request-Timeout, X-Signet-Batching, X-Signet-Job, "
    b"X-Signet-Key, X-Signet-Release, X-Signet-Timing\r\n"
)
_VARIES = b"Vary: Origin\r\n"
"""A cache must not give the answer for one origin to another."""

_PRIVATE = b"Access-Control-Allow-Private-Network: true\r\n"
"""A public page may ask a server in a private network, if that names its origin."""

_UNSAFE = re.compile(r"[^\x20-\x7e]")


class Cors:
    """The answers to browsers of one gateway; immutable."""

    def __init__(self, origins: Collection[str]) -> None:
        """origins: as browsers send them; `ANY_ORIGIN` alone for all; none: no CORS at all."""
        self.enabled = bool(origins)
        self._any = ANY_ORIGIN in origins
        self._grants = {origin.encode(): _GRANT % origin.encode() + _EXPOSED + _VARIES for origin in origins}

    def headers_for(self, origin: bytes | None) -> bytes:
        """The headers of any answer to a request that names this origin, as complete lines; only while it is enabled."""
        if self._any:
            return _GRANT_TO_ALL
        return _VARIES if origin is None else self._grants.get(origin, _VARIES)

    def preflight(self, request: Request) -> Response | None:
        """The answer to what a browser asks before it sends a request, without `headers_for`; None: this is no such question."""
        headers = request.headers
        if not self.enabled or request.method != "OPTIONS" or b"access-control-request-method" not in headers:
            return None
        origin = headers.get(b"origin", b"")
        if not self._any and origin not in self._grants:
            shown = _UNSAFE.sub("?", origin[:100].decode("latin-1"))
            message = f"the origin {shown!r} is not among --cors-origins (SIGNET_CORS_ORIGINS)"
            return Response(403, json_codec.encode_error(message), b"Content-Type: application/json\r\n")
        private = not self._any and headers.get(b"access-control-request-private-network") == b"true"
        return Response(200, b"", _PREFLIGHT + (_PRIVATE if private else b""))
