"""What a model without a card is asked, and with whom: rows are joined only where that is known to change nothing."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import grpc
import httpx
import numpy as np
import pytest

from signet.serving.open_inference import open_inference_pb2 as v2
from signet.serving.tensors.arrays import from_proto
from signet.serving.tensors.protos import predict_pb2
from tests import servers

INIT_OP = "__saved_model_init_op"

INDEPENDENT = ("serving_default", "ints", "text", "positive", "flags", "pictures", "lengths")
ANOTHER = "output 'y' of a row is another "
DEPENDENT = {
    "softmax": ANOTHER,
    "sort": ANOTHER,
    "mean": ANOTHER,
    "cumsum": ANOTHER,
    "batch_norm": ANOTHER,
    "dropout": ANOTHER,
    "position": ANOTHER,
    "size": ANOTHER,
    "large": ANOTHER,
    "joint_text": ANOTHER,
    "some": "output 'y' has shape (",
    "alike": "not proven: all 6 rows that were tried are answered alike",
    "never": "not proven: the model took 0 of the rows that were tried, too few; the last one was refused: ",
}


@pytest.fixture(scope="module")
def model_server(rows_models: Path) -> Iterator[tuple[str, str]]:
    """Its gRPC address and its REST URL."""
    with servers.both_apis("--model_name=rows", f"--model_base_path={rows_models / 'rows'}") as (address, url, _):
        yield address, url


class Served(NamedTuple):
    """A gateway, and what it told when it knew of all signatures and nobody had asked for anything."""

    url: str
    address: str
    statistics: dict[str, object]
    metrics: str


@pytest.fixture(scope="module", params=["embedded", "remote"])
def served(request: pytest.FixtureRequest, rows_models: Path, model_server: tuple[str, str]) -> Iterator[Served]:
    """A gateway for the model, with each backend."""
    with ExitStack() as stack:
        arguments = ["--models-dir", rows_models]
        if request.param == "remote":
            arguments = ["--backend", model_server[0], "--models", "rows"]
        url, running = stack.enter_context(servers.gateway(*arguments))
        address = servers.grpc_address(running)
        for name in (*INDEPENDENT, *DEPENDENT, "total", "constant"):
            running.read_until(f"model 'rows', version 1, signature '{name}': requests (go alone|share calls): ")
        statistics = httpx.get(f"{url}/v2/models/rows/stats", timeout=10).json()["model_stats"][0]
        yield Served(url, address, statistics, httpx.get(f"{url}/metrics", timeout=10).text)


@pytest.fixture
def rows_gateway(served: Served) -> tuple[str, str]:
    """Its URL and its gRPC address."""
    return served.url, served.address


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


def test_rows_are_joined_where_that_is_seen_to_change_nothing_and_everywhere_it_is_told_why(served):
    told = httpx.get(f"{served.url}/v1/models/rows", timeout=10).json()["joining"]
    assert sorted(name for name in told if told[name]["joined"]) == sorted(INDEPENDENT)
    for name, why in DEPENDENT.items():
        assert told[name]["why"].startswith(why), (name, told[name])
    assert (
        told["total"]["why"]
        == told["constant"]["why"]
        == "not every input and output has a first dimension that is free"
    )
    config = httpx.get(f"{served.url}/v2/models/rows/config", timeout=10).json()
    assert config["dynamic_batching"] == {}
    assert config["parameters"]["joining"]["string_value"] == told["serving_default"]["why"]
    document = httpx.get(f"{served.url}/openapi.json", timeout=60).text
    assert f"Requests share calls: {told['ints']['why']}." in document
    assert f"Each request is a call: {told['total']['why']}." in document


def test_the_questions_are_nobodys_requests(served):
    assert (served.statistics["inference_count"], served.statistics["execution_count"]) == (0, 0)
    assert not re.search(r'signet_(requests|upstream_errors)_total\{.*"(OK|INVALID_ARGUMENT)"', served.metrics)
    assert not re.search(r"signet_batch_rows_count.* [1-9]", served.metrics)


@pytest.mark.parametrize("signature", ["serving_default", "softmax", "sort", "mean", "cumsum", "batch_norm", "some"])
def test_requests_at_the_same_time_get_the_answers_that_they_get_alone(served, signature):
    bodies = [
        {"signature_name": signature, "inputs": [[i, 7, i % 3, 2 * k] for k in range(1 + i % 3)]} for i in range(24)
    ]
    alone = [rest_v1(served.url, body).json()["outputs"] for body in bodies]
    with ThreadPoolExecutor(12) as pool:
        together = [answer.json()["outputs"] for answer in pool.map(lambda body: rest_v1(served.url, body), bodies)]
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(np.array(one), np.array(other), rtol=1e-5, atol=1e-6)
