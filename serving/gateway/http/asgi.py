"""A request of our HTTP server, answered by an ASGI application: for FastAPI, which answers all that need not be fast.

The application sees the path as it was sent: its routes decode their own parameters (`NAME`). It sees no `Host`: where it
redirects to is told relative to where the request went, whatever stands before this server.
"""

import logging
from typing import Any

from starlette.convertors import StringConvertor, register_url_convertor

from signet.serving.gateway.http import paths
from signet.serving.http.server import Request, Response

log = logging.getLogger(__name__)

_OURS = (b"content-length", b"date", b"connection")
"""Headers that the server writes itself."""

_REDIRECTS = range(300, 400)


async def answer(app: Any, request: Request) -> Response:
    """The whole answer of an ASGI application to a request."""
    path, _, query = request.path.partition(b"?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": request.version,
        "method": "GET" if request.method == "HEAD" else request.method,
        "scheme": "http",
        "path": path.decode("ascii"),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": [line for line in request.headers.items() if line[0] != b"host"],
        "state": {"key": request.key},
        "client": None,
        "server": None,
        "request_id": request.id,
    }
    status = 500
    headers: list[tuple[bytes, bytes]] = []
    chunks: list[bytes] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": request.body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            headers.extend(message.get("headers", ()))
        else:
            chunks.append(message.get("body", b""))

    try:
        await app(scope, receive, send)
    except Exception:
        # The framework has answered 500 by now; there may be more to say to whoever runs this.
        log.exception("request %s, %s %r, failed", request.id, request.method, path)
    if status in _REDIRECTS:
        headers = [(name, _relative(value, path) if name == b"location" else value) for name, value in headers]
    lines = [b"%b: %b\r\n" % (name, value) for name, value in headers if name.lower() not in _OURS]
    return Response(status, b"".join(chunks), b"".join(lines))


def _relative(location: bytes, path: bytes) -> bytes:
    """Of a redirect that takes slashes off the end, or adds one: `/v1/models?x` from `/v1/models/` is `../models?x`."""
    slashes = len(path) - len(path.rstrip(b"/"))
    return (b"../" * slashes or b"./") + location[len(path.rstrip(b"/").rpartition(b"/")[0]) + 1 :]


class _Name(StringConvertor):
    """`{model:name}` in a route: a part of a path, decoded once it is known to be one part."""

    def convert(self, value: str) -> str:
        return paths.decoded(value)


register_url_convertor("name", _Name())
