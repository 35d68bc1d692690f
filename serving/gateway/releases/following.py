"""The releases that are in force follow their files, as versions follow their folders: a thread looks again and again.

    MODEL/release.json ──read──▶ Routing: who gets what      ──▶ pins: both versions of an open release stay loaded
         ▲── lower ◀── the brake has stopped a candidate: written by compare-and-set, tried again until it is there

Where the stable version is to be another one that is not loaded yet, the one before goes on answering until it is: nobody is
turned away for a promotion or a rollback. A file that is broken, or cannot be read, changes nothing: the release before stays
in force, and a model that had none has none. Several processes and machines look at the same files, each for itself.

Before a version that has just come can answer, the file of its model is looked for (`appears`): nobody gets a version that its
release does not name because the next look was not due yet. While a candidate gets requests or copies its file is read each
second, however seldom the others are: what one replica has stopped, the others stop soon.
"""

import logging
import threading
import time
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

_OPEN_S = 1.0
"""Seconds between two looks, at the most, at releases whose candidates see what callers send."""
_SEEING = (Stage.SHADOW, Stage.CANARY)


class Place(NamedTuple):
    """Where the release of one model lies."""

    store: ReleaseStore
    name: str
    """What the model is called there: as its folder."""
    folder: Path | None = None
    """The folder of its versions, where that is on a disk."""
    elsewhere: bool = False
    """Whether its versions may lie elsewhere: then a model without a folder here has no release."""

    def vanished(self) -> bool:
        """Whether all of the model is away, not only its release: an unmounted volume says nothing of a release."""
        return self.folder is not None and not self.folder.is_dir()


class Following:
    """Keeps `Routing` as the files say. `look` runs in one thread at a time, by `_looking`: in its own, in that of whoever makes
    this, and in those that load versions."""

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
        self._looking = threading.Lock()
        self._releases: dict[str, Release] = {}
        """What the files say. Written under `_looking`; so are the next five."""
        self._in_force: dict[str, Release] = {}
        self._pinned: dict[str, frozenset[int]] = {}
        self._problems: dict[str, str] = {}
        self._without: set[str] = set()
        """Models of which it was seen that they have no release."""
        self._broken: dict[str, str] = {}
        self._all_due_s = 0.0
        """When all files are to be read again, by the monotonic clock. For the thread that follows; `wake` makes it 0."""
        self._to_lower: deque[tuple[str, Release, str]] = deque()
        """Model, release, reason. The event loop adds on the right, the thread takes from the left."""
        self._background = Background(RELEASES, self.step, failures)

    def start(self) -> None:
        self._background.start()

    def wake(self) -> None:
        """Look at all files at once."""
        self._all_due_s = 0.0
        self._background.wake()

    def stop(self, timeout_s: float) -> None:
        """Look no more; what is to be rolled back is written first, if that can be done in time."""
        self._background.stop()
        if self._background.join(timeout_s):
            self._lower_all()

    @property
    def models(self) -> Collection[str]:
        """Those that have a release; for any thread."""
        return self._releases.keys()

    def seen(self, model: str) -> Release | None:
        """The release of a model as its file said last; for any thread."""
        return self._releases.get(model)

    def lower(self, model: str, release: Release, reason: str) -> None:
        """Have a release rolled back, as soon as its file can be written. For the event loop: nothing waits here."""
        self._to_lower.append((model, release, reason))
        self._background.wake()

    def step(self) -> float:
        """Write what is to be rolled back, then read the files that are due; gives the seconds until the next step."""
        self._lower_all()
        now = time.monotonic()
        if self._poll_s <= _OPEN_S or now >= self._all_due_s:
            self._all_due_s = now + self._poll_s
            self.look()
        else:
            self.look(self._seeing())
        self._looked()
        return min(self._poll_s, _OPEN_S) if self._seeing() else self._poll_s

    def appears(self, model: str) -> None:
        """A version of the model is about to be handed out: look first what its release says. Not for the event loop."""
        try:
            self.look((model,))
        except Exception:
            self._failures.count(RELEASES)
            log.exception("nobody could look for the release of model %r before a version of it", model)

    def look(self, only: Collection[str] | None = None) -> None:
        """Read the releases of all models, or of some, and put them in force."""
        with self._looking:
            self._look(only)

    def _seeing(self) -> list[str]:
        return [model for model, release in self._releases.items() if release.stage in _SEEING]

    def _look(self, only: Collection[str] | None) -> None:
        broken: dict[str, str] = {}
        releases: dict[str, Release] = {}
        models = list(self._models())
        for model in models:
            if only is None or model in only:
                release = self._read(model, broken)
            else:
                release = self._releases.get(model)
                if model in self._broken:
                    broken[model] = self._broken[model]
            if release is not None:
                releases[model] = release
        self._problems = {model: problem for model, problem in self._problems.items() if model in models}
        self._without &= set(models)
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
        if (releases, in_force, broken) == (self._releases, self._in_force, self._broken):
            return
        for model, release in releases.items():
            if self._releases.get(model) != release:
                log.info("%s", _described(release))
        for model in self._releases.keys() - releases.keys():
            log.info("model %r has no release any more", model)
        self._releases, self._in_force, self._broken = releases, in_force, broken
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
        if before is None and place.elsewhere and place.vanished():
            return None
        try:
            found = place.store.read(place.name)
        except UsageError as error:
            self._failures.count(RELEASES)  # each time: the alert is about those that last
            if self._problems.get(model) != str(error):
                self._problems[model] = str(error)
                log.error("the release of model %r is not used: %s", model, error)
            if before is None and model not in self._without:
                before = _last_good(place)
                if before is None:
                    broken[model] = str(error)
            return before
        if found is None and before is not None and place.vanished():
            return before
        self._problems.pop(model, None)
        (self._without.add if found is None else self._without.discard)(model)
        return found

    def _lower_all(self) -> None:
        for _ in range(len(self._to_lower)):
            model, release, reason = self._to_lower.popleft()
            place = self._place(model)
            if place is None:
                continue
            try:
                there = place.store.lower(release, by="signet", reason=reason)
            except Exception as error:  # a bug loses no rollback either, nor the look that follows
                self._failures.count(RELEASES)
                is_bug = not isinstance(error, UsageError)
                log.error(
                    "the release of model %r cannot be rolled back for all yet: %s", model, error, exc_info=is_bug
                )
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
