"""What a worker process does with a large gRPC message or answer; see `serving/offload/pool.py`. Pure, and light to import."""

from typing import Any

from google.protobuf.message import DecodeError

from signet.serving.errors import Internal
from signet.serving.grpc_dialect import example_inference, predict_request
from signet.serving.offload.large_bodies import Kept
from signet.serving.tensors.arrays import Arrays, to_proto, to_typed_proto
from signet.serving.tensors.protos import classification_pb2, inference_pb2, predict_pb2, regression_pb2
from signet.serving.tensors.signature import Signature

_MESSAGES = {
    message_class.DESCRIPTOR.name: message_class
    for message_class in (
        classification_pb2.ClassificationRequest,
        regression_pb2.RegressionRequest,
        inference_pb2.MultiInferenceRequest,
        predict_pb2.PredictRequest,
    )
}
NAMES = frozenset(_MESSAGES)
"""The messages that bring tensors or examples."""


def read(message_class: Any, data: bytes) -> Any:
    """A caller's message. Raises `Internal`, as in C++."""
    try:
        return message_class.FromString(data)
    except DecodeError as error:
        raise Internal(f"the request cannot be read: {error}") from error


def parse(kept: Kept, name: str, data: bytes) -> bytes:
    """A message of the given name: the same without its tensors or examples."""
    message = read(_MESSAGES[name], data)
    kept["message"] = message
    head = type(message)()
    if name == "PredictRequest":
        head.model_spec.CopyFrom(message.model_spec)
        head.output_filter.extend(message.output_filter)
    elif name == "MultiInferenceRequest":
        head.tasks.extend(message.tasks)
    else:
        head.model_spec.CopyFrom(message.model_spec)
    return bytes(head.SerializeToString())


def decode(kept: Kept, signature: Signature | None) -> Arrays:
    """Its inputs for the signature; for None its examples, as the array `inputs`."""
    message = kept.pop("message")
    if signature is None:
        return {"inputs": example_inference.serialized(message.input)}
    return predict_request.inputs_of(message, signature)


def encode_predict(head: bytes, outputs: Arrays, as_content: bool) -> bytes:
    """A PredictResponse. head: the same without its outputs. as_content: whether numbers go as one run of bytes."""
    response = predict_pb2.PredictResponse.FromString(head)
    for alias, array in outputs.items():
        response.outputs[alias].CopyFrom(to_proto(array) if as_content else to_typed_proto(array))
    return bytes(response.SerializeToString())
