"""What may be asked for, by `signet release` or with an admin's key over HTTP, done to the file: each action once, for both.

    {"action": "start", "version": 2, …} ──perform──▶ start, promote or rollback ──steps──▶ store.write ──▶ the release now

Over HTTP the replica that is asked knows what it has seen itself, which is less than all have: it may say "not yet" for longer.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from signet.serving.errors import UsageError
from signet.serving.releases import replica, steps
from signet.serving.releases.checks import Check, Checks, Progress
from signet.serving.releases.judge import Policy
from signet.serving.releases.release import Release, Stage
from signet.serving.releases.replica import Replica
from signet.serving.releases.store import ReleaseStore

MOST_BYTES = 64 << 10
"""Largest body that is read."""
STAGES = (Stage.SHADOW, Stage.CANARY, Stage.DONE)
_FIELDS = {
    "start": ("version", "stable", "limits", "reason"),
    "promote": ("to", "share", "shadow", "force", "reason"),
    "rollback": ("reason",),
}


def start(
    store: ReleaseStore,
    model: str,
    known: Sequence[int],
    replicas: Sequence[Replica],
    *,
    by: str,
    version: int | None = None,
    stable: int | None = None,
    limits: Mapping[str, float] | None = None,
    reason: str = "",
) -> Release:
    """Begin the release of a version; without one the stable version is kept, and no more. Raises `UsageError`.

    known: the versions that there are, rising. stable: None: that of the release before, else the highest other one.
    """
    there = store.latest(model)
    if stable is None:
        others = [number for number in known if number != version]
        stable = there.stable if there else others[-1] if others else version
    if stable is None:
        raise UsageError(f"there is no version of {model!r} in {store.place}")
    for number in {version, stable} - {None}:
        if number not in known:
            raise UsageError(
                f"there is no version {number} of {model!r} in {store.place}; there is {', '.join(map(str, known))}"
            )
    if version is None:
        return _write(store, there, steps.keep(there, model, stable, by=by, reason=reason))
    Policy.parse(limits or {})
    new = steps.start(there, model, version, stable, by=by, reason=reason, limits=limits)
    if problem := replica.not_served(replicas, model, stable, version):
        raise UsageError(problem)
    return _write(store, there, new)


def promote(
    store: ReleaseStore,
    model: str,
    replicas: Callable[[], Sequence[Replica]],
    *,
    by: str,
    gate: Callable[[Release], str | None] | None = None,
    to: str | None = None,
    share: float | None = None,
    shadow: float | None = None,
    force: bool = False,
    reason: str = "",
) -> Release:
    """The next step, or the one that is said, unless what the replicas have seen speaks against it. Raises `UsageError`.

    replicas: asks them. gate: where no check of the two versions is kept, says why it refuses the candidate, or None; without
    one a release can leave the stage gate for copies of requests, and no further. force: whatever they have seen, and without
    asking them; needs a reason.
    """
    there = _there(store, model)
    if to is not None and to not in STAGES:
        raise UsageError(f"to is {to[:40]!r}; expected one of {', '.join(STAGES)}")
    if force and not reason:
        raise UsageError("to force it needs a reason, which is kept in the history")
    stage = None if to is None else Stage(to)
    new = steps.promote(there, by=by, reason=reason, stage=stage, share=share, shadow=shadow)
    if steps.raises(there, new) and not force:
        problem = replica.objection(there, replicas())
        if problem is None and there.stage is Stage.GATE:
            problem = _at_the_gate(Checks(store).of_release(there), there, new, gate)
        if problem:
            raise UsageError(f"{problem}; nothing is changed")
    return _write(store, there, new)


def _at_the_gate(
    kept: Check | None, there: Release, new: Release, gate: Callable[[Release], str | None] | None
) -> str | None:
    """Why a candidate may not leave the gate; None: it may."""
    if kept is not None:
        return None if kept.progress is Progress.PASSED else f"the gate: {kept.described()}"
    if gate is not None:
        return gate(there)
    if new.stage is Stage.SHADOW:
        return None
    return f"nobody has checked version {new.candidate or new.stable}: `signet release promote` does, or go to copies first"


def rollback(
    store: ReleaseStore, model: str, known: Callable[[], Sequence[int]], *, by: str, reason: str = ""
) -> Release:
    """Back to the stable version, or from a release that is done to the one before. Raises `UsageError`.

    known: gives the versions that there are; asked where another version than now is to answer.
    """
    there = _there(store, model)
    new = steps.roll_back(there, store.history(model), by=by, reason=reason)
    if new.stable != there.stable and new.stable not in (versions := known()):
        raise UsageError(
            f"version {new.stable} of {model!r}, which was stable before, is not in {store.place} any more; there is "
            f"{', '.join(map(str, versions))}: start a release of one of these"
        )
    return _write(store, there, new)


def perform(
    store: ReleaseStore,
    model: str,
    body: bytes,
    *,
    by: str,
    known: Callable[[], Sequence[int]],
    replicas: Callable[[], Sequence[Replica]],
) -> Release:
    """Do what a JSON body says. by: whose key it is. It waits for disks and networks. Raises `UsageError`; `Conflict` is one."""
    values = _values(body)
    action, said = values.pop("action"), values
    if action == "start":
        return start(store, model, known(), replicas(), by=by, **said)
    if action == "promote":
        return promote(store, model, replicas, by=by, **said)
    return rollback(store, model, known, by=by, **said)


def _values(body: bytes) -> dict[str, Any]:
    """Raises `UsageError`."""
    if len(body) > MOST_BYTES:
        raise UsageError(f"the body has more than {MOST_BYTES} bytes, which is the most")
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the body is no JSON: {error}") from None
    if not isinstance(values, dict):
        raise UsageError(f"the body is {repr(values)[:80]}; expected an object with an action")
    action = values.get("action")
    if not isinstance(action, str) or action not in _FIELDS:
        raise UsageError(f"action is {repr(action)[:80]}; expected one of {', '.join(_FIELDS)}")
    for name, value in values.items():
        if name != "action" and name not in _FIELDS[action]:
            raise UsageError(f"{action} has no {name[:64]!r}; expected {', '.join(_FIELDS[action])}")
        if name != "action" and not _KINDS[name][0](value):
            raise UsageError(f"{name} is {repr(value)[:80]}; expected {_KINDS[name][1]}")
    return values


def _is_version(value: Any) -> bool:
    return type(value) is int


def _is_part(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "version": (_is_version, "a version"),
    "stable": (_is_version, "a version"),
    "limits": (lambda value: isinstance(value, dict), "an object of numbers"),
    "reason": (lambda value: isinstance(value, str), "a line of text"),
    "to": (lambda value: isinstance(value, str), f"one of {', '.join(STAGES)}"),
    "share": (_is_part, "a number from 0 to 1"),
    "shadow": (_is_part, "a number from 0 to 1"),
    "force": (lambda value: isinstance(value, bool), "true or false"),
}


def _there(store: ReleaseStore, model: str) -> Release:
    there = store.latest(model)
    if there is None:
        raise UsageError(f"{model!r} has no release in {store.place}; `signet release start` begins one")
    return there


def _write(store: ReleaseStore, there: Release | None, new: Release) -> Release:
    return store.write(new, there.generation if there else 0)
