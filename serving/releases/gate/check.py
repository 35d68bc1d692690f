"""The gate: everything that can be known of a candidate before anybody is answered by it.

    files whole? ─▶ signature takes what callers send? ─▶ as good on held-out rows, by its card? ─▶ loads, in a process
    of its own, operations allowed? ─▶ answers as its golden examples say? ─▶ the same requests to both
    versions ─▶ judging ─▶ latency, memory ─▶ Report

Nothing that the candidate does ends the gate: a crash, a silence, too much memory are reasons to refuse it.
"""

import statistics
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from signet.serving.errors import UsageError
from signet.serving.models import compatibility, completeness, example_rows, model_card, operations, version_files
from signet.serving.models.compatibility import Contract
from signet.serving.models.model_card import Card
from signet.serving.models.model_status import OPERATIONS
from signet.serving.releases.gate import diagnosis, golden, judging, latency, requests, scores
from signet.serving.releases.gate.asked import Asked, ask, plausible
from signet.serving.releases.gate.bounds import CHECKS, Bounds
from signet.serving.releases.gate.isolation import Dead, Isolated, OverMemory, Refusal, Version
from signet.serving.releases.gate.judging import Case
from signet.serving.releases.gate.report import (
    NOTE,
    REFUSED,
    WARNING,
    Finding,
    Latency,
    OutputFigures,
    Report,
    ScoreFigures,
)
from signet.serving.releases.gate.requests import Request
from signet.serving.tensors.arrays import Array, Arrays
from signet.serving.tensors.signature import DEFAULT, Signature

_LATENCY_S = 5.0
"""Seconds that one measurement takes, about."""
_SLACK_BYTES = 512 << 20
"""Beyond what a candidate may take it is not given more than this: what it took can then be told."""
_FILES_TIMES = 4
_MOST_KEPT_BYTES = 256 << 20
"""Of the stable version's answers; what would come after is not asked."""
_ROUNDING = 1e-5
_LONGEST = 400

Recorded = Mapping[str, Sequence[Arrays]]
"""Signature -> inputs of recorded requests, as many rows each as there are."""


def check(candidate: Version, stable: Version | None, bounds: Bounds, recorded: Recorded | None = None) -> Report:
    """Hold a candidate against the stable version; None: it is the first. Raises `UsageError` for wrong bounds."""
    accepted, allowed = _names(bounds.accept), operations.parse_names(bounds.allow_ops)
    started = time.monotonic()
    gate = _Gate(candidate, stable, bounds, allowed, recorded or {})
    with ExitStack() as stack:
        try:
            gate.run(stack)
        except OverMemory as over:
            gate.refuse("memory", f"{gate.doing}: {over}")
        except Dead as dead:
            gate.refuse("loading" if gate.doing == "loading" else "answers", f"{gate.doing}: {dead}")
    order = {name: place for place, name in enumerate(CHECKS)}
    findings = [
        Finding(one.check, WARNING if one.level == REFUSED and one.check in accepted else one.level, one.text)
        for one in sorted(gate.findings, key=lambda one: (one.level != REFUSED, order[one.check]))
    ]
    return Report(
        candidate.model,
        candidate.number,
        stable.number if stable else None,
        findings,
        gate.figures,
        gate.asked_rows,
        gate.scores,
        gate.latency,
        gate.memory,
        time.monotonic() - started,
    )


def _names(text: str) -> frozenset[str]:
    names = frozenset(name.strip() for name in text.split(",") if name.strip())
    if unknown := sorted(names - set(CHECKS)):
        raise UsageError(f"--accept: {unknown[0][:100]!r} is no check; there are {', '.join(CHECKS)}")
    return names


