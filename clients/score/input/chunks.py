"""The rows of all sources, cut into chunks: what one request is made of.

    sources ──read(…, start, rows)──▶ Chunk(file 0, rows 0 to 63), Chunk(rows 64 to 127), …, Chunk(file 1, rows 0 to 63)

Where a chunk ends depends on the place of its rows in their file and on nothing else, so a job that goes on from any
chunk's end meets the same chunks as one that never stopped. Reading is quick and in order; parsing is left to whoever
scores the chunk. JSONL lives here, CSV in `csv_records.py`; the other formats, which need pyarrow, in `arrow_chunks.py`.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any, BinaryIO

from signet.clients.score import formats
from signet.clients.score.input.sources import Source
from signet.serving.errors import UsageError

MAX_RECORD_BYTES = 1 << 28
"""Longest line or record; a file without line ends would otherwise be read whole."""
_SKIPPED_BYTES = 1 << 20
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Position:
    """Somewhere between two rows."""

    file: int = 0
    """Number of the source."""
    row: int = 0
    """Rows of that source before it."""
    offset: int = 0
    """Bytes of that source before it, uncompressed; 0 where the format finds rows by their number."""
    line: int = 0
    """Lines of that source before it; 0 where the format has no lines."""


@dataclass(frozen=True)
class Chunk:
    """Rows that stand together, not parsed yet."""

    source: Source
    start: Position
    end: Position
    content: Any
    """What the format's parser takes: a list of lines, an Arrow table …"""
    size_bytes: int
    """Part of the source's size that these rows take."""

    @property
    def rows(self) -> int:
        return self.end.row - self.start.row


@dataclass(frozen=True)
class TextLine:
    """A line of the source."""

    number: int
    text: bytes


Read = Callable[[Source, BinaryIO, Position, int, tuple[str, ...] | None], Iterator[Chunk]]
"""(source, its content, where to begin, most rows in a chunk, columns wanted or None for all) -> chunks"""


def read(
    sources: tuple[Source, ...], start: Position, rows: int, columns: tuple[str, ...] | None = None
) -> Iterator[Chunk]:
    """Chunks of at most so many rows from a place on. Raises `UsageError` for files that cannot be read."""
    for number in range(start.file, len(sources)):
        source = sources[number]
        begin = start if number == start.file else Position(number)
        try:
            with source.open() as content:
                yield from _reader(source)(source, content, begin, rows, columns)
        except (OSError, EOFError, ValueError) as error:
            raise UsageError(f"{source.shown} cannot be read as {source.format.ending}: {error}") from error


def count(source: Source) -> int | None:
    """The rows of a file that knows them without being read; None for others."""
    if source.format.name not in formats.UNCOMPRESSED or source.is_pipe:
        return None
    from signet.clients.score.input import arrow_chunks  # noqa: PLC0415  # needs pyarrow

    with source.open() as content:
        return arrow_chunks.count(source, content)


def lines(
    source: Source, content: BinaryIO, start: Position, rows: int, columns: tuple[str, ...] | None = None
) -> Iterator[Chunk]:
    """Lines that are not blank; content: list[Line]."""
    skip(source, content, start.offset)
    counted = _counted(source, content, start)
    while chunk := list(islice(counted, rows)):
        last, offset = chunk[-1]
        end = replace(start, row=start.row + len(chunk), offset=offset, line=last.number)
        yield Chunk(source, start, end, [line for line, _ in chunk], offset - start.offset)
        start = end


def check_names(path: str, names: Collection[str]) -> None:
    """Raise `UsageError` for two columns of one name."""
    twice = next((name for name, times in Counter(names).items() if times > 1), None)
    if twice is not None:
        raise UsageError(f"{path} has two columns {twice!r}; each needs a name of its own")


def skip(source: Source, content: BinaryIO, offset: int) -> None:
    """Go to an offset of the uncompressed content."""
    if source.seekable and offset:
        content.seek(offset)
        return
    while offset > 0:
        skipped = len(content.read(min(offset, _SKIPPED_BYTES)))
        if not skipped:
            raise EOFError("it ends before the row at which to go on")
        offset -= skipped


def long_lines(content: BinaryIO) -> Iterator[bytes]:
    """Lines with their ends, however they are wrapped; `UsageError` for one that would not fit into memory."""
    for line in iter(partial(content.readline, MAX_RECORD_BYTES), b""):
        if len(line) == MAX_RECORD_BYTES:
            raise UsageError(f"there is a line of more than {MAX_RECORD_BYTES} bytes; is it a file of lines?")
        yield line


def without_bom(text: bytes, offset: int) -> bytes:
    """The first line of a file without the mark that some programs put there."""
    return text.removeprefix(_BOM) if not offset else text


def _counted(source: Source, content: BinaryIO, start: Position) -> Iterator[tuple[TextLine, int]]:
    """Each line with the offset of its end; the blank ones are only counted."""
    offset, number = start.offset, start.line
    for text in long_lines(content):
        line = without_bom(text, offset)
        offset += len(text)
        number += 1
        if not line.isspace():
            yield TextLine(number, line), offset


def _reader(source: Source) -> Read:
    if source.format.name == "jsonl":
        return lines
    formats.pyarrow(f"{source.shown}, which is {source.format.ending},")
    if source.format.name in formats.SEPARATED:
        from signet.clients.score.input import csv_records  # noqa: PLC0415  # reads chunks, as this file says

        return csv_records.read
    from signet.clients.score.input import arrow_chunks  # noqa: PLC0415  # needs pyarrow

    return arrow_chunks.READERS[source.format.name]
