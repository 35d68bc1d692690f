"""From a request in any protocol to the outputs of a model: the part that all protocols share.

    InferenceRequest ──▶ lease a version ──▶ its signature ──▶ decode(leased) ──▶ batcher ──▶ backend ──▶ outputs by name

A protocol reads its own text, calls `Inference.run` and writes the outputs in its own form.
"""

import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import NamedTuple

from signet.serving.errors import InvalidInput, NotFound, Unavailable
from signet.serving.gateway.core.admission import Admission
from signet.serving.gateway.core.backend import Backend, Lease
from signet.serving.gateway.core.batching import Batcher, row_count
from signet.serving.gateway.core.labels import Labels
from signet.serving.gateway.observability.metrics import Metrics
from signet.serving.gateway.observability.request_context import RequestContext
from signet.serving.gateway.observability.statistics import Statistics
from signet.serving.gateway.settings import Settings
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.padding import PaddingRule
from signet.serving.tensors.signature import Signature, nearest_hint, select

MAX_VERSION = (1 << 63) - 1
"""The highest version that the messages of a backend can carry."""

KEPT_S = 60.0
"""Seconds that a version stays loaded after a request of a job that needs it."""


class InferenceRequest(NamedTuple):
    """Which model, version and signature a request wants, and how: everything but its tensors and its deadline."""

    model: str
    version: int | None = None
    label: str | None = None
    signature_name: str = ""
    """The name of the signature; empty for `serving_default`."""
    joined: bool = True
    """Whether other requests may share the call."""
    keep: bool = False
    """Whether the version, if it is named, stays loaded for `KEPT_S` more: for jobs that must not change version."""


class LeasedSignature(NamedTuple):
    """The signature that answers a request, of a version that stays loaded meanwhile."""

    lease: Lease
    signature: Signature
    padding: PaddingRule | None
    """How rows of different lengths may be filled up, where the version's card says that this changes no answer."""

    @classmethod
    def of(cls, lease: Lease, signature: Signature) -> "LeasedSignature":
        """A signature of a leased version, with its card's rule of padding."""
        return cls(lease, signature, lease.card.padding(signature))


Decoded = tuple[Arrays, Sequence[str]]
"""The inputs, whose names, dtypes, shapes and rows fit the signature, and the outputs that are wanted: none means all."""
Decode = Callable[[LeasedSignature], Decoded | Awaitable[Decoded]]
"""What a dialect hands in: gives the decoded inputs at once, or for a large body something to await."""


