"""How much work it is to read a protobuf message, told from its bytes without reading it.

A tensor that came as one run of bytes is copied, which takes no time, and so are floats in a typed field, which is packed; a
million short strings, or whole numbers, take their time one by one, with the interpreter's lock held from first to last.
"""

from typing import cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from signet.serving.tensors import packed

_MOST_FIELDS = 256
"""A message with more fields than these is not looked through further: the rest counts as heavy."""

_VARINT, _EIGHT, _DELIMITED, _FOUR = 0, 1, 2, 5
_LIGHT = {FieldDescriptor.TYPE_BYTES, *packed.TYPES}
"""Types of fields whose content is copied, however long it is."""


def heavy_bytes(data: bytes, message_class: type[Message]) -> int:
    """Bytes of the message that are not the content of a few fields of bytes or floats."""
    try:
        return _heavy(data, 0, len(data), cast(Descriptor, message_class.DESCRIPTOR), [_MOST_FIELDS])
    except IndexError:  # cut off: whoever reads it will say so
        return len(data)


def _heavy(data: bytes, at: int, end: int, descriptor: Descriptor, left: list[int]) -> int:
    heavy = 0
    while at < end:
        left[0] -= 1
        if left[0] < 0:
            return heavy + end - at
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == _DELIMITED:
            size, at = _varint(data, at)
            stop = min(at + size, end)
            field = descriptor.fields_by_number.get(tag >> 3)
            if field is not None and field.type == FieldDescriptor.TYPE_MESSAGE:
                heavy += _heavy(data, at, stop, field.message_type, left)
            elif field is not None and field.type not in _LIGHT:
                heavy += stop - at
            at = stop
        elif kind == _VARINT:
            _, at = _varint(data, at)
        elif kind in (_EIGHT, _FOUR):
            at += 8 if kind == _EIGHT else 4
        else:
            return heavy + end - at
    return heavy


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of the wire format, and where the next thing begins."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80 or shift > 63:
            return number, at
        shift += 7
