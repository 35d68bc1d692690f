"""Drift, watched: what is sampled is counted in the bins of the card's reference, and shown as `signet_drift_psi`.

    records ──features──▶ counts of this window ──with those of the last one, now and then──▶ gauges

A window is so many rows, not so much time: fewer would show what chance does. Memory and labels are bounded: so many columns of
a model, of its newest versions. Only the thread that writes the log uses it.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from signet.serving.gateway.observability.metrics import Metrics
from signet.serving.gateway.request_log.record import LogPlan, Record
from signet.serving.models import distribution
from signet.serving.models.distribution import Reference
from signet.serving.models.request_columns import Logged
from signet.serving.tensors.arrays import Array, Arrays
from signet.serving.tensors.signature import DEFAULT

WINDOW_ROWS = 2000
"""Gauges tell of the last 2,000 to 4,000 rows."""
LEAST_ROWS = 500
"""Rows of a window that are shown: with fewer, chance alone makes the index large."""
LEAST_REFERENCE_ROWS = 300
MOST_COLUMNS = 24
"""Of a model."""
_MOST_VERSIONS = 2
_SHOW_S = 5.0


@dataclass
class _Watched:
    """The counts of one signature of one version."""

    plan: LogPlan
    reference: Reference
    rows: int = 0
    window: dict[str, Array] = field(default_factory=dict)
    last: dict[str, Array] = field(default_factory=dict)
    last_rows: int = 0


class DriftWatch:
    """The drift of all models of one process."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._gauge, self._clock = metrics.drift, clock
        self._watched: dict[Logged, _Watched | None] = {}
        self._shown: dict[tuple[str, str], set[str]] = {}
        """Model, version -> columns that have a gauge."""
        self._next_s = 0.0

    def add(self, groups: Sequence[Sequence[Record]]) -> None:
        """Count records, of which those of a group have one plan and equal shapes; show what has come of it when it is time."""
        for group in groups:
            self._count(group)
        now = self._clock()
        if now >= self._next_s:
            self._next_s = now + _SHOW_S
            for watched in self._watched.values():
                if watched and watched.rows + watched.last_rows >= LEAST_ROWS:
                    self._show(watched)

    def _count(self, group: Sequence[Record]) -> None:
        plan = group[0].plan
        watched = self._watching(plan)
        if watched is None:
            return
        inputs, outputs = _joined([record.inputs for record in group]), _joined([record.outputs for record in group])
        found = distribution.features(plan.signature, inputs, outputs, watched.reference.pad)
        for name, values in found.items():
            if column := watched.reference.columns.get(name):
                counts = column.count(values)
                watched.window[name] = watched.window[name] + counts if name in watched.window else counts
        watched.rows += sum(record.rows for record in group)
        if watched.rows >= WINDOW_ROWS:
            watched.last, watched.last_rows = watched.window, watched.rows
            watched.window, watched.rows = {}, 0

    def _watching(self, plan: LogPlan) -> _Watched | None:
        known = self._watched.get(plan.logged)
        if plan.logged in self._watched and (known is None or known.plan is plan):
            return known
        reference = plan.card.reference(plan.logged.signature)
        usable = reference is not None and reference.rows >= LEAST_REFERENCE_ROWS and plan.signature.batched
        made = _Watched(plan, reference) if reference is not None and usable else None
        self._watched[plan.logged] = made
        self._forget_older(plan.logged.model)
        return made

    def _forget_older(self, model: str) -> None:
        """Drop the counts and gauges of versions that newer ones have followed."""
        versions = sorted({logged.version for logged in self._watched if logged.model == model})
        for logged in list(self._watched):
            if logged.model == model and logged.version in versions[:-_MOST_VERSIONS]:
                del self._watched[logged]
                for column in self._shown.pop((model, str(logged.version)), ()):
                    self._gauge.remove(model, str(logged.version), column)

    def _show(self, watched: _Watched) -> None:
        logged = watched.plan.logged
        shown = self._shown.setdefault((logged.model, str(logged.version)), set())
        for name, column in watched.reference.columns.items():
            parts = [counts[name] for counts in (watched.window, watched.last) if name in counts]
            label = name if logged.signature == DEFAULT else f"{logged.signature}/{name}"
            if not parts or (label not in shown and len(shown) >= MOST_COLUMNS):
                continue
            found = sum(parts[1:], parts[0])
            if found.sum() >= LEAST_ROWS:
                shown.add(label)
                self._gauge.labels(logged.model, str(logged.version), label).set(distribution.psi(column.counts, found))


def _joined(parts: Sequence[Arrays]) -> Arrays:
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
