"""How a call of gRPC has ended, as trailers say it: `grpc-status`, a number, and `grpc-message`, percent-encoded UTF-8.

NOT_FOUND, "no model 'ü'" ──▶ 5, no model '%C3%BC' ──▶ NOT_FOUND, "no model 'ü'"
"""

import re

from signet.serving.errors import CODE_NAMES

NUMBERS = {name: number for number, name in enumerate(CODE_NAMES)}
"""The numbers of gRPC's status codes by their names."""

MOST_MESSAGE_BYTES = 6144
"""Bytes of an encoded message that are sent: clients bound the headers that they take, often at eight kilobytes."""

_ENCODED = re.compile(rb"[^ -$&-~]")
"""Bytes that are percent-encoded: all but printable ASCII, and the percent sign."""
_DECODED = re.compile(rb"%([0-9a-fA-F]{2})")


def encode_message(details: str) -> bytes:
    """The value of grpc-message; cut at a character where it would be too long."""
    text = details[:MOST_MESSAGE_BYTES].encode(errors="replace")
    encoded = _ENCODED.sub(lambda match: b"%%%02X" % match[0][0], text)
    if len(encoded) <= MOST_MESSAGE_BYTES:
        return encoded
    # A character takes up to four bytes, each of them three when encoded.
    return _ENCODED.sub(
        lambda match: b"%%%02X" % match[0][0], details[: MOST_MESSAGE_BYTES // 12].encode(errors="replace")
    )


def decode_message(value: bytes) -> str:
    """The message that a grpc-message is; what is no encoding stays as it is."""
    return _DECODED.sub(lambda match: bytes((int(match[1], 16),)), value).decode(errors="replace")
