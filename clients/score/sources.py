"""The files that are scored: paths, folders, patterns and URLs, in a fixed order, with what tells that one has changed.

["rows/", "more-*.csv.gz", "s3://bucket/x.parquet"]  ──expand──▶  Source, Source, …          "-" is standard input
"""

import gzip
import io
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, cast

from clients.score import formats, storage
from clients.score.dialect import UNKNOWN, Dialect
from clients.score.formats import Format
from serving.errors import UsageError

STDIN = "-"


@dataclass(frozen=True)
class Source:
    """One file."""

    path: str
    format: Format
    size_bytes: int | None
    """None for a pipe."""
    changed: str = ""
    dialect: Dialect = UNKNOWN
    """Of a CSV file: what the user says of it."""

    @property
    def seekable(self) -> bool:
        """Whether reading can begin anywhere, at no cost."""
        return self.size_bytes is not None and not self.format.compression

    @property
    def is_pipe(self) -> bool:
        """Whether it can be read once only."""
        return self.size_bytes is None

    def fingerprint(self) -> dict[str, Any]:
        """Differs when the content does."""
        return {"path": self.path, "bytes": self.size_bytes, "changed": self.changed}

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Its content, decompressed, from the start."""
        with ExitStack() as stack:
            if self.path == STDIN:
                file: BinaryIO = sys.stdin.buffer
            else:
                file = stack.enter_context(storage.of(self.path).open(self.path))
            if self.format.compression == "gzip":
                file = cast(BinaryIO, stack.enter_context(gzip.open(file)))
            elif self.format.compression == "zstd":
                pa = formats.pyarrow(f"{self.path}, compressed by zstd,")
                stream = stack.enter_context(pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd"))
                file = cast(BinaryIO, io.BufferedReader(stream))
            yield file


def expand(inputs: list[str], input_format: str, dialect: Dialect = UNKNOWN) -> tuple[Source, ...]:
    """The files that the arguments stand for. input_format: for all of them; empty: as their names tell.

    dialect: of those that are CSV, as far as the user says.

    Raises `UsageError` for what is not there, for a folder or pattern without files and for unknown formats.
    """
    forced = formats.of_option("--input-format", input_format) if input_format else None
    found = [source for path in inputs for source in _expand(path, forced)]
    paths = [source.path for source in found]
    twice = next((path for path in paths if paths.count(path) > 1), None) if len(set(paths)) < len(paths) else None
    if twice:
        raise UsageError(f"{twice} is among the inputs twice; each row is to be scored once")
    return tuple(replace(source, dialect=dialect) for source in found)


def _expand(path: str, forced: Format | None) -> list[Source]:
    if path == STDIN:
        return [Source(STDIN, forced or Format("jsonl"), None)]
    files = storage.of(path)
    info = files.info(path)
    if info is not None and not info.is_folder:
        return [_source(path, info, forced)]
    is_pattern = any(mark in path for mark in "*?[")
    if info is None and not is_pattern:
        raise UsageError(f"{path} does not exist")
    names = files.find(path)
    if info is not None:
        names = [name for name in names if forced or formats.of_name(name)]
    if not names:
        what = f"no file matches {path}" if is_pattern else f"{path} is a folder without a file of rows in it"
        raise UsageError(f"{what}; expected names ending in {', '.join('.' + name for name in formats.ENDINGS)}")
    infos = [(name, files.info(name)) for name in names]
    return [_source(name, info, forced) for name, info in infos if info is not None]


def _source(path: str, info: storage.Info, forced: Format | None) -> Source:
    found = forced or formats.of_name(path)
    if found is None:
        if info.is_regular:
            endings = ", ".join(f".{ending}" for ending in formats.ENDINGS)
            raise UsageError(f"the name {path} does not tell its format; expected {endings}, or say --input-format")
        found = Format("jsonl")
    if not info.is_regular:
        return Source(path, found, None)
    return Source(path, found, info.size_bytes, info.changed)
