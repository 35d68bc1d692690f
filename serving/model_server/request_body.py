"""The body of a REST request, unzipped. Source: `evhttp_request.cc`."""

import asyncio
import zlib
from collections.abc import Mapping

MAX_UNZIPPED_BYTES = 100 << 20
"""Most bytes of a zipped body; of plain ones there is no limit, as in the original."""

_INLINE_BYTES = 1 << 16
"""Zipped bodies up to here are unzipped in the event loop."""

_GZIP = 31


async def plain(body: bytes, headers: Mapping[bytes, bytes]) -> bytes:
    """The body without its Content-Encoding; empty when it cannot be unzipped, as in the original."""
    if b"gzip" not in headers.get(b"content-encoding", b""):
        return body
    return unzip(body) if len(body) <= _INLINE_BYTES else await asyncio.to_thread(unzip, body)


def unzip(body: bytes) -> bytes:
    """The text of a gzip file, or nothing when it is broken or too large."""
    decompressor = zlib.decompressobj(_GZIP)
    try:
        text = decompressor.decompress(body, MAX_UNZIPPED_BYTES + 1)
    except zlib.error:
        return b""
    return text if decompressor.eof and len(text) <= MAX_UNZIPPED_BYTES else b""
