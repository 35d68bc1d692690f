"""What is known of a job: what is scored with what, and which parts of the result are there.

    _manifest.json   {"job": {"model": "digits", "version": 3, …}, "parts": {"0": {"rows": [0, 65536], …}}, "complete": …}

It is replaced as a whole after each part, so it never names a part that is not there. Whoever goes on with a job
compares: another input, model or way to score is not mixed into it.
"""

import itertools
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from signet.clients.score.input.chunks import Position
from signet.clients.score.storage import Storage
from signet.serving.errors import UsageError

NAME = "_manifest.json"
"""Begins with an underscore, which readers of Parquet folders leave out."""
_LAYOUT = 2


@dataclass(frozen=True)
class PartEntry:
    """A part that is there."""

    first_row: int
    """Of all sources together."""
    rows: int
    """That were read for it; the bad ones are not in it."""
    bad: int
    size_bytes: int
    sha256: str
    letters_sha256: str
    """Of the lines of its bad rows."""
    source_bytes: int
    """Of the sources, that these rows took."""
    end: Position
    """Where the next part begins."""
    read_sha256: str = ""
    """Of the rows that were read, where the source is a pipe."""
    files: tuple[tuple[int, int, int, int], ...] = ()
    """Of each source that the part has rows of: its number, the rows that were read, scored, and bad."""


@dataclass(frozen=True)
class Manifest:
    """A job and how far it is."""

    job: dict[str, Any]
    parts: dict[int, PartEntry] = field(default_factory=dict)
    complete: bool = False

    def added(self, number: int, entry: PartEntry) -> "Manifest":
        """With one more part."""
        return replace(self, parts={**self.parts, number: entry})

    def leading(self) -> "Manifest":
        """With the parts from the first one on, up to a gap."""
        numbers = itertools.takewhile(self.parts.__contains__, itertools.count())
        return replace(self, parts={number: self.parts[number] for number in numbers})

    @property
    def rows(self) -> int:
        """Read, good and bad."""
        return sum(part.rows for part in self.parts.values())

    @property
    def bad(self) -> int:
        """Rows that could not be scored."""
        return sum(part.bad for part in self.parts.values())


def load(files: Storage, folder: str) -> Manifest | None:
    """The manifest in a folder; None when there is none. Raises `UsageError` for one that this program cannot read."""
    path = f"{folder}/{NAME}"
    if files.info(path) is None:
        return None
    try:
        with files.open(path) as file:
            document = json.loads(file.read())
        if document["layout"] != _LAYOUT:
            raise ValueError(f"it has layout {document['layout']}, this program writes {_LAYOUT}")
        parts = {int(number): entry(part) for number, part in document["parts"].items()}
        return Manifest(document["job"], parts, document["complete"])
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is no manifest of a scoring job: {error}") from error


def save(files: Storage, folder: str, manifest: Manifest) -> None:
    """Replace the manifest of a folder."""
    document = {
        "layout": _LAYOUT,
        "job": manifest.job,
        "complete": manifest.complete,
        "parts": {number: asdict(part) for number, part in sorted(manifest.parts.items())},
    }
    with files.written(f"{folder}/{NAME}") as local:
        _write(local, document)


def difference(begun: dict[str, Any], job: dict[str, Any]) -> str:
    """What is not the same in two jobs, in words; empty when all is."""
    for name in sorted(begun.keys() | job.keys()):
        was, now = begun.get(name), job.get(name)
        if was != now:
            return _sources(was, now) if name == "sources" else f"{name} was {was!r}, now it is {now!r}"
    return ""


def _sources(was: Any, now: Any) -> str:
    before, after = ({source["path"]: source for source in sources} for sources in (was, now))
    for path in before:
        if path not in after:
            return f"the input {path} is not there any more"
    for path, source in after.items():
        if path not in before:
            return f"there is a new input {path}"
        if source["bytes"] != before[path]["bytes"]:
            return f"the input {path} had {before[path]['bytes']} bytes, now it has {source['bytes']}"
        if source != before[path]:
            return f"the input {path} was changed since"
    return "the inputs stand in another order"


def entry(part: dict[str, Any]) -> PartEntry:
    """What `asdict` made of one."""
    files = tuple((number, rows, scored, bad) for number, rows, scored, bad in part["files"])
    return PartEntry(**{**part, "end": Position(**part["end"]), "files": files})


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
