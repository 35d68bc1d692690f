"""Models in a bucket, and a folder that follows them: what servers read is always the folder.

    s3://bucket/models/NAME/VERSION/… ──▶ FOLDER/NAME/.aside-VERSION/… ──rename──▶ FOLDER/NAME/VERSION

Addresses are those of fsspec: s3:// (needs s3fs), gs:// (gcsfs), file://. The highest versions of each model are kept. A
version counts when it is whole: it has saved_model.pb and every part of its variables, and looked the same after it was
fetched as before. It is fetched once: what changes gets a new number. A version that is no longer wanted is removed when
a wanted one is here. What a release names is wanted as well, however many versions have come after it. Whatever
cannot be read stays as it is.
"""

import fcntl
import logging
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from signet.serving.errors import NotDone, UsageError
from signet.serving.process.supervision import STORE, Background, Failures

log = logging.getLogger(__name__)

KEEP_VERSIONS = 2
"""Versions of a model that are kept: the one that serves, and one to go back to."""
_ASIDE = ".aside-"
"""Before the number of what is not a version yet, or no more."""
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}
"""Scheme of an address -> the extra of this project that can read it."""

_VERSION = re.compile(r"0|[1-9][0-9]{0,17}")

Listing = Mapping[str, int]
"""Path below a version -> bytes."""


@dataclass(frozen=True)
class Changes:
    """What a look at the store led to: versions as NAME/VERSION."""

    fetched: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


def is_address(text: str) -> bool:
    """Whether it is an address such as s3://bucket/models, and not a folder's path."""
    return re.match(r"[a-z][a-z0-9+.-]*://", text) is not None


class ModelStore:
    """One address and the folder that follows it. One process at a time writes to the folder."""

    def __init__(
        self,
        address: str,
        folder: Path,
        keep_versions: int = KEEP_VERSIONS,
        pinned: Callable[[str], AbstractSet[int]] = lambda _: frozenset(),
    ) -> None:
        """pinned: the versions of a model that are kept in any case; where it raises `UsageError`, none is removed.

        Raises `UsageError` when nothing here can read such an address, or the folder cannot be made.
        """
        self.address, self.folder, self._keep, self._pinned = address, folder, keep_versions, pinned
        self._files, self._root = file_system(address)
        self.synced_s = 0.0
        """When the folder was last as the store is, in seconds since 1970; 0: never. Written by who syncs."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot make the folder {str(folder)!r} for models of {address}: {error}") from error

    def sync(self) -> Changes:
        """Fetch what is new, then remove what is no longer wanted.

        Raises `UsageError` when the store cannot be read, or the folder cannot be written to; what can be done is done
        all the same.
        """
        try:
            with _locked(self.folder):
                changes, problems = self._sync()
        except OSError as error:
            raise NotDone(f"cannot write to the folder {str(self.folder)!r}: {error}") from error
        if problems:
            raise NotDone("; ".join(problems))
        self.synced_s = time.time()
        return changes

    def _sync(self) -> tuple[Changes, list[str]]:
        """What was done, and what could not be."""
        models = self._models()
        wanted = {name: sorted(versions, reverse=True)[: self._keep] for name, versions in models.items()}
        if not any(wanted.values()):
            raise UsageError(f"{self.address} holds no whole model; expected NAME/VERSION/saved_model.pb")
        fetched: list[str] = []
        removed: list[str] = []
        problems: list[str] = []
        unknown = set()
        for name, versions in wanted.items():
            try:
                versions += [
                    number for number in self._pinned(name) if number in models[name] and number not in versions
                ]
            except UsageError as error:
                problems.append(str(error))
                unknown.add(name)
            with _told(problems, f"{self.folder / name}"):
                for left in (self.folder / name).glob(f"{_ASIDE}*"):  # by a process that was killed
                    shutil.rmtree(left)
            for version in versions:
                with _told(problems, f"{self.folder / name / str(version)}"):
                    if self._fetch(name, version):
                        fetched.append(f"{name}/{version}")
        for name, versions in wanted.items():
            if name in unknown:
                continue
            with _told(problems, f"{self.folder / name}"):
                removed += self._remove_others(name, set(versions))
        return Changes(tuple(fetched), tuple(removed)), problems

    def _models(self) -> dict[str, dict[int, Listing]]:
        """Every model of the store with its whole versions."""
        models: dict[str, dict[int, dict[str, int]]] = {}
        for path, size in self._list(self._root).items():
            name, _, rest = path.partition("/")
            version, _, file = rest.partition("/")
            if _VERSION.fullmatch(version) and file and not name.startswith("."):
                models.setdefault(name, {}).setdefault(int(version), {})[file] = size
        return {
            name: {number: listing for number, listing in versions.items() if is_whole(listing)}
            for name, versions in models.items()
        }

    def _list(self, folder: str) -> dict[str, int]:
        """Path below the folder -> bytes, of every file. Paths that lead elsewhere are left out."""
        try:
            self._files.invalidate_cache()
            found = self._files.find(folder, detail=True)
        except Exception as error:  # each kind of store has errors of its own
            raise NotDone(f"cannot read {self.address}: {error or type(error).__name__}") from error
        listing = {path.removeprefix(folder).lstrip("/"): int(info["size"] or 0) for path, info in found.items()}
        return {path: size for path, size in listing.items() if not {"", ".", ".."} & {*path.split("/")}}

    def _fetch(self, name: str, version: int) -> bool:
        """Whether it was not here and now is."""
        target = self.folder / name / str(version)
        if target.exists():
            return False
        source = f"{self._root}/{name}/{version}"
        aside = target.with_name(f"{_ASIDE}{version}")
        before = self._list(source)
        for path in before:
            local = aside / path
            local.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._files.get_file(f"{source}/{path}", str(local))
            except Exception as error:  # each kind of store has errors of its own
                raise NotDone(f"cannot read {self.address}/{name}/{version}/{path}: {error}") from error
        here = {str(path.relative_to(aside)): path.stat().st_size for path in aside.rglob("*") if path.is_file()}
        if not (is_whole(before) and here == before == self._list(source)):
            log.warning("%s/%s/%d changed while it was fetched: left for the next look", self.address, name, version)
            return False
        aside.rename(target)
        return True

    def _remove_others(self, name: str, wanted: set[int]) -> Iterator[str]:
        """Remove the model's versions that are not wanted, once one that is wanted is here."""
        here = {int(path.name): path for path in (self.folder / name).glob("*") if _VERSION.fullmatch(path.name)}
        if not wanted & here.keys():
            return
        for version in here.keys() - wanted:
            aside = here[version].with_name(f"{_ASIDE}{version}")
            here[version].rename(aside)  # gone at once for whoever looks; a server has what it needs in memory
            shutil.rmtree(aside)
            yield f"{name}/{version}"


