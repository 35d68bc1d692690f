"""The releases that are in force follow their files, as versions follow their folders: a thread looks again and again.

    MODEL/release.json ──read──▶ Routing: who gets what      ──▶ pins: both versions of an open release stay loaded
         ▲── lower ◀── the brake has stopped a candidate: written by compare-and-set, tried again until it is there

Where the stable version is to be another one that is not loaded yet, the one before goes on answering until it is: nobody is
turned away for a promotion or a rollback. A file that is broken, or cannot be read, changes nothing: the release before stays
in force. Several processes and machines look at the same files, each for itself.
"""

import logging
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from signet.serving.errors import UsageError
from signet.serving.gateway.releases.routing import Routing
from signet.serving.process.supervision import RELEASES, Background, Failures
from signet.serving.releases.release import Release, Stage
from signet.serving.releases.store import ReleaseStore

log = logging.getLogger(__name__)


class Place(NamedTuple):
    """Where the release of one model lies."""

    store: ReleaseStore
    name: str
    """What the model is called there: as its folder."""
    folder: Path | None = None
    """The folder of its versions, where that is on a disk."""

    def vanished(self) -> bool:
        """Whether all of the model is away, not only its release: an unmounted volume says nothing of a release."""
        return self.folder is not None and not self.folder.is_dir()


class Following:
    """Keeps `Routing` as the files say. `look` runs in one thread at a time: first whoever makes this, then its own."""

    def __init__(
        self,
        routing: Routing,
        models: Callable[[], Collection[str]],
        place: Callable[[str], Place | None],
        pin: Callable[[Mapping[str, Collection[int]]], None],
        poll_s: float,
        failures: Failures,
        changed: Callable[[], None] = lambda: None,
        looked: Callable[[], None] = lambda: None,
        lowered: Callable[[], None] = lambda: None,
    ) -> None:
        """models: those that are served. place: None for a model that can have no release. pin: as `Backend.pin`.

        poll_s: seconds between two looks. changed: told, in the thread, when other releases are in force.
        looked: told there after each look; lowered: when this has rolled one back. None of them raises.
        """
        self._routing, self._models, self._place, self._pin = routing, models, place, pin
        self._poll_s, self._failures, self._changed = poll_s, failures, changed
        self._looked, self._lowered = looked, lowered
        self._releases: dict[str, Release] = {}
        """What the files say. For the thread that looks alone; so are the next three."""
        self._in_force: dict[str, Release] = {}
        self._pinned: dict[str, frozenset[int]] = {}
        self._problems: dict[str, str] = {}
        self._to_lower: deque[tuple[str, Release, str]] = deque()
        """Model, release, reason. The event loop adds on the right, the thread takes from the left."""
        self._background = Background(RELEASES, self.step, failures)

    def start(self) -> None:
        self._background.start()

    def wake(self) -> None:
        """Look at once."""
        self._background.wake()

    def stop(self, timeout_s: float) -> None:
        """Look no more; what is to be rolled back is written first, if that can be done in time."""
        self._background.stop()
        if self._background.join(timeout_s):
            self._lower_all()

    def seen(self, model: str) -> Release | None:
        """The release of a model as its file said last; for any thread."""
        return self._releases.get(model)

    def lower(self, model: str, release: Release, reason: str) -> None:
        """Have a release rolled back, as soon as its file can be written. For the event loop: nothing waits here."""
        self._to_lower.append((model, release, reason))
        self._background.wake()

    def step(self) -> float:
        """Write what is to be rolled back, then read all files; gives the seconds until the next step."""
        self._lower_all()
        self.look()
        self._looked()
        return self._poll_s

    def look(self) -> None:
        """Read the releases of all models, and put them in force."""
        broken: dict[str, str] = {}
        releases: dict[str, Release] = {}
        for model in list(self._models()):
            release = self._read(model, broken)
            if release is not None:
                releases[model] = release
        self._problems = {model: problem for model, problem in self._problems.items() if model in self._models()}
        if releases != self._releases:
            # First what they name stays, then it is looked which of it is there: else it could go in between.
            named = {model: _pinned(release, release.stable) for model, release in releases.items()}
            self._pin(
                {
                    model: self._pinned.get(model, frozenset()) | named.get(model, frozenset())
                    for model in {**self._pinned, **named}
                }
            )
        in_force = {model: self._in_force_now(model, release) for model, release in releases.items()}
        if (releases, in_force, broken) == (self._releases, self._in_force, self._routing.broken):
            return
        for model, release in releases.items():
            if self._releases.get(model) != release:
                log.info("%s", _described(release))
        for model in self._releases.keys() - releases.keys():
            log.info("model %r has no release any more", model)
        self._releases, self._in_force = releases, in_force
        # First nobody is sent there any more, then a version may go.
        self._routing.put(in_force, broken)
        self._pinned = {model: _pinned(release, in_force[model].stable) for model, release in releases.items()}
        self._pin(self._pinned)
        self._changed()

    def _in_force_now(self, model: str, release: Release) -> Release:
        """The release; or as long as its stable version is not loaded yet, the one that was stable until now, alone."""
        before = self._in_force.get(model)
        if before is None or before.stable == release.stable or self._routing.available(model, release.stable):
            return release
        if not self._routing.available(model, before.stable):
            return release
        return replace(release, stable=before.stable, candidate=None, stage=Stage.DONE, share=0.0, shadow=0.0)

    def _read(self, model: str, broken: dict[str, str]) -> Release | None:
        """What is in force from now on."""
        place = self._place(model)
        if place is None:
            return None
        before = self._releases.get(model)
        try:
            found = place.store.read(place.name)
        except UsageError as error:
            self._failures.count(RELEASES)  # each time: the alert is about those that last
            if self._problems.get(model) != str(error):
                self._problems[model] = str(error)
                log.error("the release of model %r is not used: %s", model, error)
            if before is None:
                before = _last_good(place)
            if before is None:
                broken[model] = str(error)
            return before
        if found is None and before is not None and place.vanished():
            return before
        self._problems.pop(model, None)
        return found

    def _lower_all(self) -> None:
        for _ in range(len(self._to_lower)):
            model, release, reason = self._to_lower.popleft()
            place = self._place(model)
            if place is None:
                continue
            try:
                there = place.store.lower(release, by="signet", reason=reason)
            except UsageError as error:
                self._failures.count(RELEASES)
                log.error("the release of model %r cannot be rolled back for all yet: %s", model, error)
                self._to_lower.append((model, release, reason))  # for the next look
            else:
                log.warning("%s", _described(there) if there else f"model {model!r} has no release any more")
                self._lowered()


def _last_good(place: Place) -> Release | None:
    """The release before a file broke that this process has never read in one piece."""
    try:
        history = place.store.history(place.name)
    except UsageError:
        return None
    return history[-1] if history else None


def _pinned(release: Release, answers: int) -> frozenset[int]:
    """The versions that stay loaded. answers: the one that is stable until now."""
    candidate = {release.candidate} if release.open and release.candidate is not None else set()
    return frozenset({release.stable, answers} | candidate)


def _described(release: Release) -> str:
    who = f", by {release.by}" if release.by else ""
    why = f": {release.reason}" if release.reason else ""
    candidate = "" if release.candidate is None else f", candidate {release.candidate}, share {release.share:g}"
    return (
        f"release of {release.model!r}, generation {release.generation}: {release.stage}, stable {release.stable}"
        f"{candidate}{who}{why}"
    )
