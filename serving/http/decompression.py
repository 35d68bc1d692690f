"""Bodies without their compression.

    gzip, of one member or several (RFC 1952 2.2), or a zlib stream ──decompress──▶ bytes

What comes out is bounded before it is made: in all, and by the body that it comes from.
"""

import zlib

from signet.serving.errors import InvalidInput, TooLarge

WINDOW_BITS = {"gzip": 31, "deflate": 15}
"""Names of Content-Encoding -> zlib's number for them."""

MAX_RATIO = 200
"""Most bytes for each of a body, beyond `FREE_BYTES`. Numbers reach about 10, a body of one repeated digit 1000."""

FREE_BYTES = 1 << 20
"""Bytes that may come out of any body, however small it is."""

_MAX_MEMBERS = 1000
_PIECE_BYTES = 1 << 16
"""What follows a member is copied; of a whole body that would take quadratic time."""

_GZIP_MAGIC = b"\x1f\x8b"


def decompress(body: bytes, name: str, max_bytes: int) -> bytes:
    """Decompress a body that is `gzip` or `deflate`. Raises `InvalidInput` for a broken one, `TooLarge` for too many bytes."""
    most = min(max_bytes, max(FREE_BYTES, MAX_RATIO * len(body)))
    parts: list[bytes] = []
    place = size = members = 0
    while place < len(body) or not members:
        members += 1
        if members > _MAX_MEMBERS:
            raise InvalidInput(f"the {name} body has more than {_MAX_MEMBERS} members")
        decompressor = zlib.decompressobj(WINDOW_BITS[name])
        while not decompressor.eof:
            piece = body[place : place + _PIECE_BYTES]
            if not piece:
                raise InvalidInput(f"the {name} body ends too early")
            place += len(piece)
            try:
                parts.append(decompressor.decompress(piece, most + 1 - size))
            except zlib.error as error:
                raise InvalidInput(f"the body is not {name}, as its Content-Encoding says: {error}") from error
            size += len(parts[-1])
            if size > most:
                reason = (
                    "" if most == max_bytes else f", {MAX_RATIO} times its {len(body)} compressed: send it uncompressed"
                )
                raise TooLarge(f"the body has more than {most} bytes when decompressed{reason}")
        place -= len(decompressor.unused_data)
        if place < len(body) and not (name == "gzip" and body.startswith(_GZIP_MAGIC, place)):
            raise InvalidInput(f"{len(body) - place} bytes follow the end of the {name} body")
    return parts[0] if len(parts) == 1 else b"".join(parts)