@contextmanager
def following(store: ModelStore, poll_s: float, failures: Failures | None = None) -> Iterator[None]:
    """The folder is as the store is when this begins, and follows it in a thread until the end.

    Raises `UsageError` when the first look fails and nothing is there from before. Else a look that fails is logged,
    counted, and tried again.
    """
    failures = failures or Failures()
    try:
        tell(store, store.sync())
    except UsageError as error:
        if not any(_VERSION.fullmatch(path.name) for path in store.folder.glob("*/*")):
            raise
        failures.count(STORE)
        log.warning("%s; serving what is there from before, and trying again in %g s", error, poll_s)
    background = Background(STORE, partial(_step, store, poll_s, failures), failures, after_s=poll_s)
    background.start()
    try:
        yield
    finally:
        background.stop()


def follow(store: ModelStore, poll_s: float) -> None:
    """Look again and again, for ever."""
    failures = Failures()
    background = Background(STORE, partial(_step, store, poll_s, failures), failures, after_s=poll_s)
    background.start()
    background.join()


def _step(store: ModelStore, poll_s: float, failures: Failures) -> float:
    """Look at the store once, and tell the seconds until the next look. The first is a pause: somebody has just looked."""
    try:
        tell(store, store.sync())
    except UsageError as error:
        failures.count(STORE)
        log.warning("%s; trying again in %g s", error, poll_s)
    return poll_s


def is_whole(listing: Listing) -> bool:
    """Whether nothing of a SavedModel is missing, as far as names tell: every variables.data-I-of-N has its others."""
    if "saved_model.pb" not in listing:
        return False
    parts = [re.fullmatch(r"variables/variables\.data-(\d+)-of-(\d+)", path) for path in listing]
    have = {(int(part[1]), int(part[2])) for part in parts if part}
    counts = {count for _, count in have}
    if not have:
        return "variables/variables.index" not in listing
    return have == {(i, count) for count in counts for i in range(count)} and "variables/variables.index" in listing


def tell(store: ModelStore, changes: Changes) -> None:
    """Log what has changed."""
    for what, versions in (("fetched", changes.fetched), ("removed", changes.removed)):
        if versions:
            log.info("%s %s, as %s has it", what, ", ".join(versions), store.address)


def file_system(address: str) -> tuple[Any, str]:
    """fsspec's file system for an address, and the path in it. Raises `UsageError`."""
    scheme = address.partition("://")[0]
    extra = _EXTRAS.get(scheme)
    try:
        from fsspec.core import url_to_fs  # noqa: PLC0415  # whoever serves from a folder does not need it

        files, root = url_to_fs(address)
    except ImportError as error:
        how = f"pip install 'signet-serving[{extra}]'" if extra else str(error)
        raise UsageError(f"cannot read {address}: support for {scheme}:// is not installed: {how}") from error
    except ValueError as error:
        raise UsageError(f"cannot read {address}: {error}; expected s3://, gs:// or file://") from error
    return files, str(root).rstrip("/")


@contextmanager
def _told(problems: list[str], where: str) -> Iterator[None]:
    """Whatever goes wrong with one version is told, and keeps no other back."""
    try:
        yield
    except UsageError as error:
        problems.append(str(error))
    except OSError as error:
        problems.append(f"cannot write to {where}: {error}")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The only one to write to the folder meanwhile: others wait."""
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
