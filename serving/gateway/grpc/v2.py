"""The Open Inference Protocol over gRPC: `inference.GRPCInferenceService`, whose messages are in `open_inference.proto`.

ModelInferRequest ──▶ InferRequest ──▶ Exchange ──▶ ModelInferResponse
"""

from collections.abc import Awaitable
from functools import partial
from typing import NoReturn, Protocol

from signet.serving.gateway.access.identity import Identity
from signet.serving.gateway.core.inference import Decoded, InferenceRequest, LeasedSignature
from signet.serving.gateway.core.open_inference import InferSteps, OpenInference, version_or_label
from signet.serving.gateway.grpc import v2_stream
from signet.serving.gateway.grpc.pipeline import GrpcExchange, GrpcServices, service
from signet.serving.grpc_transport.calls import Method, Services
from signet.serving.offload import large_bodies, large_messages
from signet.serving.offload.large_messages import InferHead
from signet.serving.offload.pool import LARGE_ELEMENTS
from signet.serving.open_inference import messages
from signet.serving.open_inference import open_inference_pb2 as pb2
from signet.serving.open_inference.metadata import to_message
from signet.serving.tensors.arrays import Arrays

PROTOCOL = "grpc_v2"
SERVICE = "inference.GRPCInferenceService"


class GrpcV2:
    """GRPCInferenceService of one gateway."""

    def __init__(self, open_inference: OpenInference) -> None:
        self._open_inference = open_inference

    def services(self, shared: GrpcServices) -> Services:
        """The methods of the service by their paths."""
        infer = shared.inference_method(ModelInfer)
        assert infer.unary, "it is no stream"
        handlers = {
            "ServerLive": shared.unary_method(self.server_live, pb2.ServerLiveRequest, is_open=True),
            "ServerReady": shared.unary_method(self.server_ready, pb2.ServerReadyRequest, is_open=True),
            "ModelReady": shared.unary_method(self.model_ready, pb2.ModelReadyRequest, about=_name),
            "ServerMetadata": shared.unary_method(self.server_metadata, pb2.ServerMetadataRequest),
            "ModelMetadata": shared.unary_method(self.model_metadata, pb2.ModelMetadataRequest, about=_name),
            "ModelInfer": infer,
            "ModelStreamInfer": shared.guarded(Method(stream=v2_stream.stream_handler(infer.unary, shared.check_held))),
            "ModelConfig": shared.unary_method(self.model_config, pb2.ModelConfigRequest, about=_name),
            "ModelStatistics": shared.unary_method(self.model_statistics, pb2.ModelStatisticsRequest, about=_name),
            "RepositoryIndex": shared.unary_method(self.index, pb2.RepositoryIndexRequest),
            "RepositoryModelLoad": shared.unary_method(self.load, pb2.RepositoryModelLoadRequest, admin=True),
            "RepositoryModelUnload": shared.unary_method(self.unload, pb2.RepositoryModelUnloadRequest, admin=True),
        }
        return service(SERVICE, handlers)

    async def server_live(self, _: pb2.ServerLiveRequest, __: Identity | None = None) -> pb2.ServerLiveResponse:
        return pb2.ServerLiveResponse(live=True)

    async def server_ready(self, _: pb2.ServerReadyRequest, __: Identity | None = None) -> pb2.ServerReadyResponse:
        return pb2.ServerReadyResponse(ready=self._open_inference.ready())

    async def model_ready(self, message: pb2.ModelReadyRequest, _: Identity | None = None) -> pb2.ModelReadyResponse:
        ready = await self._open_inference.model_ready(message.name, message.version)
        return pb2.ModelReadyResponse(ready=ready)

    async def server_metadata(
        self, _: pb2.ServerMetadataRequest, __: Identity | None = None
    ) -> pb2.ServerMetadataResponse:
        return to_message(self._open_inference.server(), pb2.ServerMetadataResponse())

    async def model_metadata(
        self, message: pb2.ModelMetadataRequest, _: Identity | None = None
    ) -> pb2.ModelMetadataResponse:
        values = await self._open_inference.metadata(message.name, message.version)
        return to_message(values, pb2.ModelMetadataResponse())

    async def model_config(self, message: pb2.ModelConfigRequest, _: Identity | None = None) -> pb2.ModelConfigResponse:
        values = await self._open_inference.config(message.name, message.version)
        return to_message({"config": values}, pb2.ModelConfigResponse())

    async def model_statistics(
        self, message: pb2.ModelStatisticsRequest, identity: Identity | None = None
    ) -> pb2.ModelStatisticsResponse:
        values = await self._open_inference.statistics(message.name, message.version, identity)
        return to_message(values, pb2.ModelStatisticsResponse())

    async def index(
        self, message: pb2.RepositoryIndexRequest, identity: Identity | None = None
    ) -> pb2.RepositoryIndexResponse:
        values = await self._open_inference.index(message.ready, identity)
        return to_message({"models": values}, pb2.RepositoryIndexResponse())

    async def load(self, message: pb2.RepositoryModelLoadRequest, _: Identity | None = None) -> NoReturn:
        self._open_inference.refuse_change("load", _model(message))

    async def unload(self, message: pb2.RepositoryModelUnloadRequest, _: Identity | None = None) -> NoReturn:
        self._open_inference.refuse_change("unload", _model(message))


class ModelInfer(GrpcExchange[pb2.ModelInferRequest]):
    """An inference."""

    protocol_name, service_name, message_class = PROTOCOL, SERVICE, pb2.ModelInferRequest
    worker_steps = large_messages.parse_infer, large_messages.decode_infer

    def ask(self, message: pb2.ModelInferRequest | InferHead) -> InferenceRequest:
        self._head = head = message if isinstance(message, InferHead) else _head(message)
        version, label = version_or_label(head.model, head.version)
        self.limit(head.request.timeout_s)
        self._steps = InferSteps(head.request, self.large.arrays if self.large else None)
        return InferenceRequest(head.model, version, label, head.request.signature_name)

    def decode(self, leased: LeasedSignature) -> Decoded | Awaitable[Decoded]:
        return self._steps.decode(leased)

    def encode(self, outputs: Arrays) -> bytes | Awaitable[bytes]:
        head, outcome = self._head, self._steps.outcome(outputs)
        written = partial(
            large_messages.answer_infer, head.model, self.version, head.request.without_inputs(), *outcome
        )
        if large_bodies.text_elements(head.request, outputs) < LARGE_ELEMENTS:
            return written()
        return self.services.offload.call(written)


def _head(message: pb2.ModelInferRequest) -> InferHead:
    return InferHead(message.model_name, message.model_version, messages.parse(message))


class _HasName(Protocol):
    """A message about a model."""

    name: str


def _name(message: _HasName) -> str:
    return message.name


def _model(
    message: pb2.RepositoryModelLoadRequest | pb2.RepositoryModelUnloadRequest,
) -> str:
    """Triton's clients send repository and model, KServe's the model in the repository's place."""
    return message.model_name or message.repository_name
