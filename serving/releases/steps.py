"""What people do to a release: begin it, promote it, take it back. Pure: a release comes in, the next one goes out.

    keep ──▶ done ──start──▶ gate ──promote──▶ shadow ──promote──▶ canary, 5 % ──▶ canary, 50 % ──▶ done
                              └───────────── roll_back ─────────────┴──────────────────┴────────────┴──▶ rolled_back

Whether it is time to promote is the judge's question; here is only what the next step is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from signet.serving.errors import UsageError
from signet.serving.releases import release as releases
from signet.serving.releases.release import Release, Stage

SHARES = (0.05, 0.5)
"""Shares that a canary is given, one after the other, where nobody says another one."""
SHADOW = 1.0
"""Share of the requests that a candidate is shown copies of, where nobody says another one."""

_ORDER = {Stage.GATE: 0, Stage.SHADOW: 1, Stage.CANARY: 2, Stage.DONE: 3}


def keep(there: Release | None, model: str, stable: int, *, by: str, reason: str) -> Release:
    """One version answers, and none that appears takes its place until it is released. Raises `UsageError`."""
    if there:
        raise UsageError(f"{model!r} has a release already: {described(there)}")
    return Release(model, 1, stable, by=by, at=releases.now(), reason=reason)


def start(
    there: Release | None,
    model: str,
    candidate: int,
    stable: int,
    *,
    by: str,
    reason: str,
    limits: Mapping[str, float] | None = None,
) -> Release:
    """A release of a candidate begins, before the gate. Raises `UsageError` where one is open, or both are one version."""
    if there and there.open:
        raise UsageError(f"{described(there)}: promote it or roll it back before another one is started")
    if there and there.stable != stable:
        raise UsageError(f"version {there.stable} of {model!r} is the stable one, and not {stable}")
    if candidate == stable:
        raise UsageError(f"version {candidate} of {model!r} is the stable one already")
    return Release(
        *(model, there.generation if there else 1, stable, candidate, Stage.GATE),
        salt=releases.new_salt(),
        limits=dict(limits or {}),
        by=by,
        at=releases.now(),
        reason=reason,
        unknown=there.unknown if there else {},
    )


def promote(
    there: Release,
    *,
    by: str,
    reason: str,
    stage: Stage | None = None,
    share: float | None = None,
    shadow: float | None = None,
) -> Release:
    """The next step of an open release, or the one that is said: a stage, a share (of a canary), or a share of copies.

    Raises `UsageError` where it is not open, or what is said is no step from here.
    """
    if not there.open:
        raise UsageError(f"{described(there)}: there is nothing to promote; `signet release start` begins the next one")
    if stage is None:
        stage = Stage.CANARY if share is not None else there.stage if shadow is not None else _next_stage(there)
    if stage not in _ORDER or _ORDER[stage] < _ORDER[there.stage]:
        raise UsageError(f"{described(there)}: {stage} is no step from there; roll it back, and start it again")
    if share is not None and stage is not Stage.CANARY:
        raise UsageError(f"a share of {share:g} is that of a canary; the stage would be {stage}")
    if stage is Stage.DONE:
        new = replace(there, stage=stage, stable=there.candidate or 0, candidate=None, share=0.0, shadow=0.0)
    else:
        new = replace(there, stage=stage, share=_share(there, stage, share), shadow=_shadow(there, stage, shadow))
    if (new.stage, new.share, new.shadow) == (there.stage, there.share, there.shadow):
        raise UsageError(f"{described(there)}: it is there already")
    return replace(new, by=by, at=releases.now(), reason=reason)


def _next_stage(there: Release) -> Stage:
    if there.stage is Stage.GATE:
        return Stage.SHADOW
    return Stage.DONE if there.share >= SHARES[-1] else Stage.CANARY


def _share(there: Release, stage: Stage, share: float | None) -> float:
    if stage is not Stage.CANARY:
        return 0.0
    if share is not None:
        if share == 0:
            raise UsageError("a share of 0 is no canary's; expected one above 0, or a rollback")
        return share
    return next((larger for larger in SHARES if larger > there.share), there.share)


def _shadow(there: Release, stage: Stage, shadow: float | None) -> float:
    if stage is Stage.GATE:
        return shadow or 0.0
    if shadow is not None:
        return shadow
    return SHADOW if there.stage is Stage.GATE and stage is Stage.SHADOW else there.shadow


def raises(there: Release, new: Release) -> bool:
    """Whether the next generation lets a candidate closer to the callers: needs a reason to believe that it is good."""
    return (_ORDER[new.stage], new.share) > (_ORDER[there.stage], there.share)


def roll_back(there: Release, history: Iterable[Release], *, by: str, reason: str) -> Release:
    """Back to the stable version; from a release that is done, to the version that was stable before. Raises `UsageError`.

    history: the generations until now, the oldest first.
    """
    if there.open:
        return releases.lowered(there, by=by, reason=reason)
    if there.stage is Stage.ROLLED_BACK:
        raise UsageError(f"{described(there)}: it is rolled back already")
    before = [old.stable for old in history if old.generation < there.generation and old.stable != there.stable]
    if not before:
        raise UsageError(f"{described(there)}: its history has no version before that one")
    return replace(
        there,
        stage=Stage.ROLLED_BACK,
        stable=before[-1],
        candidate=there.stable,
        by=by,
        at=releases.now(),
        reason=reason,
    )


def described(release: Release) -> str:
    """A release in a few words."""
    known = f"the release of {release.model!r} is at {release.stage}"
    if release.candidate is None:
        return f"{known}, with version {release.stable}"
    if release.stage is Stage.ROLLED_BACK:
        return f"{known}, from version {release.candidate} to {release.stable}"
    share = f", {release.share:.3g} of the requests" if release.stage is Stage.CANARY else ""
    return f"{known}, with version {release.candidate} after {release.stable}{share}"
