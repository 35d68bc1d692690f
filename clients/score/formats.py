"""The formats of files, by their names: `rows.csv.gz` is CSV, compressed by gzip."""

import difflib
from dataclasses import dataclass
from typing import Any

from signet.serving.errors import UsageError

ENDINGS = {
    "jsonl": ("jsonl", "ndjson"),
    "csv": ("csv",),
    "tsv": ("tsv",),
    "parquet": ("parquet", "pq"),
    "arrow": ("arrow", "feather", "ipc"),
    "tfrecord": ("tfrecord", "tfrecords"),
}
"""The endings of files of each format."""
COMPRESSIONS = {"gz": "gzip", "zst": "zstd"}
SEPARATED = {"csv": ",", "tsv": "\t"}
"""Formats of cells in lines, with the delimiter between two."""
UNCOMPRESSED = frozenset(["parquet", "arrow"])
"""Formats that compress inside."""

_FORMATS = {ending: name for name, endings in ENDINGS.items() for ending in endings}
_EXPECTED = "jsonl, csv, tsv, parquet, arrow or tfrecord, and .gz or .zst after it"


@dataclass(frozen=True)
class Format:
    """A format and the compression around it."""

    name: str
    compression: str = ""
    """`gzip`, `zstd` or nothing."""

    @property
    def ending(self) -> str:
        """The ending of its files, such as `csv.gz`."""
        around = [ending for ending, name in COMPRESSIONS.items() if name == self.compression]
        return ".".join([ENDINGS[self.name][0], *around])

    @property
    def has_schema(self) -> bool:
        """Whether all rows have the same columns, with types."""
        return self.name != "jsonl"


def of_name(name: str) -> Format | None:
    """The format of a file called so; None when its name does not tell."""
    parts = name.lower().rsplit("/", 1)[-1].split(".")[1:]
    compression = COMPRESSIONS.get(parts[-1], "") if parts else ""
    if compression:
        parts.pop()
    if not parts or parts[-1] not in _FORMATS:
        return None
    found = Format(_FORMATS[parts[-1]], compression)
    return None if compression and found.name in UNCOMPRESSED else found


def of_option(option: str, value: str) -> Format:
    """The format that an option such as `--format csv.gz` asks for. Raises `UsageError`."""
    found = of_name(f"rows.{value}")
    if found is None:
        near = difflib.get_close_matches(value, _FORMATS, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise UsageError(f"{option} is {value!r}{hint}; expected {_EXPECTED}")
    return found


def pyarrow(purpose: str) -> Any:
    """The library behind all formats but JSONL. Raises `UsageError` when it is not installed."""
    try:
        import pyarrow as module  # noqa: PLC0415  # clients are light: only scoring needs it, and JSONL does not
    except ImportError as error:
        raise UsageError(f"{purpose} needs pyarrow: pip install 'signet-serving[score]'") from error
    return module
