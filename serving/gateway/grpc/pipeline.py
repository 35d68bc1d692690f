"""The pipeline (middleware) of a call over gRPC: admission, reading, errors as statuses, counting.

    bytes ──▶ GrpcExchange.begin ──▶ message ──▶ the method's steps ──▶ bytes ──▶ call.answer, or call.refuse

A message that is much work to read is read by a worker process: the method gets it without its tensors, which `large` has.
The gateway's deadline and the caller's both hold; a caller who cancels takes its work back.
"""

import logging
import math
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar, Generic, NamedTuple

from google.protobuf.message import Message

from signet.serving.errors import Cancelled, DeadlineExceeded, Internal, Overloaded, ServingError, from_code
from signet.serving.gateway.access.identity import Identity
from signet.serving.gateway.core.exchange import Exchange
from signet.serving.gateway.core.inference import Inference, InferenceRequest
from signet.serving.gateway.grpc import access
from signet.serving.gateway.observability.metrics import UNKNOWN
from signet.serving.gateway.observability.request_context import RequestContext
from signet.serving.grpc_dialect.messages import M, parse
from signet.serving.grpc_transport.calls import (
    REQUEST_ID,
    Call,
    Head,
    Metadata,
    Method,
    Refusal,
    Services,
    StreamContext,
)
from signet.serving.grpc_transport.coroutine_methods import unary_handler
from signet.serving.offload.message_weight import heavy_bytes
from signet.serving.offload.pool import LARGE_BYTES, Offload
from signet.serving.offload.reading import Reading
from signet.serving.process.byte_budget import ByteBudget
from signet.serving.process.ports import address_in

log = logging.getLogger(__name__)

VERSION_KEY = "x-signet-model-version"
"""Key of the trailing metadata that says which version answered, or has failed, as X-Signet-Model-Version does over HTTP."""

_MAX_MESSAGE = 1024
"""Bytes of an error's text; gRPC bounds its headers at eight kilobytes."""

_HELD = 2
"""Bytes held for each of a message: its own, and the arrays that it is decoded to."""

_EARLY_S = 0.1
"""A caller whose time is over cancels the call; its clock started so much earlier than ours, at most."""

UnaryMethod = Callable[[M, Identity | None], Awaitable[Message]]
"""A method that asks for no inference: message, and whose it is -> message."""


FailedCall = Callable[[str, str, Identity | None, str, ServingError], None]
"""failed(id, address, identity, path, error), of a call that asked for no inference; identity: of the key that it showed."""


class GrpcServices(NamedTuple):
    """What the calls of one gateway over gRPC share."""

    inference: Inference
    offload: Offload
    """Reads large messages and writes large answers."""
    budget: ByteBudget
    failed: FailedCall = lambda *_: None
    """Told of a call that asked for no inference, and failed."""

    def inference_method(self, exchange: "type[GrpcExchange[Any]]") -> Method:
        """A method that asks for an inference: admitted, with the caller's deadline, and counted."""

        def handle(request: bytes, call: Call) -> None:
            begun = exchange(self, request, call)
            call.on_cancel = begun.cancel
            begun.begin()

        def door(head: Head, peer: str) -> Refusal | None:
            door = self.inference.access
            error: ServingError | None = None
            if door is not None:
                error = access.why_not(door, head, counts=False)
            if error is None:
                error = self.inference.admission.full()
                if error is None:
                    return None
            context = RequestContext(exchange.protocol_name, self.inference.timeout_s)
            _note_caller(context, head.key, peer)
            context.peer_address = address_in(peer)
            context.error = error
            context.request_id = self.request_id(head)
            self.inference.count(context, error.grpc_code, 0)
            return _refusal(error, context.request_id)

        return Method(unary=handle, door=door)

    def unary_method(
        self,
        method: UnaryMethod[M],
        message_class: type[M],
        *,
        about: Callable[[M], str] | None = None,
        admin: bool = False,
        is_open: bool = False,
    ) -> Method:
        """A method that asks for no inference, such as metadata: neither admitted nor counted.

        Where there are keys, about gives the model that a message is about, admin asks for an admin's, is_open for none.
        """

        async def answer(data: bytes, call: Call) -> bytes:
            try:
                with self.budget.holding(len(data)):
                    message = parse(message_class, data)
                    if about is not None and self.inference.access is not None and (name := about(message)):
                        self.inference.access.check_model(call.key, name)
                    answered = (await method(message, call.key)).SerializeToString()
            except Exception as raised:  # every error becomes a status
                error = _serving_error(raised, call.request_id)
                self.failed(call.request_id, address_in(call.peer), call.key, call.path, error)
                raise error from raised
            return answered

        made = Method(unary=unary_handler(answer, self.request_id))
        return made if is_open else self.guarded(made, admin=admin)

    def guarded(self, method: Method, *, admin: bool = False) -> Method:
        """The same method, for those who show a key, where there are any."""
        door = self.inference.access
        if door is None:
            return method

        def asked(head: Head, peer: str) -> Refusal | None:
            error = access.why_not(door, head, admin=admin)
            if error is None:
                return None
            request_id = self.request_id(head)
            self.failed(request_id, address_in(peer), head.key, head.path, error)
            return _refusal(error, request_id)

        return method._replace(door=asked)

    def request_id(self, head: Head) -> str:
        """What a call is called: by its caller, or else by us."""
        return self.inference.request_ids.of(_header(head.metadata, REQUEST_ID))

    def check_held(self, context: StreamContext) -> None:
        """Raise `Unauthenticated` in a stream whose key holds no more."""
        if self.inference.access is not None:
            access.identified(self.inference.access, context)


