"""One part of the result as a file: blocks appended one by one, with little of them in memory.

with part_writer(plan, path, with_header) as part: part.append(block)      the file is complete at the context's end
"""

import gzip
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from signet.clients.score import formats
from signet.clients.score.plan import Plan


class Part(Protocol):
    """A file that is being written."""

    def append(self, block: Any) -> None:
        """Write a block that an encoder of the format gave."""


@contextmanager
def part_writer(plan: Plan, path: Path, with_header: bool) -> Iterator[Part]:
    """A part of the plan's format. with_header: for CSV, whether the names stand in the first line."""
    if plan.format.name in formats.UNCOMPRESSED:
        with _tables_to(plan, path) as part:
            yield part
        return
    with path.open("wb") as file, _compressed(file, plan.format.compression) as out:
        if with_header:
            out.write(header(plan))
        yield _Bytes(out)


def header(plan: Plan) -> bytes:
    """The bytes before the first block: the header of CSV, else nothing."""
    if plan.format.name not in formats.SEPARATED:
        return b""
    from signet.clients.score.output import arrow_encoders  # noqa: PLC0415  # needs pyarrow

    return arrow_encoders.csv_header(plan)


def join(plan: Plan, parts: Iterable[BinaryIO], path: Path) -> None:
    """Make one file of many parts, of which only the first has a header."""
    if plan.format.name not in formats.UNCOMPRESSED:
        with path.open("wb") as out:
            for part in parts:
                while piece := part.read(1 << 20):
                    out.write(piece)
        return
    from signet.clients.score.output import arrow_parts  # noqa: PLC0415  # needs pyarrow

    with _tables_to(plan, path) as joined:
        for part in parts:
            for table in arrow_parts.tables(plan.format, part):
                joined.append(table)


class _Bytes:
    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def append(self, block: bytes) -> None:
        self._out.write(block)


@contextmanager
def _tables_to(plan: Plan, path: Path) -> Iterator[Part]:
    from signet.clients.score.output import arrow_parts  # noqa: PLC0415  # needs pyarrow

    with arrow_parts.writer(plan, path) as part:
        yield part


@contextmanager
def _compressed(file: BinaryIO, compression: str) -> Iterator[BinaryIO]:
    """A file with compression around it, whose members may stand one after the other: parts can simply be joined."""
    if compression == "gzip":
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as out:  # no time: equal rows, equal bytes
            yield cast(BinaryIO, out)
    elif compression == "zstd":
        pa = formats.pyarrow("writing .zst")
        with pa.CompressedOutputStream(pa.PythonFile(file, mode="w"), "zstd") as out:
            yield out
    else:
        yield file
