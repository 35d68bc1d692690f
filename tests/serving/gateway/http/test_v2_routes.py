"""What the Open Inference Protocol tells of models that it cannot wholly tell of, and of what this server has not."""

import json

import grpc
import pytest

from signet.serving.open_inference import open_inference_pb2 as v2
from tests.serving.gateway import in_process
from tests.serving.gateway.test_grpc import calling

X = {"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 3]}
Y = {"name": "y", "shape": [2], "datatype": "FP32", "data": [2.0, 6.0]}
TENSOR = {"datatype": "FP32", "shape": [-1]}


@pytest.fixture(scope="module")
def odd(odd_models):
    with in_process.gateway(models_dir=odd_models) as running:
        yield running


def told(running, path: str, status: int = 200) -> dict:
    answer = running.ask("GET", f"/v2/models/{path}".encode())
    assert answer.status == status, answer.body
    return json.loads(answer.body)


def infer(running, model: str, **body: object) -> tuple[int, dict]:
    answer = running.ask("POST", f"/v2/models/{model}/infer".encode(), json.dumps(body).encode())
    return answer.status, json.loads(answer.body)


def test_a_tensor_without_a_datatype_is_only_named(odd):
    metadata = told(odd, "complex")
    assert metadata["inputs"] == [{"name": "x", **TENSOR}]
    assert metadata["outputs"] == [{"name": "y", **TENSOR}]
    assert metadata["properties"] == {
        "signature_name": "serving_default",
        "signatures": "real,serving_default",
        "no_datatype": "q,z",
    }
    config = told(odd, "complex/config")
    assert [line["name"] for line in (*config["input"], *config["output"])] == ["x", "y"]
    real = told(odd, "complex?signature_name=real")
    assert (real["inputs"], real["properties"]["no_datatype"]) == ([], "z")
    assert real["outputs"] == [{"name": "x", **TENSOR}]


def test_a_request_that_names_no_output_gets_those_that_are_told(odd):
    status, body = infer(odd, "complex", inputs=[X])
    assert (status, body["outputs"]) == (200, [Y])
    status, body = infer(odd, "complex", inputs=[X], outputs=[{"name": "z"}])
    assert (status, "has no datatype for it" in body["error"]) == (501, True), body
    status, body = infer(odd, "complex", inputs=[{**X, "name": "z"}], parameters={"signature_name": "real"})
    assert status == 501, body


def test_the_only_signature_is_the_default(odd):
    assert told(odd, "only")["inputs"] == [{"name": "x", **TENSOR}]
    assert told(odd, "only")["properties"] == {"signature_name": "double", "signatures": "double"}
    assert told(odd, "only/config")["input"][0]["name"] == "x"
    assert infer(odd, "only", inputs=[X])[1]["outputs"] == [Y]
    answer = odd.ask("POST", b"/v1/models/only:predict", b'{"instances": [1, 3]}')
    assert json.loads(answer.body) == {"predictions": [2.0, 6.0]}


def test_of_several_signatures_without_a_default_the_names_are_told(odd):
    metadata = told(odd, "several")
    assert metadata["inputs"] == metadata["outputs"] == []
    assert metadata["properties"] == {"signature_name": "", "signatures": "double,triple"}
    assert told(odd, "several?signature_name=triple")["outputs"] == [{"name": "y", **TENSOR}]
    config = told(odd, "several/config")
    assert (config["input"], config["output"], config["max_batch_size"]) == ([], [], 0)
    status, body = infer(odd, "several", inputs=[X])
    assert (status, "it has 'double', 'triple'" in body["error"]) == (400, True)
    assert infer(odd, "several", inputs=[X], parameters={"signature_name": "double"})[1]["outputs"] == [Y]


@pytest.mark.parametrize(
    "path", ["nope/ready", "nope/versions/1/ready", "only/versions/9/ready", "only/versions/stable/ready"]
)
def test_what_is_not_there_is_not_ready(odd, path):
    body = told(odd, path, 404 if path.startswith("nope") else 503)
    assert (body["name"], body["ready"]) == (path.partition("/")[0], False)
    assert ("error" in body) == path.startswith("nope")


@pytest.mark.parametrize(
    ("name", "version"), [("nope", ""), ("nope", "1"), ("two_in", "9"), ("two_in", "stable"), ("", "")]
)
def test_what_is_not_there_is_not_ready_over_grpc(gateway_channel, name, version):
    call = calling(gateway_channel, "inference.GRPCInferenceService/ModelReady", v2.ModelReadyResponse)
    assert call(v2.ModelReadyRequest(name=name, version=version), timeout=10).ready is False
    assert call(v2.ModelReadyRequest(name="two_in"), timeout=10).ready is True


ABSENT = [
    ("GET", "systemsharedmemory/status"),
    ("GET", "systemsharedmemory/region/r/status"),
    ("POST", "systemsharedmemory/region/r/register"),
    ("POST", "systemsharedmemory/region/r/unregister"),
    ("POST", "systemsharedmemory/unregister"),
    ("GET", "cudasharedmemory/status"),
    ("POST", "cudasharedmemory/region/r%2Fs/register"),
    ("GET", "trace/setting"),
    ("POST", "trace/setting"),
    ("GET", "models/only/trace/setting"),
    ("POST", "models/only/trace/setting"),
    ("GET", "logging"),
    ("POST", "logging"),
    ("POST", "models/only/generate"),
    ("POST", "models/only/versions/1/generate_stream"),
]


@pytest.mark.parametrize(("method", "path"), ABSENT)
def test_an_extension_that_others_have_is_501(odd, method, path):
    answer = odd.ask(method, f"/v2/{path}".encode(), b"{}")
    assert (answer.status, "not supported" in json.loads(answer.body)["error"]) == (501, True)
    assert odd.ask("DELETE", f"/v2/{path}".encode()).status == 405


@pytest.mark.parametrize("where", ["inputs", "outputs"])
@pytest.mark.parametrize("raw", [False, True])
def test_tensors_in_shared_memory_are_unimplemented_over_grpc(gateway_channel, where, raw):
    request = v2.ModelInferRequest(model_name="two_in", raw_input_contents=[b"\0" * 8] if raw else [])
    request.inputs.add(name="a", datatype="FP32", shape=[1, 3])
    request.inputs.add(name="b", datatype="FP32", shape=[1, 2])
    tensor = request.inputs[0] if where == "inputs" else request.outputs.add(name="output_0")
    if where == "outputs":
        del request.raw_input_contents[:]
    tensor.parameters["shared_memory_region"].string_param = "r"
    tensor.parameters["shared_memory_byte_size"].int64_param = 12
    with pytest.raises(grpc.RpcError) as caught:
        calling(gateway_channel, "inference.GRPCInferenceService/ModelInfer", v2.ModelInferResponse)(
            request, timeout=10
        )
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert "shared memory is not supported" in caught.value.details()