class GrpcExchange(Exchange[bytes], Generic[M]):
    """An inference over gRPC. A method fills in `ask`, `decode` and `encode`."""

    protocol_name: ClassVar[str]
    """For the metrics."""
    service_name: ClassVar[str]
    """The service, whose method is called as the class is."""
    message_class: ClassVar[type[Message]]
    worker_steps: ClassVar[tuple[Any, ...]]
    """How a worker parses large messages and decodes their tensors, and what it is told before the bytes."""

    def __init__(self, services: GrpcServices, data: bytes, call: Call) -> None:
        super().__init__(self.protocol_name, services.inference)
        self.services, self._data, self._call = services, data, call
        _note_caller(self, call.key, call.peer)
        self.request_id = call.request_id = services.request_id(call)
        self._held_bytes = 0
        self.large: Reading[Any] | None = None
        """The tensors of a large message."""

    @abstractmethod
    def ask(self, message: Any) -> InferenceRequest:
        """What a message asks for. message: of the method's class, or what a worker gives of a large one."""

    def announced(self) -> None:
        self.limit(self._call.time_remaining())

    def address(self) -> str:
        return address_in(self._call.peer)

    def header(self, name: str) -> str | None:
        return _header(self._call.metadata, name)

    def described(self, code: str) -> tuple[str, dict[str, str | int | float | bool]]:
        method = f"{self.service_name}/{type(self).__name__}"
        return method, {"rpc.system.name": "grpc", "rpc.method": method, "rpc.response.status_code": code}

    def receive(self) -> bytes:
        self.bytes = len(self._data)
        self.services.budget.hold(_HELD * self.bytes)
        self._held_bytes = _HELD * self.bytes
        return self._data

    def read(self, body: bytes) -> InferenceRequest | Awaitable[InferenceRequest]:
        message_class = self.message_class
        if len(body) < LARGE_BYTES or heavy_bytes(body, message_class) < LARGE_BYTES:
            return self.ask(parse(message_class, body))
        return self._read_large(body)

    async def _read_large(self, body: bytes) -> InferenceRequest:
        first_step, second_step, *first = self.worker_steps
        self.large = Reading(self.services.offload, first_step, second_step, *first, body)
        head = await self.large.head()
        return self.ask(self.message_class.FromString(head) if isinstance(head, bytes) else head)

    def send(self, answer: bytes) -> None:
        self.finish("OK", len(answer))
        self._call.answer(answer, ((VERSION_KEY, self.version),))

    def send_error(self, error: ServingError) -> int:
        version = () if self.version == UNKNOWN else ((VERSION_KEY, self.version),)
        self._call.refuse(error.grpc_code, str(error)[:_MAX_MESSAGE], (*_trailing(error), *version))
        return 0

    def close(self) -> None:
        self.services.budget.change(-self._held_bytes)
        if self.large:
            self.large.close()

    def code_of_leaving(self) -> str:
        left_s = self._call.time_remaining()
        ended = Cancelled if left_s is None or left_s > _EARLY_S else DeadlineExceeded
        return ended.grpc_code


def _header(metadata: Metadata, name: str) -> str | None:
    found: str | None = None
    for key, value in metadata:
        if key == name and isinstance(value, str):
            found = value if found is None else f"{found},{value}"
    return found


def _note_caller(context: RequestContext, identity: Identity | None, peer: str) -> None:
    """Whose request it is: of a key, or else of an address."""
    if identity is None:
        context.caller = address_in(peer)
    else:
        context.identity, context.caller = identity, identity.caller


def _refusal(error: ServingError, request_id: str) -> Refusal:
    return Refusal(error.grpc_code, str(error), (*_trailing(error), (REQUEST_ID, request_id)))


def _trailing(error: ServingError) -> Metadata:
    """When to come back, as `Retry-After` says over HTTP, and as gRPC's own retries understand it (gRFC A6)."""
    if not isinstance(error, Overloaded):
        return ()
    seconds = error.retry_after_s or 1.0
    return ("retry-after", str(math.ceil(seconds))), ("grpc-retry-pushback-ms", str(math.ceil(1000 * seconds)))


def service(name: str, methods: Mapping[str, Method]) -> Services:
    """The methods of a service by their paths, as a server takes them."""
    return {f"/{name}/{method}": how for method, how in methods.items()}


def _serving_error(error: Exception, request_id: str) -> ServingError:
    """What the caller is told of an error, in a bounded length."""
    if isinstance(error, ServingError):
        return error if len(str(error)) <= _MAX_MESSAGE else from_code(error.grpc_code, str(error)[:_MAX_MESSAGE])
    log.error("call %s failed", request_id, exc_info=error)
    return Internal(f"internal error; the gateway's log says more of request {request_id}")
