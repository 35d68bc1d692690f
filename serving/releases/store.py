"""Where releases lie: one file a model, replaced only by who has seen the generation before, and what it was before.

    MODEL/release.json             the release now: the only truth
    MODEL/release-history.jsonl    the generations until now, a line each, the oldest dropped
    MODEL/release-check.json       what the gate has found, as `checks.py` has it

    write: archive the generation that is there ──▶ replace release.json if it is still that ──▶ archive the new one

Killed anywhere between, nothing that was ever in force is missing, and what is in force is one whole generation: the first
step is idempotent, the second atomic, and the third is what the next writer's first step does if it is missing.
"""

import contextlib
import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from pathlib import Path

from signet.serving.errors import NotDone, UsageError
from signet.serving.models import model_store
from signet.serving.releases import release as releases
from signet.serving.releases.bucket import Bucket
from signet.serving.releases.files import Files, Folder, Found
from signet.serving.releases.release import MOST_BYTES, Release, Stage

log = logging.getLogger(__name__)

FILE = "release.json"
HISTORY = "release-history.jsonl"

MOST_GENERATIONS = 200
"""Generations that the history has at most."""
MOST_HISTORY_BYTES = 1 << 20
_TRIES = 20
"""How often a change is tried again because others were faster: each time one of them has got on."""


class Conflict(NotDone):
    """Somebody else has changed the release meanwhile."""

    def __init__(self, model: str, expected: int, now: int) -> None:
        super().__init__(
            f"the release of {model!r} is at generation {now}, and not at {expected} any more: look at it, and try again"
        )
        self.generation = now
        """What is there now; 0: nothing."""


class ReleaseStore:
    """The releases of all models in a folder or at an address such as s3://bucket/models.

    Every method talks to the disk or the network, and waits: none is for an event loop.
    """

    def __init__(self, place: str | Path) -> None:
        """Raises `UsageError` for an address that nothing here can read, or change safely."""
        self.place = str(place)
        self._files = _files(self.place)

    def read(self, model: str) -> Release | None:
        """The release of a model; None where there is none. Raises `UsageError`, also for a file that is broken."""
        found = self._files.read(_path(model, FILE), MOST_BYTES)
        return None if found is None else self._parsed(model, found)

    def latest(self, model: str) -> Release | None:
        """As `read`; where the file is broken, the last one of the history, from which `write` goes on. Raises `UsageError`."""
        return self._there(model, self._files.read(_path(model, FILE), MOST_BYTES))

    def write(self, release: Release, expected_generation: int) -> Release:
        """Put the next generation of a release; give it as it was written. For people: it may raise.

        expected_generation: the one that is there, as far as the caller knows; 0: there is none. Where the file is broken,
        the last one of the history counts as there. Raises `Conflict`, and `UsageError` when it cannot be written.
        """
        path = _path(release.model, FILE)
        found = self._files.read(path, MOST_BYTES)
        there = self._there(release.model, found)
        generation = there.generation if there else 0
        if generation != expected_generation:
            raise Conflict(release.model, expected_generation, generation)
        if there:
            self._archive(there)
        # Where a file was removed, or an older one put there, the history has higher ones, and its last one is its highest.
        archived = self._archived(release.model)
        new = replace(release, generation=max(generation, archived[-1].generation if archived else 0) + 1)
        content = releases.dumps(new)
        if not self._files.replace(path, content, found):
            now = self._files.read(path, MOST_BYTES)
            if now is None or now.content != content:  # else it was this one, and its answer was lost on the way
                there = self._there(new.model, now)
                raise Conflict(new.model, expected_generation, there.generation if there else 0)
        try:
            self._archive(new)
        except UsageError as error:  # it is in force all the same, and who comes next writes it down
            log.warning("the history of the release of %r: %s", new.model, error)
        return new

    def lower(
        self, seen: Release, *, by: str, reason: str, stages: Collection[Stage] = releases.OPEN
    ) -> Release | None:
        """Roll back the release that `seen` is a generation of; give what is there then. All that code does by itself.

        Nothing is changed where it is closed already, or where a person has begun another one meanwhile. Can be called by
        any number of replicas at once. stages: those from which it is. Raises `UsageError` when it cannot be written.
        """
        for _ in range(_TRIES):
            there = self.read(seen.model)
            if (
                there is None
                or there.stage not in stages
                or (there.salt, there.candidate) != (seen.salt, seen.candidate)
            ):
                return there
            try:
                return self.write(releases.lowered(there, by=by, reason=reason), there.generation)
            except Conflict as error:
                conflict = error
        raise conflict

    def folder(self, model: str) -> Path | None:
        """Where the versions of a model lie on this machine; None for those at an address."""
        return self._files.folder(model) if isinstance(self._files, Folder) else None

    def read_beside(self, model: str, file: str, most_bytes: int) -> Found | None:
        """Another small file beside the release. Raises `UsageError`."""
        return self._files.read(_path(model, file), most_bytes)

    def replace_beside(self, model: str, file: str, content: bytes, seen: Found | None) -> bool:
        """Put such a file, if it is still the one that was seen. Raises `UsageError`."""
        return self._files.replace(_path(model, file), content, seen)

    def history(self, model: str) -> list[Release]:
        """The generations until now, the oldest first, at most `MOST_GENERATIONS`. Raises `UsageError`.

        A line that is broken is left out, and told in the log.
        """
        now = None
        try:
            now = self.read(model)
        except UsageError as error:
            log.error("%s", error)
        archived = self._archived(model)
        if now is None:
            return archived
        before = [old for old in archived if old.generation < now.generation]
        return [*before[1 - MOST_GENERATIONS :], now]

    # Private

    def _there(self, model: str, found: Found | None) -> Release | None:
        """The release to go on from: of a file that is broken, the last one in the history."""
        if found is None:
            return None
        try:
            return self._parsed(model, found)
        except UsageError:
            archived = self._archived(model)
            if not archived:
                raise
            return archived[-1]

    def _parsed(self, model: str, found: Found) -> Release:
        place = f"{self.place}/{model}/{FILE}"
        try:
            release = releases.parse(found.content)
        except UsageError as error:
            raise UsageError(f"{place}: {error}") from None
        if release.model != model:
            raise UsageError(f"{place}: model is {release.model!r}; expected {model!r}, as its folder is called")
        return release

    def _archived(self, model: str) -> list[Release]:
        found = self._files.read(_path(model, HISTORY), MOST_HISTORY_BYTES)
        good = {}
        for number, line in enumerate(_lines(found), 1):
            try:
                release = releases.parse(line)
            except UsageError as error:
                log.warning("%s/%s/%s, line %d is left out: %s", self.place, model, HISTORY, number, error)
                continue
            good[release.generation] = release
        return [good[generation] for generation in sorted(good)]

    def _archive(self, release: Release) -> None:
        """Have a generation in the history, which must have been in force."""
        path, line = _path(release.model, HISTORY), releases.dumps(release)
        for _ in range(_TRIES):
            found = self._files.read(path, MOST_HISTORY_BYTES)
            lines = _lines(found)
            if line.rstrip() in lines:
                return
            if self._files.replace(path, _bounded([*lines, line.rstrip()]), found):
                return
        raise UsageError(f"{self.place}/{path} is changed by others all the time")


