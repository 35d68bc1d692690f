"""Storage: local folders, or anywhere that fsspec reaches (`s3://bucket/rows.parquet`).

A file that is written appears whole or not at all: it is made aside and renamed, or uploaded in one go.

    with files.written(path) as local: local.write_bytes(…)          # then it is at `path`
"""

import fcntl
import glob
import hashlib
import io
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from signet.clients.client.connecting import without_password
from signet.serving.errors import NotDone, UsageError
from signet.serving.process.durable import sync

_WRITING = ".writing-"
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class Info:
    """The facts about a file that are known without reading it."""

    size_bytes: int
    changed: str
    """The time of the last change, or the store's own tag: it differs when the content does."""
    is_folder: bool = False
    is_regular: bool = True
    """False for a pipe or device, which can be read once and has no size."""
    identity: str = ""
    """What two names of one file have in common, where that can be told."""


def shown(path: str) -> str:
    """A path for messages; of a URL, without whoever signs in there."""
    return without_password(path) if "://" in path else path


def sha256_of(file: BinaryIO) -> str:
    """The hash of what is left to read in a file."""
    found = hashlib.sha256()
    while piece := file.read(_PIECE_BYTES):
        found.update(piece)
    return found.hexdigest()


class Local:
    """The files of this machine. `Remote` has the same methods."""

    def info(self, path: str) -> Info | None:
        """The facts about a file or folder; None when nothing is there."""
        place = Path(path)
        if not place.exists():
            return None
        status = place.stat()
        identity = f"{status.st_dev}:{status.st_ino}"
        return Info(status.st_size, str(status.st_mtime_ns), place.is_dir(), place.is_file(), identity)

    def find(self, path: str) -> list[str]:
        """All files in a folder and the folders in it, or those that a pattern matches, sorted."""
        if Path(path).is_dir():
            return sorted(str(file) for file in Path(path).rglob("*") if file.is_file() and _is_data(file, path))
        return sorted(name for name in glob.glob(path, recursive=True) if Path(name).is_file())

    def names(self, folder: str) -> list[str]:
        """The names in a folder; none when it is not there."""
        return os.listdir(folder) if Path(folder).is_dir() else []

    def same(self, path: str, other: str) -> bool:
        """Whether two paths lead to one file."""
        return Path(other).exists() and Path(path).samefile(other)

    def open(self, path: str) -> BinaryIO:
        """A file to read from."""
        return Path(path).open("rb")

    @contextmanager
    def written(self, path: str, aside: str = "") -> Iterator[Path]:
        """A context with a local `Path` to write to; the file is at `path` when it ends well, else nothing is.

        aside: the folder that holds it meanwhile, in which `locked` finds what a killed process has left.
        """
        target = Path(path)
        local = Path(aside or target.parent) / f".{target.name}{_WRITING}{secrets.token_hex(4)}"
        try:
            yield local
            with local.open("rb") as file:
                os.fsync(file.fileno())
            local.replace(target)
        finally:
            local.unlink(missing_ok=True)
        sync(target.parent)  # makes the rename last

    def make_folder(self, path: str) -> None:
        """Make a folder, so that files can be written into it."""
        Path(path).mkdir(exist_ok=True)

    def remove(self, path: str, last: str = "") -> None:
        """Remove a file or a whole folder, of which one file may have to go after all others; do nothing when it is not there."""
        if Path(path).is_dir():
            for child in Path(path).iterdir() if last else ():
                if child.name != last:
                    self.remove(str(child))
            shutil.rmtree(path)
        else:
            Path(path).unlink(missing_ok=True)

    @contextmanager
    def locked(self, folder: str) -> Iterator[None]:
        """A context in which no other process is in it for this folder. Raises `UsageError` when one is."""
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _clear(folder)  # of a run that was killed
            yield
            _clear(folder)  # of workers that were
        except BlockingIOError as error:
            raise NotDone(f"another run is scoring into {folder}; wait for its end") from error
        finally:
            os.close(lock)


class Remote:
    """The files behind an fsspec URL; each method does what the one of `Local` does."""

    def __init__(self, url: str) -> None:
        try:
            import fsspec  # noqa: PLC0415  # only for URLs
        except ImportError as error:
            raise UsageError(f"{shown(url)} needs fsspec: pip install 'signet-serving[score]'") from error
        try:
            self._files, _ = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            scheme = url.split("://", maxsplit=1)[0]
            raise NotDone(
                f"{shown(url)} cannot be reached: {error}; for s3 and gs: 'signet-serving[{scheme}]'"
            ) from error

    def info(self, path: str) -> Info | None:
        self._files.invalidate_cache()
        try:
            found = self._files.info(path)
        except FileNotFoundError:
            return None
        changed = next((found[key] for key in ("ETag", "etag", "md5Hash", "LastModified", "mtime") if key in found), "")
        return Info(found.get("size") or 0, str(changed), found["type"] == "directory")

    def find(self, path: str) -> list[str]:
        if self._files.isdir(path):
            top = self._files._strip_protocol(path)
            names = [name for name in self._files.find(path) if _is_data(Path(name), top)]
        else:
            names = self._files.glob(path)
        return sorted(self._files.unstrip_protocol(name) for name in names)

    def names(self, folder: str) -> list[str]:
        self._files.invalidate_cache()
        found = self._files.ls(folder, detail=False) if self._files.isdir(folder) else []
        return [name.rstrip("/").rsplit("/", 1)[-1] for name in found]

    def same(self, path: str, other: str) -> bool:
        return path == other

    def open(self, path: str) -> BinaryIO:
        return io.BufferedReader(self._files.open(path, "rb"))  # stores' own files do not know how long a line may be

    @contextmanager
    def written(self, path: str, aside: str = "") -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="signet-score-") as folder:
            local = Path(folder) / path.rsplit("/", 1)[-1]
            yield local
            self._files.put_file(str(local), path)

    def make_folder(self, path: str) -> None:
        self._files.makedirs(path, exist_ok=True)

    def remove(self, path: str, last: str = "") -> None:
        self._files.invalidate_cache()
        if self._files.exists(path):
            others = [child for child in self._files.ls(path, detail=False) if last and not child.endswith(f"/{last}")]
            if others:
                self._files.rm(others, recursive=True)
            self._files.rm(path, recursive=True)

    @contextmanager
    def locked(self, folder: str) -> Iterator[None]:
        yield  # object stores have no locks; equal jobs write equal bytes


Storage = Local | Remote


def of(path: str) -> Storage:
    """The storage that a path or URL names."""
    return Remote(path) if "://" in path else Local()


def _clear(folder: str) -> None:
    """Remove files that nobody writes any more."""
    for left in Path(folder).glob(f".*{_WRITING}*"):
        left.unlink(missing_ok=True)


def _is_data(file: Path, folder: str) -> bool:
    """Not hidden: names that begin with a dot or an underscore hold no rows, as everywhere with Parquet folders."""
    return not any(part.startswith((".", "_")) for part in file.relative_to(folder).parts)