class Inference:
    """Answers inference requests of every dialect: leases a version, decodes, joins, calls.

    All of it runs in one event loop; the lease of a request is held from before it is decoded until its call has ended.
    """

    def __init__(self, settings: Settings, backend: Backend, metrics: Metrics) -> None:
        self._timeout_s, self._backend, self._metrics = settings.request_timeout_s, backend, metrics
        self.admission = Admission(settings.max_in_flight, metrics)
        self.labels = Labels(settings)
        self.statistics = Statistics(lambda: backend.models)
        self._batcher = Batcher(settings.batch_max_rows, self._slots, self._call_started)
        metrics.watch_queues(lambda: backend.models, self._waiting, settings.max_in_flight)

    def context(self, protocol: str) -> RequestContext:
        """The context of a request that begins now; its deadline is the gateway's own until the caller's is known."""
        return RequestContext(protocol, self._timeout_s)

    async def run(self, request: InferenceRequest, decode: Decode, context: RequestContext) -> Arrays:
        """The outputs of a request. Raises `ServingError`s; notes in the context what becomes known meanwhile."""
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
        lease = await self._lease(request)
        try:
            context.version = str(lease.version)
            leased = LeasedSignature.of(lease, select(lease.signatures, request.signature_name, request.model))
            context.signature = leased.signature.name
            started = time.perf_counter()
            decoded = decode(leased)
            inputs, wanted = decoded if isinstance(decoded, tuple) else await decoded
            context.stage("decode", started)
            return await self.call(leased, inputs, wanted, request, context)
        finally:
            lease.release()

    async def call(
        self,
        leased: LeasedSignature,
        inputs: Arrays,
        wanted: Sequence[str],
        request: InferenceRequest,
        context: RequestContext,
    ) -> Arrays:
        """The outputs wanted of one signature, all of them when none are named, for inputs that fit it."""
        lease, signature, padding = leased
        outputs = _checked_outputs(signature, wanted)
        verdict = lease.joining.get(signature.name)
        joined = request.joined and verdict is not None and verdict.joined
        fill = padding if joined else None
        shapes = tuple([fill.joint_shape(name, array) if fill else array.shape[1:] for name, array in inputs.items()])
        key = (lease, signature.name, outputs, shapes)  # the lease itself: a version may be replaced under its number
        context.rows = row_count(inputs) if signature.batched else 1

        def run(joint: Arrays, timeout_s: float) -> Arrays | Awaitable[Arrays]:
            return self._backend.run(lease, signature, joint, outputs, timeout_s)

        started = time.perf_counter()
        rows = context.rows if signature.batched and joined else None
        answer = await self._batcher.submit(key, run, inputs, rows, context.left_s(), fill, context.call_started)
        context.stage("run", started)
        return answer

    async def lease(self, request: InferenceRequest) -> Lease:
        """The version that a request wants; the caller releases it. Raises `NotFound`, `InvalidInput`, `Unavailable`."""
        self.check_declared(request.model)
        return await self._lease(request)

    async def _lease(self, request: InferenceRequest) -> Lease:
        version = request.version
        if request.label is not None:
            version = await self.version_of_label(request.model, request.label)
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

    async def version_of_label(self, model: str, label: str) -> int:
        """The version that a label of a declared model stands for. Raises `InvalidInput` for an unknown one."""
        version = self.labels.version(model, label)
        if version is None:
            version = await self._backend.version_of_label(model, label)
        if version is None:
            known = self.labels.of(model)
            hint = nearest_hint(label, known)
            labels = ", ".join(f"{name!r} is version {number}" for name, number in known.items()) or "it has none"
            raise InvalidInput(
                f"Unrecognized servable version label: {label[:100]}{hint}. Labels of {model!r}: {labels}"
            )
        return version

    def check_declared(self, model: str) -> None:
        """Raise `NotFound`, with the names there are, for a model that is not served."""
        if model not in self._backend.models:
            hint = nearest_hint(model, self._backend.models)
            served = ", ".join(self._backend.models)
            raise NotFound(f"Servable not found for request: Latest({model[:100]}){hint}. Served models: {served}")

    def count(self, context: RequestContext, code: str, response_bytes: int) -> None:
        """Tell metrics and statistics of a request that has been answered."""
        seconds = time.perf_counter() - context.started
        if context.queue_s is not None:
            context.stages.append(("queue", context.queue_s))
        self.statistics.count_request(context, code == "OK", seconds)
        metrics = self._metrics
        metrics.observe_request(context.protocol, context.model, context.version, context.signature, code, seconds)
        metrics.observe_stages(context.model, context.stages)
        metrics.observe_sizes(context.protocol, context.bytes, response_bytes)

    def _call_started(self, key: Hashable, rows: int) -> None:
        lease = _lease_of(key)
        self._metrics.observe_rows(lease.name, rows)
        self.statistics.count_call(lease.name, lease.version)

    def _slots(self, key: Hashable) -> int:
        return self._backend.slots(_lease_of(key).name)

    def _waiting(self, model: str) -> int:
        return self._batcher.waiting(lambda key: _lease_of(key).name == model)


def _checked_outputs(chosen: Signature, wanted: Sequence[str]) -> tuple[str, ...]:
    for name in wanted:
        if name not in chosen.outputs:
            hint = nearest_hint(name, chosen.outputs)
            known = ", ".join(map(repr, chosen.outputs))
            raise InvalidInput(f"signature {chosen.name!r} has no output {name[:100]!r}{hint}; it gives {known}")
        if wanted.count(name) > 1:
            raise InvalidInput(f"output {name!r} is requested more than once")
    return tuple(wanted)


def _lease_of(key: Hashable) -> Lease:
    assert isinstance(key, tuple)
    lease: Lease = key[0]
    return lease
