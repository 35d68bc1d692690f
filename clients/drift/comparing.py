"""A request log held against a reference: column by column, counts of the same bins, then a verdict on each.

reference: the card's, or rows of a log ──┐
the log's rows, piece by piece ──count──▶ Tally ──verdicts──▶ drift, ok, few rows, not in the log
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from signet.clients.drift import log_columns
from signet.clients.request_log.files import LogFile
from signet.serving.errors import UsageError
from signet.serving.models import distribution
from signet.serving.models.distribution import Column, Reference
from signet.serving.tensors.arrays import Array

DRIFT, OK, FEW, ABSENT = "drift", "ok", "few rows", "not in the log"
_MOST_REFERENCE_ROWS = 20_000


@dataclass(frozen=True)
class Limits:
    """What counts as drift, where it is more than chance does."""

    psi: float
    ks: float
    min_rows: int


@dataclass(frozen=True)
class Verdict:
    """What came of one column."""

    column: str
    verdict: str
    rows: int
    psi: float | None = None
    ks: float | None = None
    """Of numbers."""
    missing: tuple[float, float] | None = None
    """Shares of rows, in the reference and now."""
    new: tuple[float, float] | None = None
    """The same of categories that are not named, or of numbers outside of what the reference has."""


@dataclass
class Tally:
    """The counts of a reference's columns in other rows. One thread writes it."""

    reference: Reference
    rows: int = 0
    counts: dict[str, Array] = field(default_factory=dict)

    def add(self, rows: int, pieces: Sequence[log_columns.Piece]) -> None:
        """Count some rows."""
        self.rows += rows
        for piece in pieces:
            for name, values in piece.features.items():
                if column := self.reference.columns.get(name):
                    counted = column.count(values)
                    self.counts[name] = self.counts[name] + counted if name in self.counts else counted

    def verdicts(self, limits: Limits) -> list[Verdict]:
        """One for each column of the reference, in its order."""
        return [
            _verdict(name, column, self.counts.get(name), limits) for name, column in self.reference.columns.items()
        ]


def tally(
    reference: Reference, logs: Sequence[LogFile], since: datetime | None, done: Callable[[LogFile], None]
) -> Tally:
    """Count all rows of the files. done: told of each file that was read."""
    counted = Tally(reference)
    for log in logs:
        for rows, pieces in log_columns.pieces(log, since, None, reference.pad):
            counted.add(rows, pieces)
        done(log)
    return counted


def reference_of(
    logs: Sequence[LogFile], until: datetime | None, pad: float, done: Callable[[LogFile], None]
) -> Reference:
    """The reference that rows of a log make, those before a time. Raises `UsageError` when they are too few."""
    total = log_columns.rows_of(logs)
    share = min(1.0, _MOST_REFERENCE_ROWS / max(total, 1))
    rows = 0
    values: dict[str, list[Array]] = {}
    for number, log in enumerate(logs):
        for count, pieces in log_columns.pieces(log, None, until, pad, share, number):
            rows += count
            for piece in pieces:
                for name, found in piece.features.items():
                    values.setdefault(name, []).append(found)
        done(log)
    if rows < distribution.LEAST_ROWS:
        raise UsageError(
            f"the reference has {rows} rows{f' before {until:%Y-%m-%d %H:%M} UTC' if until else ''}; "
            f"it needs {distribution.LEAST_ROWS}"
        )
    described = {name: distribution.describe(np.concatenate(parts)) for name, parts in values.items()}
    columns = {name: column for name, column in described.items() if column is not None}
    return Reference(rows, columns, pad, "rows of a request log")


def _verdict(name: str, column: Column, counts: Array | None, limits: Limits) -> Verdict:
    if counts is None:
        return Verdict(name, ABSENT, 0)
    rows, known = int(counts.sum()), sum(column.counts)
    psi = distribution.psi(column.counts, counts)
    drifts = psi > max(limits.psi, distribution.psi_by_chance(len(counts), known, rows))
    ks = None
    missing = (column.counts[-1] / max(known, 1), counts[-1] / max(rows, 1))
    outer = (0, column.bins - 1) if column.edges is not None else (column.bins - 1,)
    new = (
        sum(column.counts[place] for place in outer) / max(known, 1),
        float(sum(counts[place] for place in outer)) / max(rows, 1),
    )
    if column.edges is not None:
        one, other = column.counts[:-1], counts[:-1]
        ks = distribution.ks(one, other)
        drifts = drifts or ks > max(limits.ks, distribution.ks_by_chance(sum(one), int(other.sum())))
    verdict = FEW if rows < limits.min_rows else DRIFT if drifts else OK
    return Verdict(name, verdict, rows, psi, ks, missing, new)
