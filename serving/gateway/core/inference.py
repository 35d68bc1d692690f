"""From a request in any protocol to the outputs of a model: the part that all protocols share.

    InferenceRequest ──▶ lease a version ──▶ its signature ──▶ decode(lease, signature) ──▶ batcher, backend ──▶ outputs by name

A protocol reads its own text, calls `Inference.run` and writes the outputs in its own form.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, NamedTuple

from signet.serving.errors import DeadlineExceeded, InvalidInput, NotFound, Overloaded, Unavailable
from signet.serving.gateway.core.backend import Backend, Lease
from signet.serving.gateway.core.batching import Batcher
from signet.serving.gateway.core.labels import Labels
from signet.serving.gateway.observability.metrics import Metrics
from signet.serving.gateway.observability.request_context import RequestContext
from signet.serving.gateway.observability.statistics import Statistics
from signet.serving.gateway.settings import Settings
from signet.serving.tensors import signature as signatures
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.signature import Signature

MAX_VERSION = (1 << 63) - 1
"""What the messages of a backend can carry."""

KEPT_S = 60.0
"""Seconds that a version stays loaded after a request of a job that needs it."""

Decoded = tuple[Arrays, Sequence[str]]
"""The inputs, which fit the signature, and the names of the outputs that are wanted: none means all."""
Decode = Callable[[Lease, Signature], Decoded | Awaitable[Decoded]]
"""Gives them at once, or for a large body something to await."""


class InferenceRequest(NamedTuple):
    """What a request asks for."""

    model: str
    version: int | None = None
    label: str | None = None
    signature_name: str = ""
    """Empty: `serving_default`."""
    timeout_s: float | None = None
    """The caller's own limit; the gateway's holds too."""
    joined: bool = True
    """Whether other requests may share the call."""
    keep: bool = False
    """Whether the version, if it is named, stays loaded for `KEPT_S` more: for jobs that must not change version."""


class Inference:
    """Calls of the declared models."""

    def __init__(self, settings: Settings, backend: Backend, metrics: Metrics) -> None:
        self._settings, self._backend, self._metrics = settings, backend, metrics
        self.labels = Labels(settings)
        self.statistics = Statistics(lambda: backend.models)
        self._batcher = Batcher(settings.batch_max_rows, self._slots, self._called)
        self._in_flight = 0
        metrics.watch_queues(lambda: backend.models, self._waiting, settings.max_in_flight)

    @contextmanager
    def admitted(self, protocol: str) -> Iterator[None]:
        """One request more in work. Raises `Overloaded` when there are too many."""
        if self._in_flight >= self._settings.max_in_flight:
            self._metrics.shed.labels("in_flight").inc()
            raise Overloaded(f"{self._in_flight} requests are in work, which is the most; try again in a second")
        gauge = self._metrics.in_flight[protocol]
        self._in_flight += 1
        gauge.count += 1
        try:
            yield
        finally:
            self._in_flight -= 1
            gauge.count -= 1

    async def run(self, request: InferenceRequest, decode: Decode, context: RequestContext) -> Arrays:
        """The outputs. Raises `ServingError`s; says in the context what became known meanwhile."""
        self.check_declared(request.model)
        context.model = request.model
        try:
            return await self._run(request, decode, context)
        except NotFound:
            if request.version is not None or request.label is not None:
                raise
            # The version that unversioned requests get was unloaded under this one: there is a newer one.
            await self._backend.refresh(request.model)
            return await self._run(request, decode, context)

    async def _run(self, request: InferenceRequest, decode: Decode, context: RequestContext) -> Arrays:
        lease = await self.lease(request)
        try:
            context.version = str(lease.version)
            chosen = signatures.select(lease.signatures, request.signature_name, request.model)
            context.signature = chosen.name
            started = time.perf_counter()
            decoded = decode(lease, chosen)
            inputs, wanted = decoded if isinstance(decoded, tuple) else await decoded
            context.stage("decode", started)
            return await self.call(lease, chosen, inputs, wanted, request, context)
        finally:
            lease.release()

    async def call(
        self,
        lease: Lease,
        chosen: Signature,
        inputs: Arrays,
        wanted: Sequence[str],
        request: InferenceRequest,
        context: RequestContext,
    ) -> Arrays:
        """The outputs wanted, all of them when none are named, of one signature of a leased version."""
        outputs = _checked_outputs(chosen, wanted)
        rows = chosen.check_rows(inputs) if chosen.batched else None
        verdict = lease.joining.get(chosen.name)
        joined = request.joined and verdict is not None and verdict.joined
        fill = lease.card.padding(chosen) if joined else None
        shapes = tuple([fill.joint_shape(name, array) if fill else array.shape[1:] for name, array in inputs.items()])
        key = (lease, chosen.name, outputs, shapes)  # the lease itself: a version may be replaced under its number
        started = time.perf_counter()
        left_s = self._limit_s(request) - (started - context.started)
        if left_s <= 0:
            raise _over(context)
        run = partial(_with_outputs, partial(self._backend.run, lease, chosen), outputs)
        context.rows = 1 if rows is None else rows
        answer = await self._batcher.submit(key, run, inputs, rows if joined else None, left_s, fill, context.waited)
        context.stage("run", started)
        return answer

    async def lease(self, request: InferenceRequest) -> Lease:
        """The version that is asked for; the caller releases it. Raises `NotFound`, `InvalidInput`, `Unavailable`."""
        self.check_declared(request.model)
        version = request.version
        if request.label is not None:
            version = await self.labelled(request.model, request.label)
        elif version is not None and request.keep:
            self._backend.keep(request.model, version, KEPT_S)
        if version is not None and not 0 <= version <= MAX_VERSION:
            raise NotFound(f"Servable not found for request: Specific({request.model}, {version})")
        try:
            return await self._backend.lease(request.model, version)
        except NotFound:
            if request.model in self._backend.missing():
                raise Unavailable(f"model {request.model!r} has no version that is available yet") from None
            raise

    async def labelled(self, model: str, label: str) -> int:
        """The version that a label of a declared model stands for. Raises `InvalidInput` for an unknown one."""
        version = self.labels.version(model, label)
        if version is None:
            version = await self._backend.labelled(model, label)
        if version is None:
            known = self.labels.of(model)
            hint = signatures.nearest_hint(label, known)
            labels = ", ".join(f"{name!r} is version {number}" for name, number in known.items()) or "it has none"
            raise InvalidInput(
                f"Unrecognized servable version label: {label[:100]}{hint}. Labels of {model!r}: {labels}"
            )
        return version

    @asynccontextmanager
    async def in_time(self, request: InferenceRequest, context: RequestContext) -> AsyncIterator[None]:
        """What is done within ends with the time of the request. Raises `DeadlineExceeded`."""
        try:
            async with asyncio.timeout(self._limit_s(request) - (time.perf_counter() - context.started)):
                yield
        except TimeoutError:
            raise _over(context) from None

    def check_declared(self, model: str) -> None:
        """Raise `NotFound`, with the names there are, for a model that is not served."""
        if model not in self._backend.models:
            hint = signatures.nearest_hint(model, self._backend.models)
            served = ", ".join(self._backend.models)
            raise NotFound(f"Servable not found for request: Latest({model[:100]}){hint}. Served models: {served}")

    def count(self, context: RequestContext, code: str, response_bytes: int) -> None:
        """The request has been answered."""
        seconds = time.perf_counter() - context.started
        if context.queue_s is not None:
            context.stages.append(("queue", context.queue_s))
        self.statistics.count(context, code == "OK", seconds)
        metrics = self._metrics
        metrics.observe_request(context.protocol, context.model, context.version, context.signature, code, seconds)
        metrics.observe_stages(context.model, context.stages)
        metrics.observe_sizes(context.protocol, context.bytes, response_bytes)

    def _called(self, key: Hashable, rows: int) -> None:
        lease = _lease_of(key)
        self._metrics.observe_rows(lease.name, rows)
        self.statistics.called(lease.name, lease.version)

    def _limit_s(self, request: InferenceRequest) -> float:
        most = self._settings.request_timeout_s
        return most if request.timeout_s is None else min(most, request.timeout_s)

    def _slots(self, key: Hashable) -> int:
        return self._backend.slots(_lease_of(key).name)

    def _waiting(self, model: str) -> int:
        return self._batcher.waiting(lambda key: _lease_of(key).name == model)


def _over(context: RequestContext) -> DeadlineExceeded:
    seconds = time.perf_counter() - context.started
    return DeadlineExceeded(f"the time of the request was over after {seconds:.1f} seconds")


def timeout_s(text: str) -> float:
    """The value of a header or parameter that says how many seconds a request may take. Raises `InvalidInput`."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise InvalidInput(f"the time limit is {text[:40]!r}; expected a positive number of seconds")
    return seconds


def _checked_outputs(chosen: Signature, wanted: Sequence[str]) -> tuple[str, ...]:
    for name in wanted:
        if name not in chosen.outputs:
            hint = signatures.nearest_hint(name, chosen.outputs)
            known = ", ".join(map(repr, chosen.outputs))
            raise InvalidInput(f"signature {chosen.name!r} has no output {name[:100]!r}{hint}; it gives {known}")
        if wanted.count(name) > 1:
            raise InvalidInput(f"output {name!r} is asked for more than once")
    return tuple(wanted)


def _with_outputs(
    run: Callable[[Arrays, Sequence[str], float], Any], outputs: Sequence[str], inputs: Arrays, timeout_s: float
) -> Any:
    return run(inputs, outputs, timeout_s)


def _lease_of(key: Hashable) -> Lease:
    assert isinstance(key, tuple)
    lease: Lease = key[0]
    return lease
