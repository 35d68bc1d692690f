"""One model's versions follow its folder, in a thread of its own: what is stuck or slow here holds up no other model.

    scan ──▶ policy, pins: aspired versions ──▶ each: whole? settled? due? ──load──▶ AVAILABLE ──▶ the others are unloaded
                                                    └─ no: why, in its status; the version before serves on

What is pinned is wanted beside what the policy chooses, and stays although its folder has gone.

`signet model-server` keeps TensorFlow Serving's rules: a version is loaded as soon as its folder is seen, so many times,
and then not until its folder has gone and come back. `signet serve` heals: it waits until a version is whole, tries one
that failed again when its files change and at growing pauses, serves the highest good one meanwhile, and takes up
other content under the same number as a new load beside the old one.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from signet.serving.engine.servable import Servable
from signet.serving.engine.versions import Versions
from signet.serving.errors import ServingError
from signet.serving.models import completeness, version_files
from signet.serving.models.model_config import ModelConfig
from signet.serving.models.model_status import BROKEN, INCOMPLETE, State, VersionStatus
from signet.serving.models.models_folder import BESIDE, PassedOver, is_version
from signet.serving.models.version_files import Snapshot
from signet.serving.process.supervision import REPOSITORY, Background, Backoff, Failures

log = logging.getLogger(__name__)

_LOADS = threading.BoundedSemaphore(8)
"""Versions that are loaded side by side; a pause between two tries holds no place."""

_SECOND_LOOK_S = 0.25
"""Seconds between the first two looks, when there is something that was written just before: a start should not wait."""

_LONGEST_BACKOFF_S = 300.0
"""Seconds after which a version that keeps failing is tried again, at the most."""


@dataclass(frozen=True)
class Rules:
    """When the load of a version is tried, and tried again."""

    heals: bool = False
    """Whether `signet serve`'s rules hold; else TensorFlow Serving's, with the two numbers below."""
    load_retries: int = 0
    """Times that a load is tried again."""
    retry_interval_s: float = 60.0


@dataclass
class _SeenVersion:
    """What a healing follower remembers of a version on disk. Written by the follower's thread alone."""

    snapshot: Snapshot | None = None
    """Its files at the last look."""
    tried: Snapshot | None = None
    """Its files before the last load."""
    digest: str = ""
    """SHA-256 of the content that is served; empty when nobody knows."""
    pause: Backoff = field(default_factory=lambda: Backoff(_LONGEST_BACKOFF_S))
    due_s: float = 0.0
    """When a load that failed is tried again, by the monotonic clock; 0: it did not fail."""


def scan(base_path: Path, names: Iterable[str]) -> dict[int, Path]:
    """The versions among the names in a folder: ["7", "x"] -> {7: base_path/7}.

    `007` is version 7 too, and of two names of one number the first in order is used.
    """
    found: dict[int, Path] = {}
    for name in sorted(names):
        if is_version(name):
            found.setdefault(int(name), base_path / name)
    return found


