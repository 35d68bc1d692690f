"""What a call does, written once for every client: generators that yield requests and are sent their responses.

    def listing():
        return parse_models((yield build_models()))             # builds and parses, never sends

    drive(listing(), send)     await drive_async(listing(), send)

A client only sends. What it meets when it sends is thrown into the generator, which may know an answer to it.
"""

import asyncio
import itertools
import math
import time
from collections.abc import Awaitable, Callable, Collection, Generator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from signet.clients.client.retries import Budget
from signet.clients.client.values import to_arrays
from signet.serving.errors import (
    DeadlineExceeded,
    Internal,
    InvalidInput,
    ServingError,
    Unavailable,
)
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.signature import Signature, as_html, nearest_hint, select, with_text_hint

T = TypeVar("T")
CallSteps = Generator[Any, Any, T]
"""A call as a generator: it yields requests or pauses, is sent responses, and returns the result."""

_POLL_S = 0.05
_LONGEST_S = 1e8
"""Three years; what is longer is no limit, and no number that sockets take."""
CONVERTING = (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, RecursionError)
"""The exceptions that values of any kind may raise when they are converted."""


@dataclass(frozen=True)
class Pause:
    """A step in which nothing is sent for a while: the backoff before a retry, or the time between two polls."""

    seconds: float


@dataclass(frozen=True)
class Version:
    """The signatures of one version of a model."""

    model: str
    number: int
    signatures: Mapping[str, Signature]
    digest: str = ""
    """SHA-256 of its graph and weights, where the server tells it."""

    def __repr__(self) -> str:
        return f"<Version {self.number} of {self.model}: {'; '.join(map(str, self.signatures.values()))}>"

    def _repr_html_(self) -> str:
        return as_html(self.signatures.values(), f"{self.model}, version {self.number}")


VersionSelector = int | str | None
"""One of a model's versions: by its number, by a label, or None for the one that calls without a version get."""

SignatureCache = dict[tuple[str, VersionSelector], Version]
"""The versions that were described, by model and selector; for a label or None the one that answered last."""


def seconds_of(timeout_s: float | None, usual_s: float) -> float:
    """How long a call may take; infinite: without a limit. Raises `InvalidInput` for what is no time."""
    given = usual_s if timeout_s is None else timeout_s
    if isinstance(given, bool) or not isinstance(given, int | float) or not given >= 0:
        raise InvalidInput(f"timeout_s is {given!r}; expected seconds, inf for no limit")
    return float(given) if given < _LONGEST_S else math.inf


def selector_of(version: int | None, label: str | None) -> VersionSelector:
    """The version that a caller asks for. Raises `InvalidInput` when both are given."""
    if version is not None and label is not None:
        raise InvalidInput(f"both version {version} and label {label!r} are given; expected one of them")
    return version if label is None else label


def drive(steps: CallSteps[T], send: Callable[[Any], Any]) -> T:
    """The result of the steps, whose requests `send` answers."""
    sleep: Callable[[float], Any] = time.sleep
    try:
        step = next(steps)
        while True:
            try:
                answer = sleep(step.seconds) if isinstance(step, Pause) else send(step)
            except ServingError as error:
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except CONVERTING as error:
        raise _misused(error) from error
    except StopIteration as end:
        result: T = end.value
        return result


async def drive_async(steps: CallSteps[T], send: Callable[[Any], Awaitable[Any]]) -> T:
    """The result of the steps, whose requests an awaited `send` answers; `drive` for asyncio."""
    try:
        step = next(steps)
        while True:
            try:
                answer = await (asyncio.sleep(step.seconds) if isinstance(step, Pause) else send(step))
            except ServingError as error:
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except CONVERTING as error:
        raise _misused(error) from error
    except StopIteration as end:
        result: T = end.value
        return result


def _misused(error: Exception) -> InvalidInput:
    return InvalidInput(f"the call cannot be made as it was asked for: {type(error).__name__}: {error}")


