"""A request of our HTTP server, answered by an ASGI application: for FastAPI, which answers all that need not be fast."""

import logging
from typing import Any
from urllib.parse import unquote

from serving.http_server import Request, Response

log = logging.getLogger(__name__)

_OURS = (b"content-length", b"date", b"connection")
"""Headers that the server writes itself."""


async def answer(app: Any, request: Request) -> Response:
    """What the application gives, whole."""
    path, _, query = request.path.partition(b"?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": request.version,
        "method": request.method,
        "scheme": "http",
        "path": unquote(path.decode("latin-1")),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": list(request.headers.items()),
        "client": None,
        "server": None,
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
        log.exception("%s %r failed", request.method, path)
    lines = [b"%b: %b\r\n" % (name, value) for name, value in headers if name.lower() not in _OURS]
    return Response(status, b"".join(chunks), b"".join(lines))
