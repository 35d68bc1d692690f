"""The records of a CSV file: Python's own csv reader says what they are, and what stands in their cells.

    id,note ⏎  7,"two ⏎ lines" ⏎   ──csv──▶   header ("id", "note"), [["7", "two ⏎ lines"]], its text, line 2

Lines end with CR, LF or both. Every record knows where its bytes end, so reading can go on behind any of them. The text
of a record is kept as it came: that of a bad one goes to the dead letters.
"""

import csv
import io
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any, BinaryIO, NamedTuple, cast

from signet.clients.score.formats import SEPARATED
from signet.clients.score.input.chunk import MAX_RECORD_BYTES, Chunk, Position, check_names, skip
from signet.clients.score.input.sources import Source
from signet.serving.errors import UsageError
from signet.serving.tables import csv_dialect
from signet.serving.tables.csv_dialect import Dialect

csv.field_size_limit(MAX_RECORD_BYTES)


class Record(NamedTuple):
    """One row, not yet held against the header."""

    parsed: list[str] | None
    """The cells; None for a line without quotes, which is cut up where it is scored."""
    text: str
    """The record as it came, with its line end. Bytes that are no text are half surrogates."""
    line: int
    """The line at which it begins, from 1."""
    end_line: int
    end_offset: int

    def cells(self, dialect: Dialect) -> list[str]:
        """The cells, parsed now if they were not before."""
        return next(csv.reader([self.text], **dialect.format), []) if self.parsed is None else self.parsed


@dataclass(frozen=True)
class CsvRecords:
    """The content of a chunk of a CSV file."""

    header: tuple[str, ...]
    records: list[Record]
    dialect: Dialect
    guesses: str
    """What of the dialect was found out; empty where it is the usual one."""

    def rows(self) -> list[list[str]]:
        """The cells of each record."""
        return [record.cells(self.dialect) for record in self.records]


def read(source: Source, content: BinaryIO, start: Position, rows: int, columns: Any = None) -> Iterator[Chunk]:
    """Chunks of a CSV file; their content is `CsvRecords`. A file with a header alone gives one chunk without rows."""
    head, whole = _head(source, content)
    dialect, guesses = csv_dialect.detect(head, source.dialect, SEPARATED[source.format.name], whole)
    records = _records(source, cast(BinaryIO, io.BufferedReader(_Joined(head, content))), dialect, Position())
    first = next(_without_blank(records, dialect, 2), None)
    if first is None:
        return
    header = tuple(first.cells(dialect))
    check_names(source.shown, header)
    chunk = partial(CsvRecords, header, dialect=dialect, guesses=guesses)
    if start.offset:
        with source.open() as again:
            skip(source, again, start.offset)
            yield from _chunks(source, _records(source, again, dialect, start), start, rows, chunk)
        return
    place = replace(start, offset=first.end_offset, line=first.end_line)
    empty = True
    for found in _chunks(source, records, place, rows, chunk):
        empty = False
        yield found
    if empty:
        yield Chunk(source, start, start, chunk([]), 0)


def _chunks(
    source: Source, records: Iterator[Record], start: Position, rows: int, content: Callable[[list[Record]], CsvRecords]
) -> Iterator[Chunk]:
    empty = content([])
    kept = _without_blank(records, empty.dialect, len(empty.header))
    while found := list(islice(kept, rows)):
        last = found[-1]
        end = replace(start, row=start.row + len(found), offset=last.end_offset, line=last.end_line)
        yield Chunk(source, start, end, content(found), end.offset - start.offset)
        start = end


def _without_blank(records: Iterator[Record], dialect: Dialect, width: int) -> Iterator[Record]:
    """The records without blank lines; one of spaces is blank where a record has several cells."""
    for record in records:
        if record.text.isspace() and (not record.text.strip("\r\n") or width > 1 == len(record.cells(dialect))):
            continue
        yield record


