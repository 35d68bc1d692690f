"""TensorFlow Serving's gRPC services in front of the engine: its answers, codes and messages.

    PredictRequest ──▶ lease a version ──▶ signature ──▶ decode inputs ──▶ run ──▶ PredictResponse, typed fields

Nothing is held against the signature's dtypes and shapes: TensorFlow itself refuses what does not fit. Source:
`predict_impl.cc`, `predict_util.cc`, `get_model_status_impl.cc`.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import grpc

from signet.serving.engine.repository import Repository
from signet.serving.engine.runner import Runner
from signet.serving.engine.servable import Servable
from signet.serving.errors import Internal, InvalidInput, NotFound, ServingError, UsageError
from signet.serving.grpc_dialect import example_inference as inference
from signet.serving.grpc_dialect import predict_request
from signet.serving.model_server import text_file
from signet.serving.model_server.flags import Flags
from signet.serving.model_server.grpc import large_messages
from signet.serving.model_server.monitoring import GRPC, Monitoring
from signet.serving.model_server.reload import Reloader
from signet.serving.models import model_config, model_status
from signet.serving.offload import large_bodies
from signet.serving.offload.message_weight import heavy_bytes
from signet.serving.offload.pool import LARGE_BYTES, LARGE_ELEMENTS, Offload
from signet.serving.offload.reading import Reading, reading
from signet.serving.process.byte_budget import ByteBudget
from signet.serving.tensors.arrays import Array, Arrays, to_proto, to_typed_proto
from signet.serving.tensors.protos import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)
from signet.serving.tensors.signature import Signature

_MAX_MESSAGE = 1024
_TRUNCATED = "...TRUNCATED"

Large = Reading[bytes] | None
"""The tensors or examples of a message that a worker has read; None: the message itself has them."""
Method = Callable[..., Awaitable[Any]]
"""(message, context), and for a message that brings much, (message, context, large)."""


def add_services(
    server: grpc.aio.Server,
    prediction: "PredictionService",
    model: "ModelService",
    monitoring: Monitoring,
    budget: ByteBudget,
    offload: Offload,
) -> None:
    """Make a server answer as PredictionService and ModelService. offload: reads large messages."""
    methods: dict[str, dict[str, tuple[Method, Any]]] = {
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
    for service, handlers in methods.items():
        rpcs = {
            name: grpc.unary_unary_rpc_method_handler(
                _answering(name, method, request, monitoring, budget, offload),
                response_serializer=_serialized,
            )
            for name, (method, request) in handlers.items()
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, rpcs),))


def _serialized(response: Any) -> bytes:
    return response.data if isinstance(response, Written) else bytes(response.SerializeToString())


class Written(NamedTuple):
    """A response that a worker has written."""

    model_spec: Any
    data: bytes


def _answering(
    name: str, method: Method, request_class: Any, monitoring: Monitoring, budget: ByteBudget, offload: Offload
) -> Method:
    """Reads the request here, for its error to be INTERNAL as in C++, and turns errors into gRPC statuses."""

    brings_much = request_class.DESCRIPTOR.name in large_messages.NAMES

    async def answer(data: Any, context: Any) -> Any:
        started = time.perf_counter()
        if brings_much and len(data) >= LARGE_BYTES and heavy_bytes(data, request_class) >= LARGE_BYTES:
            return await answer_large(data, context, started)
        try:
            request = large_messages.read(request_class, data)
        except Internal as error:
            await context.abort(grpc.StatusCode.INTERNAL, str(error))
        return await answer_read(request, context, started, len(data))

    async def answer_large(data: bytes, context: Any, started: float) -> Any:
        kind = request_class.DESCRIPTOR.name
        steps = large_messages.parse, large_messages.decode
        try:
            with budget.holding(2 * len(data)):
                async with reading(offload, *steps, kind, data) as large:
                    request = request_class.FromString(await large.head())
                    return await answer_read(request, context, started, 0, large)
        except ServingError as error:
            await context.abort(grpc.StatusCode[error.grpc_code], str(error))

    async def answer_read(request: Any, context: Any, started: float, size: int, *large: Any) -> Any:
        try:
            # What is held for each byte of a message: that, and the arrays that it is decoded to.
            with budget.holding(2 * size), monitoring.in_flight[GRPC]:
                response = await method(request, context, *large)
            monitoring.answered_rpc(name, request, response, "OK", time.perf_counter() - started)
            return response
        except ServingError as error:
            monitoring.answered_rpc(name, request, None, error.grpc_code, time.perf_counter() - started)
            message = str(error)
            if len(message) > _MAX_MESSAGE:
                message = message[: _MAX_MESSAGE - len(_TRUNCATED)] + _TRUNCATED
            await context.abort(grpc.StatusCode[error.grpc_code], message)

    return answer


class PredictionService:
    """Calls of models, and their signatures."""

    def __init__(
        self, flags: Flags, repository: Repository, runner: Runner, monitoring: Monitoring, offload: Offload
    ) -> None:
        """offload: writes large answers."""
        self._repository, self._runner, self._monitoring = repository, runner, monitoring
        self._offload = offload
        self._as_content = flags.enable_serialization_as_tensor_content
        self._check_methods = flags.enable_signature_method_name_check

    async def predict(self, request: Any, context: Any, large: Large = None) -> Any:
        servable = _lease(self._repository, request)
        try:
            signature = predict_request.signature_of(servable, request)
            if self._check_methods and signature.method_name not in inference.PREDICT_METHODS:
                raise inference.wrong_method(signature)
            inputs = await large.arrays(signature) if large else predict_request.inputs_of(request, signature)
            wanted = predict_request.outputs_of(request, signature)
            outputs = await self.run("Predict", servable, signature, inputs, wanted, context)
        finally:
            servable.release()
        response = predict_pb2.PredictResponse()
        _name(response.model_spec, servable).signature_name = signature.name
        if not self._as_content and large_bodies.elements(outputs) >= LARGE_ELEMENTS:
            head = response.SerializeToString()
            written = await self._offload.call(large_messages.encode_predict, head, outputs, self._as_content)
            return Written(response.model_spec, written)
        for alias, array in outputs.items():
            response.outputs[alias].CopyFrom(to_proto(array) if self._as_content else to_typed_proto(array))
        return response

    async def classify(self, request: Any, context: Any, large: Large = None) -> Any:
        response = classification_pb2.ClassificationResponse()
        return await self._infer(
            request,
            context,
            response,
            inference.CLASSIFY,
            inference.classify_outputs,
            inference.classifications,
            large,
        )

    async def regress(self, request: Any, context: Any, large: Large = None) -> Any:
        response = regression_pb2.RegressionResponse()
        return await self._infer(
            request,
            context,
            response,
            inference.REGRESS,
            inference.regress_outputs,
            inference.regressions,
            large,
        )

    async def _infer(
        self,
        request: Any,
        context: Any,
        response: Any,
        method: str,
        outputs_of: Callable[[Servable, Signature], tuple[str, ...]],
        result_of: Callable[[Arrays, int], Any],
        large: Large,
    ) -> Any:
        servable = _lease(self._repository, request)
        try:
            signature = inference.signature_of(servable, request.model_spec.signature_name)
            if self._check_methods and signature.method_name != method:
                kind = "classification" if method == inference.CLASSIFY else "regression"
                raise InvalidInput(
                    f"Expected {kind} signature method_name to be {method}. Was: {signature.method_name}"
                )
            wanted = outputs_of(servable, signature)
            examples = await _examples(request, large)
            api = method.rpartition("/")[2].capitalize()
            outputs = await self.run(api, servable, signature, {"inputs": examples}, wanted, context)
            response.result.CopyFrom(result_of(outputs, len(examples)))
        finally:
            servable.release()
        _name(response.model_spec, servable).signature_name = signature.name
        return response

    async def multi_inference(self, request: Any, context: Any, large: Large = None) -> Any:
        """Several signatures of one model on the same examples, in one run of the graph."""
        if not request.tasks or not request.tasks[0].model_spec.name:
            raise InvalidInput("ModelSpec has no name specified.")
        servable = _lease(self._repository, request.tasks[0])
        try:
            return await self._run_tasks(servable, request, context, large)
        finally:
            servable.release()

    async def _run_tasks(self, servable: Servable, request: Any, context: Any, large: Large) -> Any:
        signatures = [inference.task_signature(servable, name) for name in inference.task_names(request.tasks)]
        fetched = [
            inference.task_outputs(servable, signature, task.method_name)
            for signature, task in zip(signatures, request.tasks, strict=True)
        ]
        examples = await _examples(request, large)
        joint = inference.joint_signature(signatures, fetched)
        inputs = dict.fromkeys(joint.inputs, examples)
        tensors = await self.run("MultiInference", servable, joint, inputs, (), context)
        self._monitoring.examples(servable.name, len(examples))
        response = inference_pb2.MultiInferenceResponse()
        for signature, wanted, task in zip(signatures, fetched, request.tasks, strict=True):
            outputs = {name: tensors[signature.outputs[name].tensor] for name in wanted}
            result = response.results.add()
            _name(result.model_spec, servable).signature_name = signature.name
            if task.method_name == inference.CLASSIFY:
                result.classification_result.CopyFrom(inference.classifications(outputs, len(examples)))
            else:
                result.regression_result.CopyFrom(inference.regressions(outputs, len(examples)))
        return response

    async def run(
        self, api: str, servable: Servable, signature: Signature, inputs: Arrays, wanted: Sequence[str], context: Any
    ) -> Arrays:
        """The outputs wanted, all of them when none are named. api: the RPC that the call is counted under."""
        started = time.perf_counter()
        result = self._runner.run(servable, signature, inputs, wanted, context.time_remaining())
        outputs = result if isinstance(result, dict) else await result
        self._monitoring.ran(servable.name, api, time.perf_counter() - started)
        return outputs

    async def metadata(self, request: Any, _: Any) -> Any:
        if not request.metadata_field:
            raise InvalidInput("GetModelMetadataRequest must specify at least one metadata_field")
        for name in request.metadata_field:
            if name != "signature_def":
                raise InvalidInput(f"Metadata field {name} is not supported")
        servable = _lease(self._repository, request)
        try:
            response = get_model_metadata_pb2.GetModelMetadataResponse()
            _name(response.model_spec, servable)
            signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=servable.signature_defs)
            response.metadata["signature_def"].Pack(signatures)
            return response
        finally:
            servable.release()


async def _examples(request: Any, large: Large) -> Array:
    """The examples of a message, serialized."""
    return (await large.arrays(None))["inputs"] if large else inference.serialized(request.input)


class ModelService:
    """States of versions, and another configuration while running."""

    def __init__(self, repository: Repository, reloader: Reloader, monitoring: Monitoring) -> None:
        self._repository, self._reloader, self._monitoring = repository, reloader, monitoring

    async def reload(self, request: Any, _: Any) -> Any:
        """Replace the configuration; answers when the models with new names are available or have failed.

        Tells by how much the counters grew meanwhile that are asked for.
        """
        before = self._monitoring.counts(request.metric_names)
        if request.config.WhichOneof("config") != "model_config_list":
            raise InvalidInput(
                "ServerModelConfig type not supported by HandleReloadConfigRequest. "
                "Only ModelConfigList is currently supported"
            )
        try:
            models = model_config.from_proto(request.config)
        except UsageError as error:
            raise InvalidInput(str(error)) from error
        await self._reloader.apply(models)
        text_file.refuse_logging(request.config)  # the models stay, as in the original
        response = model_management_pb2.ReloadConfigResponse(status={"error_code": 0})
        for name, count in self._monitoring.counts(request.metric_names).items():
            response.metric.add(name=name, int64_value_increase=count - before[name])
        return response

    async def status(self, request: Any, _: Any) -> Any:
        if not request.HasField("model_spec"):
            raise InvalidInput("Missing ModelSpec")
        spec = request.model_spec
        statuses = self._repository.statuses(spec.name)
        if not statuses:
            raise NotFound(f"Could not find any versions of model {spec.name}")
        if spec.HasField("version"):
            statuses = [status for status in statuses if status.version == spec.version.value]
            if not statuses:
                raise NotFound(f"Could not find version {spec.version.value} of model {spec.name}")
        return model_status.to_message(statuses)


def _lease(repository: Repository, request: Any) -> Servable:
    if not request.HasField("model_spec"):
        raise InvalidInput("Missing ModelSpec")
    spec = request.model_spec
    if not spec.name:
        raise InvalidInput("ModelSpec has no name specified.")
    if spec.WhichOneof("version_choice") == "version_label":
        return repository.lease(spec.name, repository.labelled(spec.name, spec.version_label))
    return repository.lease(spec.name, spec.version.value if spec.HasField("version") else None)


def _name(spec: Any, servable: Servable) -> Any:
    spec.name, spec.version.value = servable.name, servable.version
    return spec
