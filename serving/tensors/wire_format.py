"""Protobuf's wire format, as far as tensors need it: numbers in 7-bit groups, one by one and in packed fields.

    300 ──varint──▶ ac 02          ac 02 05 ──packed_varints──▶ [300, 5]

What is not in the usual form raises `Unusual`; protobuf's library then reads the message, or says what is wrong with it.
"""

import numpy as np
from numpy.typing import NDArray

DELIMITED = 2
"""The wire type of strings, bytes, messages and packed fields: a length and so many bytes."""
_MOST_BYTES = 10
"""Bytes of the longest number."""


class Unusual(Exception):
    """The bytes are no message, or not in the form in which programs write them: a case for protobuf's library."""


def varint(number: int) -> bytes:
    """A number from 0 to 2^64 - 1 in groups of 7 bits, the lowest first."""
    if number < 0x80:
        return bytes((number,))
    groups = []
    while number >= 0x80:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*groups, number))


def tag(field: int, wire_type: int) -> bytes:
    """What stands before a field's value."""
    return varint(field << 3 | wire_type)


def delimited(field: int, content: bytes) -> bytes:
    """A field that holds a string, bytes or a message."""
    return tag(field, DELIMITED) + varint(len(content)) + content


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of at most 35 bits, and where the next thing begins. Raises `Unusual` for longer ones, IndexError at the end."""
    number = data[at]
    if number < 0x80:
        return number, at + 1
    number &= 0x7F
    for shift in (7, 14, 21, 28):
        at += 1
        byte = data[at]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at + 1
    raise Unusual


def read_length(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Where the content of a delimited field begins and where it stops. Raises `Unusual` when that lies beyond the end."""
    size, start = read_varint(data, at)
    stop = start + size
    if stop > end:
        raise Unusual
    return start, stop


def packed_varints(data: bytes, start: int, stop: int) -> NDArray[np.uint64]:
    """The numbers of a packed field."""
    raw = np.frombuffer(data, np.uint8, stop - start, start)
    last = raw < 0x80
    if last.all():
        return raw.astype(np.uint64)
    ends = np.flatnonzero(last)
    if not ends.size or ends[-1] != raw.size - 1:
        raise Unusual
    starts = np.empty_like(ends)
    starts[0] = 0
    starts[1:] = ends[:-1] + 1
    lengths = ends - starts + 1
    longest = int(lengths.max())
    if longest > _MOST_BYTES or (longest == _MOST_BYTES and (raw[ends[lengths == _MOST_BYTES]] > 1).any()):
        raise Unusual
    numbers = (raw[starts] & 0x7F).astype(np.uint64)
    for i in range(1, longest):
        longer = lengths > i
        numbers[longer] |= (raw[starts[longer] + i] & 0x7F).astype(np.uint64) << np.uint64(7 * i)
    return numbers
