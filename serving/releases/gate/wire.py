"""Messages between the gate and the process of a version: a JSON object and named arrays, over a stream socket.

    facts, arrays ──send──▶ lengths, JSON, the bytes of each array ──receive──▶ facts, arrays

No pickle: what answers here has run a graph that somebody sent us, and whatever it has become, all that it can send is
numbers and texts, of bounded size.
"""

import json
import socket
import struct
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from signet.serving.tensors import dtypes
from signet.serving.tensors.arrays import Array, Arrays

MOST_BYTES = 1 << 30
"""Of a message, all arrays together."""
_MOST_HEAD = 16 << 20
_LENGTHS = struct.Struct("<QQ")
_DTYPES = {row.numpy.name: row.numpy for row in dtypes.ROWS if not row.is_string}


class Closed(Exception):
    """The other side has ended, or has sent what is no message."""


class Late(Exception):
    """The message was not there in time."""


def send(connection: socket.socket, facts: Mapping[str, Any], arrays: Arrays | None = None) -> None:
    """Send one message. Raises OSError when nobody reads it; `Closed` for more than `MOST_BYTES`."""
    described, parts = {}, []
    for name, array in (arrays or {}).items():
        lengths = None
        if array.dtype == object:
            texts = array.reshape(-1).tolist()
            lengths = [len(text) for text in texts]
            content = b"".join(texts)
        else:
            content = np.ascontiguousarray(array).tobytes()
        described[name] = [array.dtype.name, list(array.shape), len(content), lengths]
        parts.append(content)
    head = json.dumps({"facts": facts, "arrays": described}).encode()
    total = sum(map(len, parts))
    if total > MOST_BYTES or len(head) > _MOST_HEAD:
        raise Closed(f"a message of {total} bytes is larger than {MOST_BYTES}")
    connection.sendall(b"".join([_LENGTHS.pack(len(head), total), head, *parts]))


def receive(connection: socket.socket, timeout_s: float | None = None) -> tuple[dict[str, Any], Arrays]:
    """Wait for one message, for so long. Raises `Closed` and `Late`."""
    until = None if timeout_s is None else time.monotonic() + timeout_s
    head_bytes, total = _LENGTHS.unpack(_read(connection, _LENGTHS.size, until))
    if head_bytes > _MOST_HEAD or total > MOST_BYTES:
        raise Closed("what came is no message")
    head, content = _read(connection, head_bytes, until), _read(connection, total, until)
    try:
        message = json.loads(head)
        return dict(message["facts"]), _arrays(message["arrays"], content)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Closed("what came is no message") from error


def _arrays(described: Mapping[str, Any], content: bytes) -> Arrays:
    arrays: Arrays = {}
    at = 0
    for name, (dtype, shape, size, lengths) in described.items():
        part = content[at : at + size]
        at += size
        arrays[name] = _texts(part, lengths, shape) if lengths is not None else _numbers(part, dtype, shape)
    return arrays


def _numbers(content: bytes, name: str, shape: list[int]) -> Array:
    return np.frombuffer(content, _DTYPES[name]).reshape(shape)


def _texts(content: bytes, lengths: list[int], shape: list[int]) -> Array:
    flat = np.empty(len(lengths), object)
    at = 0
    for place, length in enumerate(lengths):
        flat[place] = content[at : at + length]
        at += length
    return flat.reshape(shape)


def _read(connection: socket.socket, size: int, until: float | None) -> bytes:
    pieces = []
    while size:
        if until is not None:
            left = until - time.monotonic()
            if left <= 0:
                raise Late
            connection.settimeout(left)
        else:
            connection.settimeout(None)
        try:
            piece = connection.recv(min(size, 1 << 20))
        except TimeoutError:
            raise Late from None
        except OSError as error:
            raise Closed(str(error)) from error
        if not piece:
            raise Closed("the other side has ended")
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
