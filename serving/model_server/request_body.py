"""The body of a REST request: gathered, and unzipped.

Source: `evhttp_request.cc`.
"""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from serving.errors import Cancelled

Receive = Callable[[], Awaitable[Any]]

MAX_UNZIPPED_BYTES = 100 << 20
"""Most bytes of a zipped body; of plain ones there is no limit, as in the original."""

_INLINE_BYTES = 1 << 16
"""Zipped bodies up to here are unzipped in the event loop."""

_GZIP = 31


async def read(receive: Receive, headers: Mapping[bytes, bytes]) -> bytes:
    """The whole body of an ASGI request. Raises `Cancelled` when the caller leaves before it is there.

    A body that cannot be unzipped is empty, as in the original.
    """
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body", False):
        body = await _rest(receive, body)
    if b"gzip" not in headers.get(b"content-encoding", b""):
        return body
    return unzip(body) if len(body) <= _INLINE_BYTES else await asyncio.to_thread(unzip, body)


async def _rest(receive: Receive, first: bytes) -> bytes:
    chunks = [first]
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Cancelled("the caller left before the whole body was here")
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(chunks)


def unzip(body: bytes) -> bytes:
    """The text of a gzip file, or nothing when it is broken or too large."""
    decompressor = zlib.decompressobj(_GZIP)
    try:
        text = decompressor.decompress(body, MAX_UNZIPPED_BYTES + 1)
    except zlib.error:
        return b""
    return text if decompressor.eof and len(text) <= MAX_UNZIPPED_BYTES else b""
