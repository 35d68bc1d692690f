"""Which version answers a request that names none, as the releases of the models say.

    X-Signet-Key, or else the request's id ──hash──▶ in the candidate's share? ──▶ candidate ──gone──▶ stable
                                                       └── no ──▶ stable ──gone──▶ 503, never a third version
    X-Signet-Release: stable, candidate    ──▶ that one, or an error that says why not

A release is prepared once for all of its requests: the hash is the one of `release.route`, begun with its salt.
"""

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import blake2b

from signet.serving.errors import FailedPrecondition, InvalidInput, ServingError, Unavailable
from signet.serving.gateway.core.routes import Asker
from signet.serving.releases.release import Release, Stage

STABLE, CANDIDATE, CANARY = "stable", "candidate", "canary"
"""Sides of a release; the last one is what TensorFlow Serving's users call the label of the second."""

_ALL = 1 << 64


class Plan:
    """A release as requests need it. Nobody changes it."""

    __slots__ = ("begun", "candidate", "limit", "release", "stable")

    def __init__(self, release: Release) -> None:
        self.release, self.stable = release, release.stable
        self.candidate = release.candidate if release.open else None
        """The version on its way; None: there is none."""
        splits = release.stage is Stage.CANARY and release.share > 0.0
        self.begun = blake2b(digest_size=8, salt=release.salt.encode()) if splits else None
        """The hash of a key, before the key; None: nobody gets the candidate."""
        # All hashes are below nine bytes that begin with 0xff: shorter ones with the same beginning come before.
        below = math.ceil(release.share * _ALL)
        self.limit = below.to_bytes(8) if below < _ALL else b"\xff" * 9
        """Hashes below it get the candidate."""


class Routing:
    """The releases in force. Its tables are replaced as a whole, under `_lock`, and read without it."""

    def __init__(self, available: Callable[[str, int], bool]) -> None:
        """available(model, version): whether that version would answer now; for any thread."""
        self.available = available
        """Whether a version of a model would answer now."""
        self.plans: Mapping[str, Plan] = {}
        """Model -> what its release says, of those that have one."""
        self.broken: Mapping[str, str] = {}
        """Model -> why nobody knows what its release says."""
        self._stopped: Mapping[str, tuple[str, int]] = {}
        """Model -> salt and candidate of what was stopped here; it stays so, whatever is read, until another one is tried."""
        self._served: set[str] = set()
        """Models whose stable version has been there. Only added to, by any thread."""
        self._lock = threading.Lock()

    # For requests

    def version(self, model: str, asker: Asker | None) -> int | None:
        """As `Routes.version`."""
        plan = self.plans.get(model)
        if plan is None:
            if model in self.broken:
                raise self._unknown(model)
            return None
        if asker is None:
            return plan.stable
        key, side = asker.affinity()
        if side is not None:
            return self._forced(model, plan, side)
        if plan.begun is None:
            return plan.stable
        asker.routed = key
        hashed = plan.begun.copy()
        hashed.update(key.encode("utf-8", "surrogatepass"))
        if hashed.digest() < plan.limit and plan.candidate is not None and self.available(model, plan.candidate):
            return plan.candidate
        return plan.stable

    def labelled(self, model: str, label: str) -> int | None:
        """As `Routes.labelled`. While there is no candidate, `canary` is the stable version: nobody's label breaks."""
        plan = self.plans.get(model)
        if plan is None or label not in (STABLE, CANARY):
            return None
        return plan.candidate if label == CANARY and plan.candidate is not None else plan.stable

    def missing(self, model: str) -> ServingError | None:
        """As `Routes.missing`."""
        plan = self.plans.get(model)
        if plan is None:
            return self._unknown(model) if model in self.broken else None
        return Unavailable(
            f"{_absent(plan, STABLE, plan.stable)}, and no version is served in its place that was not released"
        )

    # For whoever tells of the service

    def problems(self) -> list[str]:
        """A sentence about each version that a release needs and that is not there, and each release that cannot be read."""
        sentences = [str(self._unknown(model)) for model in self.broken]
        for model, plan in self.plans.items():
            sides = ((STABLE, plan.stable), (CANDIDATE, plan.candidate))
            sentences += [
                _absent(plan, side, version)
                for side, version in sides
                if version is not None and not self.available(model, version)
            ]
        return sentences

    def unready(self) -> list[str]:
        """Models with a release whose stable version has not been there yet."""
        self._served.update(model for model, plan in self.plans.items() if self.available(model, plan.stable))
        return [model for model in {**self.plans, **self.broken} if model not in self._served]

    # For whoever follows releases

    def put(self, releases: Mapping[str, Release], broken: Mapping[str, str]) -> None:
        """These releases are in force. broken: of models of which none is known, why not."""
        with self._lock:
            self._stopped = {
                model: trial
                for model, trial in self._stopped.items()
                if (release := releases.get(model)) is not None and (release.salt, release.candidate) == trial
            }
            self.broken = dict(broken)
            self.plans = {model: self._planned(model, release) for model, release in releases.items()}

    def stop(self, model: str, release: Release) -> None:
        """From now on no request of this process goes to that release's candidate."""
        if release.candidate is None:
            return
        with self._lock:
            self._stopped = {**self._stopped, model: (release.salt, release.candidate)}
            plan = self.plans.get(model)
            if plan is not None:
                self.plans = {**self.plans, model: self._planned(model, plan.release)}

    def stopped(self, model: str) -> bool:
        """Whether the candidate was stopped here."""
        return model in self._stopped

    def _forced(self, model: str, plan: Plan, side: str) -> int:
        if side == STABLE:
            return plan.stable
        if side != CANDIDATE:
            raise InvalidInput(f"X-Signet-Release is {side[:40]!r}; expected {STABLE} or {CANDIDATE}")
        if plan.candidate is None:
            stage = plan.release.stage
            raise FailedPrecondition(
                f"the release of {model!r} has no candidate: it is at the stage {stage}, at version {plan.stable}"
            )
        if not self.available(model, plan.candidate):
            raise Unavailable(_absent(plan, CANDIDATE, plan.candidate))
        return plan.candidate

    def _planned(self, model: str, release: Release) -> Plan:
        before = self.plans.get(model)
        if self._stopped.get(model) == (release.salt, release.candidate) and release.open:
            release = _without_traffic(release)
        return before if before is not None and before.release == release else Plan(release)

    def _unknown(self, model: str) -> Unavailable:
        return Unavailable(f"nobody knows which version of {model!r} is released: {self.broken.get(model)}")


def _without_traffic(release: Release) -> Release:
    """The release as if it were rolled back; what is written says so a moment later."""
    return replace(release, stage=Stage.ROLLED_BACK, share=0.0, shadow=0.0)


def _absent(plan: Plan, side: str, version: int) -> str:
    return f"version {version} of {plan.release.model!r}, the {side} one of its release, is not available"
