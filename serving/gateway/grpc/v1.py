"""TensorFlow Serving's own gRPC services, PredictionService and ModelService, in front of either backend.

    PredictRequest ──▶ InferenceRequest, named arrays ──▶ Inference ──▶ PredictResponse, in typed fields as the original

Unlike the original it holds arrays against the signature, because requests of several callers share a call.
"""

from collections.abc import Callable
from typing import Any, NoReturn, Protocol

from signet.serving.errors import InvalidInput, NotFound, from_code
from signet.serving.gateway.core.backend import Backend, Lease, releasing
from signet.serving.gateway.core.inference import Decoded, Inference, InferenceRequest, LeasedSignature
from signet.serving.gateway.grpc.pipeline import GrpcPipeline, InferenceMethod, service
from signet.serving.gateway.observability.request_context import RequestContext
from signet.serving.grpc_dialect import example_inference, predict_request
from signet.serving.grpc_dialect.messages import M
from signet.serving.grpc_transport.calls import Method, Services
from signet.serving.models import model_status
from signet.serving.offload import large_messages
from signet.serving.offload.pool import LARGE_ELEMENTS, Offload
from signet.serving.offload.reading import Reading
from signet.serving.process.concurrency import gather_or_cancel
from signet.serving.tensors.arrays import Arrays, fill_typed
from signet.serving.tensors.protos import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    input_pb2,
    model_management_pb2,
    model_pb2,
    predict_pb2,
    regression_pb2,
)
from signet.serving.tensors.signature import Signature

PROTOCOL = "grpc_v1"
PREDICTION_SERVICE = "tensorflow.serving.PredictionService"
MODEL_SERVICE = "tensorflow.serving.ModelService"


_PREDICT_STEPS = (large_messages.parse_predict, large_messages.decode_predict)
_EXAMPLES_STEPS = (large_messages.parse_examples, large_messages.decode_examples)


class HasModelSpec(Protocol):
    """A message that names a model."""

    model_spec: model_pb2.ModelSpec


