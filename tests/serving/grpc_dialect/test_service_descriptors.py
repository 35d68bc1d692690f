"""A client that knows nothing but what reflection tells, as grpcurl does, calls every method of every service."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

SPEC = {"name": "two_in"}
A, B = ({"dtype": "DT_FLOAT", "tensorShape": {"dim": [{"size": 1}, {"size": n}]}, "floatVal": [1]} for n in (3, 2))
EXAMPLES = {"exampleList": {"examples": [{"features": {"feature": {"x": {"floatList": {"value": [1, 2]}}}}}]}}
TASK = {
    "modelSpec": {"name": "clsreg", "signatureName": "serving_default"},
    "methodName": "tensorflow/serving/classify",
}
INFER = {
    "modelName": "two_in",
    "inputs": [
        {"name": "a", "datatype": "FP32", "shape": [1, 3], "contents": {"fp32Contents": [1, 2, 3]}},
        {"name": "b", "datatype": "FP32", "shape": [1, 2], "contents": {"fp32Contents": [4, 5]}},
    ],
}
REQUESTS: dict[str, dict[str, tuple[dict[str, Any], str]]] = {
    "tensorflow.serving.PredictionService": {
        "Predict": ({"modelSpec": SPEC, "inputs": {"a": A, "b": B}}, "OK"),
        "Classify": ({"modelSpec": TASK["modelSpec"], "input": EXAMPLES}, "OK"),
        "Regress": ({"modelSpec": SPEC, "input": EXAMPLES}, "INVALID_ARGUMENT"),
        "MultiInference": ({"tasks": [TASK], "input": EXAMPLES}, "OK"),
        "GetModelMetadata": ({"modelSpec": SPEC, "metadataField": ["signature_def"]}, "OK"),
    },
    "tensorflow.serving.ModelService": {
        "GetModelStatus": ({"modelSpec": SPEC}, "OK"),
        "HandleReloadConfigRequest": ({}, "INVALID_ARGUMENT or, by the gateway, PERMISSION_DENIED"),
    },
    "inference.GRPCInferenceService": {
        "ServerLive": ({}, "OK"),
        "ServerReady": ({}, "OK"),
        "ModelReady": ({"name": "two_in"}, "OK"),
        "ServerMetadata": ({}, "OK"),
        "ModelMetadata": ({"name": "two_in"}, "OK"),
        "ModelInfer": (INFER, "OK"),
        "ModelStreamInfer": (INFER, "OK"),
        "ModelConfig": ({"name": "two_in"}, "OK"),
        "ModelStatistics": ({}, "OK"),
        "RepositoryIndex": ({}, "OK"),
        "RepositoryModelLoad": ({"modelName": "two_in"}, "PERMISSION_DENIED"),
        "RepositoryModelUnload": ({"modelName": "two_in"}, "PERMISSION_DENIED"),
    },
    "grpc.health.v1.Health": {"Check": ({}, "OK"), "Watch": ({}, "OK")},
    "grpc.reflection.v1alpha.ServerReflection": {"ServerReflectionInfo": ({"listServices": ""}, "OK")},
}
"""Service -> method -> a request and what says the code that it gets."""


class Reflected:
    """The services of a server, by reflection only."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel, self._pool = channel, descriptor_pool.DescriptorPool()
        self._stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        self._added: set[str] = set()

    def _ask(self, **request: str) -> Any:
        requests = iter([reflection_pb2.ServerReflectionRequest(**request)])
        return next(self._stub.ServerReflectionInfo(requests, timeout=20))

    def services(self) -> list[str]:
        return [service.name for service in self._ask(list_services="").list_services_response.service]

    def methods(self, service: str) -> list[Any]:
        """The descriptors of a service's methods."""
        answer = self._ask(file_containing_symbol=service)
        assert answer.WhichOneof("message_response") == "file_descriptor_response", answer
        files = map(
            descriptor_pb2.FileDescriptorProto.FromString, answer.file_descriptor_response.file_descriptor_proto
        )
        by_name = {file.name: file for file in files}
        for name in by_name:
            self._add(by_name, name)
        return list(self._pool.FindServiceByName(service).methods)

    def _add(self, files: dict[str, Any], name: str) -> None:
        if name not in self._added:
            self._added.add(name)
            for needed in files[name].dependency:
                self._add(files, needed)
            self._pool.Add(files[name])

    def call(self, method: Any, request: dict[str, Any]) -> Any:
        """The first answer to a request that is written as JSON."""
        asks, gives = map(message_factory.GetMessageClass, (method.input_type, method.output_type))
        kind = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
        path = f"/{method.containing_service.full_name}/{method.name}"
        call = getattr(self._channel, kind)(
            path, request_serializer=asks.SerializeToString, response_deserializer=gives.FromString
        )
        message = json_format.ParseDict(request, asks(), descriptor_pool=self._pool)
        answer = call(iter([message]) if method.client_streaming else message, timeout=20)
        return next(answer) if method.server_streaming else answer


@pytest.fixture(params=["embedded", "remote", "model_server"])
def reflected(request: pytest.FixtureRequest) -> Iterator[Reflected]:
    if request.param == "model_server":
        address = request.getfixturevalue("model_server_address")
    else:
        address = request.getfixturevalue(f"{request.param}_gateway")[1]
    with grpc.insecure_channel(address) as channel:
        yield Reflected(channel)


def test_every_method_that_reflection_tells_of_can_be_called(reflected):
    services = reflected.services()
    assert {"tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"} <= set(services)
    for service in services:
        methods = {method.name: method for method in reflected.methods(service)}
        assert methods.keys() == REQUESTS[service].keys(), service
        for name, (request, code) in REQUESTS[service].items():
            got = "OK"
            try:
                reflected.call(methods[name], request)
            except grpc.RpcError as error:
                got = error.code().name
            assert got in code, (service, name, got)
