"""An inference request in work: the steps that it takes in every protocol, from its admission to its one answer.

    begin ──▶ admitted ──▶ receive ──▶ read ──▶ lease ──▶ decode ──▶ batcher ──▶ encode ──▶ send
                 └── any step fails, or the deadline passes ──▶ send_error       └── the caller leaves ──▶ cancel

A protocol fills in the steps. Each is a plain function that is called from the one before it, in the event loop, so that a
request costs no task, future or timer. A step that has to wait (a large body in a worker process, a model server that is
asked for a label) gives something to await instead; a task awaits it, within the deadline, and goes on from there.
"""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Generic, Protocol, TypeVar, cast

from signet.serving.errors import Cancelled, Internal, InvalidInput, NotFound, Overloaded, ServingError
from signet.serving.gateway.access.identity import Identity
from signet.serving.gateway.core.backend import Lease, SignatureChanged
from signet.serving.gateway.core.inference import Decoded, Inference, InferenceRequest, LeasedSignature
from signet.serving.gateway.core.load import Load
from signet.serving.gateway.observability.metrics import UNKNOWN
from signet.serving.gateway.observability.request_context import RequestContext, Sample
from signet.serving.gateway.observability.request_span import RUN, Stage
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.signature import with_text_hint
from signet.serving.tracing import trace_context
from signet.serving.tracing.trace_context import TRACEPARENT, TRACESTATE

log = logging.getLogger(__name__)

KEY, SIDE = "x-signet-key", "x-signet-release"
"""Whose request it is, and the side of a release that is to answer it: a header, or a key of metadata."""

T = TypeVar("T")
A = TypeVar("A")
"""The answer as a protocol writes it."""


class Submitted(Protocol):
    """What waits for a call, or is in one."""

    @property
    def waited_s(self) -> float | None:
        """Seconds in the queue; None before the call has started."""

    def leave(self) -> None:
        """The caller has left."""


