"""What the gate has found of a model's candidate, kept beside its release, and who is finding it out.

    MODEL/release-check.json   the last check: of which two versions, how far it is, the report
    MODEL/release-check.html   the report for people

    none, or of other versions ──claim──▶ checking, by one replica, until … ──▶ passed │ refused │ unfinished
                                              └── not renewed in time: whoever comes next claims it, at most three times

A file is replaced only by who has seen what is there, as the release itself. One a model: the next check takes its place.
"""

import hashlib
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from signet.serving.errors import UsageError
from signet.serving.models import model_card, version_files
from signet.serving.releases import release as releases
from signet.serving.releases.release import Release
from signet.serving.releases.store import ReleaseStore

log = logging.getLogger(__name__)

FILE, PAGE = "release-check.json", "release-check.html"
MOST_BYTES = 1 << 20
CLAIM_S = 60.0
"""Seconds after which a claim that nobody has renewed is over."""
MOST_ATTEMPTS = 3
"""Checks of the same files that end without a result, until nobody tries again."""
NOTHING = "none"
"""The progress, where it is told, of a check that nobody has begun."""
_MOST_TEXT = 1000
_MOST_FINDINGS = 100


class Progress(StrEnum):
    """How far a check is."""

    CHECKING = "checking"
    PASSED = "passed"
    """Nothing speaks against the candidate."""
    REFUSED = "refused"
    UNFINISHED = "unfinished"
    """There is no result: the check was ended, or could not be made. It speaks neither for nor against it."""


@dataclass(frozen=True)
class Check:
    """A check of two versions. Raises `UsageError` when made of what none can be."""

    candidate: int
    stable: int
    stamp: str
    """Of the files of both: another one, and the check says nothing any more."""
    progress: Progress
    attempts: int = 0
    """Checks of these files that were begun."""
    salt: str = ""
    """Of the release at whose gate it was made; empty: none was open."""
    by: str = ""
    """Who checks, or has."""
    at: str = ""
    """When that began or ended, in UTC."""
    until: float = 0.0
    """While it goes on: when its claim is over, in seconds since 1970."""
    reason: str = ""
    """Why the candidate is refused, or there is no result."""
    report: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    """As `signet release check --json` prints it."""

    def __post_init__(self) -> None:
        numbers = (self.candidate, self.stable, self.attempts)
        texts = (self.stamp, self.salt, self.by, self.at, self.reason)
        if (
            any(type(number) is not int for number in numbers)
            or any(not isinstance(text, str) or len(text) > _MOST_TEXT for text in texts)
            or not isinstance(self.progress, Progress)
            or isinstance(self.until, bool)
            or not isinstance(self.until, int | float)
            or not isinstance(self.report, Mapping)
        ):
            raise UsageError("the check kept beside the release has fields of other kinds than it can have")

    @property
    def finished(self) -> bool:
        """Whether it says something of the candidate."""
        return self.progress in (Progress.PASSED, Progress.REFUSED)

    def of(self, candidate: int | None, stable: int) -> bool:
        """Whether it is one of these versions."""
        return (self.candidate, self.stable) == (candidate, stable)

    def free(self, now_s: float) -> bool:
        """Whether another attempt may begin."""
        if self.finished or self.attempts >= MOST_ATTEMPTS:
            return False
        return self.progress is not Progress.CHECKING or not now_s < self.until < now_s + 10 * CLAIM_S

    def described(self, now_s: float | None = None) -> str:
        """In a sentence."""
        who = f"by {self.by}, {self.at}" if self.by else self.at
        if self.progress is Progress.PASSED:
            return f"version {self.candidate} has passed ({who})"
        if self.progress is Progress.REFUSED:
            return f"version {self.candidate} is refused: {self.reason} ({who})"
        if self.progress is Progress.UNFINISHED or self.until < (time.time() if now_s is None else now_s):
            again = "" if self.attempts >= MOST_ATTEMPTS else "; it is tried again"
            return f"version {self.candidate} is not checked: {self.reason or 'who checked it is gone'}{again} ({who})"
        return f"version {self.candidate} is being checked ({who})"


def stamp(stable: Path, candidate: Path) -> str:
    """Of the files of two versions: the same for copies of them elsewhere. Raises `OSError`."""
    total = hashlib.sha256()
    for folder in (stable, candidate):
        found = version_files.snapshot(folder)
        content = version_files.digest(folder, found) or model_card.read(folder).digest
        total.update(f"{content} {[(name, file.nbytes) for name, file in sorted(found.files.items())]}\n".encode())
    return total.hexdigest()


