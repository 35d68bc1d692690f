"""Files of TFRecords: records of bytes, each guarded by checksums.

    length: 8 bytes, crc of length: 4 │ data: length bytes, crc of data: 4 │ …      little endian, crcs masked

Source: `record_reader.cc`, `crc32c.h`.
"""

from collections.abc import Iterator
from functools import cache
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from signet.serving.errors import ServingError, from_code

_HEADER_BYTES = 12
_CRC_BYTES = 4
_POLYNOMIAL = 0x82F63B78
_MASK_DELTA = 0xA282EAD8
_ALL = 0xFFFFFFFF
_PIECE_BYTES = 1 << 20

_LANE_BYTES = 512
"""Large data is cut into pieces of this size, whose checksums numpy computes side by side."""


def read(file: BinaryIO, max_bytes: int = 1 << 31) -> Iterator[bytes]:
    """The records, one after the other. Raises an error with code DATA_LOSS for a file that is none or is damaged.

    max_bytes: of a record; a longer one counts as damage.
    """
    offset = 0
    while header := _checked(file, offset, _HEADER_BYTES - _CRC_BYTES):
        length = int.from_bytes(header, "little")
        if length > max_bytes:
            raise _data_loss(f"truncated record at {offset + _HEADER_BYTES}", offset + _HEADER_BYTES)
        data = _checked(file, offset + _HEADER_BYTES, length)
        if data is None:
            raise _data_loss(f"truncated record at {offset}' failed with eof", offset + _HEADER_BYTES)
        yield data
        offset += _HEADER_BYTES + length + _CRC_BYTES


def masked_crc(data: bytes) -> int:
    """The checksum as it is stored: rotated and shifted, for data that holds checksums itself."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & _ALL


def crc32c(data: bytes) -> int:
    """Castagnoli's: b"123456789" -> 0xE3069283."""
    lanes = len(data) // _LANE_BYTES
    state = _ALL
    if lanes > 1:
        pieces = np.frombuffer(data, np.uint8, lanes * _LANE_BYTES).reshape(lanes, _LANE_BYTES)
        crcs = np.zeros(lanes, np.uint32)
        for column in pieces.T:
            crcs = _table()[(crcs ^ column) & 0xFF] ^ (crcs >> 8)
        first, second, third, fourth = _zeros_tables()
        for crc in crcs.tolist():
            state = first[state & 255] ^ second[state >> 8 & 255] ^ third[state >> 16 & 255] ^ fourth[state >> 24] ^ crc
        data = data[lanes * _LANE_BYTES :]
    table = _table().tolist()
    for byte in data:
        state = table[(state ^ byte) & 0xFF] ^ (state >> 8)
    return state ^ _ALL


def _checked(file: BinaryIO, offset: int, length: int) -> bytes | None:
    """So many bytes, and the checksum behind them, which must be theirs; None at the end of the file."""
    found = _up_to(file, length + _CRC_BYTES)
    if not found:
        return None
    if len(found) < length + _CRC_BYTES:
        raise _data_loss(f"truncated record at {offset}", offset)
    data = found[:length]
    if masked_crc(data) != int.from_bytes(found[length:], "little"):
        raise _data_loss(f"corrupted record at {offset}", offset)
    return data


def _up_to(file: BinaryIO, length: int) -> bytes:
    """So many bytes, or what there is: a file that claims a long record must not make room for it before it comes."""
    if length <= _PIECE_BYTES:
        return file.read(length)
    pieces = []
    while length and (piece := file.read(min(length, _PIECE_BYTES))):
        pieces.append(piece)
        length -= len(piece)
    return b"".join(pieces)


def _data_loss(message: str, offset: int) -> ServingError:
    return from_code("DATA_LOSS", message + ("" if offset else " (Is this even a TFRecord file?)"))


def write(file: BinaryIO, data: bytes) -> None:
    """One more record."""
    length = len(data).to_bytes(_HEADER_BYTES - _CRC_BYTES, "little")
    for part in (length, data):
        file.write(part + masked_crc(part).to_bytes(_CRC_BYTES, "little"))


@cache
def _table() -> NDArray[np.uint32]:
    """The checksum of each byte."""
    crcs = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        crcs = np.where(crcs & 1, (crcs >> 1) ^ np.uint32(_POLYNOMIAL), crcs >> 1)
    return crcs


@cache
def _zeros_tables() -> list[list[int]]:
    """What a lane of zeros makes of a state, by each of the state's four bytes."""
    states = np.stack([np.arange(256, dtype=np.uint32) << np.uint32(8 * place) for place in range(4)])
    for _ in range(_LANE_BYTES):
        states = _table()[states & 0xFF] ^ (states >> 8)
    return [list(map(int, row)) for row in states]
