"""TensorFlow Serving's services in front of the engine: its answers, codes and messages, for gRPC and REST.

    PredictRequest ──▶ lease a version ──▶ signature ──▶ decode inputs ──▶ run ──▶ PredictResponse, typed fields

Nothing is held against the signature's dtypes and shapes: TensorFlow itself refuses what does not fit. Source:
`predict_impl.cc`, `predict_util.cc`, `get_model_status_impl.cc`.
"""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from signet.serving.engine.repository import Repository
from signet.serving.engine.runner import Runner
from signet.serving.engine.servable import Servable
from signet.serving.errors import InvalidInput, NotFound, UsageError
from signet.serving.grpc_dialect import example_inference, predict_request
from signet.serving.grpc_dialect.messages import Deadline
from signet.serving.model_server import tensorflow_text, text_file
from signet.serving.model_server.all_processes import AllProcesses
from signet.serving.model_server.flags import Flags
from signet.serving.model_server.monitoring import THEIRS, Monitoring
from signet.serving.model_server.tracing import current
from signet.serving.models import model_config, model_status
from signet.serving.offload import large_messages
from signet.serving.offload.pool import LARGE_ELEMENTS, Offload
from signet.serving.offload.reading import Reading
from signet.serving.tensors.arrays import Array, Arrays, fill_typed, to_proto
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

Large = Reading[bytes] | Reading[str] | None
"""The tensors or examples of a message that a worker has read; None: the message itself has them."""


class Written(NamedTuple):
    """A response that a worker has written."""

    model_spec: model_pb2.ModelSpec
    data: bytes


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

    async def predict(
        self, request: predict_pb2.PredictRequest, deadline: Deadline, large: Large = None
    ) -> predict_pb2.PredictResponse | Written:
        servable = _lease(self._repository, request)
        try:
            signature = predict_request.signature_of(servable, request)
            if self._check_methods and signature.method_name not in example_inference.PREDICT_METHODS:
                raise example_inference.wrong_method(signature)
            inputs = await large.arrays(signature) if large else predict_request.inputs_of(request, signature)
            wanted = predict_request.outputs_of(request, signature)
            outputs = await self.run("Predict", servable, signature, inputs, wanted, deadline)
        finally:
            servable.release()
        response = predict_pb2.PredictResponse()
        _name(response.model_spec, servable).signature_name = signature.name
        if not self._as_content and large_messages.elements(outputs) >= LARGE_ELEMENTS:
            head = response.SerializeToString()
            written = await self._offload.call(large_messages.encode_predict, head, outputs)
            return Written(response.model_spec, written)
        for alias, array in outputs.items():
            if self._as_content:
                response.outputs[alias].CopyFrom(to_proto(array))
            else:
                fill_typed(response.outputs[alias], array)
        return response

    async def classify(
        self, request: classification_pb2.ClassificationRequest, deadline: Deadline, large: Large = None
    ) -> classification_pb2.ClassificationResponse:
        response = classification_pb2.ClassificationResponse()
        outputs, rows = await self._infer(
            request,
            response.model_spec,
            deadline,
            example_inference.CLASSIFY,
            example_inference.classify_outputs,
            large,
        )
        response.result.CopyFrom(example_inference.classifications(outputs, rows))
        return response

    async def regress(
        self, request: regression_pb2.RegressionRequest, deadline: Deadline, large: Large = None
    ) -> regression_pb2.RegressionResponse:
        response = regression_pb2.RegressionResponse()
        outputs, rows = await self._infer(
            request, response.model_spec, deadline, example_inference.REGRESS, example_inference.regress_outputs, large
        )
        response.result.CopyFrom(example_inference.regressions(outputs, rows))
        return response

    async def _infer(
        self,
        request: classification_pb2.ClassificationRequest | regression_pb2.RegressionRequest,
        used: model_pb2.ModelSpec,
        deadline: Deadline,
        method: str,
        outputs_of: Callable[[Servable, Signature], tuple[str, ...]],
        large: Large,
    ) -> tuple[Arrays, int]:
        """The outputs wanted, and how many examples there are. used: filled with the version and signature."""
        servable = _lease(self._repository, request)
        try:
            signature = example_inference.signature_of(servable, request.model_spec.signature_name)
            if self._check_methods and signature.method_name != method:
                kind = "classification" if method == example_inference.CLASSIFY else "regression"
                raise InvalidInput(
                    f"Expected {kind} signature method_name to be {method}. Was: {signature.method_name}"
                )
            wanted = outputs_of(servable, signature)
            examples = await _examples(request.input, large)
            api = method.rpartition("/")[2].capitalize()
            outputs = await self.run(api, servable, signature, {"inputs": examples}, wanted, deadline)
        finally:
            servable.release()
        _name(used, servable).signature_name = signature.name
        return outputs, len(examples)

    async def multi_inference(
        self, request: inference_pb2.MultiInferenceRequest, deadline: Deadline, large: Large = None
    ) -> inference_pb2.MultiInferenceResponse:
        """Several signatures of one model on the same examples, in one run of the graph."""
        if not request.tasks or not request.tasks[0].model_spec.name:
            raise InvalidInput("ModelSpec has no name specified.")
        servable = _lease(self._repository, request.tasks[0])
        try:
            return await self._run_tasks(servable, request, deadline, large)
        finally:
            servable.release()

    async def _run_tasks(
        self, servable: Servable, request: inference_pb2.MultiInferenceRequest, deadline: Deadline, large: Large
    ) -> inference_pb2.MultiInferenceResponse:
        signatures = [
            example_inference.task_signature(servable, name) for name in example_inference.task_names(request.tasks)
        ]
        fetched = [
            example_inference.task_outputs(servable, signature, task.method_name)
            for signature, task in zip(signatures, request.tasks, strict=True)
        ]
        examples = await _examples(request.input, large)
        joint = example_inference.joint_signature(signatures, fetched)
        inputs = dict.fromkeys(joint.inputs, examples)
        tensors = await self.run("MultiInference", servable, joint, inputs, (), deadline)
        self._monitoring.examples(servable.name, len(examples))
        response = inference_pb2.MultiInferenceResponse()
        for signature, wanted, task in zip(signatures, fetched, request.tasks, strict=True):
            outputs = {name: tensors[signature.outputs[name].tensor] for name in wanted}
            result = response.results.add()
            _name(result.model_spec, servable).signature_name = signature.name
            if task.method_name == example_inference.CLASSIFY:
                result.classification_result.CopyFrom(example_inference.classifications(outputs, len(examples)))
            else:
                result.regression_result.CopyFrom(example_inference.regressions(outputs, len(examples)))
        return response

    async def run(
        self,
        api: str,
        servable: Servable,
        signature: Signature,
        inputs: Arrays,
        wanted: Sequence[str],
        deadline: Deadline,
    ) -> Arrays:
        """The outputs wanted, all of them when none are named. api: the RPC that the call is counted under."""
        started = time.perf_counter()
        span = current.get()
        if span:
            span.running(servable.name, servable.version, signature.name)
        result = self._runner.run(servable, signature, inputs, wanted, deadline.time_remaining())
        outputs = result if isinstance(result, dict) else await result
        if span:
            span.ran()
        self._monitoring.ran(servable.name, api, time.perf_counter() - started)
        return outputs

    async def metadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest, _: Deadline
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
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


