"""Anything may be sent: never a crash, a hang, or a good answer to a malformed request; memory stays flat."""

import grpc
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signet.serving.tensors.arrays import to_proto
from signet.serving.tensors.protos import predict_pb2, tensor_pb2, tensor_shape_pb2
from tests import servers
from tests.servers import GOLDEN_MODELS

METHODS = (
    "/tensorflow.serving.PredictionService/Predict",
    "/tensorflow.serving.PredictionService/Classify",
    "/tensorflow.serving.PredictionService/Regress",
    "/tensorflow.serving.PredictionService/MultiInference",
    "/tensorflow.serving.PredictionService/GetModelMetadata",
    "/tensorflow.serving.ModelService/GetModelStatus",
)
CALLER = {"INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "UNIMPLEMENTED", "OUT_OF_RANGE"}
"""Codes that put the fault where it is; INTERNAL stands for bytes that are no message at all."""

PER_RUN = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    config = servers.write_model_config(tmp_path_factory.mktemp("config") / "models.config", GOLDEN_MODELS)
    with (
        servers.model_server(f"--model_config_file={config}", "--max_num_load_retries=0") as (address, running),
        grpc.insecure_channel(address) as channel,
    ):
        yield channel, running


def call(channel, method, data):
    """The code of the answer; OK for a good one."""
    rpc = channel.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)
    try:
        rpc(data, timeout=20)
    except grpc.RpcError as error:
        return error.code().name
    return "OK"


@PER_RUN
@given(st.sampled_from(METHODS), st.binary(max_size=300))
def test_random_bytes(server, method, data):
    channel, running = server
    code = call(channel, method, data)
    assert code in CALLER | {"INTERNAL"}
    assert running.process.poll() is None


TENSORS = st.builds(
    lambda dtype, dims, floats, ints, strings, content: tensor_pb2.TensorProto(
        dtype=dtype,
        tensor_shape=tensor_shape_pb2.TensorShapeProto(
            dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=size) for size in dims]
        ),
        float_val=floats,
        int_val=ints,
        string_val=strings,
        tensor_content=content,
    ),
    st.sampled_from([0, 1, 2, 3, 7, 9, 10, 14, 19, 20, 21]),
    st.lists(st.sampled_from([-1, 0, 1, 2, 3, 4, 1 << 20, 1 << 62]), max_size=4),
    st.lists(st.floats(width=32), max_size=5),
    st.lists(st.integers(-(1 << 31), (1 << 31) - 1), max_size=5),
    st.lists(st.binary(max_size=5), max_size=3),
    st.binary(max_size=24),
)


@PER_RUN
@given(
    st.sampled_from(
        [("two_in", ""), ("three_out", ""), ("mixed", "s"), ("mixed", "i"), ("mixed", "scalar"), ("clsreg", "")]
    ),
    st.dictionaries(st.sampled_from(["a", "b", "x", "s", "i", "inputs", "?"]), TENSORS, max_size=3),
    st.lists(st.sampled_from(["output_0", "p", "y", "?"]), max_size=2),
)
def test_random_tensors(server, where, inputs, outputs):
    channel, running = server
    request = predict_pb2.PredictRequest(output_filter=outputs)
    request.model_spec.name, request.model_spec.signature_name = where
    for name, tensor in inputs.items():
        request.inputs[name].CopyFrom(tensor)
    code = call(channel, METHODS[0], request.SerializeToString())
    assert code in CALLER | {"OK", "RESOURCE_EXHAUSTED"}
    if code == "OK":
        assert set(inputs) == {"a", "b"} or len(inputs) == 1
    assert running.process.poll() is None


def test_memory_stays_flat(server):
    channel, running = server
    good = predict_pb2.PredictRequest()
    good.model_spec.name = "three_out"
    good.inputs["x"].CopyFrom(to_proto(np.ones((64, 4), np.float32)))
    bad = predict_pb2.PredictRequest()
    bad.CopyFrom(good)
    bad.inputs["y"].CopyFrom(good.inputs["x"])

    def many(times):
        for i in range(times):
            call(channel, METHODS[0], (bad if i % 2 else good).SerializeToString())
            call(channel, METHODS[i % len(METHODS)], b"\xff" * (i % 50))

    many(500)
    before = running.resident_bytes()
    many(1500)
    assert running.resident_bytes() < 1.01 * before
