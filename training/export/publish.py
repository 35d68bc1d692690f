"""How a version appears in `models/NAME/`: whole or not at all, whoever else exports at the same time.

    writing_folder   models/NAME/.writing-1-4711-0/   locked while its writer lives; what dead ones left is removed
    publish          check ──▶ rename ──▶ models/NAME/1/      the folder of models is locked from check to rename

The lock on the folder of models is held for milliseconds: while a model's folder is made or removed, and from the look
at the newest version to the rename of the next one. So two exports of one name cannot both be compared with a version
that is no longer the newest. Locks are the kernel's (`flock`): a killed process holds none.
"""

import contextlib
import fcntl
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from signet.serving.process.durable import sync
from signet.training.export.errors import ExportFailed

_writers = itertools.count()
"""Tells the folders of one process apart, which may export in several threads."""


def versions(folder: Path) -> list[int]:
    """The published versions in `models/<name>`, in order."""
    if not folder.is_dir():
        return []
    return sorted(
        int(entry.name) for entry in folder.iterdir() if entry.name.isdecimal() and (entry / "saved_model.pb").is_file()
    )


def next_version(folder: Path) -> int:
    """One more than the highest number in `models/<name>`, whatever is in it."""
    return max((int(entry.name) for entry in folder.iterdir() if entry.name.isdecimal()), default=0) + 1


@contextlib.contextmanager
def writing_folder(parent: Path) -> Iterator[Path]:
    """An empty folder beside the versions in `parent`, locked while this process lives; gone at the end unless published.

    Raises `ExportFailed` where folders cannot be made.
    """
    with in_one_sentence(parent):
        parent.parent.mkdir(parents=True, exist_ok=True)
        with _locked(parent.parent):
            parent.mkdir(exist_ok=True)
            remove_stale(parent)
            folder = parent / f".writing-{next_version(parent)}-{os.getpid()}-{next(_writers)}"
            folder.mkdir()
            lock = os.open(folder, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
        with contextlib.suppress(OSError), _locked(parent.parent):
            parent.rmdir()  # a model without a version would keep servers from being ready


def remove_stale(parent: Path) -> None:
    """Remove what dead processes left half-written: the kernel gave back their locks."""
    for folder in parent.glob(".writing-*"):
        try:
            lock = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            continue  # its writer has just given it up
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)  # or its writer has done so
        except BlockingIOError:
            continue
        finally:
            os.close(lock)


def publish(folder: Path, check: Callable[[], None] = lambda: None) -> Path:
    """Give a finished folder its version number. Servers poll the parent and load any number they see.

    check: called when no other export can publish any more until this one has; may refuse by an error of its own.
    """
    with in_one_sentence(folder.parent):
        for path in [*folder.rglob("*"), folder]:
            sync(path)
        with _locked(folder.parent.parent):
            check()
            target = folder.parent / str(next_version(folder.parent))
            folder.rename(target)
            sync(folder.parent)
        return target


@contextlib.contextmanager
def in_one_sentence(folder: Path) -> Iterator[None]:
    """What the file system refuses, as `ExportFailed`."""
    try:
        yield
    except OSError as error:
        place = error.filename or folder
        raise ExportFailed(
            f"cannot write {folder}: {place}: {error.strerror or error}; nothing was published"
        ) from error


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """No other export makes, removes or publishes in this folder of models meanwhile."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