class _Gate:
    """One check while it goes on; used by one thread."""

    def __init__(
        self, candidate: Version, stable: Version | None, bounds: Bounds, allowed: frozenset[str], recorded: Recorded
    ) -> None:
        self._candidate, self._stable, self._bounds, self._allowed = candidate, stable, bounds, allowed
        self._recorded = recorded
        self.doing = "loading"
        """What the candidate was asked last, for the report of its end."""
        self.findings: list[Finding] = []
        self.figures: list[OutputFigures] = []
        self.asked_rows: dict[str, int] = {}
        self.scores: list[ScoreFigures] = []
        self.latency: Latency | None = None
        self.memory: dict[str, int] = {}

    def refuse(self, which: str, text: str) -> None:
        self.findings.append(Finding(which, REFUSED, text))

    def run(self, stack: ExitStack) -> None:
        """All checks in their order. Raises `Dead` when the candidate's process ends."""
        contract = self._files()
        if contract is None:
            return
        before = self._signature(contract)
        if self._stable:
            cards = model_card.read(self._stable.path), model_card.read(self._candidate.path)
            found, self.scores = scores.compare(*cards, self._bounds)
            self.findings += found
        plans = [self._plan(signature, before) for _, signature in sorted(contract.signatures.items())]
        stable = self._load_stable(stack, plans)
        for plan in plans if stable else []:
            stable = self._ask_stable(stable, plan)
        candidate = self._load(stack)
        if candidate is None:
            return
        assets = diagnosis.changed_assets(self._stable.path, self._candidate.path) if self._stable else []
        for plan in plans:
            self._golden(candidate, plan.signature)
            case = self._ask_candidate(candidate, plan)
            outputs = diagnosis.Outputs(plan.signature, plausible(case.asked), frozenset(plan.labels))
            self.doing = f"signature {plan.signature.name!r}, with inputs swapped, scaled or transposed"
            run = partial(candidate.run, plan.signature.name)
            explain = partial(diagnosis.explanation, outputs, run=run, assets=assets)
            findings, figures = judging.judge(case, self._bounds, explain)
            self.findings += findings
            self.figures += figures
        if not any(request.plausible for plan in plans for request in plan.requests):
            text = (
                "there are neither golden examples nor recorded requests: what both answer to callers was not compared"
            )
            self.findings.append(Finding("classes", WARNING, text))
        self._memory(candidate)
        self._latency(candidate, stable, plans)

    def _files(self) -> Contract | None:
        try:
            problem = completeness.missing(self._candidate.path)
        except OSError as error:
            problem = f"{self._candidate.path.name} cannot be read: {error.strerror or error}"
        contract = None if problem else compatibility.read(self._candidate.path)
        if contract is None or not contract.signatures:
            self.refuse("files", problem or "its graph has no signature that is served")
            return None
        return contract

    def _signature(self, contract: Contract) -> Contract | None:
        """The stable version's contract; what differs is found."""
        before = compatibility.read(self._stable.path) if self._stable else None
        if before is None:
            if self._stable:
                text = f"version {self._stable.number} has no graph that can be read: nothing is compared"
                self.findings.append(Finding("signature", WARNING, text))
            return None
        for change in compatibility.changes(before, contract):
            self.findings.append(Finding("signature", REFUSED if change.breaking else NOTE, change.text))
        for (name, output), labels in sorted(before.labels.items()):
            if name in contract.signatures and output in contract.signatures[name].outputs:
                now = contract.labels.get((name, output))
                if now is None:
                    text = (
                        f"signature {name!r}: output {output!r} had names for its {len(labels)} classes, and has none"
                    )
                    self.findings.append(Finding("signature", WARNING, text))
        return before

    def _plan(self, signature: Signature, before: Contract | None) -> "_Plan":
        """What a signature is asked."""
        old = before.signatures.get(signature.name) if before else None
        takes = old is not None and _takes(signature, old)
        folders = [version.path for version in (self._candidate, self._stable) if version]
        asked = requests.make(
            old if old is not None and takes else signature,
            folders if takes else folders[:1],
            self._recorded.get(signature.name, ()) if takes or before is None else (),
            self._bounds.random_rows,
            self._bounds.seed,
        )
        card = model_card.read(self._candidate.path)
        return _Plan(signature, asked, takes, card, card.labels(signature.name))

    def _load_stable(self, stack: ExitStack, plans: Sequence["_Plan"]) -> Isolated | None:
        """The stable version in its process; without one that can be loaded, the candidate is looked at alone."""
        if self._stable is None or not any(plan.compared for plan in plans):
            return None
        every = frozenset(operations.KINDS)  # it is served already
        stable = stack.enter_context(Isolated(self._stable, self._bounds.timeout_s, allow_ops=every))
        try:
            stable.load()
        except (Refusal, Dead) as error:
            self._without_stable(plans, error)
            return None
        return stable

    def _without_stable(self, plans: Sequence["_Plan"], error: Exception) -> None:
        text = f"the stable version cannot be asked: {str(error)[:_LONGEST]}: nothing is compared"
        self.findings.append(Finding("loading", WARNING, text))
        for plan in plans:
            plan.compared = False
            plan.answers.clear()

    def _ask_stable(self, stable: Isolated | None, plan: "_Plan") -> Isolated | None:
        """Its answers, and which outputs it answers otherwise when it is asked again."""
        if stable is None or not plan.compared:
            return stable
        kept = 0
        try:
            for request in plan.requests:
                answer = ask(stable, request)
                plan.answers.append(answer)
                if isinstance(answer, dict):
                    kept += sum(array.nbytes for array in answer.values())
                    if request is plan.requests[0]:
                        plan.unsteady = _unsteady(answer, ask(stable, request))
                if kept > _MOST_KEPT_BYTES:
                    break
            self.memory["stable"] = stable.memory_bytes()
        except Dead as dead:
            self._without_stable([plan], dead)
            return None
        del plan.requests[len(plan.answers) :]
        return stable

    def _load(self, stack: ExitStack) -> Isolated | None:
        most = self._most_bytes() + _SLACK_BYTES
        candidate = stack.enter_context(Isolated(self._candidate, self._bounds.timeout_s, most, self._allowed))
        try:
            candidate.load()
        except Refusal as refusal:
            if refusal.code == "RESOURCE_EXHAUSTED":
                self._too_much(str(refusal))
            else:
                self.refuse("operations" if refusal.reason == OPERATIONS else "loading", str(refusal)[:_LONGEST])
            return None
        return candidate

    def _golden(self, candidate: Isolated, signature: Signature) -> None:
        """Whether it answers its own examples as when it was exported."""
        example = golden.expected(self._candidate.path, signature.name)
        inputs = next(example_rows.golden(self._candidate.path, signature), None) if example else None
        if example is None or inputs is None:
            return
        self.doing = f"signature {signature.name!r}, its own golden examples"
        try:
            answers = candidate.run(signature.name, inputs)
        except Refusal as refusal:
            which = "memory" if refusal.code == "RESOURCE_EXHAUSTED" else "golden"
            self.refuse(which, f"{self.doing} get an error: {str(refusal)[:_LONGEST]}")
            return
        for output, problem in golden.problems(answers, example):
            self.refuse(
                "golden", f"signature {signature.name!r}: output {output!r} of its own golden examples {problem}"
            )

    def _ask_candidate(self, candidate: Isolated, plan: "_Plan") -> Case:
        """Its answers beside those of the stable version."""
        asked = []
        for place, request in enumerate(plan.requests):
            self.doing = f"signature {plan.signature.name!r}, a {request.source} request of {request.rows} rows"
            answer = ask(candidate, request)
            asked.append(
                Asked(request, plan.answers[place] if plan.compared else None, {} if answer is None else answer)
            )
            self.asked_rows[request.source] = self.asked_rows.get(request.source, 0) + request.rows
        return Case(plan.signature, asked, plan.card, plan.unsteady, plan.compared)

    def _latency(self, candidate: Isolated, stable: Isolated | None, plans: Sequence["_Plan"]) -> None:
        """Of one request of the signature that callers use first, the stable version in turn."""
        compared = sorted((plan for plan in plans if plan.compared), key=lambda plan: plan.signature.name != DEFAULT)
        answered = (
            (plan, request)
            for plan in compared
            for request, answer in zip(plan.requests, plan.answers, strict=True)
            if isinstance(answer, dict)
        )
        chosen = next(answered, None)
        if stable is None or chosen is None:
            return
        plan, request = chosen
        name = plan.signature.name
        self.doing = f"signature {name!r}, while it was timed"
        bounds, floor_s = self._bounds, self._bounds.latency_floor_ms / 1e3
        try:
            timers = (partial(stable.time, name, request.inputs), partial(candidate.time, name, request.inputs))
            measured = latency.measure(*timers, _LATENCY_S)
            if measured.above(bounds.latency_ratio, floor_s):
                measured = latency.measure(*timers, _LATENCY_S)  # a coincidence does not come twice
        except Refusal:
            return  # said already
        before_s, after_s = statistics.median(measured.stable), statistics.median(measured.candidate)
        self.latency = Latency(name, request.rows, before_s, after_s, len(measured.stable))
        if measured.above(bounds.latency_ratio, floor_s):
            self.refuse(
                "latency",
                f"signature {name!r}: {request.rows} rows take {after_s * 1e3:.3g} ms, {after_s / before_s:.1f} times as long as "
                f"in the stable version (bound {bounds.latency_ratio:g} times)",
            )

    def _memory(self, candidate: Isolated) -> None:
        self.doing = "telling its memory"
        self.memory["candidate"] = candidate.memory_bytes()
        if self.memory["candidate"] > self._most_bytes():
            self._too_much(f"it took {self.memory['candidate'] >> 20} MiB")

    def _too_much(self, what: str) -> None:
        beside = f"; the stable version took {self.memory['stable'] >> 20} MiB" if "stable" in self.memory else ""
        self.refuse("memory", f"{what[:_LONGEST]} (bound {self._most_bytes() >> 20} MiB{beside})")

    def _most_bytes(self) -> int:
        """What the candidate may take."""
        floor = self._bounds.memory_floor_mib << 20
        if "stable" in self.memory:
            return floor + int(self._bounds.memory_ratio * self.memory["stable"])
        try:
            return floor + _FILES_TIMES * version_files.snapshot(self._candidate.path).nbytes
        except OSError:
            return floor