def pinned(address: str, folder: Path) -> Callable[[str], frozenset[int]]:
    """Tells which versions of a model releases name: those that must not be removed. Raises `UsageError` when it cannot.

    A release may lie at the address, or in the folder that follows it: there it is that of servers which know the folder alone.
    """
    places = [ReleaseStore(folder)]
    with contextlib.suppress(UsageError):  # an address where releases cannot lie
        places.append(ReleaseStore(address))

    def versions(model: str) -> frozenset[int]:
        named: set[int] = set()
        for place in places:
            beside = place.folder(model)
            there = place.read(model) if beside is None or beside.is_dir() else None
            if there is not None:
                named |= (
                    {there.stable} if there.candidate is None or not there.open else {there.stable, there.candidate}
                )
        return frozenset(named)

    return versions


def _files(place: str) -> Files:
    """Raises `UsageError`."""
    if place.startswith("file://"):
        return Folder(Path(place.removeprefix("file://")))
    if model_store.is_address(place):
        return Bucket(place)
    return Folder(Path(place))


def _path(model: str, file: str) -> str:
    """Raises `UsageError` for a name that leads elsewhere."""
    releases.check_model(model)
    return f"{model}/{file}"


def _lines(found: Found | None) -> list[bytes]:
    return [line.rstrip() for line in found.content.split(b"\n") if line.strip()] if found else []


def _bounded(lines: Iterable[bytes]) -> bytes:
    """The last lines, as many as the history may have."""
    kept: list[bytes] = []
    size = 0
    for line in reversed(list(lines)):
        size += len(line) + 1
        if len(kept) == MOST_GENERATIONS or size > MOST_HISTORY_BYTES:
            break
        kept.append(line)
    return b"".join(line + b"\n" for line in reversed(kept))
