"""What is kept of one sampled request, and how calls of its kind are logged.

lease, signature ──LogPlan──▶ which columns are empty, or why nothing is logged
a request's arrays ──copies──▶ Record, which shares no memory with the request
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from signet.serving.gateway.request_log.redaction import Redaction
from signet.serving.models import request_columns
from signet.serving.models.model_card import Card
from signet.serving.models.request_columns import OUTPUT, REQUEST, Logged
from signet.serving.tensors.arrays import Array, Arrays
from signet.serving.tensors.signature import Signature

_OBJECT_BYTES = 48
"""About what a text takes beside its bytes."""

CLASHES, REDACTION = "names", "redaction"


@dataclass(frozen=True, eq=False)
class LogPlan:
    """How the calls of one signature of one version are logged."""

    logged: Logged
    signature: Signature
    hidden: frozenset[str]
    """Columns without a value."""
    card: Card
    problem: str = ""
    """Why none of them is, as the counter names it; the log says more."""
    explanation: str = ""


def plan(
    model: str,
    version: int,
    signature: Signature,
    signatures: Mapping[str, Signature],
    card: Card,
    redaction: Redaction,
) -> LogPlan:
    """signatures: all of the version."""
    logged = Logged(model, version, signature.name)
    clashing = [name for name in signature.inputs if name.startswith((OUTPUT, REQUEST))]
    columns = columns_of(signature)
    hidden = redaction.hidden(model, columns)
    if clashing:
        text = f"its input {clashing[0]!r} is called as columns of answers and requests are"
        return LogPlan(logged, signature, hidden, card, CLASHES, text)
    every = {column for each in signatures.values() for column in columns_of(each)}
    if pattern := redaction.amiss(model, every):
        text = f"no column of it is redacted by {pattern!r}; it has {', '.join(sorted(every))}"
        return LogPlan(logged, signature, hidden, card, REDACTION, text)
    return LogPlan(logged, signature, hidden, card)


def columns_of(signature: Signature) -> list[str]:
    """All columns of a signature's rows, in their order."""
    outputs = [OUTPUT + name for name in signature.outputs]
    return [*signature.inputs, *outputs, *(REQUEST + fact for fact in request_columns.FACTS)]


class Record(NamedTuple):
    """One request, answered."""

    plan: LogPlan
    inputs: Arrays
    """Those that are not hidden; so with the outputs."""
    outputs: Arrays
    rows: int
    time_s: float
    """When it came, in seconds since 1970."""
    seconds: float
    """To its answer."""
    id: str
    protocol: str
    key: str
    nbytes: int
    """About what it takes in memory."""

    @property
    def shapes(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Records of one plan whose shapes are equal are written together."""
        inner = slice(1 if self.plan.signature.batched else 0, None)
        both = (self.inputs, self.outputs)
        return tuple((name, array.shape[inner]) for arrays in both for name, array in arrays.items())


def grouped(records: Iterable[Record]) -> list[list[Record]]:
    """Records of one plan whose shapes are equal, together."""
    groups: dict[Any, list[Record]] = {}
    for record in records:
        groups.setdefault((id(record.plan), record.shapes), []).append(record)
    return list(groups.values())


def visible(arrays: Arrays, prefix: str, plan: LogPlan) -> Arrays:
    """Those arrays that may be logged."""
    hidden = plan.hidden
    return {name: array for name, array in arrays.items() if prefix + name not in hidden} if hidden else arrays


def byte_count(arrays: Arrays, most: int) -> int:
    """About the memory that arrays take; anything above `most` where it is more."""
    total = 0
    for array in arrays.values():
        if array.dtype == object:
            total += array.size * _OBJECT_BYTES
            if total > most:
                return total
            total += sum(map(len, array.reshape(-1).tolist()))
        else:
            total += array.nbytes
    return total


def copied(array: Array) -> Array:
    """An array that keeps nothing else in memory: not the body that it lies in, nor the answers to others."""
    return np.array(array, order="C", copy=True)