@dataclass(eq=False)
class _Plan:
    """One signature of the candidate's: what it is asked, and what the stable version answered to the same."""

    signature: Signature
    requests: list[Request]
    compared: bool
    """Whether callers of the stable version can call it as they do."""
    card: Card
    labels: Collection[str]
    answers: list[Arrays | Refusal | None] = field(default_factory=list)
    """The stable version's, by the places of the requests."""
    unsteady: frozenset[str] = frozenset()


def _takes(new: Signature, old: Signature) -> bool:
    """Whether requests of the old one can be sent to the new one."""
    return all(name in old.inputs or name in new.defaults for name in new.inputs) and all(
        name in new.inputs and new.inputs[name].dtype == spec.dtype for name, spec in old.inputs.items()
    )


def _unsteady(first: Arrays, second: Arrays | Refusal | None) -> frozenset[str]:
    """Outputs that are others when the same is asked again."""
    if not isinstance(second, dict):
        return frozenset()
    return frozenset(name for name, array in first.items() if name in second and not _alike(array, second[name]))


def _alike(one: Array, other: Array) -> bool:
    if one.shape != other.shape:
        return False
    if one.dtype == object or one.dtype.kind in "biu":
        return bool(np.array_equal(one, other))
    kind = np.complex128 if one.dtype.kind == "c" else np.float64
    return bool(np.allclose(one.astype(kind), other.astype(kind), _ROUNDING, _ROUNDING, equal_nan=True))
