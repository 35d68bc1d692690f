"""What the steps of an inference do, in whichever protocol; `exchange.py` says in which order.

InferenceRequest ──acquire──▶ Lease ──leased──▶ LeasedSignature, named inputs ──submit──▶ batcher ──▶ backend ──▶ outputs
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from functools import partial
from typing import Any, NamedTuple

from signet.serving.errors import InvalidInput, NotFound, ServingError, Unavailable
from signet.serving.gateway.access.access import Access
from signet.serving.gateway.core.admission import Admission
from signet.serving.gateway.core.backend import Backend, Lease
from signet.serving.gateway.core.batching import Batcher, Pace, Run, Ticket, Waiter, row_count
from signet.serving.gateway.core.labels import Labels
from signet.serving.gateway.core.load import Load
from signet.serving.gateway.core.routes import Asker, Routes
from signet.serving.gateway.observability import call_trace
from signet.serving.gateway.observability.call_trace import CallTrace, RecordedCall
from signet.serving.gateway.observability.metrics import Metrics
from signet.serving.gateway.observability.request_context import Observer, RequestContext, Sample
from signet.serving.gateway.observability.request_ids import RequestIds
from signet.serving.gateway.observability.statistics import Statistics
from signet.serving.gateway.observability.tracing import Tracing
from signet.serving.gateway.settings import Settings
from signet.serving.process.concurrency import settled
from signet.serving.process.deadlines import Deadlines
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


class LeasedSignature:
    """A signature of a leased version and what of it is found out once, for all of its requests. Lives as long as the version."""

    __slots__ = ("lease", "pace", "padding", "signature")

    def __init__(self, lease: Lease, signature: Signature, load: Load) -> None:
        self.lease, self.signature = lease, signature
        self.padding: PaddingRule | None = lease.card.padding(signature)
        """How rows of different lengths may be filled up, where the version's card says that this changes no answer."""
        self.pace = Pace(load=load)
        """How its calls went lately."""


Decoded = tuple[Arrays, Sequence[str]]
"""The inputs, whose names, dtypes, shapes and rows fit the signature, and the outputs that are wanted: none means all."""


