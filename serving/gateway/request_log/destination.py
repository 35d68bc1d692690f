"""Where files of a request log go: a folder, whose oldest ones make room for new ones, or a bucket."""

import logging
import re
from pathlib import Path
from typing import Any, Protocol

from signet.serving.errors import UsageError
from signet.serving.models.model_store import file_system
from signet.serving.process.durable import sync

log = logging.getLogger(__name__)

_OURS = re.compile(r"-(\d{8}T\d{6})-[0-9a-f]{8}-\d{6}\.parquet$")
"""The end of every name that the log gives, so that no other file is removed."""


class Destination(Protocol):
    """Where files go."""

    def put(self, local: Path, place: str) -> None:
        """Have a file at a place below; it is there as a whole or not at all, and once however often this is done."""

    def trim(self) -> None:
        """Remove what is beyond the limit."""


class Folder:
    """A local folder. `put` is for files of the same file system."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes

    def put(self, local: Path, place: str) -> None:
        target = self._folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        sync(local)
        local.replace(target)
        sync(target.parent)

    def trim(self) -> None:
        found = []
        for path in self._folder.rglob("*.parquet"):
            if match := _OURS.search(path.name):
                try:
                    found.append((match[1], path, path.stat().st_size))
                except FileNotFoundError:
                    continue  # another process has removed it
        over = sum(size for _, _, size in found) - self._max_bytes
        for _, path, size in sorted(found):
            if over <= 0:
                return
            path.unlink(missing_ok=True)
            over -= size
            log.info("removed %s: the request log has more than %d bytes", path, self._max_bytes)


class Bucket:
    """A store that fsspec reaches. What it keeps is its own affair: stores have rules for that."""

    def __init__(self, address: str) -> None:
        """Raises `UsageError` when nothing here can reach such an address."""
        self._files: Any
        self._files, self._root = file_system(address)

    def put(self, local: Path, place: str) -> None:
        self._files.put_file(str(local), f"{self._root}/{place}")  # stores show a file when it is whole

    def trim(self) -> None:
        pass


def writable(folder: Path, what: str) -> None:
    """Make a folder and see that files can be made in it. Raises `UsageError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{id(folder):x}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(f"{what}: cannot write to {str(folder)!r}: {error.strerror or error}") from error
