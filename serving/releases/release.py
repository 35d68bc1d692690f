"""A release: which version answers requests that name none, and how far its successor has come. One small JSON a model.

    MODEL/release.json ──parse──▶ Release ──route(release, key)──▶ version

    gate ──▶ shadow ──▶ canary ──▶ done            raised by people: `signet release`, or the HTTP routes of admin keys
      └─────────┴─────────┴──────▶ rolled_back     lowered by anybody, also by code

A file is read as a whole or not at all. Fields that this version of Signet does not know are kept as they are, so that an
older replica that rolls back loses nothing that a newer command wrote; stages and values that it does not know are refused.
"""

import json
import math
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

from signet.serving.errors import UsageError
from signet.serving.unique_names import once

MOST_BYTES = 16 << 10
"""Largest file that is read or written."""
_MOST_UNKNOWN_BYTES = 4 << 10
"""Of fields that this version of Signet does not know: all others together have room beside them, however long they become."""
MOST_GENERATION = (1 << 53) - 1
"""What every reader of JSON holds exactly."""
_MOST_VERSION = (1 << 63) - 1
_MOST_LIMITS = 32
_MOST_NAME, _MOST_BY, _MOST_REASON = 200, 200, 1000

_MODEL = re.compile(rf"(?!\.)[^/\\\x00-\x1f\x7f]{{1,{_MOST_NAME}}}")
_SALT = re.compile(r"[0-9A-Za-z_-]{1,16}")
"""As much as BLAKE2b takes for one."""
_LIMIT = re.compile(r"[a-z][a-z0-9_]{0,31}")


class Stage(StrEnum):
    """How far a release has come."""

    GATE = "gate"
    """The candidate is loaded and compared; it gets no traffic."""
    SHADOW = "shadow"
    """It is shown copies of requests, a share of `shadow`; nobody gets its answers."""
    CANARY = "canary"
    """It answers a share of the requests, and is shown copies of the others."""
    DONE = "done"
    """There is no candidate: it has become the stable version, or nothing was ever released."""
    ROLLED_BACK = "rolled_back"
    """The stable version answers everything; `candidate` is the one that was taken back."""


OPEN = frozenset({Stage.GATE, Stage.SHADOW, Stage.CANARY})
"""Stages in which both versions stay loaded."""


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True)
class Release:
    """A generation of a model's release. Raises `UsageError` when made of what no release can be."""

    model: str
    generation: int
    """Grows with each change, from 1: by one, or beyond all that the history has."""
    stable: int
    """The version that answers."""
    candidate: int | None = None
    """The version that may follow it; None when the release is done."""
    stage: Stage = Stage.DONE
    share: float = 0.0
    """Share of the requests that the candidate answers, 0 to 1; 0 but in the stage canary."""
    shadow: float = 0.0
    """Share of the other requests of which the candidate is shown a copy, 0 to 1; 0 but in the stages shadow and canary."""
    salt: str = ""
    """Who is in the share: another one for each release, the same while its share grows."""
    limits: Mapping[str, float] = field(default_factory=_nothing, hash=False)
    """What the candidate is judged by, as `judge.Policy` reads it."""
    by: str = ""
    """Who made this generation: a person, or the part of Signet."""
    at: str = ""
    """When, in UTC: 2027-01-31T12:00:00Z."""
    reason: str = ""
    """Why, in a sentence."""
    unknown: Mapping[str, Any] = field(default_factory=_nothing, hash=False)
    """Fields of the file that this version of Signet does not know: kept, and used for nothing."""

    def __post_init__(self) -> None:
        try:
            _check(self)
        except ValueError as error:
            raise UsageError(f"the release of {str(self.model)[:_MOST_NAME]!r}: {error}") from None

    @property
    def open(self) -> bool:
        """Whether a candidate is on its way."""
        return self.stage in OPEN


def route(release: Release, key: str) -> int:
    """The version that answers a request. key: whose request it is; the same key is given the same version everywhere.

    A key that is in a share stays in every larger one of the same salt.
    """
    if release.stage is not Stage.CANARY or release.candidate is None or not chosen(release.salt, key, release.share):
        return release.stable
    return release.candidate


def chosen(salt: str, key: str, share: float) -> bool:
    """Whether a key is in a share: its 64 bits of BLAKE2b, salted, are below that part of all."""
    digest = blake2b(key.encode(errors="surrogatepass"), digest_size=8, salt=salt.encode()).digest()
    return int.from_bytes(digest) < share * 18446744073709551616.0  # 2^64


def new_salt() -> str:
    """A salt for a new release."""
    return secrets.token_hex(8)


def now() -> str:
    """This moment, as `Release.at` has it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def check_model(model: str) -> None:
    """Raises `UsageError` for what no model's folder is called."""
    if not (isinstance(model, str) and _MODEL.fullmatch(model)):
        raise UsageError(f"the model is {_shown(model)}; expected the name of a folder, at most {_MOST_NAME} letters")


def lowered(release: Release, *, by: str, reason: str, at: str | None = None) -> Release:
    """The next generation of an open release: rolled back. All that code may do to a release by itself."""
    return replace(
        release,
        generation=release.generation + 1,
        stage=Stage.ROLLED_BACK,
        share=0.0,
        shadow=0.0,
        by=by,
        at=at or now(),
        reason=_cut(reason),
    )


# The file


