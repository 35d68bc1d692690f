"""What a model without a card is asked, and with whom: rows are joined only where that is known to change nothing."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import httpx
import pytest

from serving import open_inference_pb2 as v2
from serving.protos import predict_pb2
from serving.tensors import from_proto
from tests import servers

INIT_OP = "__saved_model_init_op"


@pytest.fixture(scope="module")
def model_server(rows_models: Path) -> Iterator[tuple[str, str]]:
    """Its gRPC address and its REST URL."""
    with servers.both_apis("--model_name=rows", f"--model_base_path={rows_models / 'rows'}") as (address, url, _):
        yield address, url


@pytest.fixture(scope="module", params=["embedded", "remote"])
def rows_gateway(
    request: pytest.FixtureRequest, rows_models: Path, model_server: tuple[str, str]
) -> Iterator[tuple[str, str]]:
    """Its URL and its gRPC address."""
    with ExitStack() as stack:
        arguments = ["--models-dir", rows_models]
        if request.param == "remote":
            arguments = ["--backend", model_server[0], "--models", "rows"]
        url, running = stack.enter_context(servers.gateway(*arguments))
        yield url, servers.grpc_address(running)


def predict_v1(address: str, signature: str):
    message = predict_pb2.PredictRequest()
    message.model_spec.name, message.model_spec.signature_name = "rows", signature
    with grpc.insecure_channel(address) as channel:
        method = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        answer = predict_pb2.PredictResponse.FromString(method(message.SerializeToString(), timeout=10))
    return {name: from_proto(answer.outputs[name]).tolist() for name in answer.outputs}


def predict_v2(address: str, signature: str):
    message = v2.ModelInferRequest(model_name="rows")
    message.parameters["signature_name"].string_param = signature
    with grpc.insecure_channel(address) as channel:
        method = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        answer = v2.ModelInferResponse.FromString(method(message.SerializeToString(), timeout=10))
    contents = {output.name: output.contents for output in answer.outputs}
    return {"y": list(contents["y"].fp32_contents), "z": list(contents["z"].int_contents)}


def rest_v1(url: str, body: object) -> httpx.Response:
    return httpx.post(f"{url}/v1/models/rows:predict", json=body, timeout=10)


def rest_v2(url: str, signature: str) -> httpx.Response:
    body = {"parameters": {"signature_name": signature}, "inputs": []}
    return httpx.post(f"{url}/v2/models/rows/infer", json=body, timeout=10)


def test_a_signature_without_inputs_is_answered_in_every_dialect(rows_gateway):
    url, address = rows_gateway
    expected = {"y": [1, 2, 3], "z": 7}
    assert rest_v1(url, {"signature_name": "constant", "inputs": {}}).json() == {"outputs": expected}
    tensors = {tensor["name"]: tensor["data"] for tensor in rest_v2(url, "constant").json()["outputs"]}
    assert tensors == {"y": [1, 2, 3], "z": [7]}
    assert predict_v1(address, "constant") == expected
    assert predict_v2(address, "constant") == tensors
    for values in ({"instances": [{}]}, {"inputs": [1]}):
        refused = rest_v1(url, {"signature_name": "constant", **values})
        assert (refused.status_code, "has no inputs: send 'inputs': {}" in refused.text) == (400, True)


def test_what_tensorflow_keeps_for_itself_is_no_signature_to_anybody(rows_gateway):
    url, address = rows_gateway
    said = f"model 'rows' has no signature '{INIT_OP}'; it has 'alike', "
    for answer in (rest_v1(url, {"signature_name": INIT_OP, "inputs": {}}), rest_v2(url, INIT_OP)):
        assert (answer.status_code, said in answer.json()["error"]) == (400, True)
    for predict in (predict_v1, predict_v2):
        with pytest.raises(grpc.RpcError) as caught:
            predict(address, INIT_OP)
        assert (caught.value.code(), said in caught.value.details()) == (grpc.StatusCode.FAILED_PRECONDITION, True)
    paths = httpx.get(f"{url}/openapi.json", timeout=60).text
    assert "constant" in paths
    assert INIT_OP not in paths


def test_the_model_server_answers_a_signature_without_inputs_as_the_original_does(model_server):
    address, url = model_server
    assert predict_v1(address, "constant") == {"y": [1, 2, 3], "z": 7}
    assert rest_v1(url, {"signature_name": "constant", "inputs": {}}).status_code == 400
