"""From answers to findings: each check looks at what both versions answered to the requests of one signature.

answers   the candidate answers what the stable version does, in the shape that its signature states
numbers   no NaN, no infinity, where the stable version has none
constant  it still depends on its inputs
range     numbers stay about where they were; what sums to 1 still does
classes, difference, distribution   on rows like those that callers send alone: what is made up says nothing of them
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from signet.serving.models import distribution
from signet.serving.models.model_card import Card
from signet.serving.releases.gate import answers
from signet.serving.releases.gate.answers import CLASSES, NUMBERS, Paired
from signet.serving.releases.gate.asked import Asked, pair, plausible
from signet.serving.releases.gate.bounds import Bounds
from signet.serving.releases.gate.diagnosis import Explanation
from signet.serving.releases.gate.isolation import Refusal
from signet.serving.releases.gate.report import NOTE, REFUSED, WARNING, Finding, OutputFigures
from signet.serving.tensors.arrays import Array, Arrays
from signet.serving.tensors.signature import Signature, TensorSpec, shape_text

_FEWEST_ROWS = 8
"""Rows from which an output can be called constant, or out of range."""
_STILL = 0.02
"""A candidate's output that varies by less than this share of the stable version's is constant."""
_NO_MEASURE = 0.5
"""A stable version that gives the classes which it names no more than this on average says nothing of another one's."""
_FEW_OUTSIDE = 0.05
"""Share of rows that may lie outside of the range."""
_LONGEST = 300
_SAME = 1e-6
"""A difference by this share of the numbers is rounding."""

Explain = Callable[[str], Explanation]
"""Output -> what may be wrong with it."""


@dataclass(frozen=True, eq=False)
class Case:
    """One signature: what was asked and answered, and what is known of it."""

    signature: Signature
    """The candidate's."""
    asked: Sequence[Asked]
    card: Card
    """The candidate's."""
    unsteady: frozenset[str]
    """Outputs that the stable version itself answers differently each time."""
    compared: bool
    """Whether the stable version was asked the same."""

    def tables(self, output: str, requests: Sequence[Asked]) -> list[Array]:
        """The candidate's rows of an output."""
        found = []
        for one in requests:
            if isinstance(one.candidate, dict) and output in one.candidate:
                array = one.candidate[output]
                found.append(array if self.signature.batched else array[np.newaxis])
        return found


def judge(case: Case, bounds: Bounds, explain: Explain) -> tuple[list[Finding], list[OutputFigures]]:
    """What is to be said of one signature, and the figures of its outputs."""
    findings = list(_answers(case))
    figures = []
    labels = case.card.labels(case.signature.name)
    for name, spec in case.signature.outputs.items():
        if spec.dtype is None:
            continue
        where = f"signature {case.signature.name!r}: output {name!r}"
        wrong = list(_numbers(case, name, where))
        paired = pair(plausible(case.asked), case.signature, name, labelled=name in labels)
        everything = pair(case.asked, case.signature, name, labelled=name in labels)
        if case.compared and not wrong:
            wrong += _constant(everything, where)
            wrong += _range(paired, everything, where, bounds)
        elif not wrong:
            wrong += _constant_alone(case, name, where)
            wrong += _reference(case, name, where, bounds)
        if case.compared and paired.rows:
            if name in case.unsteady:
                wrong.append(Finding("difference", NOTE, f"{where} is random: it is not compared"))
            else:
                one, more = _compare(paired, case.signature.name, name, where, bounds)
                figures.append(one)
                if one.kind == CLASSES and answers.doubt(paired) >= _NO_MEASURE:
                    text = f"{where}: the stable version is too unsure of its classes to be a measure of them"
                    wrong.append(Finding("classes", NOTE, text))
                elif not wrong:
                    wrong += _explained(more, explain(name), where, one)
        findings += wrong
    return findings, figures


def _explained(findings: Sequence[Finding], why: Explanation, where: str, figures: OutputFigures) -> Iterator[Finding]:
    """The first of the findings with what may be wrong, or that alone where no bound is reached."""
    for finding in findings[:1]:
        yield Finding(finding.check, finding.level, "; ".join(filter(None, (finding.text, why.mistake, why.hint))))
    if not findings and why.mistake:
        yield Finding("classes" if figures.kind == CLASSES else "difference", REFUSED, f"{where}: {why.mistake}")


def _answers(case: Case) -> Iterator[Finding]:
    """Errors where the stable version answers, and arrays of another form than the signature states; each once."""
    said: set[str] = set()
    for one in case.asked:
        where = f"signature {case.signature.name!r}: "
        if isinstance(one.candidate, Refusal):
            if isinstance(one.stable, Refusal):
                continue
            level = REFUSED if one.stable is not None or one.request.plausible else WARNING
            text = f"a {one.request.source} request of {one.request.rows} rows gets an error: {str(one.candidate)[:_LONGEST]}"
            if "error" not in said:
                said.add("error")
                yield Finding(
                    "memory" if one.candidate.code == "RESOURCE_EXHAUSTED" else "answers", level, where + text
                )
            continue
        for name, spec in case.signature.outputs.items():
            if spec.dtype is None or name in said:
                continue
            problem = _form(case, one, name, spec)
            if problem:
                said.add(name)
                yield Finding("answers", REFUSED, f"{where}output {name!r} {problem}")


