"""Many values in a repeated field of a message: as the bytes that they are on the wire.

    array ──write──▶ tag, length, little-endian numbers ──MergeFromString──▶ message ──read──▶ array

Packed fields of float and double, and of bool, a byte each, are on the wire what they are in memory. protobuf's Python
makes an object for every element; by its parser and serializer they go as one copy. Source: protobuf's encoding.
"""

import sys
from functools import cache
from typing import Any

import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from numpy.typing import NDArray

from signet.serving.tensors.wire_format import DELIMITED, read_length, read_varint, tag, varint

LEAST_NUMBERS = 32
"""Arrays with so many numbers go this way: a short list is quicker."""

_ELEMENTS: dict[int, np.dtype[Any]] = {
    FieldDescriptor.TYPE_FLOAT: np.dtype(np.float32),
    FieldDescriptor.TYPE_DOUBLE: np.dtype(np.float64),
    FieldDescriptor.TYPE_BOOL: np.dtype(np.bool_),
}
TYPES = frozenset(_ELEMENTS) if sys.byteorder == "little" else frozenset[int]()
"""The types of protobuf whose packed fields are what they are in memory."""
_VARINT, _EIGHT = 0, 1


@cache
def is_packed(descriptor: Descriptor, name: str) -> bool:
    """Whether a field of messages of that kind can be written and read so."""
    return descriptor.fields_by_name[name].type in TYPES


def write(message: Message, name: str, array: NDArray[Any]) -> None:
    """Append all elements of an array, whose dtype is that of the field or complex, to a field."""
    content = array.tobytes()
    message.MergeFromString(b"".join([_tag(message.DESCRIPTOR, name), varint(len(content)), content]))


def read(message: Message, name: str) -> NDArray[Any]:
    """All elements of a field, of which there are some."""
    field = message.DESCRIPTOR.fields_by_name[name]
    data = message.SerializeToString()
    start, end = _content(data, field.number)
    # Cut out, so that it is aligned, and its own: whoever gets an array may write to it.
    return np.frombuffer(bytearray(memoryview(data)[start:end]), _ELEMENTS[field.type])


@cache
def _tag(descriptor: Descriptor, name: str) -> bytes:
    return tag(descriptor.fields_by_name[name].number, DELIMITED)


def _content(data: bytes, number: int) -> tuple[int, int]:
    """Where the content of a field is in a message that protobuf has written, which packs it in one piece."""
    at = 0
    while True:
        key, at = read_varint(data, at)
        kind = key & 7
        if kind == DELIMITED:
            start, at = read_length(data, at, len(data))
            if key >> 3 == number:
                return start, at
        elif kind == _VARINT:
            while data[at] > 0x7F:  # a negative number has ten bytes
                at += 1
            at += 1
        else:
            at += 8 if kind == _EIGHT else 4
