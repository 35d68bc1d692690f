"""The inferences of TensorFlow Serving's PredictionService: Predict, Classify, Regress, MultiInference.

    PredictRequest ──▶ InferenceRequest, named arrays ──▶ Exchange ──▶ PredictResponse, in typed fields as the original

Unlike the original they hold arrays against the signature, because requests of several callers share a call.
"""

from collections.abc import Awaitable, Sequence
from functools import partial
from typing import Any, Protocol

from signet.serving.errors import InvalidInput
from signet.serving.gateway.core.backend import Lease
from signet.serving.gateway.core.batching import Ticket
from signet.serving.gateway.core.exchange import Submitted
from signet.serving.gateway.core.inference import Decoded, InferenceRequest, LeasedSignature
from signet.serving.gateway.grpc.pipeline import GrpcExchange
from signet.serving.grpc_dialect import example_inference, predict_request
from signet.serving.offload import large_messages
from signet.serving.offload.pool import LARGE_ELEMENTS
from signet.serving.tensors.arrays import Arrays, fill_typed
from signet.serving.tensors.protos import (
    classification_pb2,
    inference_pb2,
    input_pb2,
    model_pb2,
    predict_pb2,
    regression_pb2,
)
from signet.serving.tensors.signature import Signature

PROTOCOL = "grpc_v1"
SERVICE = "tensorflow.serving.PredictionService"


class HasModelSpec(Protocol):
    """A message that names a model."""

    model_spec: model_pb2.ModelSpec


class Predict(GrpcExchange[predict_pb2.PredictRequest]):
    """A Predict."""

    protocol_name, service_name, message_class = PROTOCOL, SERVICE, predict_pb2.PredictRequest
    worker_steps = large_messages.parse_predict, large_messages.decode_predict

    def ask(self, message: predict_pb2.PredictRequest) -> InferenceRequest:
        self._message = message
        check_named(message.model_spec)
        return request_from_model_spec(message)

    def decode(self, leased: LeasedSignature) -> Decoded | Awaitable[Decoded]:
        if self.large:
            return self._decode_large(leased.signature)
        inputs = predict_request.inputs_of(self._message, leased.signature)
        return leased.signature.check(inputs), predict_request.outputs_of(self._message, leased.signature)

    async def _decode_large(self, signature: Signature) -> Decoded:
        assert self.large, "it is a large message"
        return await self.large.arrays(signature), predict_request.outputs_of(self._message, signature)

    def encode(self, outputs: Arrays) -> bytes | Awaitable[bytes]:
        response = predict_pb2.PredictResponse()
        _name(response.model_spec, self)
        if large_messages.elements(outputs) >= LARGE_ELEMENTS:
            write = partial(large_messages.encode_predict, response.SerializeToString())
            return self.services.offload.call(write, outputs)
        for name, array in outputs.items():
            fill_typed(response.outputs[name], array)
        return response.SerializeToString()


class _OfExamples(GrpcExchange[Any]):
    """An inference whose input is a list of examples."""

    protocol_name, service_name = PROTOCOL, SERVICE

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._inputs: Arrays = {}
        """The examples, serialized, once they are read."""

    @property
    def count(self) -> int:
        """How many examples there are."""
        return len(self._inputs["inputs"])

    def keep(self, examples: input_pb2.Input) -> None:
        """Serialize the examples, unless a worker does. examples: empty where they are large."""
        if self.large is None:
            self._inputs = {"inputs": example_inference.serialized(examples)}

    def wanted(self, leased: LeasedSignature) -> Sequence[str]:
        """The outputs that the answer needs."""
        raise NotImplementedError

    def decode(self, leased: LeasedSignature) -> Decoded | Awaitable[Decoded]:
        if self.large and not self._inputs:
            return self._decode_large(leased)
        return self._inputs, self.wanted(leased)

    async def _decode_large(self, leased: LeasedSignature) -> Decoded:
        assert self.large, "it is a large message"
        self._inputs = await self.large.arrays()
        return self._inputs, self.wanted(leased)


class _OneSignature(_OfExamples):
    """A Classify or a Regress."""

    @staticmethod
    def outputs_of(lease: Lease, signature: Signature) -> tuple[str, ...]:
        """The outputs that the answer needs."""
        raise NotImplementedError

    def ask(
        self, message: classification_pb2.ClassificationRequest | regression_pb2.RegressionRequest
    ) -> InferenceRequest:
        check_named(message.model_spec)
        request = request_from_model_spec(message)
        self.keep(message.input)
        return request

    def wanted(self, leased: LeasedSignature) -> Sequence[str]:
        return self.outputs_of(leased.lease, leased.signature)


class Classify(_OneSignature):
    """A Classify."""

    message_class = classification_pb2.ClassificationRequest
    worker_steps = large_messages.parse_examples, large_messages.decode_examples, message_class.DESCRIPTOR.name

    @staticmethod
    def outputs_of(lease: Lease, signature: Signature) -> tuple[str, ...]:
        return example_inference.classify_outputs(lease, signature)

    def encode(self, outputs: Arrays) -> bytes:
        response = classification_pb2.ClassificationResponse()
        response.result.CopyFrom(example_inference.classifications(outputs, self.count))
        _name(response.model_spec, self)
        return response.SerializeToString()


