"""The files that are scored: paths, folders, patterns and URLs, in a fixed order, with what tells that one has changed.

["rows/", "more-*.csv.gz", "s3://bucket/x.parquet"]  ──expand──▶  Source, Source, …          "-" is standard input
"""

import fnmatch
import gzip
import hashlib
import io
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import unquote

from signet.clients.score import formats, storage
from signet.clients.score.formats import Format
from signet.serving.errors import NotDone, UsageError
from signet.serving.tables.csv_dialect import UNKNOWN, Dialect

STDIN = "-"
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
_SAMPLES, _SAMPLE_BYTES = 16, 1 << 16

Partitions = tuple[tuple[str, str | None], ...]
"""Names and values of the columns that a file's folders give it; None for a null."""


@dataclass(frozen=True)
class Source:
    """One file of rows."""

    path: str
    format: Format
    size_bytes: int | None
    """The size on disk; None for a pipe."""
    changed: str = ""
    dialect: Dialect = UNKNOWN
    """What the user says of a CSV file."""
    sample: str = ""
    """SHA-256 of the content, or of pieces all over it where it is large; of local files alone."""
    identity: str = ""
    """What two names of one file have in common."""
    partitions: Partitions = ()
    """Columns that the folders within the given one stand for: `date=2026-11-28` is a column `date` of all rows."""

    @property
    def shown(self) -> str:
        """The path for messages and results, without a password."""
        return storage.shown(self.path)

    @property
    def seekable(self) -> bool:
        """Whether reading can begin anywhere, at no cost."""
        return self.size_bytes is not None and not self.format.compression

    @property
    def is_pipe(self) -> bool:
        """Whether it can be read once only."""
        return self.size_bytes is None

    def fingerprint(self) -> dict[str, Any]:
        """A description that differs when the content does."""
        return {"path": self.shown, "bytes": self.size_bytes, "changed": self.changed, "sample": self.sample}

    def check_unchanged(self) -> None:
        """Raise `UsageError` when it is not any more what it was when the job began."""
        if self.is_pipe:
            return
        info = storage.of(self.path).info(self.path)
        if info is None:
            problem = "it is gone"
        elif info.size_bytes != self.size_bytes:
            problem = f"it had {self.size_bytes} bytes, now it has {info.size_bytes}"
        elif info.changed != self.changed or _sample(self.path, info) != self.sample:
            problem = "other content was written into it"
        else:
            return
        raise NotDone(f"the input {self.shown} was changed while it was read: {problem}; start anew with --overwrite")

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The content, decompressed, from the start."""
        with ExitStack() as stack:
            if self.path == STDIN:
                file: BinaryIO = sys.stdin.buffer
            else:
                file = stack.enter_context(storage.of(self.path).open(self.path))
            if self.format.compression == "gzip":
                file = cast(BinaryIO, stack.enter_context(gzip.open(file)))
            elif self.format.compression == "zstd":
                pa = formats.pyarrow(f"{self.shown}, compressed by zstd,")
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
        raise UsageError(f"{storage.shown(twice)} is among the inputs twice; each row is to be scored once")
    names: dict[str, str] = {}
    for source in found:
        other = names.setdefault(source.identity or source.path, source.path)
        if other != source.path:
            raise UsageError(
                f"{storage.shown(other)} and {source.shown} are two names of one file; each row is to be scored once"
            )
    return tuple(replace(source, dialect=dialect) for source in found)


def check_unchanged(found: Iterable[Source]) -> None:
    """Raise `UsageError` when one of the sources is not any more what it was when the job began."""
    for source in found:
        source.check_unchanged()


def _expand(path: str, forced: Format | None) -> list[Source]:
    if path == STDIN:
        return [Source(STDIN, forced or Format("jsonl"), None)]
    files = storage.of(path)
    info = files.info(path)
    if info is not None and not info.is_folder:
        return [_source(path, info, forced)]
    is_pattern = any(mark in path for mark in "*?[")
    if info is None and not is_pattern:
        raise UsageError(f"{storage.shown(path)} does not exist")
    names = files.find(path)
    if info is not None:
        names = [name for name in names if forced or formats.of_name(name)]
    if not names:
        what = (
            f"no file matches {storage.shown(path)}"
            if is_pattern
            else f"{storage.shown(path)} is a folder without a file of rows in it"
        )
        raise UsageError(f"{what}; expected names ending in {', '.join('.' + name for name in formats.ENDINGS)}")
    infos = [(name, files.info(name)) for name in names]
    top = path.rstrip("/") if info is not None else re.split(r"[*?[]", path, maxsplit=1)[0].rpartition("/")[0]
    return [
        replace(_source(name, info, forced), partitions=_partitions(name.removeprefix(top)))
        for name, info in infos
        if info is not None
    ]


def _partitions(path: str) -> Partitions:
    """The columns in the names of folders, as Hive has them, and Spark, DuckDB and Arrow after it."""
    pairs = [folder.partition("=") for folder in path.split("/")[:-1] if "=" in folder.strip("=")]
    found = {name: None if value == _HIVE_NULL else unquote(value) for name, _, value in pairs if name}
    return tuple(found.items())


def _source(path: str, info: storage.Info, forced: Format | None) -> Source:
    found = forced or formats.of_name(path)
    if found is None:
        if info.is_regular:
            endings = ", ".join(f".{ending}" for ending in formats.ENDINGS)
            raise UsageError(
                f"the name {storage.shown(path)} does not tell its format; expected {endings}, or say --input-format"
            )
        found = Format("jsonl")
    if not info.is_regular:
        return Source(path, found, None)
    return Source(path, found, info.size_bytes, info.changed, sample=_sample(path, info), identity=info.identity)


def _sample(path: str, info: storage.Info) -> str:
    """A hash of at most a megabyte all over the file; empty for a store, whose own tag tells of changes."""
    if "://" in path:
        return ""
    found = hashlib.sha256()
    step = max(_SAMPLE_BYTES, info.size_bytes // _SAMPLES)
    with Path(path).open("rb") as file:
        for offset in range(0, info.size_bytes, step):
            file.seek(offset)
            found.update(file.read(_SAMPLE_BYTES))
    return found.hexdigest()


def check_apart(inputs: list[str], output: str, ending: str) -> None:
    """Raise `UsageError` when the result would be among the files that the arguments stand for.

    ending: of the names in an OUTPUT that is a folder.
    """
    for path in inputs:
        if any(mark in path for mark in "*?[") and not os.path.exists(path):
            pattern = _regular_expression(_absolute(path))
            within = any(pattern.fullmatch(_absolute(name)) for name in (output, f"{output}/part-00000.{ending}"))
        else:
            folder, result = _absolute(path), _absolute(output)
            is_folder = "://" in path or os.path.isdir(path)
            within = is_folder and (result == folder or result.startswith(f"{folder.rstrip('/')}/"))
        if within:
            raise UsageError(
                f"OUTPUT {storage.shown(output)} lies within the input {storage.shown(path)}, so its rows would be among those "
                "to score; choose another place"
            )


def _absolute(path: str) -> str:
    return path.rstrip("/") if "://" in path else os.path.realpath(path)


def _regular_expression(pattern: str) -> re.Pattern[str]:
    """The paths that `glob` finds by a pattern: * within a name, ** over folders."""
    parts = []
    for part in pattern.split("/"):
        name = fnmatch.translate(part).removesuffix("\\Z").replace(".*", "[^/]*")
        parts.append("(?:[^/]+/)*" if part == "**" else f"{name}/")
    return re.compile("".join(parts).removesuffix("/"))
