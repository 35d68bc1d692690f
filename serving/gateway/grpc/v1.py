"""TensorFlow Serving's own gRPC services, PredictionService and ModelService, in front of either backend.

Its inferences are in `v1_inference.py`.
"""

from typing import NoReturn

from signet.serving.errors import InvalidInput, NotFound, from_code
from signet.serving.gateway.access.identity import Identity
from signet.serving.gateway.core.backend import Backend, releasing
from signet.serving.gateway.core.inference import Inference
from signet.serving.gateway.grpc import v1_inference
from signet.serving.gateway.grpc.pipeline import GrpcServices, service
from signet.serving.gateway.grpc.v1_inference import check_named, request_from_model_spec
from signet.serving.grpc_transport.calls import Services
from signet.serving.models import model_status
from signet.serving.tensors.protos import get_model_metadata_pb2, get_model_status_pb2, model_management_pb2

PREDICTION_SERVICE = v1_inference.SERVICE
MODEL_SERVICE = "tensorflow.serving.ModelService"


class GrpcV1:
    """PredictionService and ModelService of one gateway."""

    def __init__(self, inference: Inference, backend: Backend) -> None:
        self._inference, self._backend = inference, backend

    def services(self, shared: GrpcServices) -> Services:
        """The methods of both services by their paths."""
        prediction = {
            "Predict": shared.inference_method(v1_inference.Predict),
            "Classify": shared.inference_method(v1_inference.Classify),
            "Regress": shared.inference_method(v1_inference.Regress),
            "MultiInference": shared.inference_method(v1_inference.MultiInference),
            "GetModelMetadata": shared.unary_method(
                self.metadata, get_model_metadata_pb2.GetModelMetadataRequest, about=_model
            ),
        }
        model = {
            "GetModelStatus": shared.unary_method(
                self.status, get_model_status_pb2.GetModelStatusRequest, about=_model
            ),
            "HandleReloadConfigRequest": shared.unary_method(
                self.reload, model_management_pb2.ReloadConfigRequest, admin=True
            ),
        }
        return {**service(PREDICTION_SERVICE, prediction), **service(MODEL_SERVICE, model)}

    async def metadata(
        self, message: get_model_metadata_pb2.GetModelMetadataRequest, _: Identity | None = None
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        if not message.metadata_field:
            raise InvalidInput("GetModelMetadataRequest must specify at least one metadata_field")
        for name in message.metadata_field:
            if name != "signature_def":
                raise InvalidInput(f"Metadata field {name[:100]} is not supported; expected signature_def")
        check_named(message.model_spec)
        with releasing(await self._inference.lease(request_from_model_spec(message))) as lease:
            response = get_model_metadata_pb2.GetModelMetadataResponse()
            response.model_spec.name, response.model_spec.version.value = lease.name, lease.version
            signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=dict(lease.signature_defs))
            response.metadata["signature_def"].Pack(signatures)
            return response

    async def status(
        self, message: get_model_status_pb2.GetModelStatusRequest, _: Identity | None = None
    ) -> get_model_status_pb2.GetModelStatusResponse:
        request = request_from_model_spec(message)
        self._inference.check_declared(request.model)  # an empty name too
        version = request.version
        if request.label is not None:
            version = await self._inference.version_of_label(request.model, request.label)
        statuses = [
            status for status in await self._backend.statuses(request.model) if version in (None, status.version)
        ]
        if not statuses:
            raise NotFound(f"Could not find version {version} of model {request.model}")
        return model_status.to_message(statuses)

    async def reload(self, _: model_management_pb2.ReloadConfigRequest, __: Identity | None = None) -> NoReturn:
        raise from_code(
            "PERMISSION_DENIED",
            "what is served is declared where the gateway starts; send the configuration to the model server's own port",
        )


def _model(message: v1_inference.HasModelSpec) -> str:
    """The one that a message is about."""
    return message.model_spec.name