def check_outputs(outputs: Collection[str], signature: Signature) -> None:
    """Raise `InvalidInput` unless the signature has all these outputs."""
    if isinstance(outputs, str):
        raise InvalidInput(f"outputs is the text {outputs!r}; expected a list of names")
    for name in outputs:
        if name not in signature.outputs:
            hint = nearest_hint(name, signature.outputs)
            known = ", ".join(map(repr, signature.outputs))
            raise InvalidInput(f"signature {signature.name!r} has no output {name!r}{hint}; it has {known}")


def sending(
    budget: Budget,
    build: Callable[[float], Any],
    failure: Callable[[Any], ServingError | None],
    deadline: float,
    note: Callable[[ServingError | None], None] | None = None,
) -> CallSteps[Any]:
    """The response to a request, which is sent again as the budget allows. Raises what is met when it is sent.

    build: makes the request, given the seconds that are left until the deadline, a time of `time.monotonic`.
    failure: the error that a response stands for, if any; a response with one is given when it is not sent again.
    note: is told how each time that it was sent ended.
    """
    budget.earn()
    for attempt in itertools.count(1):
        response, raised = None, None
        try:
            request = build(max(0.001, deadline - time.monotonic()))
        except CONVERTING as cause:
            raise InvalidInput(f"the request cannot be built: {type(cause).__name__}: {cause}") from cause
        try:
            response = yield request
            error = failure(response)
        except ServingError as caught:
            error = raised = caught
        if note:
            note(error)
        if error is None:
            return response
        pause_s = budget.pause_s(attempt, error, deadline - time.monotonic())
        if pause_s is None:
            if raised:
                raise raised
            return response
        yield Pause(pause_s)


def parsed(parse: Callable[[], T]) -> T:
    """What `parse` reads from an answer. Raises `Internal` for one that makes no sense, besides what `parse` raises by itself."""
    try:
        return parse()
    except CONVERTING as error:
        raise Internal(f"the answer cannot be read: {type(error).__name__}: {error}") from error


def waiting(ask: Callable[[float], CallSteps[str]], server: str, timeout_s: float) -> CallSteps[None]:
    """Returns when `ask`, which is given the seconds left, finds nothing that keeps the server from being ready."""
    deadline = time.monotonic() + timeout_s
    said = ""
    while True:
        left_s = deadline - time.monotonic()
        try:
            said = reason = yield from ask(max(0.001, left_s))
        except Unavailable as error:
            said = reason = str(error)
        except DeadlineExceeded as error:
            reason = said or str(error)  # the last question may have had no time: what was said before tells more
        if not reason:
            return
        if left_s <= 0:
            raise Unavailable(f"{server} is not ready after {timeout_s:g} s: {reason}")
        yield Pause(min(_POLL_S, left_s))


def fitted(described: Version, signature: str, inputs: Mapping[str, Any]) -> tuple[Version, Signature, Arrays]:
    """The inputs as arrays of the signature of that name. Raises `InvalidInput` and the like where they do not fit."""
    chosen = select(described.signatures, signature, described.model)
    if not isinstance(inputs, Mapping):
        raise InvalidInput(f"the inputs are a {type(inputs).__name__}; expected them by name, as {{'NAME': [ROW, …]}}")
    try:
        return described, chosen, to_arrays({**chosen.defaults, **inputs}, chosen)
    except InvalidInput as error:
        raise with_text_hint(error, chosen.name, described.signatures) from error.__cause__
    except CONVERTING as error:
        raise InvalidInput(f"the inputs cannot be sent: {type(error).__name__}: {error}") from error


def check_answered(arrays: Arrays, outputs: Arrays, signature: Signature) -> None:
    """Raise `Internal` for an answer with fewer rows than were asked for."""
    rows = [len(array) for name, array in arrays.items() if signature.inputs[name].batched]
    for name, array in outputs.items():
        if rows and name in signature.outputs and signature.outputs[name].batched and len(array) < min(rows):
            raise Internal(
                f"the answer has {len(array)} rows of output {name!r} for the {min(rows)} that were asked for"
            )