class Follower:
    """The thread of one model, which polls its folder. What others see of it is in `Versions`.

    `start`, `wake`, `stop`, `join` and `alive` are for any thread. All else runs in the model's own, which alone reads
    and writes the fields; what waits for last calls in another thread (`_release`) touches none of them.
    """

    def __init__(
        self,
        versions: Versions,
        name: str,
        load: Callable[[str, int, Path], Servable],
        rules: Rules,
        poll_s: float,
        failures: Failures,
    ) -> None:
        """poll_s: seconds between two looks; 0 looks once, below 0 never."""
        self._versions, self._name, self._load_from, self._rules, self._poll_s = versions, name, load, rules, poll_s
        self._background = Background(REPOSITORY, self.step, failures, f"versions of {name}")
        self._looks = 0
        self._changing = False
        """Whether a version was passed over at this look, because its files may still change."""
        self._problem = ""
        """Why the folder could not be read at the last look."""
        self._passed_over = PassedOver(f"model {name!r}", "version")
        self._failed: set[int] = set()
        """Versions that are not tried again until their folder has gone."""
        self._seen: dict[int, _SeenVersion] = {}

    def start(self) -> None:
        self._background.start()

    def wake(self) -> None:
        """Make the follower look at its folder at once, rather than when the next poll is due."""
        self._background.wake()

    def stop(self) -> None:
        self._background.stop()

    def join(self, timeout_s: float) -> bool:
        """Whether it has ended, within so many seconds."""
        return self._background.join(timeout_s)

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return not self._background.join(0)

    def step(self) -> float | None:
        """Look at the folder once and do what follows from it. Gives the seconds until the next look; None: the model is gone."""
        self._changing = False
        try:
            model = self._versions.models.get(self._name)
            if model is None:
                for servable in list(self._loaded.values()):
                    self._unload(servable)
                if self._versions.end_unwanted(self._name, forgotten=self._rules.heals):
                    return None
            elif self._poll_s >= 0:
                self._look(model)
        finally:
            self._looks += 1
            again = self._changing and self._looks == 1
            if not again:
                self._versions.first_look_done(self._name)
        if again:
            return _SECOND_LOOK_S
        return self._poll_s if self._poll_s > 0 else -1.0

    @property
    def _loaded(self) -> Mapping[int, Servable]:
        return self._versions.versions(self._name)

    def _look(self, model: ModelConfig) -> None:
        try:
            names = sorted(os.listdir(model.base_path))
        except OSError as error:
            if str(error) != self._problem:
                log.error("cannot read the versions of model %r: %s", model.name, error)
            self._problem = str(error)
            return
        self._problem = ""
        found = scan(model.base_path, names)
        if self._rules.heals:
            self._passed_over.tell(name for name in names if not is_version(name) and name not in BESIDE)
        self._forget(found)
        pinned = self._versions.pinned(self._name)
        aspired = model.policy.choose(set(found)) | (pinned & set(found))
        live = self._bring_up_all(aspired, found)
        others = set(found) - aspired if self._rules.heals else set()
        while others and not live:  # the highest that answers, while none does of those that should be served
            chosen = model.policy.choose(others)
            live = self._bring_up_all(chosen, found)
            others = others - chosen if chosen else set()
        self._versions.clear_unwanted_reasons(self._name, aspired)
        if live or not aspired:
            for version in sorted(set(self._loaded) - aspired - live - pinned - self._versions.kept(self._name)):
                servable = self._loaded[version]
                if self._versions.withdraw_unpinned(
                    self._name, version
                ):  # what was loaded meanwhile may have taken long
                    self._free(servable)

    def _bring_up_all(self, versions: set[int], found: Mapping[int, Path]) -> set[int]:
        """Load those of the versions that are due; gives those that are available then."""
        for version in sorted(versions, reverse=True):
            if self._versions.stopping.is_set():
                break
            self._bring_up(version, found[version])
        return versions & set(self._loaded)

    def _forget(self, found: Mapping[int, Path]) -> None:
        """A failed version whose folder has gone may be tried again when it comes back."""
        self._failed &= set(found)
        gone = set(self._seen) - set(found)
        for version in gone:
            del self._seen[version]
        never = gone - set(self._loaded) if self._rules.heals else set()
        self._versions.forget(self._name, never, found)

    # ---- Bringing up

    def may_load(self, version: int) -> bool:
        """New here, or at its end and wanted again; one that failed, by TensorFlow Serving's rules, when it came back."""
        status = self._versions.status(self._name, version)
        return status is None or (status.state in (State.START, State.END) and version not in self._failed)

    def _bring_up(self, version: int, path: Path) -> None:
        if self._rules.heals:
            self._heal(version, path)
        elif self.may_load(version):
            self._load_as_often_as_allowed(version, path)

    def _load_as_often_as_allowed(self, version: int, path: Path) -> None:
        for retries_left in range(self._rules.load_retries, -1, -1):
            failure = self._load(version, path)
            if failure is None:
                return
            wanted = self._name in self._versions.models
            if not (retries_left and wanted and self._background.pause(self._rules.retry_interval_s)):
                self._failed.add(version)
                self._versions.publish(self._name, replace(failure, state=State.END))
                return

    def _heal(self, version: int, path: Path) -> None:
        """Load the version if it is new, other than what is served, or due again; and if it is whole."""
        seen = self._seen.setdefault(version, _SeenVersion())
        before = seen.snapshot
        try:
            seen.snapshot = snapshot = version_files.snapshot(path)
        except OSError as error:
            self._say(version, State.START, INCOMPLETE, f"cannot be read: {error}")
            return
        if seen.tried == snapshot and (not seen.due_s or time.monotonic() < seen.due_s):
            return
        if not self.may_load(version) and version not in self._loaded:
            return  # on its way out
        if not snapshot.settled(before, time.time()):
            self._changing = True
            self._say(version, State.START, INCOMPLETE, "its files are still changing")
            return
        if seen.tried != snapshot:
            seen.pause.reset()
        seen.tried = snapshot
        if lacking := completeness.missing(path):
            failure = VersionStatus(
                version, State.END, "FAILED_PRECONDITION", f"it is not whole: {lacking}", INCOMPLETE
            )
            log.error("version %d of model %r is not loaded: %s", version, self._name, failure.error_message)
        elif self._same_content(version, path, seen, snapshot):
            return
        else:
            failed = self._try(version, path, seen, snapshot)
            if failed is None:
                seen.due_s = 0.0
                return
            failure = failed
        pause_s = seen.pause.failed()
        seen.due_s = time.monotonic() + pause_s
        log.info(
            "version %d of model %r is tried again in %g s, or when its files change", version, self._name, pause_s
        )
        self._say(version, State.END, failure.reason, failure.error_message, failure.error_code)

    def _same_content(self, version: int, path: Path, seen: _SeenVersion, snapshot: Snapshot) -> bool:
        """Whether what is served has other files now that say the same."""
        if version not in self._loaded or not seen.digest:
            return False
        if version_files.digest(path, snapshot) != seen.digest:
            return False
        seen.due_s = 0.0
        self._versions.publish(self._name, VersionStatus(version, State.AVAILABLE))
        return True

    def _try(self, version: int, path: Path, seen: _SeenVersion, snapshot: Snapshot) -> VersionStatus | None:
        """Load it, beside the one of the same number if there is one; else what is wrong."""
        replaced = self._loaded.get(version)
        if replaced is not None:
            log.info("version %d of model %r has other content: loading it beside the old one", version, self._name)
        digest = ""

        def check() -> str:
            nonlocal digest
            try:
                digest = version_files.digest(path, snapshot)
                return "" if version_files.snapshot(path) == snapshot else "its files changed while it was loaded"
            except OSError as error:
                return f"its files cannot be read any more: {error}"

        failure = self._load(version, path, check)
        if failure is None:
            seen.digest = digest
            if replaced is not None:
                self._release(replaced, self._replaced)
        return failure

    def _say(self, version: int, state: State, reason: str, problem: str, code: str = "FAILED_PRECONDITION") -> None:
        """Tell why a version is not served; one that answers goes on, and says what is wrong with what has replaced it."""
        if version in self._loaded:
            status = VersionStatus(version, State.AVAILABLE, "OK", f"what has replaced it on disk: {problem}", reason)
        else:
            known = self._versions.status(self._name, version)
            if state is State.START and known is not None and known.state is State.END:
                state = State.END  # it has been tried
            status = VersionStatus(version, state, code, problem, reason)
        if status != self._versions.status(self._name, version):
            if state is State.START:
                log.info("version %d of model %r is not loaded yet: %s", version, self._name, problem)
            self._versions.publish(self._name, status)

    def _load(self, version: int, path: Path, check: Callable[[], str] = str) -> VersionStatus | None:
        """Load it and hand it out; else what is wrong, which the check may say of it when it is loaded."""
        if version not in self._loaded:
            self._versions.publish(self._name, VersionStatus(version, State.LOADING))
        with _LOADS:
            if self._versions.stopping.is_set():
                return VersionStatus(version, State.END, "CANCELLED", "the server stops")
            started = time.monotonic()
            try:
                servable = self._load_from(self._name, version, path)
            except ServingError as error:
                log.error("loading version %d of model %r failed: %s", version, self._name, error)
                return VersionStatus(version, State.LOADING, error.grpc_code, str(error), error.reason or BROKEN)
            except Exception as error:  # a bug here, or in what a stranger's files do to TensorFlow
                log.exception("loading version %d of model %r failed", version, self._name)
                text = f"{type(error).__name__}: {error}"
                return VersionStatus(version, State.LOADING, "INTERNAL", text, BROKEN)
        if problem := check():
            servable.close()
            return VersionStatus(version, State.LOADING, "ABORTED", problem, INCOMPLETE)
        log.info("loaded version %d of model %r in %.2f s", version, self._name, time.monotonic() - started)
        self._versions.publish(self._name, VersionStatus(version, State.AVAILABLE), servable)
        return None

    # ---- Unloading

    def _unload(self, servable: Servable) -> None:
        """Out of the lookup first; its memory goes when the last running call is done."""
        self._versions.withdraw(self._name, servable.version)
        self._free(servable)

    def _free(self, servable: Servable) -> None:
        self._seen.pop(servable.version, None)
        self._release(servable, self._ended)

    def _replaced(self, servable: Servable) -> None:
        log.info("version %d of model %r was replaced in place; the old one is gone", servable.version, self._name)

    def _ended(self, servable: Servable) -> None:
        log.info("unloaded version %d of model %r", servable.version, self._name)
        self._versions.unloaded(self._name, servable.version)

    def _release(self, servable: Servable, then: Callable[[Servable], None]) -> None:
        self._versions.drain(servable)
        servable.close()

        def wait() -> None:
            servable.closed.wait()
            then(servable)
            self._versions.drained(servable)

        if servable.closed.is_set():
            wait()
            return
        # Some call is running, which may take long: nobody else waits for it.
        threading.Thread(target=wait, name=f"last calls of {self._name} {servable.version}", daemon=True).start()