def _records(source: Source, content: BinaryIO, dialect: Dialect, start: Position) -> Iterator[Record]:
    """The records from a place on, blank lines among them.

    A line without quotes is a record; where there are some, the csv reader takes as many lines as the record has.
    """
    lines = _Lines(content, dialect, start)
    reader = csv.reader(lines, **dialect.format)
    quotes = dialect.marks
    offset, line = start.offset, start.line
    try:
        while lines.advance():
            cells = None
            if any(mark in lines.next for mark in quotes):
                cells = next(reader)
            else:
                lines.take()
            if lines.ended:
                raise UsageError(
                    f"{source.shown}: a quote that is opened in the record at line {line + 1} is not closed; "
                    "where quotes are text, say --quoting none"
                )
            count = len(lines.taken)
            text, size = lines.next_record()
            offset += size
            if line or not csv_dialect.says_delimiter(text):
                yield Record(cells, text, line + 1, line + count, offset)
            line += count
    except csv.Error as error:
        raise ValueError(f"the record at line {line + 1}: {error}") from error
    finally:
        lines.close()


class _Lines:
    """Lines with their ends, as the csv reader takes them; notes what it has taken for a record."""

    def __init__(self, content: BinaryIO, dialect: Dialect, start: Position) -> None:
        self._wrapped = io.TextIOWrapper(content, dialect.encoding, dialect.errors, newline="")
        self._dialect = dialect
        self._is_first = not start.offset
        self._line, self._length = start.line, 0
        self.next = ""
        """The line that is taken next, after `advance`."""
        self.taken: list[str] = []
        self.ended = False
        """Whether there was no line any more for a record that had begun."""
        self._taken_bytes = 0

    def advance(self) -> bool:
        """Read the next line. Gives whether there is one."""
        text = self._wrapped.readline(MAX_RECORD_BYTES)
        self._length += len(text)
        if self._length >= MAX_RECORD_BYTES:
            what = "quote that is opened" if self.taken else "record that begins"
            raise UsageError(f"a {what} at line {self._line + 1} does not end within {MAX_RECORD_BYTES} bytes")
        self._taken_bytes += self._size(text)
        if self._is_first:
            self._is_first, text = False, text.removeprefix("\ufeff")
        self.next = text
        return bool(text)

    def take(self) -> None:
        """Let the next line belong to the record."""
        self.taken.append(self.next)

    def next_record(self) -> tuple[str, int]:
        """The text of the record whose lines were taken, and its bytes."""
        text = self.taken[0] if len(self.taken) == 1 else "".join(self.taken)
        size = self._taken_bytes
        self._line += len(self.taken)
        self.taken, self._taken_bytes, self._length = [], 0, 0
        return text, size

    def close(self) -> None:
        """Let go of the content, which stays open."""
        with suppress(ValueError):  # it is closed already
            self._wrapped.detach()

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        """The next line of the record, for the csv reader."""
        if self.taken and not self.advance():
            self.ended = True
            raise StopIteration
        self.take()
        return self.next

    def _size(self, text: str) -> int:
        if text.isascii() and not self._dialect.is_wide:
            return len(text)
        return len(text.encode(self._dialect.encoding, self._dialect.errors))


class _Joined(io.RawIOBase):
    """The head that was read, and what comes after it."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head, self._rest = memoryview(head), rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._head:
            size = min(len(buffer), len(self._head))
            buffer[:size], self._head = self._head[:size], self._head[size:]
            return size
        found = cast(io.BufferedReader, self._rest).read1(len(buffer))
        buffer[: len(found)] = found
        return len(found)


def _head(source: Source, content: BinaryIO) -> tuple[bytes, bool]:
    """The beginning of the file, and whether it is all. A pipe is not waited for longer than for its first line."""
    head = b""
    while len(head) < csv_dialect.HEAD_BYTES:
        piece = cast(io.BufferedReader, content).read1(csv_dialect.HEAD_BYTES - len(head))
        if not piece:
            return head, True
        head += piece
        if source.is_pipe and b"\n" in piece:
            break
    return head, False
