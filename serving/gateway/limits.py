"""What a stranger controls, bounded: bytes of a body, before and after decompression."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

from serving.errors import Cancelled, DeadlineExceeded, InvalidInput, TooLarge

Receive = Callable[[], Awaitable[Any]]

_WINDOW_BITS = {"gzip": 31, "deflate": 15}


async def read_body(receive: Receive, headers: dict[bytes, bytes], max_bytes: int, timeout_s: float) -> bytes:
    """The whole body of an ASGI request, decompressed.

    Raises `TooLarge` as soon as it is known to have more than `max_bytes`, `Cancelled` when the caller leaves,
    `DeadlineExceeded` when it is not here after `timeout_s`.
    """
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > max_bytes:
        raise TooLarge(f"the body has {int(declared)} bytes; the most is {max_bytes}")
    try:
        async with asyncio.timeout(timeout_s):
            body = await _received(receive, max_bytes)
    except TimeoutError:
        raise DeadlineExceeded(f"the body was not here within {timeout_s:g} seconds") from None
    encoding = headers.get(b"content-encoding")
    return decompress(body, encoding.decode("latin-1"), max_bytes) if encoding else body


async def _received(receive: Receive, max_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Cancelled("the caller left before the whole body was here")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > max_bytes:
            raise TooLarge(f"the body has more than {max_bytes} bytes")
        more = message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def decompress(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """A body of the given Content-Encoding: gzip, deflate or identity. Raises `InvalidInput` and `TooLarge`."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    if name not in _WINDOW_BITS:
        raise InvalidInput(f"Content-Encoding {encoding[:40]!r} is not known; expected gzip, deflate or identity")
    decompressor = zlib.decompressobj(_WINDOW_BITS[name])
    try:
        out = decompressor.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise InvalidInput(f"the body is not {name}, as its Content-Encoding says: {error}") from error
    if len(out) > max_bytes:
        raise TooLarge(f"the body has more than {max_bytes} bytes when decompressed")
    if not decompressor.eof:
        raise InvalidInput(f"the {name} body ends too early")
    return out
