"""Messages in a stream of bytes: a flag that says whether it is compressed, four bytes of length, the message.

    00 00 00 00 05 h e l l o 01 00 00 00 14 … ──▶ b"hello", then what the compressed bytes hold

Nothing is kept of a message that is too long, and nothing inflated beyond what may be held.
"""

import zlib
from struct import Struct

PREFIX_BYTES = 5
_LENGTH = Struct(">I")

IDENTITY = b"identity"
_WINDOW_BITS = {b"gzip": 31, b"deflate": 15}
"""Encodings of messages, and what zlib calls them."""
ENCODINGS = (IDENTITY, *_WINDOW_BITS)


class Refused(Exception):
    """Bytes that are no message, or one that is not taken."""

    def __init__(self, code: str, details: str) -> None:
        super().__init__(details)
        self.code, self.details = code, details


def framed(message: bytes) -> bytes:
    """A message as it is sent, not compressed."""
    return b"\0" + _LENGTH.pack(len(message)) + message


class MessageReader:
    """The messages of one direction of a call, as their bytes come. After it has raised `Refused` it is of no use."""

    __slots__ = ("_buffer", "_encoding", "_limit", "_needed")

    def __init__(self, limit_bytes: int, encoding: bytes = IDENTITY) -> None:
        """encoding: of those messages that are compressed, one of `ENCODINGS`."""
        self._limit, self._encoding = limit_bytes, encoding
        self._buffer = bytearray()
        self._needed = -1
        """Bytes of the message that comes, with its prefix; -1 before that is known."""

    @property
    def pending_bytes(self) -> int:
        """Bytes of a message that is not complete."""
        return len(self._buffer)

    @property
    def expected_bytes(self) -> int:
        """Bytes of the message that comes, as far as that is known."""
        return max(self._needed, len(self._buffer))

    def feed(self, data: bytes, room_bytes: int) -> list[bytes]:
        """The messages that are complete now. room_bytes: how large an inflated one may be, if the limit is no less."""
        buffer = self._buffer
        buffer += data
        found: list[bytes] = []
        start = 0
        while len(buffer) - start >= PREFIX_BYTES:
            if self._needed < 0:
                self._needed = PREFIX_BYTES + length_of(buffer, start, self._limit)
            end = start + self._needed
            if len(buffer) < end:
                break
            with memoryview(buffer) as view:
                message = bytes(view[start + PREFIX_BYTES : end])
            most_bytes = min(self._limit, room_bytes)
            found.append(inflated(message, self._encoding, most_bytes) if buffer[start] else message)
            start, self._needed = end, -1
        if start:
            del buffer[:start]
        return found


def inflated(message: bytes, encoding: bytes, most_bytes: int) -> bytes:
    """A compressed message as it was. Raises `Refused` for one that is none, and beyond so many bytes."""
    bits = _WINDOW_BITS.get(encoding)
    if bits is None:
        raise Refused("INTERNAL", "a message is compressed, but grpc-encoding names no compression")
    inflater = zlib.decompressobj(bits)
    try:
        plain = inflater.decompress(message, most_bytes + 1)
    except zlib.error as error:
        raise Refused("INTERNAL", f"a compressed message cannot be read: {error}") from error
    if len(plain) > most_bytes:
        raise Refused(
            "RESOURCE_EXHAUSTED", f"Received message larger than max (more than {most_bytes} bytes decompressed)"
        )
    if not inflater.eof or inflater.unused_data:
        raise Refused("INTERNAL", "a compressed message is cut off, or has bytes behind its end")
    return plain


def length_of(data: bytes | bytearray, start: int, limit_bytes: int) -> int:
    """The length that a message's prefix says. Raises `Refused` for one beyond the limit."""
    if data[start] > 1:
        raise Refused("INTERNAL", f"a message begins with {data[start]}; expected 0 or 1, whether it is compressed")
    (length,) = _LENGTH.unpack_from(data, start + 1)
    if length > limit_bytes:
        raise Refused("RESOURCE_EXHAUSTED", f"Received message larger than max ({length} vs. {limit_bytes})")
    return int(length)
