"""What counts as much work to read, told from the bytes of a message."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.offload.message_weight import heavy_bytes
from signet.serving.open_inference.open_inference_pb2 import ModelInferRequest
from signet.serving.tensors.arrays import to_proto, to_typed_proto
from signet.serving.tensors.protos import predict_pb2

NUMBERS = np.arange(10_000, dtype=np.float32)
STRINGS = np.array([b"ab"] * 10_000, object)


def predict(*protos):
    message = predict_pb2.PredictRequest()
    message.model_spec.name = "m"
    for i, proto in enumerate(protos):
        message.inputs[f"x{i}"].CopyFrom(proto)
    return message.SerializeToString()


@pytest.mark.parametrize(
    ("data", "low", "high"),
    [
        (predict(to_proto(NUMBERS)), 0, 50),
        (predict(*[to_proto(NUMBERS)] * 3), 0, 50),
        (predict(to_typed_proto(NUMBERS)), 0, 50),
        (predict(to_typed_proto(NUMBERS.astype(np.int32))), 18_000, 20_100),
        (predict(to_proto(STRINGS)), 38_000, 40_100),
        (predict(to_proto(NUMBERS), to_proto(STRINGS)), 38_000, 80_200),  # maps have no order
        (predict(to_proto(NUMBERS))[:-1], 0, 50),
        (b"\xff" * 1000, 900, 1000),
        (b"", 0, 0),
    ],
)
def test_runs_of_bytes_and_of_floats_are_light_and_all_else_is_heavy(data, low, high):
    assert low <= heavy_bytes(data, predict_pb2.PredictRequest) <= high


def test_raw_contents_and_floats_are_light_and_whole_numbers_are_not():
    message = ModelInferRequest(model_name="m", raw_input_contents=[b"\0" * 100_000])
    assert heavy_bytes(message.SerializeToString(), ModelInferRequest) < 50
    message.inputs.add().contents.fp32_contents.extend([1.0] * 1000)
    assert heavy_bytes(message.SerializeToString(), ModelInferRequest) < 50
    message.inputs.add().contents.int_contents.extend([1 << 20] * 1000)
    assert heavy_bytes(message.SerializeToString(), ModelInferRequest) >= 3000


@given(st.binary(max_size=200))
def test_no_bytes_weigh_more_than_they_are(data):
    assert 0 <= heavy_bytes(data, predict_pb2.PredictRequest) <= len(data)