class Regress(_OneSignature):
    """A Regress."""

    message_class = regression_pb2.RegressionRequest
    worker_steps = large_messages.parse_examples, large_messages.decode_examples, message_class.DESCRIPTOR.name

    @staticmethod
    def outputs_of(lease: Lease, signature: Signature) -> tuple[str, ...]:
        return example_inference.regress_outputs(lease, signature)

    def encode(self, outputs: Arrays) -> bytes:
        response = regression_pb2.RegressionResponse()
        response.result.CopyFrom(example_inference.regressions(outputs, self.count))
        _name(response.model_spec, self)
        return response.SerializeToString()


class MultiInference(_OfExamples):
    """Several signatures of one version on the same examples: a call for each, side by side, under one lease."""

    message_class = inference_pb2.MultiInferenceRequest
    worker_steps = large_messages.parse_examples, large_messages.decode_examples, message_class.DESCRIPTOR.name

    def ask(self, message: inference_pb2.MultiInferenceRequest) -> InferenceRequest:
        if not message.tasks:
            raise InvalidInput("the MultiInferenceRequest has no tasks")
        self._tasks = message.tasks
        self._names = example_inference.task_names(message.tasks)
        check_named(message.tasks[0].model_spec)
        request = request_from_model_spec(message.tasks[0])
        self.keep(message.input)
        return request

    def choose(self, lease: Lease, request: InferenceRequest) -> LeasedSignature:
        self._chosen: list[tuple[LeasedSignature, Sequence[str]]] = []
        chosen = [example_inference.task_signature(lease, name) for name in self._names]
        for signature, task in zip(chosen, self._tasks, strict=True):
            outputs = example_inference.task_outputs(lease, signature, task.method_name)
            self._chosen.append((self.inference.leased(lease, signature.name), outputs))
        return self._chosen[0][0]

    def wanted(self, leased: LeasedSignature) -> Sequence[str]:
        return self._chosen[0][1]

    def submit(
        self, leased: LeasedSignature, inputs: Arrays, wanted: Sequence[str], request: InferenceRequest
    ) -> Submitted:
        self._answers = _Answers(self, len(self._chosen))
        for place, (each, outputs) in enumerate(self._chosen):
            part = _Part(self._answers, place)
            self._answers.tickets.append(self.inference.submit(each, inputs, outputs, request, self, part))
        return self._answers

    def encode(self, outputs: Arrays) -> bytes:
        response = inference_pb2.MultiInferenceResponse()
        for (leased, _), task, answer in zip(self._chosen, self._tasks, self._answers.outputs, strict=True):
            result = response.results.add()
            _name(result.model_spec, self)
            result.model_spec.signature_name = leased.signature.name
            if task.method_name == example_inference.CLASSIFY:
                result.classification_result.CopyFrom(example_inference.classifications(answer, self.count))
            else:
                result.regression_result.CopyFrom(example_inference.regressions(answer, self.count))
        return response.SerializeToString()


class _Answers:
    """The answers of several calls for one exchange, which goes on when all are there, or at the first error."""

    def __init__(self, exchange: MultiInference, count: int) -> None:
        self.exchange = exchange
        self.outputs: list[Arrays] = [{}] * count
        self.tickets: list[Ticket] = []
        self.over = False
        """Whether the exchange has been told; the calls that are left are given up."""
        self._left = count

    @property
    def waited_s(self) -> float | None:
        """Seconds in the queue, of the one that waited longest."""
        waited = [ticket.waited_s for ticket in self.tickets if ticket.waited_s is not None]
        return max(waited, default=None)

    def leave(self) -> None:
        """Give up all calls that are left."""
        self.over = True
        for ticket in self.tickets:
            ticket.leave()

    def came(self, place: int, outputs: Arrays) -> None:
        """The answer of one call."""
        self.outputs[place] = outputs
        self._left -= 1
        if not self._left:
            self.over = True
            self.exchange.set_result({})

    def failed(self, error: Exception) -> None:
        """One call has failed."""
        self.leave()
        self.exchange.set_exception(error)


class _Part:
    """Who waits for one of several calls."""

    def __init__(self, answers: _Answers, place: int) -> None:
        self._answers, self._place = answers, place

    def done(self) -> bool:
        return self._answers.over or bool(self._answers.outputs[self._place])

    def set_result(self, outputs: Arrays) -> None:
        self._answers.came(self._place, outputs)

    def set_exception(self, error: Exception) -> None:
        self._answers.failed(error)


def request_from_model_spec(message: HasModelSpec) -> InferenceRequest:
    """What a message's ModelSpec asks for."""
    spec = message.model_spec
    return InferenceRequest(
        spec.name,
        spec.version.value if spec.HasField("version") else None,
        spec.version_label if spec.WhichOneof("version_choice") == "version_label" else None,
        spec.signature_name,
    )


def check_named(spec: model_pb2.ModelSpec) -> None:
    """Raise `InvalidInput` for a ModelSpec without a name."""
    if not spec.name:
        raise InvalidInput("ModelSpec has no name specified.")


def _name(spec: model_pb2.ModelSpec, exchange: GrpcExchange[Any]) -> None:
    spec.name, spec.version.value, spec.signature_name = exchange.model, int(exchange.version), exchange.signature
