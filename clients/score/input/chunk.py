"""A chunk: rows that stand together in one source, not parsed yet. One request is made of it.

    Source ──Read──▶ Chunk(rows 0 to 63), Chunk(rows 64 to 127), …

Where a chunk ends depends on the position of its rows in their file and on nothing else, so a job that resumes at any
chunk's end meets the same chunks as one that never stopped.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from signet.clients.score.input.sources import Source
from signet.serving.errors import UsageError

MAX_RECORD_BYTES = 1 << 28
"""Longest line or record; a file without line ends would otherwise be read whole."""
_SKIPPED_BYTES = 1 << 20


@dataclass(frozen=True)
class Position:
    """Somewhere between two rows of the sources: the checkpoint at which reading can begin again."""

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


Read = Callable[[Source, BinaryIO, Position, int, tuple[str, ...] | None], Iterator[Chunk]]
"""(source, its content, where to begin, most rows in a chunk, columns wanted or None for all) -> chunks"""


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
