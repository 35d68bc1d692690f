"""gzip and deflate of bodies, both ways; what comes is bounded before and after."""

import asyncio
import zlib
from collections.abc import Awaitable
from typing import NamedTuple

from signet.serving.errors import UnknownEncoding
from signet.serving.http import decompression
from signet.serving.http.decompression import WINDOW_BITS

_ALIASES = {"": "identity", "x-gzip": "gzip"}
"""RFC 9110 8.4.1.3."""

_SMALLEST = 1024
"""Bytes below which an answer is not worth compressing."""

_INLINE_BYTES = 1 << 16
"""More than this is compressed in a thread: it lets the interpreter lock go."""

_FASTEST = 1


class Compressed(NamedTuple):
    """The body of an answer."""

    body: bytes
    encoding: str
    """The name of its encoding; empty for none."""


def decompressed(body: bytes, headers: dict[bytes, bytes], max_bytes: int) -> bytes | Awaitable[bytes]:
    """A request's body without its Content-Encoding; a large one is awaited. Raises as `decompress` does."""
    encoding = headers.get(b"content-encoding")
    if not encoding:
        return body
    name = encoding.decode("latin-1")
    if len(body) <= _INLINE_BYTES:
        return decompress(body, name, max_bytes)
    return asyncio.to_thread(decompress, body, name, max_bytes)


def compressed(body: bytes, accepted: bytes) -> Compressed | Awaitable[Compressed]:
    """An answer in an encoding that the request accepts; as it is when it is small. A large one is awaited.

    accepted: the request's `Accept-Encoding`.
    """
    name = _choice(accepted.decode("latin-1").lower()) if len(body) >= _SMALLEST else ""
    if not name:
        return Compressed(body, "")
    if len(body) <= _INLINE_BYTES:
        return _compress(body, name)
    return asyncio.to_thread(_compress, body, name)


def decompress(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """A body of the given Content-Encoding. Raises `InvalidInput`, `TooLarge` and, for an unknown one, `UnknownEncoding`."""
    name = encoding.strip().lower()
    name = _ALIASES.get(name, name)
    if name == "identity":
        return body
    if name not in WINDOW_BITS:
        raise UnknownEncoding(f"Content-Encoding {encoding[:40]!r} is not known; expected gzip, deflate or identity")
    return decompression.decompress(body, name, max_bytes)


def _choice(accepted: str) -> str:
    """The first encoding we have that the header names and does not give a weight of zero."""
    weights = {}
    for item in accepted.split(","):
        name, _, parameter = item.partition(";")
        name = name.strip()
        weights[_ALIASES.get(name, name)] = parameter.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return next((name for name in WINDOW_BITS if weights.get(name)), "")


def _compress(body: bytes, name: str) -> Compressed:
    compressor = zlib.compressobj(_FASTEST, wbits=WINDOW_BITS[name])
    return Compressed(compressor.compress(body) + compressor.flush(), name)
