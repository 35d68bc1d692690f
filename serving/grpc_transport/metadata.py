"""Metadata as header fields and back: values of `-bin` keys are bytes, in base64 on the way.

[("id", "7"), ("trace-bin", b"\\x00")] ◀──▶ [(b"id", b"7"), (b"trace-bin", b"AA")]
"""

import re
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Iterable

from signet.serving.grpc_transport.calls import Metadata

Field = tuple[bytes, bytes]

_KEY = re.compile(r"[0-9a-z_.-]+")
_VALUE = re.compile(r"[ -~]*")
_OWN = frozenset((b"content-type", b"te", b"content-length", b"host"))
"""Fields that are the transport's. Those that begin with `grpc-` are gRPC's, but for the one that servers give."""
_PUSHBACK = "grpc-retry-pushback-ms"
"""When to try again, in trailing metadata: gRPC's clients that retry keep to it."""


def to_fields(metadata: Metadata) -> list[Field]:
    """The header fields. Raises `ValueError` for a key or value that cannot be sent."""
    return [(_key(key), _value(key, value)) for key, value in metadata]


def from_fields(fields: Iterable[Field]) -> Metadata:
    """The metadata among header fields, without what is HTTP's and gRPC's own.

    Several values of a `-bin` key may stand in one field, with commas between them. Raises `ValueError` for what is no base64.
    """
    found: list[tuple[str, str | bytes]] = []
    for name, value in fields:
        if name in _OWN or (name[:5] == b"grpc-" and name != _PUSHBACK.encode()):
            continue
        key = name.decode("ascii")
        if name[-4:] == b"-bin":
            found += [(key, _decoded(key, part)) for part in value.split(b",")]
        else:
            found.append((key, value.decode("latin-1")))
    return found


def _key(key: str) -> bytes:
    if not _KEY.fullmatch(key) or (key.startswith("grpc-") and key != _PUSHBACK):
        raise ValueError(
            f"{key[:100]!r} is no key of metadata: expected 0-9, a-z, '_', '.', '-', and no 'grpc-' in front"
        )
    return key.encode()


def _value(key: str, value: str | bytes) -> bytes:
    if key.endswith("-bin"):
        return b64encode(value if isinstance(value, bytes) else value.encode()).rstrip(b"=")
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    if not _VALUE.fullmatch(text):
        raise ValueError(f"metadata {key!r} has a value that is not printable ASCII; keys of bytes end in '-bin'")
    return text.strip(" ").encode()


def _decoded(key: str, value: bytes) -> bytes:
    try:
        return b64decode(value.strip() + b"=" * (-len(value.strip()) % 4), validate=True)
    except Error as error:
        raise ValueError(f"metadata {key[:100]!r} is no base64: {error}") from error
