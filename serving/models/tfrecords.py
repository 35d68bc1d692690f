"""Files of TFRecords: records of bytes, each guarded by checksums.

    length: 8 bytes, crc of length: 4 │ data: length bytes, crc of data: 4 │ …      little endian, crcs masked

Source: `record_reader.cc`, `crc32c.h`.
"""

from collections.abc import Iterator
from typing import BinaryIO

import google_crc32c

from signet.serving.errors import ServingError, from_code

_HEADER_BYTES = 12
_CRC_BYTES = 4
_MASK_DELTA = 0xA282EAD8
_ALL = 0xFFFFFFFF
_PIECE_BYTES = 1 << 20


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
    """The CRC-32C as it is stored: rotated and shifted, for data that holds checksums itself."""
    crc: int = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & _ALL


def _checked(file: BinaryIO, offset: int, length: int) -> bytes | None:
    """The next `length` bytes, held against the checksum behind them; None at the end of the file."""
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
    """The next `length` bytes, or fewer at the end: a file that claims a long record must not make room for it in advance."""
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
    """Append one record to a file."""
    length = len(data).to_bytes(_HEADER_BYTES - _CRC_BYTES, "little")
    for part in (length, data):
        file.write(part + masked_crc(part).to_bytes(_CRC_BYTES, "little"))
