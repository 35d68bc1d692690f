"""The body of a REST request, unzipped. Source: `evhttp_request.cc`."""

import asyncio
from collections.abc import Mapping

from signet.serving.errors import InvalidInput, TooLarge
from signet.serving.http.decompression import MAX_RATIO, decompress

MAX_UNZIPPED_BYTES = 100 << 20
"""Most bytes of a zipped body; of plain ones there is no limit, as in the original."""

_INLINE_BYTES = 1 << 16
"""Zipped bodies up to here are unzipped in the event loop."""


async def plain(body: bytes, headers: Mapping[bytes, bytes]) -> bytes:
    """The body without its Content-Encoding; empty when it cannot be unzipped, as in the original."""
    if b"gzip" not in headers.get(b"content-encoding", b""):
        return body
    return unzip(body) if len(body) <= _INLINE_BYTES else await asyncio.to_thread(unzip, body)


def unzip(body: bytes) -> bytes:
    """The text of a gzip file, or nothing when it is broken or too large. Raises `TooLarge` for far more than came."""
    try:
        return decompress(body, "gzip", MAX_UNZIPPED_BYTES)
    except TooLarge:
        if MAX_RATIO * len(body) < MAX_UNZIPPED_BYTES:  # a bound of ours
            raise
        return b""
    except InvalidInput:
        return b""