def parse(content: bytes) -> Release:
    """The release of a file's bytes. Raises `UsageError`, which names the field and what was expected there."""
    if len(content) > MOST_BYTES:
        raise UsageError(f"the release has more than {MOST_BYTES} bytes, which is the most")
    try:
        values = json.loads(content, object_pairs_hook=once, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the release is no JSON that can be used: {error}") from None
    if not isinstance(values, dict):
        raise UsageError(f"the release is {_shown(values)}; expected an object")
    known = {name: values.pop(name) for name in _FIELDS if name in values}
    if missing := [name for name in _NEEDED if name not in known]:
        raise UsageError(f"the release has no {missing[0]!r}; expected {', '.join(_NEEDED)} at least")
    try:
        known["stage"] = Stage(known["stage"])
    except ValueError:
        raise UsageError(f"stage is {_shown(known['stage'])}; expected one of {', '.join(Stage)}") from None
    if len(_json(values)) > _MOST_UNKNOWN_BYTES:
        raise UsageError(
            f"fields that are not known, such as {_shown(next(iter(values)))}, take more than {_MOST_UNKNOWN_BYTES} bytes, "
            "which leaves no room for the others"
        )
    return Release(**known, unknown=values)


def dumps(release: Release) -> bytes:
    """The bytes of a release's file: one line of JSON. Raises `UsageError` for one that is too large."""
    values = {name: getattr(release, name) for name in _FIELDS}
    values["limits"] = dict(release.limits)
    content = _json({**values, **release.unknown}) + b"\n"
    if len(content) > MOST_BYTES:
        raise UsageError(f"the release would have {len(content)} bytes; the most is {MOST_BYTES}")
    return content


_FIELDS = (
    *("model", "generation", "stable", "candidate", "stage", "share", "shadow", "salt"),
    *("limits", "by", "at", "reason"),
)
_NEEDED = ("model", "generation", "stable", "stage", "share")


def _json(values: Mapping[str, Any]) -> bytes:
    """As short as it was read: letters beyond ASCII stand as they are."""
    return json.dumps(values, allow_nan=False, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _no_constant(text: str) -> float:
    raise ValueError(f"there is {text}, which is no JSON")


def _finite(text: str) -> float:
    """A number that can be written again."""
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"there is {text[:64]}, which is beyond all numbers")
    return number


# What a release can be


def _check(release: Release) -> None:
    """Raises `ValueError`."""
    if not (isinstance(release.model, str) and _MODEL.fullmatch(release.model)):
        raise ValueError(
            f"model is {_shown(release.model)}; expected the name of a folder, at most {_MOST_NAME} letters"
        )
    _whole("generation", release.generation, 1, MOST_GENERATION)
    _whole("stable", release.stable, 0, _MOST_VERSION)
    if release.candidate is not None:
        _whole("candidate", release.candidate, 0, _MOST_VERSION)
    if not isinstance(release.stage, Stage):
        raise ValueError(f"stage is {_shown(release.stage)}; expected one of {', '.join(Stage)}")
    _part("share", release.share)
    _part("shadow", release.shadow)
    salted = isinstance(release.salt, str) and _SALT.fullmatch(release.salt)
    if not salted and (release.salt != "" or release.open):
        raise ValueError(f"salt is {_shown(release.salt)}; expected 1 to 16 letters, digits, '_' or '-'")
    _check_limits(release.limits)
    _text("by", release.by, _MOST_BY)
    _text("at", release.at, 40)
    _text("reason", release.reason, _MOST_REASON)
    _check_stage(release)
    if not isinstance(release.unknown, Mapping) or set(release.unknown) & set(_FIELDS):
        raise ValueError("unknown has fields that are known")


def _check_stage(release: Release) -> None:
    stage = release.stage
    if stage is Stage.DONE and release.candidate is not None:
        raise ValueError(f"candidate is {release.candidate}; expected none in the stage done")
    if stage is not Stage.DONE and release.candidate is None:
        raise ValueError(f"there is no candidate; expected one in the stage {stage}")
    if release.candidate == release.stable:
        raise ValueError(f"stable and candidate are both {release.stable}; expected two versions")
    if release.share and stage is not Stage.CANARY:
        raise ValueError(f"share is {release.share}; expected 0 in the stage {stage}")
    if release.shadow and stage not in (Stage.SHADOW, Stage.CANARY):
        raise ValueError(f"shadow is {release.shadow}; expected 0 in the stage {stage}")


def _check_limits(limits: Any) -> None:
    if not isinstance(limits, Mapping) or len(limits) > _MOST_LIMITS:
        raise ValueError(f"limits is {_shown(limits)}; expected an object of at most {_MOST_LIMITS} numbers")
    for name, value in limits.items():
        if not (isinstance(name, str) and _LIMIT.fullmatch(name)):
            raise ValueError(f"limits has {_shown(name)}; expected names of lower-case letters, digits and '_'")
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e15:
            raise ValueError(f"limits has {name} = {_shown(value)}; expected a number")


def _whole(name: str, value: Any, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{name} is {_shown(value)}; expected a whole number from {least} to {most}")


def _part(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value) or not 0 <= value <= 1:
        raise ValueError(f"{name} is {_shown(value)}; expected a number from 0 to 1")


def _text(name: str, value: Any, most: int) -> None:
    if not isinstance(value, str) or len(value) > most or not (value.isprintable() or value == ""):
        raise ValueError(f"{name} is {_shown(value)}; expected a line of at most {most} characters")


def _cut(reason: str) -> str:
    """A sentence that code made, as a line that fits."""
    line = "".join(letter if letter.isprintable() else " " for letter in reason)
    return line if len(line) <= _MOST_REASON else f"{line[: _MOST_REASON - 1]}…"


def _shown(value: Any) -> str:
    return repr(value)[:80]
