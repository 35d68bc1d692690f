"""The checkpoint of a job: what is scored with what, and which parts of the result are committed.

    _manifest.json   {"job": {"model": "digits", "version": 3, …}, "parts": {"0": {"rows": 65536, …}}, "complete": …}

It is replaced as a whole after each part, so it never names a part that is not there. Whoever resumes a job compares:
another input, model or way to score is not mixed into it.
"""

import itertools
import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from signet.clients.score.input.chunk import Position
from signet.clients.score.output.destination import Destination
from signet.serving.errors import UsageError

_LAYOUT = 2


@dataclass(frozen=True)
class PartStart:
    """Where a part begins."""

    number: int
    first_row: int
    """Rows of all sources before it."""
    position: Position


@dataclass(frozen=True)
class PartEntry:
    """A committed part."""

    first_row: int
    """Rows of all sources before it."""
    rows: int
    """Rows that were read for it; those that could not be scored are not in its file."""
    bad: int
    """Rows that could not be scored."""
    size_bytes: int
    sha256: str
    letters_sha256: str
    """Hash of its dead letters."""
    source_bytes: int
    """Bytes of the sources that these rows took."""
    end: Position
    """Where the next part begins."""
    read_sha256: str = ""
    """Hash of the rows that were read, where the source is a pipe; else empty."""
    files: tuple[tuple[int, int, int, int], ...] = ()
    """For each source that the part has rows of: its number, the rows that were read, scored, and bad."""


@dataclass(frozen=True)
class Manifest:
    """A job and how far it is. The process that holds the lock on the folder replaces it, after each part."""

    job: dict[str, Any]
    parts: dict[int, PartEntry] = field(default_factory=dict)
    complete: bool = False

    def leading(self) -> "Manifest":
        """The manifest with the parts from the first one on, up to a gap."""
        numbers = itertools.takewhile(self.parts.__contains__, itertools.count())
        return replace(self, parts={number: self.parts[number] for number in numbers})

    @property
    def next_part(self) -> PartStart:
        """The part to resume with, of a manifest without gaps."""
        number = len(self.parts)
        if not number:
            return PartStart(0, 0, Position())
        last = self.parts[number - 1]
        return PartStart(number, last.first_row + last.rows, last.end)

    @property
    def rows(self) -> int:
        """Rows that were read, good and bad."""
        return sum(part.rows for part in self.parts.values())

    @property
    def bad(self) -> int:
        """Rows that could not be scored."""
        return sum(part.bad for part in self.parts.values())


def load(destination: Destination) -> Manifest | None:
    """The manifest of a result; None when there is none. Raises `UsageError` for one that this program cannot read."""
    path = destination.manifest
    if destination.files.info(path) is None:
        return None
    try:
        with destination.files.open(path) as file:
            document = json.loads(file.read())
        if document["layout"] != _LAYOUT:
            raise ValueError(f"it has layout {document['layout']}, this program writes {_LAYOUT}")
        parts = {int(number): entry(part) for number, part in document["parts"].items()}
        return Manifest(document["job"], parts, document["complete"])
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is no manifest of a scoring job: {error}") from error


def save(destination: Destination, manifest: Manifest) -> None:
    """Replace the manifest of a result."""
    document = {
        "layout": _LAYOUT,
        "job": manifest.job,
        "complete": manifest.complete,
        "parts": {number: asdict(part) for number, part in sorted(manifest.parts.items())},
    }
    with destination.files.written(destination.manifest) as local:
        local.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def commit(destination: Destination, done: Manifest, number: int, part: PartEntry) -> Manifest:
    """Name a part whose file is there: from now on no run scores its rows again. Gives the manifest that says so."""
    done = replace(done, parts={**done.parts, number: part})
    save(destination, done)
    return done


def difference(begun: dict[str, Any], job: dict[str, Any]) -> str:
    """The first difference between two jobs in words; empty when they are the same."""
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
    """The entry that `asdict` made a dict of."""
    files = tuple((number, rows, scored, bad) for number, rows, scored, bad in part["files"])
    return PartEntry(**{**part, "end": Position(**part["end"]), "files": files})