def concluded(check: Check, report: Mapping[str, Any]) -> Check:
    """A check that has ended with this report. Raises `UsageError` for what is none."""
    findings = report.get("findings")
    passed = report.get("passed")
    if not isinstance(findings, list) or not isinstance(passed, bool):
        raise UsageError("it has printed what is no report")
    reasons = [
        f"{one.get('check')}: {one.get('text')}"
        for one in findings
        if isinstance(one, dict) and one.get("level") == "refused"
    ]
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    reason = "" if passed else _line(f"{reasons[0] if reasons else 'nobody knows why'}{more}")
    progress = Progress.PASSED if passed else Progress.REFUSED
    kept = {**report, "findings": findings[:_MOST_FINDINGS]}
    return replace(check, progress=progress, until=0.0, at=releases.now(), reason=reason, report=kept)


def findings(check: Check) -> list[dict[str, str]]:
    """What the report says for and against the candidate: check, level, text. The file may be anybody's: all are lines."""
    listed = check.report.get("findings")
    return [
        {name: _line(str(one.get(name, ""))) for name in ("check", "level", "text")}
        for one in (listed if isinstance(listed, list) else [])[:_MOST_FINDINGS]
        if isinstance(one, dict)
    ]


def unfinished(check: Check, why: str) -> Check:
    """A check that has ended without a result."""
    return replace(check, progress=Progress.UNFINISHED, until=0.0, at=releases.now(), reason=_line(why))


class Checks:
    """The checks kept in one place of releases. Every method waits for disks and networks."""

    def __init__(self, store: ReleaseStore) -> None:
        self._store = store

    def read(self, model: str) -> Check | None:
        """The last one; None where there is none, or none that can be read. Raises `UsageError` where that cannot be said."""
        found = self._store.read_beside(model, FILE, MOST_BYTES)
        if found is None:
            return None
        try:
            return parse(found.content)
        except UsageError as error:
            log.warning("the check of %r is made again: %s", model, error)
            return None

    def replace(self, model: str, check: Check, seen: Check | None) -> bool:
        """Whether this is the check now: not if another one has come since `seen` was read. Raises `UsageError`."""
        content = dumps(check)
        found = self._store.read_beside(model, FILE, MOST_BYTES)
        there = None
        if found is not None:
            try:
                there = parse(found.content)
            except UsageError:
                there = None
        if there != seen:
            return False
        if self._store.replace_beside(model, FILE, content, found):
            return True
        now = self._store.read_beside(model, FILE, MOST_BYTES)
        return now is not None and now.content == content  # its answer was lost on the way

    def keep_page(self, model: str, page: bytes) -> None:
        """Keep the report for people, whatever was there. Raises `UsageError`."""
        self._store.replace_beside(model, PAGE, page, self._store.read_beside(model, PAGE, MOST_BYTES))

    def of_release(self, release: Release) -> Check | None:
        """The check of the versions of an open release, as their files are now; None: there is none with a result.

        In a bucket the files cannot be looked at from here: there counts what was made at the gate of this release.
        """
        check = self.read(release.model)
        if check is None or not check.finished or not check.of(release.candidate, release.stable):
            return None
        folder = self._store.folder(release.model)
        if folder is None:
            return check if check.salt == release.salt else None
        try:
            now = stamp(folder / str(release.stable), folder / str(release.candidate))
        except OSError:
            return None
        return check if check.stamp == now else None


def parse(content: bytes) -> Check:
    """The check of a file's bytes. Raises `UsageError`."""
    try:
        values = json.loads(content)
        return Check(**{**values, "progress": Progress(values["progress"])})
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UsageError(f"the check kept beside the release is none that can be read: {error}") from None


def dumps(check: Check) -> bytes:
    """The bytes of a check's file; a report that is too large is left out."""
    values = {**asdict(replace(check, report={})), "report": dict(check.report)}
    content = json.dumps(values).encode() + b"\n"
    return content if len(content) <= MOST_BYTES else dumps(replace(check, report={}))


def _line(text: str) -> str:
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return line if len(line) <= _MOST_TEXT else f"{line[: _MOST_TEXT - 1]}…"
