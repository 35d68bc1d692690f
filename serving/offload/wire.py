"""Messages between a server and its worker processes: anything that pickle takes, over a stream socket.

    value ──send──▶ number of parts, their lengths, the pickle, each large buffer as it is ──receive──▶ the same value

Arrays and bodies are neither copied nor escaped on their way; the bytes of an array of strings go as one. Both ends are this
program, of one version, and nobody else has the socket: that is what makes pickle fit.
"""

import io
import pickle
import socket
import struct
from typing import Any

import numpy as np

from signet.serving.tensors.arrays import Array

_STRINGS_AT_ONCE = 1 << 14
"""Strings that are made before another thread gets a chance to run."""

_COUNT = struct.Struct("<I")
_LENGTH = struct.Struct("<Q")


class Ended(Exception):
    """The other side has closed the socket."""


class _OutOfBand:
    """Bytes that travel beside the pickle, and arrive as they were."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __reduce__(self) -> Any:
        return _as_it_is, (pickle.PickleBuffer(self._content),)


def out_of_band(value: Any) -> Any:
    """The value, or in a tuple or list its parts, such that bytes are not copied when it is sent."""
    if type(value) in (tuple, list):
        return type(value)(map(out_of_band, value))
    return _OutOfBand(value) if type(value) is bytes else value


def send(connection: socket.socket, value: Any) -> None:
    """Send one message, waiting until the socket has taken all of it. Raises OSError when nobody reads it."""
    buffers: list[pickle.PickleBuffer] = []
    stream = io.BytesIO()
    _Pickler(stream, protocol=5, buffer_callback=buffers.append).dump(value)
    parts = [stream.getbuffer(), *(buffer.raw() for buffer in buffers)]
    head = _COUNT.pack(len(parts)) + b"".join([_LENGTH.pack(len(part)) for part in parts])
    connection.sendall(head)
    for part in parts:
        connection.sendall(part)


def receive(connection: socket.socket) -> Any:
    """Wait for one message. Raises `Ended` when there will be none."""
    (count,) = _COUNT.unpack(_read(connection, _COUNT.size))
    lengths = [_LENGTH.unpack(_read(connection, _LENGTH.size))[0] for _ in range(count)]
    parts = [_read(connection, length) for length in lengths]
    return pickle.loads(parts[0], buffers=parts[1:])  # noqa: S301  # nosec B301  # from ourselves: see above


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, np.ndarray) and value.dtype == object:
            flat = value.reshape(-1).tolist()
            lengths = np.fromiter(map(len, flat), np.int64, len(flat))
            return _strings, (lengths, _OutOfBand(b"".join(flat)), value.shape)
        return NotImplemented


def _as_it_is(part: bytes) -> bytes:
    return part


def _strings(lengths: Array, joined: bytes, shape: tuple[int, ...]) -> Array:
    out = np.empty(len(lengths), object)
    ends = np.cumsum(lengths)
    for start in range(0, len(out), _STRINGS_AT_ONCE):
        chunk = slice(start, start + _STRINGS_AT_ONCE)
        pairs = zip((ends[chunk] - lengths[chunk]).tolist(), ends[chunk].tolist(), strict=True)
        out[chunk] = [joined[first:end] for first, end in pairs]
    return out.reshape(shape)


def _read(connection: socket.socket, size: int) -> bytes:
    """Exactly so many bytes; in one piece, without a copy, when the system can."""
    pieces = []
    while size:
        piece = connection.recv(min(size, 1 << 30), socket.MSG_WAITALL)
        if not piece:
            raise Ended
        pieces.append(piece)
        size -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
