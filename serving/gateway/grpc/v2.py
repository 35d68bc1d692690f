"""The Open Inference Protocol over gRPC: `inference.GRPCInferenceService`, whose messages are in `open_inference.proto`.

ModelInferRequest ──▶ InferRequest ──▶ OpenInference ──▶ ModelInferResponse
"""

import time
from functools import partial
from typing import Any, NoReturn

from signet.serving.gateway.core.inference import InferenceRequest
from signet.serving.gateway.core.open_inference import OpenInference, version_or_label
from signet.serving.gateway.grpc.pipeline import GrpcPipeline, service
from signet.serving.gateway.observability.request_context import RequestContext
from signet.serving.grpc_transport.calls import Services
from signet.serving.offload import large_bodies, large_messages
from signet.serving.offload.large_messages import InferHead
from signet.serving.offload.pool import LARGE_ELEMENTS, Offload
from signet.serving.offload.reading import Reading
from signet.serving.open_inference import messages
from signet.serving.open_inference import open_inference_pb2 as pb2
from signet.serving.open_inference.metadata import to_message

PROTOCOL = "grpc_v2"
SERVICE = "inference.GRPCInferenceService"


_STEPS = (large_messages.parse_infer, large_messages.decode_infer)


class GrpcV2:
    """GRPCInferenceService of one gateway."""

    def __init__(self, open_inference: OpenInference, offload: Offload) -> None:
        """offload: writes large answers."""
        self._open_inference, self._offload = open_inference, offload

    def services(self, pipeline: GrpcPipeline) -> Services:
        """The methods of the service by their paths."""
        handlers = {
            "ServerLive": pipeline.unary_handler(self.server_live, pb2.ServerLiveRequest),
            "ServerReady": pipeline.unary_handler(self.server_ready, pb2.ServerReadyRequest),
            "ModelReady": pipeline.unary_handler(self.model_ready, pb2.ModelReadyRequest),
            "ServerMetadata": pipeline.unary_handler(self.server_metadata, pb2.ServerMetadataRequest),
            "ModelMetadata": pipeline.unary_handler(self.model_metadata, pb2.ModelMetadataRequest),
            "ModelInfer": pipeline.inference_handler(PROTOCOL, self.model_infer, pb2.ModelInferRequest, _STEPS),
            "ModelConfig": pipeline.unary_handler(self.model_config, pb2.ModelConfigRequest),
            "ModelStatistics": pipeline.unary_handler(self.model_statistics, pb2.ModelStatisticsRequest),
            "RepositoryIndex": pipeline.unary_handler(self.index, pb2.RepositoryIndexRequest),
            "RepositoryModelLoad": pipeline.unary_handler(self.load, pb2.RepositoryModelLoadRequest),
            "RepositoryModelUnload": pipeline.unary_handler(self.unload, pb2.RepositoryModelUnloadRequest),
        }
        return service(SERVICE, handlers)

    async def server_live(self, _: pb2.ServerLiveRequest) -> pb2.ServerLiveResponse:
        return pb2.ServerLiveResponse(live=True)

    async def server_ready(self, _: pb2.ServerReadyRequest) -> pb2.ServerReadyResponse:
        return pb2.ServerReadyResponse(ready=self._open_inference.ready())

    async def model_ready(self, message: pb2.ModelReadyRequest) -> pb2.ModelReadyResponse:
        ready = await self._open_inference.model_ready(message.name, message.version)
        return pb2.ModelReadyResponse(ready=ready)

    async def server_metadata(self, _: pb2.ServerMetadataRequest) -> pb2.ServerMetadataResponse:
        return to_message(self._open_inference.server(), pb2.ServerMetadataResponse())

    async def model_metadata(self, message: pb2.ModelMetadataRequest) -> pb2.ModelMetadataResponse:
        values = await self._open_inference.metadata(message.name, message.version)
        return to_message(values, pb2.ModelMetadataResponse())

    async def model_infer(
        self,
        message: pb2.ModelInferRequest | InferHead,
        context: RequestContext,
        large: Reading[Any] | None = None,
    ) -> pb2.ModelInferResponse | bytes:
        started = time.perf_counter()
        head = message if isinstance(message, InferHead) else _head(message)
        version, label = version_or_label(head.model, head.version)
        context.stage("parse", started)
        read = head.request
        context.limit(read.timeout_s)
        request = InferenceRequest(head.model, version, label, read.signature_name)
        arrays = None if large is None else large.arrays
        outcome = await self._open_inference.infer(request, read, context, arrays)
        started = time.perf_counter()
        written = partial(large_messages.answer_infer, head.model, context.version, read.without_inputs(), *outcome)
        if large_bodies.text_elements(read, outcome.outputs) < LARGE_ELEMENTS:
            answer = written()
        else:
            async with context.in_time():
                answer = await self._offload.call(written)
        context.stage("encode", started)
        return answer

    async def model_config(self, message: pb2.ModelConfigRequest) -> pb2.ModelConfigResponse:
        values = await self._open_inference.config(message.name, message.version)
        return to_message({"config": values}, pb2.ModelConfigResponse())

    async def model_statistics(self, message: pb2.ModelStatisticsRequest) -> pb2.ModelStatisticsResponse:
        values = await self._open_inference.statistics(message.name, message.version)
        return to_message(values, pb2.ModelStatisticsResponse())

    async def index(self, message: pb2.RepositoryIndexRequest) -> pb2.RepositoryIndexResponse:
        values = await self._open_inference.index(message.ready)
        return to_message({"models": values}, pb2.RepositoryIndexResponse())

    async def load(self, message: pb2.RepositoryModelLoadRequest) -> NoReturn:
        self._open_inference.refuse_change("load", _model(message))

    async def unload(self, message: pb2.RepositoryModelUnloadRequest) -> NoReturn:
        self._open_inference.refuse_change("unload", _model(message))


def _head(message: pb2.ModelInferRequest) -> InferHead:
    return InferHead(message.model_name, message.model_version, messages.parse(message))


def _model(
    message: pb2.RepositoryModelLoadRequest | pb2.RepositoryModelUnloadRequest,
) -> str:
    """Triton's clients send repository and model, KServe's the model in the repository's place."""
    return message.model_name or message.repository_name
