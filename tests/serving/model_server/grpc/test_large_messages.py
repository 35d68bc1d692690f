"""Large gRPC messages, which worker processes read: the same answers and errors as the same tensors as runs of bytes get."""

import grpc
import numpy as np
import pytest

from signet.serving.offload.message_weight import heavy_bytes
from signet.serving.offload.pool import LARGE_BYTES
from signet.serving.tensors.arrays import from_proto, to_proto, to_typed_proto
from signet.serving.tensors.protos import classification_pb2, predict_pb2

X = np.arange(160_000, dtype=np.float32).reshape(-1, 4)


@pytest.fixture(scope="module")
def channel(golden_server):
    options = [("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(golden_server[0], options) as channel:
        yield channel


def call(channel, data, method="Predict"):
    try:
        return channel.unary_unary(f"/tensorflow.serving.PredictionService/{method}")(data, timeout=60)
    except grpc.RpcError as error:
        return error.code(), error.details()


def predict(array, written, name="three_out", tensor="x", signature=""):
    message = predict_pb2.PredictRequest()
    message.model_spec.name, message.model_spec.signature_name = name, signature
    message.inputs[tensor].CopyFrom(written(array))
    return message.SerializeToString()


FLOATS = {"array": X}
WHOLE = {"array": np.arange(160_000, dtype=np.int32), "name": "mixed", "tensor": "i", "signature": "i"}
"""Whole numbers are read one by one, floats at once."""


def is_heavy(data):
    return heavy_bytes(data, predict_pb2.PredictRequest) > LARGE_BYTES


@pytest.mark.parametrize("asked", [FLOATS, WHOLE], ids=["floats", "whole numbers"])
def test_typed_fields_are_answered_as_runs_of_bytes_are(channel, asked):
    typed, raw = (predict(written=written, **asked) for written in (to_typed_proto, to_proto))
    assert (is_heavy(typed), is_heavy(raw)) == (asked is WHOLE, False)
    of_typed, of_raw = (predict_pb2.PredictResponse.FromString(call(channel, data)) for data in (typed, raw))
    assert of_typed.model_spec == of_raw.model_spec
    assert of_typed.outputs.keys() == of_raw.outputs.keys() != set()
    for name in of_raw.outputs:
        assert np.array_equal(from_proto(of_typed.outputs[name]), from_proto(of_raw.outputs[name]))
        assert not of_typed.outputs[name].tensor_content


@pytest.mark.parametrize(
    "asked",
    [
        {**FLOATS, "array": X.reshape(-1, 5)},
        {**FLOATS, "array": X.astype(np.int32)},
        {**WHOLE, "array": WHOLE["array"].astype(np.int64)},
        {**WHOLE, "name": "none"},
        {**WHOLE, "tensor": "y"},
    ],
)
def test_what_is_wrong_is_said_in_the_same_words(channel, asked):
    typed, raw = (call(channel, predict(written=written, **asked)) for written in (to_typed_proto, to_proto))
    assert typed == raw
    assert isinstance(typed, tuple)


def test_a_large_message_that_is_none_is_internal_as_in_the_original(channel):
    code, details = call(channel, predict(written=to_typed_proto, **WHOLE)[:-3])
    assert (code, details.startswith("the request cannot be read: ")) == (grpc.StatusCode.INTERNAL, True)


def test_many_examples_are_refused_by_a_signature_that_takes_none(channel):
    message = classification_pb2.ClassificationRequest()
    message.model_spec.name = "three_out"
    message.input.example_list.examples.add().features.feature["x"].float_list.value.extend([1.0] * 4)
    small = call(channel, message.SerializeToString(), "Classify")
    for _ in range(9999):
        message.input.example_list.examples.add().CopyFrom(message.input.example_list.examples[0])
    assert call(channel, message.SerializeToString(), "Classify") == small
