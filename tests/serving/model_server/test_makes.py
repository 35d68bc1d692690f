"""Any SavedModel with several named inputs and outputs: of Keras 3, of a tf.Module, of a TF1 graph."""

import grpc
import numpy as np
import pytest

from signet.serving.tensors.arrays import from_proto, to_proto
from signet.serving.tensors.protos import predict_pb2, prediction_service_pb2_grpc
from tests import servers

A = np.float32([[1, 2], [3, 4]])
B = np.ones((2, 3), np.float32)
W = np.array([b"green", b"blue"], object)


@pytest.fixture(scope="module")
def stub(makes, tmp_path_factory):
    config = servers.write_model_config(tmp_path_factory.mktemp("config") / "models.config", makes)
    with (
        servers.model_server(f"--model_config_file={config}") as (address, _),
        grpc.insecure_channel(address) as channel,
    ):
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


def predict(stub, model, signature="", outputs=(), **inputs):
    request = predict_pb2.PredictRequest(output_filter=outputs)
    request.model_spec.name, request.model_spec.signature_name = model, signature
    for name, array in inputs.items():
        request.inputs[name].CopyFrom(to_proto(array))
    response = stub.Predict(request, timeout=30)
    return {name: from_proto(proto).tolist() for name, proto in response.outputs.items()}


@pytest.mark.parametrize(
    ("model", "inputs", "expected"),
    [
        ("keras", {"a": A, "b": B}, {"first": [[24, 24], [40, 40]], "second": [[24], [40]]}),
        ("module", {"a": A, "w": W}, {"y": [[21], [43]], "upper": [b"GREEN", b"BLUE"]}),
        ("tf1", {"a": A, "w": W}, {"y": [[21], [43]], "id": [1, 2]}),
        ("tf1", {"a": -A, "w": W}, {"y": [[0], [0]], "id": [1, 2]}),
    ],
)
def test_each_make_answers(stub, model, inputs, expected):
    assert predict(stub, model, **inputs) == expected
    for name in expected:
        assert predict(stub, model, outputs=[name], **inputs) == {name: expected[name]}


def test_an_input_with_a_default_may_be_left_out(stub):
    assert predict(stub, "module", "negate", x=np.int32([1, 2])) == {"y": [-1, -2]}


@pytest.mark.parametrize("model", ["keras", "module", "tf1"])
def test_wrong_inputs_are_invalid_arguments(stub, model):
    for wrong in ({}, {"a": A}, {"z": A, "w": W}, {"a": A.astype(int), "w": W, "b": B}):
        with pytest.raises(grpc.RpcError) as caught:
            predict(stub, model, **wrong)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
