"""The files of a version, as looks at its folder find them: whether somebody still writes, and whether they are others.

    snapshot, another one ──settled──▶ nobody writes      snapshots differ ──digest──▶ other content?

Hidden files count for nothing: they are what copying programs write to, and what file systems leave behind.
"""

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

SETTLED_S = 2.0
"""Seconds after its last change that a version is taken for finished at the first look."""

HASHED_BYTES = 128 << 20
"""Versions up to this size are told apart by their content, larger ones by the sizes and times of their files."""

_MOST_FILES = 10_000
_DEEPEST = 8
"""Levels of folders; links may lead in circles."""


@dataclass(frozen=True)
class File:
    """What tells a file from what lay there before."""

    nbytes: int
    modified_ns: int
    changed_ns: int
    """Nobody can set this one, as archives and copies do with the other. Numbers of files are of no use: some file systems
    that stand for a bucket give a file another number each time."""


@dataclass(frozen=True)
class Snapshot:
    """What lies below a version's folder at some time. Two are equal when nothing has changed between them."""

    files: Mapping[str, File]
    """Path below the version -> what is there."""
    changed_s: float
    """When the last change was, in seconds since 1970, by the clock of the file system."""
    renamed: bool
    """Whether the folder's last change is a rename (or the like) after everything in it: it came whole."""

    def settled(self, before: "Snapshot | None", now_s: float) -> bool:
        """Whether nobody writes: nothing changed since the snapshot before, or for long, or the version came whole.

        now_s: seconds since 1970.
        """
        return self == before or self.renamed or self.changed_s < now_s - SETTLED_S

    @property
    def nbytes(self) -> int:
        """Bytes of all files together."""
        return sum(file.nbytes for file in self.files.values())


def snapshot(version: Path) -> Snapshot:
    """What lies below a version's folder now. Raises `OSError` when that cannot be said."""
    top = version.stat()
    files, changed_ns = {}, 0
    for path, status in _walk(version, "", _DEEPEST):
        changed_ns = max(changed_ns, status.st_ctime_ns)
        if not stat.S_ISDIR(status.st_mode):
            files[path] = File(status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            if len(files) > _MOST_FILES:
                raise OSError(f"{version} holds more than {_MOST_FILES} files")
    # A new entry in a folder sets both of its times. A rename of the folder sets only that of its last change, and
    # what is written to files afterwards sets theirs.
    renamed = top.st_ctime_ns > max(top.st_mtime_ns, changed_ns)
    return Snapshot(files, max(top.st_ctime_ns, changed_ns) / 1e9, renamed)


def _walk(folder: Path, prefix: str, levels: int) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    for name in names:
        path = folder / name
        try:
            status = path.stat()
        except FileNotFoundError:  # gone meanwhile, or a link that leads nowhere
            continue
        yield prefix + name, status
        if stat.S_ISDIR(status.st_mode) and levels:
            yield from _walk(path, f"{prefix}{name}/", levels - 1)


def digest(version: Path, found: Snapshot) -> str:
    """SHA-256 of names and contents; empty for a version that is too large to be read for this. Raises `OSError`."""
    if found.nbytes > HASHED_BYTES:
        return ""
    total = hashlib.sha256()
    for name in sorted(found.files):
        path = version / name
        content = ""
        if path.is_file():  # a pipe would be waited for
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{name} {content}\n".encode(errors="surrogateescape"))
    return total.hexdigest()
