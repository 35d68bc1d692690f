"""Blocks of headers (HPACK, RFC 7541): one is read with the connection's table, and written without any.

block ──▶ indexes, integers, strings ──▶ names and values, and what the peer adds to the table
"""

from collections.abc import Iterable

from . import huffman

Field = tuple[bytes, bytes]
"""A header: its name and its value."""

DEFAULT_TABLE_BYTES = 4096
ENTRY_BYTES = 32
"""What an entry counts beside its name and value (RFC 7541, 4.1; RFC 9113, 6.5.2)."""

_STATIC: list[Field] = [
    (name, value)
    for name, _, value in (
        line.partition(b" ")
        for line in b"""\
:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate""".split(b"\n")
    )
]
"""RFC 7541, appendix A; index 1 is the first."""
_STATIC_ENTRIES = len(_STATIC)

_WHOLE = {field: i for i, field in reversed(list(enumerate(_STATIC, 1)))}
_NAMES = {field[0]: i for i, field in reversed(list(enumerate(_STATIC, 1)))}
_SECRET = frozenset((b"authorization", b"proxy-authorization", b"cookie", b"set-cookie"))
"""Names whose values no intermediary may put into a table (RFC 7541, 7.1.3)."""

SHRINK_TABLE = b"\x20"
"""At the start of a block: its sender's table holds nothing from now on."""


class BadBlock(ValueError):
    """A block that cannot be read; the connection's table is lost with it."""


class BlockTooLarge(BadBlock):
    """A block that stands for more headers than anybody reads through."""


class Decoder:
    """The table of a connection's peer, and how its blocks are read. A `BadBlock` makes it useless."""

    __slots__ = ("_entries", "_size", "_table_bytes", "changed")

    def __init__(self) -> None:
        self._entries: list[Field] = []  # the newest first, as indexes count
        self._size = 0
        self._table_bytes = DEFAULT_TABLE_BYTES
        self.changed = False
        """Whether the last block changed the table: then no earlier block need mean again what it meant."""

    def decode(self, block: bytes, most_bytes: int, most_read_bytes: int) -> tuple[list[Field], int]:
        """The headers of a block, and how many bytes they are, each with 32 more.

        The headers end where their sum passes most_bytes; the block is read on for the table's sake, up to most_read_bytes.
        """
        self.changed = False
        fields: list[Field] = []
        size = at = 0
        end = len(block)
        try:
            while at < end:
                first = block[at]
                at += 1
                if first >= 0x80:  # indexed
                    index = first & 0x7F
                    if index == 0x7F:
                        index, at = _integer(block, at, 0x7F)
                    field = self._field(index)
                elif first >= 0x40:  # literal with indexing
                    field, at = self._literal(block, at, first & 0x3F, 0x3F)
                    self._insert(field)
                elif first >= 0x20:  # the table's size
                    if fields or size:
                        raise BadBlock("the table's size changes within a block")
                    at = self._resize(block, at, first & 0x1F)
                    continue
                else:  # literal without indexing, or never indexed
                    field, at = self._literal(block, at, first & 0x0F, 0x0F)
                size += len(field[0]) + len(field[1]) + ENTRY_BYTES
                if size <= most_bytes:
                    fields.append(field)
                elif size > most_read_bytes:
                    raise BlockTooLarge(f"a block stands for more than {most_read_bytes} bytes of headers")
        except IndexError:
            raise BadBlock(f"the block of {end} bytes ends within a header") from None
        except huffman.BadHuffman as error:
            raise BadBlock(str(error)) from None
        return fields, size

    def _field(self, index: int) -> Field:
        if 0 < index <= _STATIC_ENTRIES:
            return _STATIC[index - 1]
        place = index - _STATIC_ENTRIES - 1
        if place < 0 or place >= len(self._entries):
            raise BadBlock(f"index {index}; the tables have {_STATIC_ENTRIES + len(self._entries)} entries")
        return self._entries[place]

    def _literal(self, block: bytes, at: int, index: int, most: int) -> tuple[Field, int]:
        if index:
            if index == most:
                index, at = _integer(block, at, most)
            name = self._field(index)[0]
        else:
            name, at = _string(block, at)
        value, at = _string(block, at)
        return (name, value), at

    def _resize(self, block: bytes, at: int, table_bytes: int) -> int:
        if table_bytes == 0x1F:
            table_bytes, at = _integer(block, at, 0x1F)
        if table_bytes > DEFAULT_TABLE_BYTES:
            raise BadBlock(f"a table of {table_bytes} bytes; {DEFAULT_TABLE_BYTES} are allowed")
        self._table_bytes = table_bytes
        self._evict(0)
        self.changed = True
        return at

    def _insert(self, field: Field) -> None:
        self.changed = True
        size = len(field[0]) + len(field[1]) + ENTRY_BYTES
        self._evict(size)
        if size <= self._table_bytes:
            self._entries.insert(0, field)
            self._size += size

    def _evict(self, more: int) -> None:
        """Make room for more bytes, or leave the table empty."""
        while self._size + more > self._table_bytes and self._entries:
            name, value = self._entries.pop()
            self._size -= len(name) + len(value) + ENTRY_BYTES


def _integer(block: bytes, at: int, value: int) -> tuple[int, int]:
    """An integer that goes on behind its prefix, which had this value, and where it ends (RFC 7541, 5.1)."""
    shift = 0
    while True:
        byte = block[at]
        at += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 28:
            raise BadBlock("an integer beyond 35 bits")


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    first = block[at]
    at += 1
    length = first & 0x7F
    if length == 0x7F:
        length, at = _integer(block, at, 0x7F)
    end = at + length
    if end > len(block):
        raise BadBlock(f"a string of {length} bytes; the block has {len(block) - at} more")
    text = block[at:end]
    return (huffman.decode(text) if first >= 0x80 else text), end


def encode(fields: Iterable[Field]) -> bytes:
    """A block that means these headers on any connection at any time: it neither uses nor changes a table."""
    return b"".join(map(literal, fields))


def literal(field: Field) -> bytes:
    """One header, as `encode` writes it."""
    if index := _WHOLE.get(field):
        return bytes((0x80 | index,))
    name, value = field
    kind = 0x10 if name in _SECRET else 0
    if index := _NAMES.get(name):
        return _prefixed(index, kind, 0x0F) + text(value)
    return bytes((kind,)) + text(name) + text(value)


def text(value: bytes) -> bytes:
    """A string, without Huffman's code."""
    return _prefixed(len(value), 0, 0x7F) + value


def _prefixed(value: int, kind: int, most: int) -> bytes:
    """An integer in the lower bits of a byte, and behind it what does not fit (RFC 7541, 5.1)."""
    if value < most:
        return bytes((kind | value,))
    out = [kind | most]
    value -= most
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))
