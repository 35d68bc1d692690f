"""TensorFlow Serving's services as descriptors, for gRPC's reflection.

    describe() ──▶ protobuf's pool knows both services ──▶ reflection can tell their methods and messages

The generated files of its package describe the messages only: those of the services do not fit today's protobuf.
Source: `prediction_service.proto`, `model_service.proto`.
"""

from functools import cache

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message import Message

from signet.serving.tensors.protos import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)

_PACKAGE = "tensorflow.serving"
_SERVICES: dict[str, dict[str, tuple[type[Message], type[Message]]]] = {
    "PredictionService": {
        "Classify": (classification_pb2.ClassificationRequest, classification_pb2.ClassificationResponse),
        "Regress": (regression_pb2.RegressionRequest, regression_pb2.RegressionResponse),
        "Predict": (predict_pb2.PredictRequest, predict_pb2.PredictResponse),
        "MultiInference": (inference_pb2.MultiInferenceRequest, inference_pb2.MultiInferenceResponse),
        "GetModelMetadata": (
            get_model_metadata_pb2.GetModelMetadataRequest,
            get_model_metadata_pb2.GetModelMetadataResponse,
        ),
    },
    "ModelService": {
        "GetModelStatus": (get_model_status_pb2.GetModelStatusRequest, get_model_status_pb2.GetModelStatusResponse),
        "HandleReloadConfigRequest": (
            model_management_pb2.ReloadConfigRequest,
            model_management_pb2.ReloadConfigResponse,
        ),
    },
}
_FILES = {"PredictionService": "prediction_service.proto", "ModelService": "model_service.proto"}


@cache
def describe() -> tuple[str, ...]:
    """Put the services into protobuf's pool. Gives their full names."""
    pool = descriptor_pool.Default()  # type: ignore[no-untyped-call]
    for service, methods in _SERVICES.items():
        file = descriptor_pb2.FileDescriptorProto(
            name=f"tensorflow_serving/apis/{_FILES[service]}", package=_PACKAGE, syntax="proto3"
        )
        described = file.service.add(name=service)
        for method, (request, response) in methods.items():
            for message in (request, response):
                if message.DESCRIPTOR.file.name not in file.dependency:
                    file.dependency.append(message.DESCRIPTOR.file.name)
            described.method.add(
                name=method,
                input_type=f".{request.DESCRIPTOR.full_name}",
                output_type=f".{response.DESCRIPTOR.full_name}",
            )
        pool.AddSerializedFile(file.SerializeToString())
    return tuple(f"{_PACKAGE}.{service}" for service in _SERVICES)
