"""The gate by itself: when a candidate appears, one replica of all has it checked, beside its requests.

    release at the gate, or a newer version beside a release ──▶ kept check of these files? ──none──▶ claim, by compare-and-set
    claimed ──▶ Apart: `signet release check`, of the lowest priority ──▶ result kept ──▶ refused at the gate: rolled_back

A replica that dies, or is stopped, leaves a claim that ends by itself, and a release that is where it was. What has passed stays
at the gate: only people let it further. A process without the engine checks nothing, and follows what others have found.
"""

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from signet.serving.errors import UsageError
from signet.serving.gateway.releases.following import Place
from signet.serving.models import version_files
from signet.serving.models.model_status import BROKEN, OPERATIONS, UNANSWERED, State, VersionStatus
from signet.serving.models.version_files import Snapshot
from signet.serving.process.supervision import RELEASES, Background, Failures
from signet.serving.releases import checks
from signet.serving.releases import release as releases
from signet.serving.releases.checks import CLAIM_S, NOTHING, Check, Checks, Progress, concluded, unfinished
from signet.serving.releases.gate.apart import Apart, Unfinished
from signet.serving.releases.gate.isolation import Version
from signet.serving.releases.release import Release, Stage

log = logging.getLogger(__name__)

_LOOK_S = 0.1
"""Seconds between two looks at a check that goes on."""
_HOPELESS = {BROKEN, UNANSWERED, OPERATIONS}
"""Why a version is not served that the gate can tell more of: all but that it is still being written."""

NO_ENGINE = "this gateway has no engine: run `signet release check --keep` where one is, or promote from there"
TURNED_OFF = "checks are turned off (SIGNET_RELEASE_CHECK): run `signet release check --keep`"


