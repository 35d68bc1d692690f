"""What a worker does with a large gRPC message or answer; see `pool.py`. Pure, and light to import.

bytes ──parse──▶ the message, or what it asks for, without its tensors; they are kept ──decode──▶ named arrays
outputs ──encode──▶ the bytes of the answer
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from signet.serving.errors import InvalidInput, ServingError
from signet.serving.grpc_dialect import example_inference, predict_request
from signet.serving.grpc_dialect.messages import NO_MESSAGE, parse
from signet.serving.offload import large_bodies
from signet.serving.offload.large_bodies import StepState
from signet.serving.open_inference import messages, open_inference_pb2, requests
from signet.serving.open_inference.requests import InferRequest
from signet.serving.tensors import dtypes
from signet.serving.tensors.arrays import Array, Arrays, fill_typed, is_packed
from signet.serving.tensors.protos import classification_pb2, inference_pb2, predict_pb2, regression_pb2
from signet.serving.tensors.signature import Signature

_OfExamples = (
    classification_pb2.ClassificationRequest | regression_pb2.RegressionRequest | inference_pb2.MultiInferenceRequest
)
OF_EXAMPLES: dict[str, type[_OfExamples]] = {
    message_class.DESCRIPTOR.name: message_class
    for message_class in (
        classification_pb2.ClassificationRequest,
        regression_pb2.RegressionRequest,
        inference_pb2.MultiInferenceRequest,
    )
}
"""The messages that bring examples, by their names."""


_PACKED = 64
"""Numbers of a packed field that are as much work as one that becomes an object."""


def elements(outputs: Mapping[str, Array]) -> int:
    """How much there is to write into typed fields, in numbers that are written one by one."""
    packed_numbers = 0
    others: Arrays = {}
    for name, array in outputs.items():
        if is_packed(dtypes.from_numpy(array.dtype)):
            packed_numbers += array.size
        else:
            others[name] = array
    return large_bodies.elements(others) + packed_numbers // _PACKED


def parse_predict(
    kept: StepState, data: bytes, error: type[ServingError] = InvalidInput, problem: str = NO_MESSAGE
) -> bytes:
    """A PredictRequest: the same without its inputs. error, problem: what is raised for bytes that are none."""
    kept["message"] = message = parse(predict_pb2.PredictRequest, data, error, problem)
    head = predict_pb2.PredictRequest(model_spec=message.model_spec, output_filter=message.output_filter)
    return head.SerializeToString()


def decode_predict(kept: StepState, signature: Signature) -> Arrays:
    """The inputs of a PredictRequest that `parse_predict` has kept, held against the signature."""
    return signature.check(decode_unchecked(kept, signature))


def decode_unchecked(kept: StepState, signature: Signature) -> Arrays:
    """The inputs of a PredictRequest that `parse_predict` has kept; their dtypes and shapes are TensorFlow's to refuse."""
    return predict_request.inputs_of(kept.pop("message"), signature)


def encode_predict(head: bytes, outputs: Arrays) -> bytes:
    """A PredictResponse in bytes. head: the same without its outputs."""
    response = predict_pb2.PredictResponse.FromString(head)
    for name, array in outputs.items():
        fill_typed(response.outputs[name], array)
    return response.SerializeToString()


def parse_examples(
    kept: StepState, name: str, data: bytes, error: type[ServingError] = InvalidInput, problem: str = NO_MESSAGE
) -> bytes:
    """A message of the given name that has examples: the same without them. error, problem: for bytes that are none."""
    message = parse(OF_EXAMPLES[name], data, error, problem)
    kept["examples"] = message.input
    message.ClearField("input")
    return message.SerializeToString()


def decode_examples(kept: StepState) -> Arrays:
    """The examples that `parse_examples` has kept, serialized."""
    return {"inputs": example_inference.serialized(kept.pop("examples"))}


class InferHead(NamedTuple):
    """A ModelInferRequest without its tensors."""

    model: str
    version: str
    request: InferRequest


def parse_infer(kept: StepState, data: bytes) -> InferHead:
    """A ModelInferRequest."""
    message = parse(open_inference_pb2.ModelInferRequest, data)
    kept["request"] = request = messages.parse(message)
    return InferHead(message.model_name, message.model_version, request.without_inputs())


def decode_infer(kept: StepState, signature: Signature) -> Arrays:
    """The inputs of a ModelInferRequest that `parse_infer` has kept, held against the signature."""
    return requests.decode(kept.pop("request"), signature)


def answer_infer(
    model: str,
    version: str,
    request: InferRequest,
    signature: Signature,
    labels: Mapping[str, Sequence[str]],
    outputs: Arrays,
) -> bytes:
    """A ModelInferResponse. The rest of the arguments is what a model gave: see `gateway/open_inference.py`."""
    tensors = requests.answer(request, signature, outputs, labels)
    return messages.encode(model, version, request.id, tensors).SerializeToString()
