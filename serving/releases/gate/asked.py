"""What both versions answered to the requests of one signature."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from signet.serving.releases.gate.answers import Paired
from signet.serving.releases.gate.isolation import Isolated, Refusal
from signet.serving.releases.gate.requests import Request
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.signature import Signature

Run = Callable[[Arrays], Arrays]
"""Asks one version; raises `Refusal`."""


@dataclass(frozen=True, eq=False)
class Asked:
    """One request and what came of it: answers, or the version's error."""

    request: Request
    stable: Arrays | Refusal | None
    """None: it was not asked."""
    candidate: Arrays | Refusal


def ask(version: Isolated | None, request: Request) -> Arrays | Refusal | None:
    """The answers of one version, or its error; None of none. Raises `Dead`."""
    if version is None:
        return None
    try:
        return version.run(request.signature.name, request.inputs)
    except Refusal as refusal:
        return refusal


def pair(asked: Iterable[Asked], signature: Signature, output: str, *, labelled: bool) -> Paired:
    """An output over all requests that both have answered with arrays of one shape."""
    paired = Paired(signature.outputs[output], signature.batched, labelled)
    for stable, candidate in answered(asked):
        if output in stable and output in candidate and stable[output].shape == candidate[output].shape:
            paired.add(stable[output], candidate[output])
    return paired


def answered(asked: Iterable[Asked]) -> Iterator[tuple[Arrays, Arrays]]:
    """The answers of both, where both have some."""
    for one in asked:
        if isinstance(one.stable, dict) and isinstance(one.candidate, dict):
            yield one.stable, one.candidate


def plausible(asked: Iterable[Asked]) -> Sequence[Asked]:
    """Those to rows like those that callers send."""
    return [one for one in asked if one.request.plausible]