class Checking:
    """The checks of one process. `step` runs in its own thread, which alone writes `known`; any thread may read that."""

    def __init__(
        self,
        name: str,
        models: Callable[[], Collection[str]],
        seen: Callable[[str], Release | None],
        place: Callable[[str], Place | None],
        statuses: Callable[[str], Sequence[VersionStatus]],
        changed: Callable[[], None],
        poll_s: float,
        failures: Failures,
        why_not: str = "",
    ) -> None:
        """name: of this process. models: those that have a release; seen: theirs. changed: told when one was rolled back.

        why_not: why this process makes no checks; empty: it makes them.
        """
        self._name, self._models, self._seen, self._place = name, models, seen, place
        self._statuses, self._changed, self._poll_s, self._failures = statuses, changed, poll_s, failures
        self.why_not = why_not
        self.known: Mapping[str, Check] = {}
        """Model -> the check of what is, or was last, to be released."""
        self._stamps: dict[str, tuple[tuple[Snapshot, Snapshot], str]] = {}
        self._problems: dict[str, str] = {}
        self._background = Background(RELEASES, self.step, failures, "release-check")

    def start(self) -> None:
        self._background.start()

    def stop(self, timeout_s: float) -> None:
        """Check no more; a check that goes on is ended, and left to others."""
        self._background.stop()
        self._background.join(timeout_s)

    def told(self, model: str) -> dict[str, Any]:
        """What is known of the check of a model's candidate, with what its report found."""
        check = self.known.get(model)
        if check is None:
            empty: dict[str, Any] = {
                "candidate": None,
                "stable": None,
                "by": "",
                "at": "",
                "attempts": 0,
                "report": "",
                "findings": [],
            }
            return {"progress": NOTHING, "reason": self.why_not, **empty}
        told = {
            name: getattr(check, name) for name in ("candidate", "stable", "progress", "by", "at", "reason", "attempts")
        }
        return {**told, "report": checks.FILE if check.finished else "", "findings": checks.findings(check)}

    def step(self) -> float:
        """Look at all models that have a release; gives the seconds until the next look."""
        models = list(self._models())
        self.known = {model: check for model, check in self.known.items() if model in models}
        for model in models:
            release, place = self._seen(model), self._place(model)
            if release is None or place is None:
                continue
            try:
                self._look(model, release, place)
            except (UsageError, OSError) as error:
                self._failures.count(RELEASES)
                if self._problems.get(model) != str(error):
                    self._problems[model] = str(error)
                    log.error("the candidate of %r is not checked: %s", model, error)
            else:
                self._problems.pop(model, None)
        return self._poll_s

    def _look(self, model: str, release: Release, place: Place) -> None:
        kept = Checks(place.store)
        check = kept.read(place.name)
        candidate = self._wanted(model, release)
        self._tell(model, check, release.candidate if candidate is None else candidate, release.stable)
        if candidate is None or place.folder is None:
            return
        salt = release.salt if release.stage is Stage.GATE else ""
        stamp = self._stamp(model, place, release.stable, candidate)
        same = check is not None and check.of(candidate, release.stable) and check.stamp == stamp
        if check is not None and same and check.finished:
            if salt and check.salt != salt:
                kept.replace(place.name, replace(check, salt=salt), check)
            self._conclude(check, release, place)
        elif not self.why_not and (check is None or not same or check.free(time.time())):
            attempts = check.attempts if check is not None and same else 0
            claim = Check(
                *(candidate, release.stable, stamp, Progress.CHECKING, attempts + 1, salt),
                by=self._name,
                at=releases.now(),
                until=time.time() + CLAIM_S,
            )
            if kept.replace(place.name, claim, check):
                self._tell(model, claim, candidate, release.stable)
                self._check(model, release, place, claim)

    def _tell(self, model: str, check: Check | None, candidate: int | None, stable: int) -> None:
        known = {name: one for name, one in self.known.items() if name != model}
        self.known = {**known, model: check} if check is not None and check.of(candidate, stable) else known

    def _wanted(self, model: str, release: Release) -> int | None:
        """The version to check, when all of it is there."""
        there = {status.version for status in self._statuses(model) if _is_whole(status)}
        if release.stage is Stage.GATE:
            return release.candidate if release.candidate in there else None
        newest = max(there, default=release.stable)
        return newest if not release.open and newest > release.stable and newest != release.candidate else None

    def _stamp(self, model: str, place: Place, stable: int, candidate: int) -> str:
        assert place.folder is not None
        folders = place.folder / str(stable), place.folder / str(candidate)
        found = version_files.snapshot(folders[0]), version_files.snapshot(folders[1])
        known = self._stamps.get(model)
        if known is None or known[0] != found:
            known = self._stamps[model] = found, checks.stamp(*folders)
        return known[1]

    def _check(self, model: str, release: Release, place: Place, claim: Check) -> None:
        """Have it checked, and keep what came of it."""
        assert place.folder is not None
        kept = Checks(place.store)
        candidate, stable = (
            Version(place.name, number, place.folder / str(number)) for number in (claim.candidate, claim.stable)
        )
        log.info("version %d of %r is checked against %d", claim.candidate, model, claim.stable)
        apart = Apart(candidate, stable)
        page = b""
        try:
            while apart.running:
                if not self._background.pause(_LOOK_S):
                    stopped = "the server that checked it was stopped"
                    kept.replace(place.name, replace(unfinished(claim, stopped), attempts=claim.attempts - 1), claim)
                    return
                renewed = self._renewed(kept, place.name, claim)
                if renewed is None:
                    log.warning("another process checks version %d of %r", claim.candidate, model)
                    return
                claim = renewed
            report, page = apart.result()
            if self._stamp(model, place, claim.stable, claim.candidate) != claim.stamp:
                raise Unfinished("its files were replaced meanwhile")
            check = concluded(claim, report)
        except (Unfinished, UsageError, OSError) as error:
            check = unfinished(claim, str(error))
        finally:
            apart.end()
        if not kept.replace(place.name, check, claim):
            return
        self._tell(model, check, check.candidate, check.stable)
        level = logging.INFO if check.progress is Progress.PASSED else logging.ERROR
        log.log(level, "gate of %r: %s", model, check.described())
        if page and len(page) <= checks.MOST_BYTES:
            kept.keep_page(place.name, page)
        self._conclude(check, release, place)

    def _renewed(self, kept: Checks, name: str, claim: Check) -> Check | None:
        """The claim, prolonged when it is time to; None: it is another process's."""
        now = time.time()
        if claim.until - now > 2 / 3 * CLAIM_S:
            return claim
        new = replace(claim, until=now + CLAIM_S)
        try:
            return new if kept.replace(name, new, claim) else None
        except UsageError as error:
            if now > claim.until:
                raise Unfinished(f"its claim could not be prolonged: {error}") from error
            return claim

    def _conclude(self, check: Check, release: Release, place: Place) -> None:
        """Code only lowers: what is refused leaves the gate, backwards."""
        if release.stage is not Stage.GATE or check.progress is not Progress.REFUSED:
            return
        place.store.lower(release, by="signet", reason=f"the gate: {check.reason}", stages={Stage.GATE})
        self._changed()


def _is_whole(status: VersionStatus) -> bool:
    return status.state is State.AVAILABLE or (status.state is State.END and status.reason in _HOPELESS)