def _form(case: Case, one: Asked, name: str, spec: TensorSpec) -> str:
    assert isinstance(one.candidate, dict)
    assert spec.dtype is not None
    array = one.candidate.get(name)
    if array is None:
        return "is not answered"
    if array.dtype != spec.dtype.numpy:
        return f"is {array.dtype.name}, and {spec.dtype.name} by its signature"
    if not spec.fits(array.shape):
        return f"has shape {array.shape}, and {shape_text(spec.shape)} by its signature"
    if case.signature.batched and len(array) != one.request.rows:
        return f"has {len(array)} rows for {one.request.rows}"
    labels = case.card.labels(case.signature.name).get(name)
    if labels and array.ndim > 1 and array.shape[-1] not in (1, len(labels)):
        return f"has {array.shape[-1]} classes, and the card names {len(labels)}: are the labels stale?"
    stable = one.stable.get(name) if isinstance(one.stable, dict) else None
    other = stable is not None and stable.shape != array.shape
    if stable is not None and other and (array.ndim != stable.ndim or case.signature.fixed_outputs):
        return f"has shape {array.shape}, and the stable version answers {stable.shape}"
    return ""


def _numbers(case: Case, output: str, where: str) -> Iterator[Finding]:
    """NaN and infinity, by the rows where the stable version has none."""
    rows: dict[str, int] = {}
    for one in case.asked:
        if not isinstance(one.candidate, dict) or output not in one.candidate:
            continue
        mine = _rows(case, one.candidate, output)
        bad = ~answers.finite(mine)
        if isinstance(one.stable, dict) and output in one.stable:
            theirs = answers.finite(_rows(case, one.stable, output))
            if len(theirs) == len(bad):
                bad &= theirs
        elif isinstance(one.stable, Refusal):
            continue
        if bad.any():
            rows[one.request.source] = rows.get(one.request.source, 0) + int(bad.sum())
    if rows:
        came = ", ".join(f"{count} of the {source}" for source, count in rows.items())
        alone = not case.compared and not any(source in rows for source in ("golden", "recorded"))
        beside = " where the stable version has none" if case.compared else ""
        yield Finding("numbers", WARNING if alone else REFUSED, f"{where} is NaN or infinite in rows{beside}: {came}")


def _rows(case: Case, arrays: Arrays, output: str) -> Array:
    array = arrays[output]
    return array if case.signature.batched and array.ndim else array[np.newaxis]


def _constant(paired: Paired, where: str) -> Iterator[Finding]:
    pairs = list(paired.tables())
    if paired.rows < _FEWEST_ROWS:
        return
    if paired.spec.dtype is not None and (paired.spec.dtype.is_string or paired.spec.dtype.numpy.kind == "b"):
        before, after = (answers.different([pair[side] for pair in pairs]) for side in (0, 1))
        if after == 1 and before > 2:
            yield Finding("constant", REFUSED, f"{where} is the same for all {paired.rows} rows")
        return
    before_spread, after_spread = (answers.spread([pair[side] for pair in pairs]) for side in (0, 1))
    size = max(
        (float(np.abs(pair[0][answers.finite(pair[0])].astype(np.complex128)).max(initial=0)) for pair in pairs),
        default=0,
    )
    if before_spread > _SAME * size and after_spread < _STILL * before_spread:
        yield Finding(
            "constant",
            REFUSED,
            f"{where} is about the same for all {paired.rows} rows: it varies by {after_spread:.2g}, the stable version's by "
            f"{before_spread:.2g}",
        )


def _constant_alone(case: Case, output: str, where: str) -> Iterator[Finding]:
    tables = case.tables(output, case.asked)
    rows = sum(map(len, tables))
    if rows >= _FEWEST_ROWS and answers.different(tables) == 1:
        yield Finding("constant", REFUSED, f"{where} is the same for all {rows} rows")