class Exchange(RequestContext, ABC, Generic[A]):
    """One inference request and what answers it; the batcher takes it as the one who waits.

    It ends once, by `send`, `send_error` or `cancel`, and gives back then all that it holds: its place among the requests
    in work, its lease, its bytes. Only the event loop touches it.
    """

    ended = False
    request: InferenceRequest | None = None
    """What is asked for, once that is known."""
    load: Load | None = None
    """Of its model, once that is known."""
    identity: Identity | None = None
    asks_model = True
    """Whether nobody has asked yet if its key is for its model, which was not known before it was read."""
    _admitted = _retried = False
    _lease: Lease | None = None
    _submitted: Submitted | None = None
    _task: "asyncio.Future[Any] | None" = None
    """The step that has to wait."""
    _mark = 0.0
    """When the step in work began."""

    def __init__(self, protocol: str, inference: Inference) -> None:
        super().__init__(protocol, inference.timeout_s)
        self.inference = inference

    # The steps that a protocol fills in

    def announced(self) -> Load | None:
        """What is known before the body is read: its deadline is noted, and the load of its model given if that is named."""
        return None

    def header(self, name: str) -> str | None:
        """What its caller has sent under a name in lower case: a header, or a key of metadata; None: nothing.

        Several values come joined by commas where that is known to mean the same: traceparent and tracestate, and all of gRPC.
        """
        return None

    def affinity(self) -> tuple[str, str | None]:
        """As `Asker.affinity`."""
        key = self.header(KEY)
        return self.request_id if key is None else key, self.header(SIDE)

    @abstractmethod
    def receive(self) -> bytes | Awaitable[bytes]:
        """The body or message, without its encoding."""

    @abstractmethod
    def read(self, body: bytes) -> InferenceRequest | Awaitable[InferenceRequest]:
        """What the body asks for; its tensors may wait until the signature is known."""

    @abstractmethod
    def decode(self, leased: LeasedSignature) -> Decoded | Awaitable[Decoded]:
        """The inputs for a signature and the outputs wanted. It may be called again, for a newer version."""

    @abstractmethod
    def encode(self, outputs: Arrays) -> A | Awaitable[A]:
        """The answer."""

    @abstractmethod
    def send(self, answer: A) -> None:
        """Send the answer, and call `finish`."""

    @abstractmethod
    def send_error(self, error: ServingError) -> int:
        """Send an error; gives the bytes of its body."""

    def close(self) -> None:  # most have nothing more
        """Give back what the protocol holds besides; called once, at the end."""

    def choose(self, lease: Lease, request: InferenceRequest) -> LeasedSignature:
        """The signature that is wanted. Raises `InvalidInput`."""
        return self.inference.leased(lease, request.signature_name)

    def submit(
        self, leased: LeasedSignature, inputs: Arrays, wanted: Sequence[str], request: InferenceRequest
    ) -> Submitted:
        """Put the request into the batcher's queue."""
        return self.inference.submit(leased, inputs, wanted, request, self, self)

    def stages(self) -> list[Stage]:
        # What `_mark` says follows from how far the request has come.
        stages: list[Stage] = []
        at = self._mark
        if self.encode_s is not None:
            stages.append(("encode", at, at + self.encode_s))
        if self.run_s is not None:
            begun = at - self.run_s
            called = at if self.queue_s is None else begun + self.queue_s
            if self.queue_s is not None:
                stages.append((RUN, called, at))
            stages.append(("queue", begun, called))
            at = begun
        if self.decode_s is not None:
            stages.append(("decode", at - self.decode_s, at))
        if self.span and self.span.parsed_at is not None and self.parse_s is not None:
            stages.append(("parse", self.span.parsed_at - self.parse_s, self.span.parsed_at))
        return stages[::-1]

    def code_of_leaving(self) -> str:
        """The code under which a caller who has left is counted."""
        return Cancelled.grpc_code

    # Its course

    def begin(self) -> None:
        """Have the request answered: at once, or from the event loop later on."""
        try:
            if (traceparent := self.header(TRACEPARENT)) is not None:
                self.trace = trace_context.parse(traceparent, self.header(TRACESTATE))
            if tracing := self.inference.tracing:
                tracing.begin(self)
            self.load = load = self.announced()
            identity = self.identity
            refusal = None
            if identity is not None and not identity.plain:
                refusal = self._over_rate(identity)
            if refusal is None:
                refusal = self.inference.admission.admit(self, load)
            if refusal:
                self.model = load.model if load else self.model
                self.fail(refusal)
                return
            self._admitted = True
            body = self.receive()
            if type(body) is bytes:
                self._received(body)
            else:
                self.then(body, self._received)
        except Exception as error:  # noqa: BLE001  # every error becomes an answer
            self.fail(error)

    def cancel(self) -> None:
        """The caller has left: nothing is sent any more, and what is in work for nobody else is given up."""
        if not self.ended:
            self.finish(self.code_of_leaving(), 0)

    def then(self, value: T | Awaitable[T], proceed: Callable[[T], None]) -> None:
        """Go on with a value, at once or when it has been awaited."""
        if hasattr(value, "__await__"):
            self._task = task = asyncio.ensure_future(cast("Awaitable[T]", value))
            self.inference.deadlines.add(self, self.deadline)
            task.add_done_callback(partial(self._awaited, proceed))
        else:
            proceed(value)

    def fail(self, error: Exception) -> None:
        """Answer with an error, unless the request can be tried again with a newer version."""
        if self.ended:
            return
        self._note_call()
        request = self.request
        if type(error) is NotFound and request and (self._retried or self.version == UNKNOWN):
            error = self.inference.why_missing(request, error)
        if (
            request
            and not self._retried
            and (
                type(error) is SignatureChanged
                or (type(error) is NotFound and request.version is None and request.label is None)
            )
        ):
            # The version was unloaded under this request, and there is a newer one; or it was replaced under its number.
            self._retried = True
            self.routed = None
            self._release()
            self.then(self.inference.refreshed(request, self), self._leased)
            return
        if isinstance(error, InvalidInput) and error.text_for and self._lease:
            error = with_text_hint(error, self.signature, self._lease.signatures)
        self.error = refusal = _serving_error(error, self.request_id)
        self.finish(refusal.grpc_code, self.send_error(refusal))

    def expire(self) -> None:
        """The deadline has passed while a step was awaited."""
        self.fail(self.over())

    def finish(self, code: str, response_bytes: int) -> None:
        """Count the request as answered, and give back all that it holds."""
        self.ended = True
        if self._task:
            self._task.cancel()
            self._task = None
            self.inference.deadlines.discard(self)
        if self._submitted:
            self._submitted.leave()
            self._submitted = None
        if self._lease:
            self._release()
        if self._admitted:
            self.inference.admission.leave(self, self.load)
        self.close()
        self.inference.count(self, code, response_bytes)

    # As who waits for the batcher

    def done(self) -> bool:
        """Whether no answer is needed any more."""
        return self.ended

    def set_result(self, outputs: Arrays) -> None:
        """The outputs: they are written and sent."""
        self._note_call()
        self._release()
        if self.sample:
            self.sample.outputs = outputs
        try:
            self.then(self.encode(outputs), self._encoded)
        except Exception as error:  # noqa: BLE001  # every error becomes an answer
            self.fail(error)

    def set_exception(self, error: Exception) -> None:
        """Why there are no outputs."""
        self.fail(error)

    def _over_rate(self, identity: Identity) -> Overloaded | None:
        """Why the request comes too early for its key; None: it does not, and counts."""
        access = self.inference.access
        assert access, "it has found whose the request is"
        over = access.over_rate(identity, self.started)
        if over is None:
            identity.began(self.started)
        return over

    def _received(self, body: bytes) -> None:
        self._mark = time.perf_counter()
        request = self.read(body)
        if type(request) is InferenceRequest:
            self._asked(request)
        else:
            self.then(request, self._asked)

    def _asked(self, request: InferenceRequest) -> None:
        now = time.perf_counter()
        self.parse_s = now - self._mark
        if self.span:
            self.span.parsed_at = now
        if self.asks_model and self.identity is not None and self.identity.models is not None:
            access = self.inference.access
            assert access, "it has found whose the request is"
            access.check_model(self.identity, request.model)
        self.inference.check_declared(request.model)
        self.model, self.request = request.model, request
        if self.load is None:
            load = self.inference.admission.load(request.model)
            if refusal := self.inference.admission.assign(self, load):
                self.fail(refusal)
                return
            self.load = load
        self.then(self.inference.acquire(request, self), self._leased)

    def _leased(self, lease: Lease) -> None:
        self._lease = lease
        if self.ended:
            self._release()
            return
        self.version = str(lease.version)
        assert self.request is not None, "it was asked for"
        leased = self.choose(lease, self.request)
        self.signature = leased.signature.name
        self._mark = time.perf_counter()
        decoded = self.decode(leased)
        if type(decoded) is tuple:
            self._decoded(leased, decoded)
        else:
            self.then(decoded, partial(self._decoded, leased))

    def _decoded(self, leased: LeasedSignature, decoded: Decoded) -> None:
        now = time.perf_counter()
        self.decode_s, self._mark = now - self._mark, now
        assert self.request is not None, "it was asked for"
        if sample := self.inference.sample:
            self.sample = sample(leased.lease, leased.signature, decoded[0])
        if (copied := self.inference.copied) is not None and (copy := copied(self, leased, decoded[0])) is not None:
            self.sample = self.sample or Sample(None, decoded[0])
            self.sample.copy = copy
        self._submitted = self.submit(leased, *decoded, self.request)
        if self.identity is not None and not self.identity.plain:
            self.identity.has_rows(self.rows, now)

    def _encoded(self, answer: A) -> None:
        self.encode_s = time.perf_counter() - self._mark
        self.send(answer)

    def _note_call(self) -> None:
        """The call has ended, if there was one."""
        submitted, self._submitted = self._submitted, None
        if submitted:
            now = time.perf_counter()
            self.queue_s, self.run_s, self._mark = submitted.waited_s, now - self._mark, now

    def _release(self) -> None:
        lease, self._lease = self._lease, None
        if lease:
            lease.release()

    def _awaited(self, proceed: Callable[[T], None], task: "asyncio.Future[T]") -> None:
        """A step has ended that had to wait."""
        if self._task is task:
            self._task = None
            self.inference.deadlines.discard(self)
        try:
            value = task.result()
            if not self.ended or proceed == self._leased:  # a lease is to be given back
                proceed(value)
        except asyncio.CancelledError:
            self.cancel()
        except Exception as error:  # noqa: BLE001  # every error becomes an answer
            self.fail(error)


def _serving_error(error: Exception, request_id: str) -> ServingError:
    if isinstance(error, ServingError):
        return error
    log.error("request %s failed", request_id, exc_info=error)
    return Internal(f"internal error; the gateway's log says more of request {request_id}")
