"""Chunks of a file of lines: JSONL. Blank lines are left out, and counted for the messages.

{"x": 1} ⏎ ⏎ {"x": 2} ⏎  ──read──▶  [TextLine(1, b'{"x": 1}\\n'), TextLine(3, b'{"x": 2}\\n')]
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, BinaryIO, NamedTuple

from signet.clients.score.input.chunk import MAX_RECORD_BYTES, Chunk, Position, skip
from signet.clients.score.input.sources import Source
from signet.serving.errors import UsageError

_BOM = b"\xef\xbb\xbf"


class TextLine(NamedTuple):
    """A line of the source, with its end."""

    number: int
    """From 1, blank lines counted."""
    text: bytes


def read(source: Source, content: BinaryIO, start: Position, rows: int, columns: Any = None) -> Iterator[Chunk]:
    """Chunks whose content is a list of `TextLine`; columns: of no use, a line is read whole."""
    skip(source, content, start.offset)
    counted = _counted(content, start)
    while chunk := list(islice(counted, rows)):
        last, offset = chunk[-1]
        end = replace(start, row=start.row + len(chunk), offset=offset, line=last.number)
        yield Chunk(source, start, end, [line for line, _ in chunk], offset - start.offset)
        start = end


def _counted(content: BinaryIO, start: Position) -> Iterator[tuple[TextLine, int]]:
    """Each line with the offset of its end; the blank ones are only counted."""
    offset, number = start.offset, start.line
    for text in iter(partial(content.readline, MAX_RECORD_BYTES), b""):
        if len(text) == MAX_RECORD_BYTES:
            raise UsageError(f"there is a line of more than {MAX_RECORD_BYTES} bytes; is it a file of lines?")
        # Some programs put a byte order mark before the first line.
        line = text if offset else text.removeprefix(_BOM)
        offset += len(text)
        number += 1
        if not line.isspace():
            yield TextLine(number, line), offset
