"""What each replica knows of a model's release, as `GET /v1/models/MODEL/release` answers, and all of them together.

    replica, replica, … ──as_json──▶ {"replicas": […]} ──parse──▶ Replica, … ──objection──▶ why not to promote, or None

A replica is a process: one address may answer for several.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from signet.serving.errors import UsageError
from signet.serving.releases import release as releases
from signet.serving.releases.judge import Decision, Evidence, Policy, Verdict, judge
from signet.serving.releases.release import Release, Stage

MOST_BYTES = 4 << 20
"""Largest answer that is read."""
_MOST_REPLICAS = 10_000
_MOST_VERSIONS = 10_000
_MOST_NAME, _MOST_STOPPED = 200, 1000


@dataclass(frozen=True)
class Replica:
    """A process that answers requests, and what it knows of one model's release."""

    name: str
    """Which one it is: no two have the same, so that none counts twice."""
    release: Release | None
    """What it follows; None: it knows of none."""
    available: frozenset[int] = frozenset()
    """Versions of the model that would answer now."""
    keeps: bool = True
    """Whether it loads what a release names by itself; a model server, which it would ask, has a policy of its own."""
    stopped: str = ""
    """Why it gives the candidate no traffic any more, whatever the release says; empty: it does."""
    evidence: Evidence = field(default_factory=Evidence)
    """What it has counted itself since the release began."""


def as_json(replicas: Iterable[Replica]) -> dict[str, Any]:
    """For `parse`."""
    return {
        "replicas": [
            {
                "name": one.name,
                "release": None if one.release is None else json.loads(releases.dumps(one.release)),
                "available": sorted(one.available),
                "keeps": one.keeps,
                "stopped": one.stopped,
                "evidence": one.evidence.as_json(),
            }
            for one in replicas
        ]
    }


def parse(content: bytes) -> list[Replica]:
    """The replicas of an answer. Raises `UsageError`, which names the field and what was expected there."""
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"it is no JSON: {error}") from None
    listed = values.get("replicas") if isinstance(values, dict) else None
    if not isinstance(listed, list) or len(listed) > _MOST_REPLICAS:
        raise UsageError(f"it has no 'replicas'; expected a list of at most {_MOST_REPLICAS}")
    return [_parse(number, one) for number, one in enumerate(listed)]


def _parse(number: int, values: Any) -> Replica:
    place = f"replicas[{number}]"
    if not isinstance(values, dict):
        raise UsageError(f"{place} is {repr(values)[:80]}; expected an object")
    name, stopped, keeps = values.get("name"), values.get("stopped"), values.get("keeps")
    if not isinstance(name, str) or not 0 < len(name) <= _MOST_NAME:
        raise UsageError(f"{place}.name is {repr(name)[:80]}; expected 1 to {_MOST_NAME} characters")
    if not isinstance(stopped, str) or len(stopped) > _MOST_STOPPED:
        raise UsageError(f"{place}.stopped is {repr(stopped)[:80]}; expected at most {_MOST_STOPPED} characters")
    if not isinstance(keeps, bool):
        raise UsageError(f"{place}.keeps is {repr(keeps)[:80]}; expected true or false")
    available = values.get("available")
    if (
        not isinstance(available, list)
        or len(available) > _MOST_VERSIONS
        or not all(type(version) is int for version in available)
    ):
        raise UsageError(f"{place}.available is {repr(available)[:80]}; expected versions")
    known = values.get("release")
    return Replica(
        name,
        None if known is None else releases.parse(json.dumps(known).encode()),
        frozenset(available),
        keeps,
        stopped,
        Evidence.parse(values.get("evidence")),
    )


def different(replicas: Iterable[Replica]) -> list[Replica]:
    """Each replica once, whoever was asked how often."""
    return list({one.name: one for one in replicas}.values())


def verdict(there: Release, replicas: Sequence[Replica], now: datetime | None = None) -> Verdict:
    """What all replicas together know of the candidate. Raises `UsageError` for limits that are none."""
    evidence = sum((one.evidence for one in replicas), Evidence())
    return judge(evidence, Policy.parse(there.limits), share=there.share, baked_s=_since_s(there.at, now))


def objection(there: Release, replicas: Sequence[Replica], now: datetime | None = None) -> str | None:
    """Why an open release is not to be promoted, in a sentence; None: nothing speaks against it.

    After the gate the replicas must have seen enough, for long enough, to know that the candidate does no more harm than is
    allowed: "not yet" is never "fine".
    """
    if not replicas:
        return "no replica was asked what it has seen: say where they answer with --url"
    for one in replicas:
        if one.release is None or one.release.generation != there.generation:
            known = "no release" if one.release is None else f"generation {one.release.generation}"
            return f"{one.name} knows of {known}, and not of generation {there.generation} yet"
        if one.stopped:
            return f"{one.name} has stopped version {there.candidate}: {one.stopped}"
    if there.candidate is not None and (missing := _missing(replicas, there.model, {there.candidate})):
        return missing
    if there.stage is Stage.GATE:
        return None
    found = verdict(there, replicas, now)
    return (
        None
        if found.decision is Decision.GOOD
        else f"version {there.candidate} is {_WORDS[found.decision]}: {found.reason}"
    )


_WORDS = {Decision.BAD: "bad", Decision.NOT_YET: "not known to be good"}


def not_served(replicas: Sequence[Replica], model: str, stable: int, candidate: int) -> str | None:
    """Why a release of two versions cannot begin, where model servers do not serve both; None: they do."""
    servers = [one for one in replicas if not one.keeps]
    missing = _missing(servers, model, {stable, candidate})
    if missing is None:
        return None
    return (
        f"{missing}. A model server keeps the latest version alone, unless its model config file says for {model!r}: "
        f"model_version_policy {{ specific {{ versions: {stable} versions: {candidate} }} }}"
    )


def _missing(replicas: Sequence[Replica], model: str, wanted: set[int]) -> str | None:
    for one in replicas:
        if lacking := sorted(wanted - one.available):
            has = ", ".join(map(str, sorted(one.available))) or "none"
            return f"version {lacking[0]} of {model!r} is not available at {one.name}; available is {has}"
    return None


def _since_s(at: str, now: datetime | None) -> float:
    """Seconds since a moment; 0 for one that nobody has written down."""
    try:
        then = datetime.fromisoformat(at)
    except ValueError:
        return 0.0
    seconds = ((now or datetime.now(UTC)) - (then if then.tzinfo else then.replace(tzinfo=UTC))).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else 0.0
