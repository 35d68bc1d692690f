"""Small files that several programs change: read, and replaced only by who has seen what is there.

    read(path) ──▶ Found(content, tag) ──▶ replace(path, content, tag) ──▶ True, or False: somebody was faster

In a folder: under a lock, by rename. `bucket.py` has the same for object stores.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from signet.serving.errors import UsageError
from signet.serving.models import small_file
from signet.serving.process import durable

LOCK = ".release.lock"
_LOCK_S = 5.0
"""Seconds to wait for another writer: one is done in milliseconds, unless it was stopped."""
_MODE = 0o644


@dataclass(frozen=True)
class Found:
    """A file as it was read."""

    content: bytes
    tag: Any
    """What tells it from another one that was or will be at the same place."""


class Files(Protocol):
    """A place of such files. Paths are MODEL/FILE."""

    def read(self, path: str, most_bytes: int) -> Found | None:
        """The file; None where there is none. Raises `UsageError` when that cannot be said, or it is larger."""

    def replace(self, path: str, content: bytes, seen: Found | None) -> bool:
        """Whether the file is `content` now: not if it was another than `seen`. Raises `UsageError`.

        seen: what `read` gave; None: there must be no file.
        """


class Folder:
    """A folder on a disk, or a volume that machines share."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def folder(self, name: str) -> Path:
        """A folder in it."""
        return self._root / name

    def read(self, path: str, most_bytes: int) -> Found | None:
        file = self._root / path
        try:
            content = small_file.read(file, most_bytes)
        except (FileNotFoundError, NotADirectoryError):
            if file.parent.is_dir():
                return None
            raise UsageError(f"there is no folder {file.parent}") from None
        except OSError as error:
            raise UsageError(f"{file} cannot be read: {error.strerror or error}") from error
        return Found(content, content)

    def replace(self, path: str, content: bytes, seen: Found | None) -> bool:
        target = self._root / path
        try:
            with _locked(target.parent):
                now = self.read(path, small_file.MOST_BYTES)
                if (now and now.tag) != (seen and seen.tag):
                    return False
                _put(target, content)
        except OSError as error:
            raise UsageError(f"{target} cannot be written: {error.strerror or error}") from error
        return True


def _put(target: Path, content: bytes) -> None:
    """Atomically, so that it lasts. Under the lock: what a killed process left aside is written over."""
    aside = target.with_name(f".{target.name}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    with open(os.open(aside, flags, _MODE), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(target)
    durable.sync(target.parent)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The only one to write there meanwhile. Raises `UsageError` when another one does not come to an end."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
    try:
        ends = time.monotonic() + _LOCK_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > ends:
                    raise UsageError(f"another program has held {folder / LOCK} for {_LOCK_S:g} s") from None
                time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)
