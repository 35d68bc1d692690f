"""The Open Inference Protocol over gRPC: `inference.GRPCInferenceService`, whose messages are in `open_inference.proto`.

ModelInferRequest ──▶ InferRequest ──▶ OpenInference ──▶ ModelInferResponse
"""

import time
from functools import partial
from typing import Any, NoReturn

from signet.serving.gateway.core.inference import InferenceRequest
from signet.serving.gateway.core.open_inference import OpenInference, version_or_label
from signet.serving.gateway.grpc.pipeline import GrpcPipeline, Service, service
from signet.serving.gateway.observability.request_context import RequestContext
from signet.serving.offload import large_bodies, large_messages
from signet.serving.offload.large_messages import InferHead
from signet.serving.offload.pool import LARGE_ELEMENTS, Offload
from signet.serving.offload.reading import Reading
from signet.serving.open_inference import messages as open_inference_messages
from signet.serving.open_inference import open_inference_pb2 as messages
from signet.serving.open_inference.metadata import to_message

PROTOCOL = "grpc_v2"
SERVICE = "inference.GRPCInferenceService"


_STEPS = (large_messages.parse_infer, large_messages.decode_infer)


class GrpcV2:
    """The service of one gateway."""

    def __init__(self, open_inference: OpenInference, offload: Offload) -> None:
        """offload: writes large answers."""
        self._open_inference, self._offload = open_inference, offload

    def services(self, pipeline: GrpcPipeline) -> list[Service]:
        """For a server to add."""
        handlers = {
            "ServerLive": pipeline.unary_handler(self.server_live, messages.ServerLiveRequest),
            "ServerReady": pipeline.unary_handler(self.server_ready, messages.ServerReadyRequest),
            "ModelReady": pipeline.unary_handler(self.model_ready, messages.ModelReadyRequest),
            "ServerMetadata": pipeline.unary_handler(self.server_metadata, messages.ServerMetadataRequest),
            "ModelMetadata": pipeline.unary_handler(self.model_metadata, messages.ModelMetadataRequest),
            "ModelInfer": pipeline.inference_handler(PROTOCOL, self.model_infer, messages.ModelInferRequest, _STEPS),
            "ModelConfig": pipeline.unary_handler(self.model_config, messages.ModelConfigRequest),
            "ModelStatistics": pipeline.unary_handler(self.model_statistics, messages.ModelStatisticsRequest),
            "RepositoryIndex": pipeline.unary_handler(self.index, messages.RepositoryIndexRequest),
            "RepositoryModelLoad": pipeline.unary_handler(self.load, messages.RepositoryModelLoadRequest),
            "RepositoryModelUnload": pipeline.unary_handler(self.unload, messages.RepositoryModelUnloadRequest),
        }
        return [service(SERVICE, handlers)]

    async def server_live(self, _: messages.ServerLiveRequest) -> messages.ServerLiveResponse:
        return messages.ServerLiveResponse(live=True)

    async def server_ready(self, _: messages.ServerReadyRequest) -> messages.ServerReadyResponse:
        return messages.ServerReadyResponse(ready=self._open_inference.ready())

    async def model_ready(self, message: messages.ModelReadyRequest) -> messages.ModelReadyResponse:
        ready = await self._open_inference.model_ready(message.name, message.version)
        return messages.ModelReadyResponse(ready=ready)

    async def server_metadata(self, _: messages.ServerMetadataRequest) -> messages.ServerMetadataResponse:
        return to_message(self._open_inference.server(), messages.ServerMetadataResponse())

    async def model_metadata(self, message: messages.ModelMetadataRequest) -> messages.ModelMetadataResponse:
        values = await self._open_inference.metadata(message.name, message.version)
        return to_message(values, messages.ModelMetadataResponse())

    async def model_infer(
        self,
        message: messages.ModelInferRequest | InferHead,
        context: RequestContext,
        large: Reading[Any] | None = None,
    ) -> messages.ModelInferResponse | bytes:
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

    async def model_config(self, message: messages.ModelConfigRequest) -> messages.ModelConfigResponse:
        values = await self._open_inference.config(message.name, message.version)
        return to_message({"config": values}, messages.ModelConfigResponse())

    async def model_statistics(self, message: messages.ModelStatisticsRequest) -> messages.ModelStatisticsResponse:
        values = await self._open_inference.statistics(message.name, message.version)
        return to_message(values, messages.ModelStatisticsResponse())

    async def index(self, message: messages.RepositoryIndexRequest) -> messages.RepositoryIndexResponse:
        values = await self._open_inference.index(message.ready)
        return to_message({"models": values}, messages.RepositoryIndexResponse())

    async def load(self, message: messages.RepositoryModelLoadRequest) -> NoReturn:
        self._open_inference.refuse_change("load", _model(message))

    async def unload(self, message: messages.RepositoryModelUnloadRequest) -> NoReturn:
        self._open_inference.refuse_change("unload", _model(message))


def _head(message: messages.ModelInferRequest) -> InferHead:
    return InferHead(message.model_name, message.model_version, open_inference_messages.parse(message))


def _model(message: messages.RepositoryModelLoadRequest | messages.RepositoryModelUnloadRequest) -> str:
    """Triton's clients send repository and model, KServe's the model in the repository's place."""
    return message.model_name or message.repository_name