def _range(paired: Paired, everything: Paired, where: str, bounds: Bounds) -> Iterator[Finding]:
    if everything.spec.dtype is None or everything.spec.dtype.is_string or everything.spec.dtype.numpy.kind in "bc":
        return
    pairs = list(everything.tables())
    if pairs and all(answers.is_distribution(stable) for stable, _ in pairs):
        for _, candidate in pairs:
            if candidate.size and not answers.is_distribution(candidate):
                sums = candidate.astype(np.float64).sum(axis=-1)
                yield Finding(
                    "range",
                    REFUSED,
                    f"{where} are no longer chances: they sum to between {np.nanmin(sums):.4g} and {np.nanmax(sums):.4g}, and "
                    "to 1 in the stable version",
                )
                return
        return  # every chance is possible: a version that is surer than a bad one is none the worse
    outside: list[Array] = []
    low, high = np.inf, -np.inf
    for stable, _ in paired.tables():
        known = stable[answers.finite(stable)].astype(np.float64)
        if known.size:
            low, high = min(low, float(known.min())), max(high, float(known.max()))
    if paired.rows < _FEWEST_ROWS or not low < high:
        return
    width = (high - low) * bounds.range_factor
    for _, candidate in paired.tables():
        flat = candidate.astype(np.float64).reshape(len(candidate), -1)
        outside.append(np.any((flat < low - width) | (flat > high + width), axis=1))
    beyond = np.concatenate(outside)
    if answers.share_at_least(beyond) > _FEW_OUTSIDE:
        lowest = min(float(candidate.astype(np.float64).min()) for _, candidate in paired.tables())
        highest = max(float(candidate.astype(np.float64).max()) for _, candidate in paired.tables())
        yield Finding(
            "range",
            REFUSED,
            f"{where} lies between {lowest:.4g} and {highest:.4g}, the stable version's between {low:.4g} and {high:.4g}: "
            f"{beyond.mean():.0%} of {len(beyond)} rows are more than {bounds.range_factor:g} times its width outside",
        )


def _compare(
    paired: Paired, signature: str, output: str, where: str, bounds: Bounds
) -> tuple[OutputFigures, list[Finding]]:
    kind = paired.kind
    findings: list[Finding] = []
    changed = difference = most = relative = None
    is_number = (
        paired.spec.dtype is not None and not paired.spec.dtype.is_string and paired.spec.dtype.numpy.kind != "b"
    )
    apart = answers.distances(list(paired.tables())) if is_number else None
    if apart is not None and apart.apart.size:
        difference, most, relative = apart.ratio, apart.most, apart.most_relative
    if kind != NUMBERS:
        shares = answers.changed(paired)
        changed = float(shares.mean())
        granted = bounds.max_changed
        if kind == CLASSES:
            granted = max(granted, min(1.0, 2 * answers.doubt(paired)))
        if answers.share_at_least(shares) > granted:
            what = "the class" if kind == CLASSES else "the value"
            findings.append(
                Finding(
                    "classes",
                    REFUSED,
                    f"{where}: {what} changes in {changed:.0%} of {len(shares)} rows (bound {granted:.0%})",
                )
            )
    elif apart is not None and apart.apart.size:
        size = apart.most / max(apart.most_relative, 1e-12)
        still = apart.spread.mean() <= _SAME * max(size, 1e-12)
        excess = apart.apart - bounds.max_difference * apart.spread
        if not still and answers.mean_at_least(excess) > 0:
            findings.append(
                Finding(
                    "difference",
                    REFUSED,
                    f"{where} differs by {apart.apart.mean():.3g} on average of {len(apart.apart)} rows, {apart.ratio:.2f} times "
                    f"as much as it varies (bound {bounds.max_difference:g}); by {apart.most:.3g} at most",
                )
            )
    most_psi = bounds.max_psi
    if kind == CLASSES:
        unsure = answers.doubt(paired)
        most_psi = math.inf if unsure >= _NO_MEASURE else max(most_psi, 2 * unsure)
    psi, found = _distribution(answers.indices(paired), where, most_psi, "on the same inputs")
    return OutputFigures(
        signature, output, kind, paired.rows, changed, difference, most, relative, psi
    ), findings + found


def _distribution(
    indices: Mapping[str, tuple[float, float]], where: str, most: float, against: str
) -> tuple[float | None, list[Finding]]:
    if not indices:
        return None, []
    feature, (psi, by_chance) = max(indices.items(), key=lambda one: one[1][0] - one[1][1])
    if psi <= max(most, by_chance):
        return psi, []
    part = feature.removeprefix(distribution.OUTPUT)
    text = f"{where} is distributed otherwise {against}: PSI {psi:.2g} of {part} (bound {most:.3g})"
    return psi, [Finding("distribution", REFUSED, text)]


def _reference(case: Case, output: str, where: str, bounds: Bounds) -> Iterator[Finding]:
    """The first version's answers to recorded rows, against what its card says of held-out rows."""
    reference = case.card.reference(case.signature.name)
    recorded = [one for one in case.asked if one.request.source == "recorded"]
    if reference is None or not recorded:
        return
    tables = case.tables(output, recorded)
    indices = answers.reference_indices(case.signature.outputs[output], tables, reference)
    _, found = _distribution(indices, where, bounds.max_psi, "than its card's reference")
    for finding in found:
        yield Finding(finding.check, WARNING, finding.text)
