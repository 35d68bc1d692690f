"""What `variables/variables.index` says of the files beside it: how many there are, and how long each has to be.

    entry "" ──▶ BundleHeaderProto: number of shards      entry NAME ──▶ BundleEntryProto: shard, offset, size
    ──▶ least bytes of variables.data-00000-of-00002, variables.data-00001-of-00002

The index is a table of sorted keys: data blocks, an index block that says where they lie, and a footer. Only what is
needed of it is read; numbers in it are believed as far as the file is long. Source: `tensor_bundle.cc`, `table/format.cc`.
"""

import struct
from collections.abc import Iterator

_FOOTER = 48
_MAGIC = 0xDB4775248B80FB57
_TRAILER = 1
"""Bytes after a block that are looked at: its kind of compression. The checksum behind it is TensorFlow's to check."""


def least_bytes(index: bytes) -> list[int]:
    """How long each data file has to be at least, in the order of the shards.

    Raises `ValueError` for what is no whole index; one that is compressed, which TensorFlow reads but never writes, gives
    no lengths: an empty list.
    """
    if len(index) < _FOOTER or struct.unpack("<Q", index[-8:])[0] != _MAGIC:
        raise ValueError("it has no footer: it is cut off, or no index")
    footer = index[-_FOOTER:]
    _, at = _varint(footer, 0)
    _, at = _varint(footer, at)
    offset, at = _varint(footer, at)
    size, _ = _varint(footer, at)
    directory = _block(index, offset, size)
    if directory is None:
        return []
    lengths: list[int] = []
    for _, handle in _entries(directory):
        offset, at = _varint(handle, 0)
        size, _ = _varint(handle, at)
        block = _block(index, offset, size)
        if block is None:
            return []
        for key, value in _entries(block):
            fields = _numbers(value)
            if not key:
                lengths = [0] * _bounded(fields.get(1, 0), len(index))
                continue
            shard = fields.get(3, 0)
            if shard >= len(lengths):
                raise ValueError(f"tensor {key[:100]!r} lies in shard {shard} of {len(lengths)}")
            lengths[shard] = max(lengths[shard], fields.get(4, 0) + fields.get(5, 0))
    if not lengths:
        raise ValueError("it has no header")
    return lengths


def _bounded(shards: int, index_bytes: int) -> int:
    # Each shard was written for at least one entry, so that there cannot be more of them than bytes.
    if shards > index_bytes:
        raise ValueError(f"it tells of {shards} shards")
    return shards


def _block(data: bytes, offset: int, size: int) -> bytes | None:
    """The bytes of a block; None when they are compressed."""
    if offset + size + _TRAILER > len(data):
        raise ValueError("a block lies beyond its end")
    return None if data[offset + size] else data[offset : offset + size]


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of each entry: a key is written as what differs from the one before."""
    if len(block) < 4:
        raise ValueError("a block is too short")
    end = len(block) - 4 - 4 * int(struct.unpack("<I", block[-4:])[0])
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        fresh, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + fresh]
        at += fresh
        yield key, block[at : at + length]
        at += length


def _numbers(message: bytes) -> dict[int, int]:
    """The whole numbers among the fields of a message."""
    found: dict[int, int] = {}
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == 0:
            found[tag >> 3], at = _varint(message, at)
        elif kind == 2:
            length, at = _varint(message, at)
            at += length
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError("an entry cannot be read")
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, lowest first, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number is cut off")
