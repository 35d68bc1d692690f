"""The services over gRPC: messages from bytes, errors as statuses, counting, and large messages read by worker processes.

bytes ──parse──▶ message ──▶ method(message, deadline) ──▶ response ──▶ bytes
  └─ much work to read ──▶ worker process ──▶ message without its tensors, which `large` has
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from google.protobuf.message import Message

from signet.serving.errors import Internal, ServingError, from_code
from signet.serving.grpc_dialect.messages import M, parse
from signet.serving.grpc_transport import calls
from signet.serving.grpc_transport.calls import Services, StreamContext
from signet.serving.grpc_transport.coroutine_methods import CoroutineMethod, unary_handler
from signet.serving.model_server.monitoring import GRPC, Monitoring
from signet.serving.model_server.services import ModelService, PredictionService, Written
from signet.serving.model_server.tracing import Tracing
from signet.serving.offload import large_messages
from signet.serving.offload.message_weight import heavy_bytes
from signet.serving.offload.pool import LARGE_BYTES, Offload
from signet.serving.offload.reading import reading
from signet.serving.process.byte_budget import ByteBudget
from signet.serving.tensors.protos import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)

_MAX_MESSAGE = 1024
_TRUNCATED = "...TRUNCATED"

_UNREADABLE = (Internal, "the request cannot be read")
"""The error for bytes that are no message, INTERNAL as in C++."""

_INFERENCES = ("Predict", "Classify", "Regress", "MultiInference")

Method = Callable[..., Awaitable[Message | Written]]
"""(message, deadline), and for a message that brings much, (message, deadline, large)."""


def services(
    prediction: PredictionService,
    model: ModelService,
    monitoring: Monitoring,
    budget: ByteBudget,
    offload: Offload,
    tracing: Tracing | None,
) -> Services:
    """The methods of PredictionService and ModelService by their paths. offload: reads large messages.

    tracing: of calls that ask for an inference; None where it is off.
    """
    methods: dict[str, dict[str, tuple[Method, type[Message]]]] = {
        "tensorflow.serving.PredictionService": {
            "Classify": (prediction.classify, classification_pb2.ClassificationRequest),
            "Regress": (prediction.regress, regression_pb2.RegressionRequest),
            "Predict": (prediction.predict, predict_pb2.PredictRequest),
            "MultiInference": (prediction.multi_inference, inference_pb2.MultiInferenceRequest),
            "GetModelMetadata": (prediction.metadata, get_model_metadata_pb2.GetModelMetadataRequest),
        },
        "tensorflow.serving.ModelService": {
            "GetModelStatus": (model.status, get_model_status_pb2.GetModelStatusRequest),
            "HandleReloadConfigRequest": (model.reload, model_management_pb2.ReloadConfigRequest),
        },
    }

    def answering(service: str, name: str, method: Method, message_class: type[Message]) -> CoroutineMethod:
        answer = _answering(name, method, message_class, monitoring, budget, offload)
        return tracing.rpc(f"{service}/{name}", answer) if tracing and name in _INFERENCES else answer

    return {
        f"/{service}/{name}": calls.Method(unary=unary_handler(answering(service, name, method, message_class)))
        for service, handlers in methods.items()
        for name, (method, message_class) in handlers.items()
    }


def _serialized(response: Message | Written) -> bytes:
    return response.data if isinstance(response, Written) else response.SerializeToString()


def _worker_steps(message_class: type[Message]) -> tuple[Any, ...] | None:
    """How a worker parses a message and decodes its tensors; None for a message that brings none."""
    if message_class is predict_pb2.PredictRequest:
        return large_messages.parse_predict, large_messages.decode_unchecked
    name = message_class.DESCRIPTOR.name
    if name in large_messages.OF_EXAMPLES:
        return large_messages.parse_examples, large_messages.decode_examples, name
    return None


def _answering(
    name: str,
    method: Method,
    message_class: type[M],
    monitoring: Monitoring,
    budget: ByteBudget,
    offload: Offload,
) -> CoroutineMethod:
    """Reads the request here, for its error to be INTERNAL as in C++, and turns errors into gRPC statuses."""
    steps = _worker_steps(message_class)

    async def answer(data: bytes, context: StreamContext) -> bytes:
        started = time.perf_counter()
        try:
            if steps and len(data) >= LARGE_BYTES and heavy_bytes(data, message_class) >= LARGE_BYTES:
                return await answer_large(data, context, started, *steps)
            request = parse(message_class, data, *_UNREADABLE)
            return await answer_read(request, context, started, len(data))
        except ServingError as error:
            raise _truncated(error) from error

    async def answer_large(
        data: bytes, context: StreamContext, started: float, first: Any, second: Any, *names: str
    ) -> bytes:
        with budget.holding(2 * len(data)), reading(offload, first, second, *names, data, *_UNREADABLE) as large:
            request = message_class.FromString(await large.head())
            return await answer_read(request, context, started, 0, large)

    async def answer_read(request: M, context: StreamContext, started: float, size: int, *large: Any) -> bytes:
        try:
            # What is held for each byte of a message: that, and the arrays that it is decoded to.
            with budget.holding(2 * size), monitoring.in_flight[GRPC]:
                response = await method(request, context, *large)
            monitoring.answered_rpc(name, request, response, "OK", time.perf_counter() - started)
            return _serialized(response)
        except ServingError as error:
            monitoring.answered_rpc(name, request, None, error.grpc_code, time.perf_counter() - started)
            raise

    return answer


def _truncated(error: ServingError) -> ServingError:
    """The error with its message as long as C++ lets it be."""
    message = str(error)
    if len(message) <= _MAX_MESSAGE:
        return error
    return from_code(error.grpc_code, message[: _MAX_MESSAGE - len(_TRUNCATED)] + _TRUNCATED)