async def _examples(examples: input_pb2.Input, large: Large) -> Array:
    """The examples of a message, serialized. examples: empty where they are large."""
    return (await large.arrays())["inputs"] if large else example_inference.serialized(examples)


class ModelService:
    """States of versions, and another configuration while running."""

    def __init__(self, all_processes: AllProcesses) -> None:
        self._all = all_processes

    async def reload(
        self, request: model_management_pb2.ReloadConfigRequest, _: Deadline
    ) -> model_management_pb2.ReloadConfigResponse:
        """Replace the configuration; answers when the models with new names are available or have failed.

        Tells by how much the counters grew meanwhile that are asked for.
        """
        before = await self._counts(request.metric_names)
        if request.config.WhichOneof("config") != "model_config_list":
            raise InvalidInput(
                "ServerModelConfig type not supported by HandleReloadConfigRequest. "
                "Only ModelConfigList is currently supported"
            )
        try:
            models = model_config.from_proto(request.config)
        except UsageError as error:
            raise InvalidInput(str(error)) from error
        await self._all.reload(models)
        text_file.refuse_logging(request.config)  # the models stay, as in the original
        response = model_management_pb2.ReloadConfigResponse(status={"error_code": 0})
        for name, count in (await self._counts(request.metric_names)).items():
            response.metric.add(name=name, int64_value_increase=count - before[name])
        return response

    async def _counts(self, names: Sequence[str]) -> dict[str, int]:
        return tensorflow_text.first_cells(await self._all.told(THEIRS), names) if names else {}

    async def status(
        self, request: get_model_status_pb2.GetModelStatusRequest, _: Deadline
    ) -> get_model_status_pb2.GetModelStatusResponse:
        if not request.HasField("model_spec"):
            raise InvalidInput("Missing ModelSpec")
        spec = request.model_spec
        statuses = await self._all.statuses(spec.name)
        if not statuses:
            raise NotFound(f"Could not find any versions of model {spec.name}")
        if spec.HasField("version"):
            statuses = [status for status in statuses if status.version == spec.version.value]
            if not statuses:
                raise NotFound(f"Could not find version {spec.version.value} of model {spec.name}")
        return model_status.to_message(statuses)


class _HasModelSpec(Protocol):
    model_spec: model_pb2.ModelSpec

    def HasField(self, field_name: str) -> bool: ...  # noqa: N802  # protobuf's name


def _lease(repository: Repository, request: _HasModelSpec) -> Servable:
    if not request.HasField("model_spec"):
        raise InvalidInput("Missing ModelSpec")
    spec = request.model_spec
    if not spec.name:
        raise InvalidInput("ModelSpec has no name specified.")
    if spec.WhichOneof("version_choice") == "version_label":
        return repository.lease(spec.name, repository.labelled(spec.name, spec.version_label))
    return repository.lease(spec.name, spec.version.value if spec.HasField("version") else None)


def _name(spec: model_pb2.ModelSpec, servable: Servable) -> model_pb2.ModelSpec:
    spec.name, spec.version.value = servable.name, servable.version
    return spec
