"""What the gate found: why a candidate is refused, what is worth a look, and the figures of every output."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

REFUSED, WARNING, NOTE = "refused", "warning", "note"


@dataclass(frozen=True)
class Finding:
    """One thing that was found."""

    check: str
    """Which check, of `bounds.CHECKS`."""
    level: str
    """REFUSED, WARNING or NOTE."""
    text: str
    """A sentence without a full stop; it names the signature, and the input or output."""


@dataclass(frozen=True)
class OutputFigures:
    """How far one output is from the stable version's, on rows like those that callers send."""

    signature: str
    output: str
    kind: str
    """classes, numbers or values."""
    rows: int
    changed: float | None = None
    """Share of rows whose class or value is another one."""
    difference: float | None = None
    """Mean |c − s|, by the mean distance of s from its average."""
    most: float | None = None
    most_relative: float | None = None
    psi: float | None = None
    """Of the feature that differs most."""


@dataclass(frozen=True)
class ScoreFigures:
    """A figure that both cards have of held-out rows."""

    output: str
    metric: str
    stable: float
    candidate: float
    rows: int
    """The candidate's held-out rows; 1 where its card does not say."""


@dataclass(frozen=True)
class Latency:
    """Of one call, both versions in turn: medians, in seconds."""

    signature: str
    rows: int
    stable_s: float
    candidate_s: float
    rounds: int


@dataclass(frozen=True)
class Report:
    """Everything that came of one check."""

    model: str
    candidate: int
    stable: int | None
    findings: Sequence[Finding]
    outputs: Sequence[OutputFigures] = ()
    requests: Mapping[str, int] = field(default_factory=dict)
    """Source -> rows that both were asked."""
    scores: Sequence[ScoreFigures] = ()
    latency: Latency | None = None
    memory_bytes: Mapping[str, int] = field(default_factory=dict)
    """stable, candidate -> what it took at most, beside the library."""
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether nothing was refused."""
        return not self.reasons

    @property
    def reasons(self) -> list[Finding]:
        """Why it is refused."""
        return [finding for finding in self.findings if finding.level == REFUSED]

    def to_json(self) -> str:
        """As one JSON object; what is no finite number is null."""
        return json.dumps(_plain({"passed": self.passed, **asdict(self)}), ensure_ascii=False)

    @property
    def heading(self) -> str:
        """What was checked, and what came of it."""
        against = f" against version {self.stable}" if self.stable is not None else ", the first one"
        count = len(self.reasons)
        verdict = "passes" if self.passed else f"is refused, for {count} reason{'s' if count > 1 else ''}"
        return f"{self.model} version {self.candidate}{against}: {verdict}"

    @property
    def facts(self) -> list[tuple[str, str]]:
        """The other figures: name, text."""
        asked = ", ".join(f"{rows:,} {source}" for source, rows in self.requests.items())
        found = [("rows asked", asked or "none")]
        found += [
            (f"{score.output} {score.metric}", f"{score.candidate:.3g}, the stable version's {score.stable:.3g}")
            for score in self.scores
        ]
        if self.latency:
            one = self.latency
            ratio = one.candidate_s / one.stable_s if one.stable_s else math.inf
            found.append(
                (
                    "latency",
                    f"{one.candidate_s * 1e3:.3g} ms for {one.rows} rows, {ratio:.2f} times the stable version's "
                    f"{one.stable_s * 1e3:.3g} ms ({one.rounds} rounds in turn)",
                )
            )
        if "candidate" in self.memory_bytes:
            beside = (
                f", stable version {self.memory_bytes['stable'] >> 20} MiB" if "stable" in self.memory_bytes else ""
            )
            found.append(("memory", f"{self.memory_bytes['candidate'] >> 20} MiB{beside}"))
        found.append(("checked in", f"{self.seconds:.1f} s"))
        return found

    @property
    def rows(self) -> list[list[str]]:
        """The figures of the outputs, as texts: a row each, for `HEADINGS`."""
        return [
            [
                f"{one.signature} {one.output}",
                one.kind,
                f"{one.rows:,}",
                "–" if one.changed is None else f"{one.changed:.1%}",
                *(_number(value) for value in (one.difference, one.most, one.most_relative, one.psi)),
            ]
            for one in self.outputs
        ]

    def text(self) -> str:
        """As lines for a terminal."""
        words = {REFUSED: "REFUSED", WARNING: "warning", NOTE: "note"}
        lines = [self.heading, *([""] if self.findings else [])]
        lines += [f"  {words[finding.level]:8} {finding.check}: {printable(finding.text)}" for finding in self.findings]
        if self.outputs:
            table = [list(HEADINGS), *self.rows]
            widths = [max(len(row[place]) for row in table) for place in range(len(HEADINGS))]
            lines.append("")
            lines += [
                "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
                for row in table
            ]
        lines.append("")
        lines += [f"  {printable(name)}: {text}" for name, text in self.facts]
        return "\n".join(lines) + "\n"


HEADINGS = ("output", "kind", "rows", "changed", "difference", "max abs", "max rel", "PSI")


def printable(text: str) -> str:
    """A text without what a terminal would obey: names and messages may be a stranger's."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