class GrpcV1:
    """PredictionService and ModelService of one gateway."""

    def __init__(self, inference: Inference, backend: Backend, offload: Offload) -> None:
        """offload: writes large answers."""
        self._inference, self._backend, self._offload = inference, backend, offload

    def services(self, pipeline: GrpcPipeline) -> Services:
        """The methods of both services by their paths."""

        def examples_handler(method: InferenceMethod[M], kind: type[M]) -> Method:
            return pipeline.inference_handler(PROTOCOL, method, kind, (*_EXAMPLES_STEPS, kind.DESCRIPTOR.name))

        prediction = {
            "Predict": pipeline.inference_handler(PROTOCOL, self.predict, predict_pb2.PredictRequest, _PREDICT_STEPS),
            "Classify": examples_handler(self.classify, classification_pb2.ClassificationRequest),
            "Regress": examples_handler(self.regress, regression_pb2.RegressionRequest),
            "MultiInference": examples_handler(self.multi_inference, inference_pb2.MultiInferenceRequest),
            "GetModelMetadata": pipeline.unary_handler(self.metadata, get_model_metadata_pb2.GetModelMetadataRequest),
        }
        model = {
            "GetModelStatus": pipeline.unary_handler(self.status, get_model_status_pb2.GetModelStatusRequest),
            "HandleReloadConfigRequest": pipeline.unary_handler(self.reload, model_management_pb2.ReloadConfigRequest),
        }
        return {**service(PREDICTION_SERVICE, prediction), **service(MODEL_SERVICE, model)}

    async def predict(
        self,
        message: predict_pb2.PredictRequest,
        context: RequestContext,
        large: Reading[Any] | None = None,
    ) -> predict_pb2.PredictResponse | bytes:
        _check_named(message.model_spec)
        request = request_from_model_spec(message)

        def read(leased: LeasedSignature) -> Decoded:
            inputs = predict_request.inputs_of(message, leased.signature)
            return leased.signature.check(inputs), predict_request.outputs_of(message, leased.signature)

        async def read_large(leased: LeasedSignature) -> Decoded:
            assert large is not None, "it is a large message"
            async with context.in_time():
                inputs = await large.arrays(leased.signature)
            return inputs, predict_request.outputs_of(message, leased.signature)

        outputs = await self._inference.run(request, read_large if large else read, context)
        response = predict_pb2.PredictResponse()
        _name(response.model_spec, context)
        if large_messages.elements(outputs) >= LARGE_ELEMENTS:
            async with context.in_time():
                return await self._offload.call(large_messages.encode_predict, response.SerializeToString(), outputs)
        for name, array in outputs.items():
            fill_typed(response.outputs[name], array)
        return response

    async def classify(
        self,
        message: classification_pb2.ClassificationRequest,
        context: RequestContext,
        large: Reading[Any] | None = None,
    ) -> classification_pb2.ClassificationResponse:
        response = classification_pb2.ClassificationResponse()
        outputs, rows = await self._examples(message, context, large, example_inference.classify_outputs)
        response.result.CopyFrom(example_inference.classifications(outputs, rows))
        _name(response.model_spec, context)
        return response

    async def regress(
        self,
        message: regression_pb2.RegressionRequest,
        context: RequestContext,
        large: Reading[Any] | None = None,
    ) -> regression_pb2.RegressionResponse:
        response = regression_pb2.RegressionResponse()
        outputs, rows = await self._examples(message, context, large, example_inference.regress_outputs)
        response.result.CopyFrom(example_inference.regressions(outputs, rows))
        _name(response.model_spec, context)
        return response

    async def _examples(
        self,
        message: classification_pb2.ClassificationRequest | regression_pb2.RegressionRequest,
        context: RequestContext,
        large: Reading[Any] | None,
        wanted: Callable[[Lease, Signature], tuple[str, ...]],
    ) -> tuple[Arrays, int]:
        """The outputs wanted for the examples of a Classify or Regress, and how many examples there are."""
        _check_named(message.model_spec)
        request = request_from_model_spec(message)
        inputs = await self._serialized(message.input, large, context)

        def read(leased: LeasedSignature) -> Decoded:
            return inputs, wanted(leased.lease, leased.signature)

        return await self._inference.run(request, read, context), len(inputs["inputs"])

    async def _serialized(
        self, examples: input_pb2.Input, large: Reading[Any] | None, context: RequestContext
    ) -> Arrays:
        """The examples of a message, serialized. examples: empty where they are large."""
        if large is None:
            return {"inputs": example_inference.serialized(examples)}
        async with context.in_time():
            return await large.arrays()

    async def multi_inference(
        self,
        message: inference_pb2.MultiInferenceRequest,
        context: RequestContext,
        large: Reading[Any] | None = None,
    ) -> inference_pb2.MultiInferenceResponse:
        """Several signatures of one version on the same examples: a call for each, side by side, under one lease."""
        if not message.tasks:
            raise InvalidInput("the MultiInferenceRequest has no tasks")
        names = example_inference.task_names(message.tasks)
        _check_named(message.tasks[0].model_spec)
        request = request_from_model_spec(message.tasks[0])
        inputs = await self._serialized(message.input, large, context)
        rows = len(inputs["inputs"])
        with releasing(await self._inference.lease(request)) as lease:
            context.model, context.version = lease.name, str(lease.version)
            chosen = [example_inference.task_signature(lease, name) for name in names]
            context.signature = chosen[0].name
            wanted = [
                example_inference.task_outputs(lease, signature, task.method_name)
                for signature, task in zip(chosen, message.tasks, strict=True)
            ]
            calls = [
                self._inference.call(LeasedSignature.of(lease, signature), inputs, outputs, request, context)
                for signature, outputs in zip(chosen, wanted, strict=True)
            ]
            results = await gather_or_cancel(calls)
        response = inference_pb2.MultiInferenceResponse()
        for signature, task, outputs in zip(chosen, message.tasks, results, strict=True):
            result = response.results.add()
            _name(result.model_spec, context)
            result.model_spec.signature_name = signature.name
            if task.method_name == example_inference.CLASSIFY:
                result.classification_result.CopyFrom(example_inference.classifications(outputs, rows))
            else:
                result.regression_result.CopyFrom(example_inference.regressions(outputs, rows))
        return response

    async def metadata(
        self, message: get_model_metadata_pb2.GetModelMetadataRequest
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        if not message.metadata_field:
            raise InvalidInput("GetModelMetadataRequest must specify at least one metadata_field")
        for name in message.metadata_field:
            if name != "signature_def":
                raise InvalidInput(f"Metadata field {name[:100]} is not supported; expected signature_def")
        _check_named(message.model_spec)
        with releasing(await self._inference.lease(request_from_model_spec(message))) as lease:
            response = get_model_metadata_pb2.GetModelMetadataResponse()
            response.model_spec.name, response.model_spec.version.value = lease.name, lease.version
            signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=dict(lease.signature_defs))
            response.metadata["signature_def"].Pack(signatures)
            return response

    async def status(
        self, message: get_model_status_pb2.GetModelStatusRequest
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

    async def reload(self, _: model_management_pb2.ReloadConfigRequest) -> NoReturn:
        raise from_code(
            "PERMISSION_DENIED",
            "what is served is declared where the gateway starts; send the configuration to the model server's own port",
        )


def request_from_model_spec(message: HasModelSpec) -> InferenceRequest:
    """What a message's ModelSpec asks for."""
    spec = message.model_spec
    return InferenceRequest(
        spec.name,
        spec.version.value if spec.HasField("version") else None,
        spec.version_label if spec.WhichOneof("version_choice") == "version_label" else None,
        spec.signature_name,
    )


def _check_named(spec: model_pb2.ModelSpec) -> None:
    if not spec.name:
        raise InvalidInput("ModelSpec has no name specified.")


def _name(spec: model_pb2.ModelSpec, context: RequestContext) -> None:
    spec.name, spec.version.value, spec.signature_name = context.model, int(context.version), context.signature
