"""Tensors as bytes, by the binary tensor extension: little-endian, row-major, no padding.

BOOL      a byte each, 0 or 1
BYTES     for each element its length in four bytes, then the element
others    the element as it is in memory
"""

import math
import struct

import numpy as np

from signet.serving.errors import InvalidInput
from signet.serving.tensors.arrays import Array
from signet.serving.tensors.dtypes import DType

HEADER = "Inference-Header-Content-Length"
"""Says how many bytes of a body are JSON; the tensors' bytes come after them."""
_LENGTH = struct.Struct("<I")


def from_bytes(raw: memoryview, dtype: DType, shape: tuple[int, ...], where: str) -> Array:
    """Bytes as array of the dtype and shape, of the same memory where that can be; `InvalidInput` unless all fit.

    where: the tensor, for messages.
    """
    count = math.prod(shape)
    if dtype.is_string:
        return _strings(raw, count, where).reshape(shape)
    needed = count * dtype.numpy.itemsize
    if len(raw) != needed:
        raise InvalidInput(
            f"{where} has {len(raw)} bytes; shape {list(shape)} of {dtype.numpy.itemsize} bytes an element needs {needed}"
        )
    if dtype.name == "bool":
        return np.frombuffer(raw, np.uint8).astype(np.bool_).reshape(shape)
    return np.frombuffer(raw, dtype.numpy).reshape(shape)


def to_bytes(array: Array) -> bytes:
    """An array as bytes; strings are an array of objects whose elements are bytes."""
    if array.dtype.kind != "O":
        return array.tobytes()
    flat = array.reshape(-1).tolist()
    return b"".join([part for value in flat for part in (_LENGTH.pack(len(value)), value)])


def _strings(raw: memoryview, count: int, where: str) -> Array:
    if len(raw) < count * _LENGTH.size:
        raise InvalidInput(f"{where} has {len(raw)} bytes; {count} strings need at least {count * _LENGTH.size}")
    out = np.empty(count, object)
    position = 0
    for i in range(count):
        start = position + _LENGTH.size
        if start > len(raw):
            raise InvalidInput(f"{where}: the bytes end before the length of string {i} of {count}")
        position = start + _LENGTH.unpack_from(raw, position)[0]
        if position > len(raw):
            raise InvalidInput(
                f"{where}: string {i} of {count} says it has {position - start} bytes; {len(raw) - start} are left"
            )
        out[i] = bytes(raw[start:position])
    if position != len(raw):
        raise InvalidInput(f"{where}: {len(raw) - position} bytes are left after its {count} strings")
    return out
