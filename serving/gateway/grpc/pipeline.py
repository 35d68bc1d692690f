"""The pipeline (middleware) of a call over gRPC: admission, reading, errors as statuses, counting.

    bytes ──▶ admitted? ──▶ message ──▶ method(message, context, large) ──▶ message ──▶ bytes ──▶ the transport

A message that is much work to read is read by a worker process: the method gets it without its tensors, which `large` has.
The gateway's deadline and the caller's both hold; a caller who cancels takes its work back.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from google.protobuf.message import Message

from signet.serving.errors import Cancelled, DeadlineExceeded, Internal, ServingError, from_code
from signet.serving.gateway.core.inference import Inference
from signet.serving.gateway.observability.metrics import UNKNOWN
from signet.serving.gateway.observability.request_context import RequestContext
from signet.serving.grpc_dialect.messages import M, parse
from signet.serving.grpc_transport.calls import Method, Services, StreamContext
from signet.serving.grpc_transport.coroutine_methods import Answered, unary_handler
from signet.serving.offload.message_weight import heavy_bytes
from signet.serving.offload.pool import LARGE_BYTES, Offload
from signet.serving.offload.reading import Reading, reading
from signet.serving.process.byte_budget import ByteBudget

log = logging.getLogger(__name__)

VERSION_KEY = "x-signet-model-version"
"""Key of the trailing metadata that says which version answered, as X-Signet-Model-Version does over HTTP."""

_MAX_MESSAGE = 1024
"""Bytes of an error's text; gRPC bounds its headers at eight kilobytes."""

_HELD = 2
"""Bytes held for each of a message: its own, and the arrays that it is decoded to."""

_EARLY_S = 0.1
"""A caller whose time is over cancels the call; its clock started so much earlier than ours, at most."""

InferenceMethod = Callable[[M, RequestContext, Reading[Any] | None], Awaitable[Message | bytes]]
"""A method that asks for an inference: (message, context, the tensors of a large message) -> message or bytes."""
WorkerSteps = tuple[Any, ...]
"""How a worker parses a method's large messages and decodes their tensors, and what it is told before the bytes."""
UnaryMethod = Callable[[M], Awaitable[Message]]
"""A method that asks for no inference: message -> message."""


class GrpcPipeline:
    """Makes handlers of one gateway's methods, with admission, deadline, errors and metrics around each inference."""

    def __init__(self, inference: Inference, budget: ByteBudget, offload: Offload) -> None:
        """offload: reads large messages."""
        self._inference, self._budget, self._offload = inference, budget, offload

    def inference_handler(
        self, protocol: str, method: InferenceMethod[M], message_class: type[M], steps: WorkerSteps
    ) -> Method:
        """The handler of a method that asks for an inference: admitted, with the caller's deadline, and counted."""

        async def answer(data: bytes, call: StreamContext) -> bytes | Answered:
            context = self._inference.context(protocol)
            context.limit(call.time_remaining())
            context.bytes = len(data)
            try:
                with self._inference.admission.admitted(protocol), self._budget.holding(_HELD * len(data)):
                    if len(data) < LARGE_BYTES or heavy_bytes(data, message_class) < LARGE_BYTES:
                        response = await method(parse(message_class, data), context, None)
                    else:
                        response = await self._large(method, data, context, message_class, steps)
                answered = response if isinstance(response, bytes) else response.SerializeToString()
            except asyncio.CancelledError:
                left_s = call.time_remaining()
                ended = Cancelled if left_s is None or left_s > _EARLY_S else DeadlineExceeded
                self._inference.count(context, ended.grpc_code, 0)
                raise
            except Exception as error:  # every error becomes a status
                refusal = _serving_error(error)
                self._inference.count(context, refusal.grpc_code, 0)
                raise refusal from error
            self._inference.count(context, "OK", len(answered))
            if context.version != UNKNOWN:
                return Answered(answered, ((VERSION_KEY, context.version),))
            return answered

        return Method(unary=unary_handler(answer))

    async def _large(
        self,
        method: InferenceMethod[M],
        data: bytes,
        context: RequestContext,
        message_class: type[M],
        steps: WorkerSteps,
    ) -> Message | bytes:
        first_step, second_step, *first = steps
        async with reading(self._offload, first_step, second_step, *first, data) as large:
            async with context.in_time():
                head = await large.head()
            message = message_class.FromString(head) if isinstance(head, bytes) else head
            return await method(message, context, large)

    def unary_handler(self, method: UnaryMethod[M], message_class: type[M]) -> Method:
        """The handler of a method that asks for no inference, such as metadata: neither admitted nor counted."""

        async def answer(data: bytes, _: StreamContext) -> bytes:
            try:
                with self._budget.holding(len(data)):
                    answered = (await method(parse(message_class, data))).SerializeToString()
            except Exception as error:  # every error becomes a status
                raise _serving_error(error) from error
            return answered

        return Method(unary=unary_handler(answer))


def service(name: str, methods: Mapping[str, Method]) -> Services:
    """The methods of a service by their paths, as a server takes them."""
    return {f"/{name}/{method}": how for method, how in methods.items()}


def _serving_error(error: Exception) -> ServingError:
    """What the caller is told of an error, in a bounded length."""
    if isinstance(error, ServingError):
        return error if len(str(error)) <= _MAX_MESSAGE else from_code(error.grpc_code, str(error)[:_MAX_MESSAGE])
    log.error("a call failed", exc_info=error)
    return Internal("internal error; the gateway's log says more")