class Inference:
    """What answers inference requests of every protocol: labels and versions, the batcher, the backend, the counts.

    All of it runs in one event loop; a request holds its lease from before it is decoded until its call has ended.
    """

    def __init__(
        self,
        settings: Settings,
        backend: Backend,
        metrics: Metrics,
        tracing: Tracing | None = None,
        access: Access | None = None,
    ) -> None:
        """tracing: records requests; None: none are. access: the door, where there are keys."""
        self.access = access
        self.timeout_s = settings.request_timeout_s
        """Seconds that a request may take, whatever its caller says."""
        self.request_ids = RequestIds()
        self._backend, self._metrics = backend, metrics
        self.admission = Admission(
            settings.max_in_flight,
            metrics,
            lambda: backend.models,
            backend.slots,
            settings.batch_max_rows,
            settings.request_timeout_s,
        )
        self.labels = Labels(settings)
        self.statistics = Statistics(lambda: backend.models)
        self.deadlines: Deadlines[Any] = Deadlines(lambda exchange: exchange.expire())
        """Of requests whose steps are awaited; those that wait for a call are the batcher's."""
        self.observers: list[Observer] = [access.observe] if access else []
        """Who is told of requests besides; filled before the first one."""
        self.sample: Callable[[Lease, Signature, Arrays], Sample | None] | None = None
        """What a request log wants of a request about to be answered; None: there is no such log."""
        self.routes: Routes | None = None
        """Who says which version answers requests that name none; None: the newest does, as no model has a release. Replaced by
        the thread that follows releases."""
        self.copied: Callable[[RequestContext, LeasedSignature, Arrays], Any] | None = None
        """What a candidate is to be shown of a request about to be run, where one is shown copies; written as `routes` is."""
        self.judged: Observer | None = None
        """Who is told of requests while a candidate is on its way; written as `routes` is."""
        self.tracing = tracing
        if tracing:
            self.observers.append(tracing.ended)
        too_late = metrics.shed.labels("too_late").inc
        self._batcher = Batcher(
            settings.batch_max_rows,
            self._slots,
            self._call_started,
            too_late,
            settings.request_timeout_s,
            traced=self._traced,
        )
        metrics.watch_waits(lambda: self.admission.predicted_waits_s(backend.models))
        backend.watch_room(self._room)
        metrics.watch_queues(lambda: backend.models, self._waiting, settings.max_in_flight)

    def acquire(self, request: InferenceRequest, asker: Asker | None = None) -> Lease | Awaitable[Lease]:
        """The version that a request of a declared model wants, at once where nobody has to be asked for it.

        asker: the request, where there is one that may be anybody's. Whoever gets the lease releases it. Raises `NotFound`,
        `InvalidInput`, `FailedPrecondition`, `Unavailable`.
        """
        version = request.version
        if request.label is not None:
            version = self.labels.version(request.model, request.label)
            if version is None:
                return self._acquire_labelled(request, request.label)
        elif version is None:
            if self.routes is not None:
                version = self.routes.version(request.model, asker)
        elif request.keep:
            self._backend.keep(request.model, version, KEPT_S)
        return self._acquire_version(request.model, version)

    async def refreshed(self, request: InferenceRequest, asker: Asker) -> Lease:
        """As `acquire`, after the backend has looked which versions there are."""
        await self._backend.refresh(request.model)
        return await settled(self.acquire(request, asker))

    async def lease(self, request: InferenceRequest) -> Lease:
        """As `acquire`, of any model, whether it is declared or not; where a release speaks of it, its stable version."""
        self.check_declared(request.model)
        return await settled(self.acquire(request))

    def leased(self, lease: Lease, signature_name: str) -> LeasedSignature:
        """A signature of a version. Raises `InvalidInput` for a name that it does not have."""
        known: LeasedSignature | None = lease.in_use.get(signature_name)
        if known is None:
            signature = select(lease.signatures, signature_name, lease.name)
            known = lease.in_use.get(signature.name) or LeasedSignature(
                lease, signature, self.admission.load(lease.name)
            )
            lease.in_use[signature.name] = lease.in_use[signature_name] = known
        return known

    def submit(
        self,
        leased: LeasedSignature,
        inputs: Arrays,
        wanted: Sequence[str],
        request: InferenceRequest,
        context: RequestContext,
        waiter: Waiter,
    ) -> Ticket:
        """Have the outputs wanted of one signature, all of them when none are named, computed for inputs that fit it."""
        lease, signature = leased.lease, leased.signature
        outputs = _checked_outputs(signature, wanted) if wanted else ()
        verdict = lease.joining.get(signature.name)
        joined = request.joined and verdict is not None and verdict.joined
        fill = leased.padding if joined else None
        shapes = tuple([fill.joint_shape(name, array) if fill else array.shape[1:] for name, array in inputs.items()])
        key = (leased, outputs, shapes)
        context.rows = row_count(inputs) if signature.batched else 1
        rows = context.rows if signature.batched and joined else None
        context.left_s()

        def run(joint: Arrays, timeout_s: float, trace: CallTrace | None = None) -> Arrays | Awaitable[Arrays]:
            if trace is None:
                return self._backend.run(lease, signature, joint, outputs, timeout_s)
            return self._backend.run(lease, signature, joint, outputs, timeout_s, trace)

        traced = context if context.trace else None
        return self._batcher.submit(
            key, run, inputs, rows, waiter, context.deadline, fill, leased.pace, context.share, traced
        )

    async def call(
        self, leased: LeasedSignature, inputs: Arrays, wanted: Sequence[str], context: RequestContext
    ) -> Arrays:
        """As `submit`, for who awaits the outputs."""
        future: asyncio.Future[Arrays] = asyncio.get_running_loop().create_future()
        ticket = self.submit(leased, inputs, wanted, InferenceRequest(leased.lease.name), context, future)
        try:
            return await future
        except asyncio.CancelledError:
            ticket.leave()
            raise

    @property
    def idle(self) -> bool:
        """Whether no request waits for a call or is in one beside the event loop."""
        return self.admission.idle

    def _acquire_version(self, model: str, version: int | None) -> Lease | Awaitable[Lease]:
        if version is not None and not 0 <= version <= MAX_VERSION:
            raise NotFound(f"Servable not found for request: Specific({model}, {version})")
        return self._backend.lease(model, version)

    async def _acquire_labelled(self, request: InferenceRequest, label: str) -> Lease:
        version = await self.version_of_label(request.model, label)
        return await settled(self._acquire_version(request.model, version))

    def why_missing(self, request: InferenceRequest, error: NotFound) -> ServingError:
        """The error for a version that is not there: another one when the model has none yet, or a release wants it there."""
        model = request.model
        if model in self._backend.missing():
            return Unavailable(f"model {model!r} has no version that is available yet")
        if self.routes is not None and request.version is None and request.label is None:
            return self.routes.missing(model) or error
        return error

    async def version_of_label(self, model: str, label: str) -> int:
        """The version that a label of a declared model stands for. Raises `InvalidInput` for an unknown one."""
        version = self.labels.version(model, label)
        if version is None:
            version = await self._backend.version_of_label(model, label)
        if version is None and self.routes is not None:
            version = self.routes.labelled(model, label)
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
        self.statistics.count_request(context, code == "OK", seconds)
        stages_s = (context.parse_s, context.decode_s, context.queue_s, context.run_s, context.encode_s)
        series = self._metrics.request_series(context.protocol, context.model, context.version, context.signature, code)
        series.observe(seconds, stages_s, context.bytes, response_bytes)
        if context.span and context.trace:
            series.durations.exemplify(seconds, context.trace.trace_id)
        for observer in self.observers:
            observer(context, code, seconds, response_bytes)
        if self.judged is not None:
            self.judged(context, code, seconds, response_bytes)

    def _call_started(self, key: Hashable, rows: int) -> None:
        lease = _leased_of(key).lease
        self._metrics.observe_rows(lease.name, rows)
        self.statistics.count_call(lease.name, lease.version)

    def _traced(self, run: Any, members: list[RequestContext], requests: int, rows: int) -> Run:
        """The call of these and other requests, told to which trace it belongs."""
        if self.tracing and (recorded := [member for member in members if member.span]):
            call = RecordedCall(recorded, requests, rows, self.tracing.record)
            return lambda joint, timeout_s: call.observed(lambda: run(joint, timeout_s, call))
        trace = call_trace.passed_on(members, requests)
        traced: Run = partial(run, trace=trace) if trace else run
        return traced

    def _slots(self, key: Hashable) -> int:
        leased = _leased_of(key)
        return self._backend.room(leased.lease.name, leased.pace.inline)

    def _room(self, model: str) -> None:
        self._batcher.flush(lambda key: _leased_of(key).lease.name == model)

    def _waiting(self, model: str) -> int:
        return self._batcher.waiting(lambda key: _leased_of(key).lease.name == model)


def _checked_outputs(chosen: Signature, wanted: Sequence[str]) -> tuple[str, ...]:
    for name in wanted:
        if name not in chosen.outputs:
            hint = nearest_hint(name, chosen.outputs)
            known = ", ".join(map(repr, chosen.outputs))
            raise InvalidInput(f"signature {chosen.name!r} has no output {name[:100]!r}{hint}; it gives {known}")
        if wanted.count(name) > 1:
            raise InvalidInput(f"output {name!r} is requested more than once")
    return tuple(wanted)


def _leased_of(key: Hashable) -> LeasedSignature:
    assert isinstance(key, tuple)
    leased: LeasedSignature = key[0]
    return leased
