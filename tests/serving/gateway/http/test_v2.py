"""The Open Inference Protocol on the gateway, with each backend: what tables, limits and labels say."""

import gzip
import json
import shutil
import zlib

import grpc
import httpx
import numpy as np
import pytest

from signet.serving.open_inference import open_inference_pb2 as v2
from tests import servers
from tests.servers import GOLDEN_MODELS

A = {"name": "a", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}
B = {"name": "b", "shape": [1, 2], "datatype": "FP32", "data": [4, 5]}
TWO_IN = {"inputs": [A, B]}
X = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [0, 1, 2, 3]}]}
HEADER = "Inference-Header-Content-Length"


def infer(url: str, path: str, body: object, **options: object) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(f"{url}/v2/models/{path}/infer", content=content, timeout=30, **options)


def in_bytes(*tensors: dict) -> tuple[bytes, dict[str, str]]:
    """The same tensors of floats as bytes after the JSON, and the header that goes with them."""
    blobs = [np.float32(tensor["data"]).tobytes() for tensor in tensors]
    lines = [
        {
            **{key: value for key, value in tensor.items() if key != "data"},
            "parameters": {"binary_data_size": len(blob)},
        }
        for tensor, blob in zip(tensors, blobs, strict=True)
    ]
    text = json.dumps({"inputs": lines}).encode()
    return text + b"".join(blobs), {HEADER: str(len(text))}


@pytest.mark.parametrize("path", ["two_in", "two_in/versions/1", "two_in?x=y"])
def test_with_and_without_a_version(gateway_url, path):
    name, _, query = path.partition("?")
    answer = httpx.post(f"{gateway_url}/v2/models/{name}/infer?{query}", json={**TWO_IN, "id": "7"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-signet-model-version"] == "1"
    body = answer.json()
    assert (body["model_name"], body["model_version"], body["id"]) == ("two_in", "1", "7")
    (output,) = body["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("output_0", "FP32", [1, 1])
    np.testing.assert_allclose(output["data"], [2.7005463], rtol=1e-5)


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_bodies_are_decompressed_before_they_are_cut(gateway_url, encoding, pack):
    body, header = in_bytes(A, B)
    answer = infer(gateway_url, "two_in", pack(body), headers={**header, "Content-Encoding": encoding})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "identity"])
def test_large_answers_are_compressed_as_asked(gateway_url, encoding):
    tensor = {"name": "x", "shape": [10, 500], "datatype": "FP32", "data": list(range(5000))}
    answer = infer(gateway_url, "mixed", {"inputs": [tensor]}, headers={"Accept-Encoding": encoding})
    assert answer.headers.get("content-encoding", "identity") == encoding
    assert len(answer.json()["outputs"][0]["data"]) == 5000


def test_a_raw_body_is_one_row(gateway_url):
    answer = infer(gateway_url, "three_out", np.float32([0, 1, 2, 3]).tobytes(), headers={HEADER: "0"})
    assert answer.headers["content-type"] == "application/octet-stream"
    length = int(answer.headers[HEADER])
    outputs = json.loads(answer.content[:length])["outputs"]
    assert [output["parameters"]["binary_data_size"] for output in outputs] == [12, 4, 8]
    p = np.frombuffer(answer.content[length : length + 12], np.float32)
    np.testing.assert_allclose(p, [0.15860587, 0.030008767, 0.81138545], rtol=1e-5)


WRONG = {
    "unknown model": ("two_inn", TWO_IN, {}, 404, "(did you mean 'two_in'?). Served models:"),
    "unknown version": ("two_in/versions/9", TWO_IN, {}, 404, "Specific(two_in, 9)"),
    "huge version": (f"two_in/versions/{2**63}", TWO_IN, {}, 404, "Specific(two_in, 9223372036854775808)"),
    "unknown label": ("two_in/versions/stable", TWO_IN, {}, 400, "Unrecognized servable version label: stable"),
    "unknown signature": ("two_in", {**TWO_IN, "parameters": {"signature_name": "serv"}}, {}, 400, "(did you mean 'serve'?)"),
    "missing input": ("two_in", {"inputs": [A]}, {}, 400, "missing input 'b'"),
    "unknown output": ("two_in", {**TWO_IN, "outputs": [{"name": "output_1"}]}, {}, 400, "(did you mean 'output_0'?)"),
    "rows that differ": ("two_in", {"inputs": [{**A, "shape": [0, 3], "data": []}, B]}, {}, 400, "'a' has 0, 'b' has 1"),
    "broken JSON": ("two_in", b'{"inputs": [', {}, 400, "the body is not JSON"),
    "no body": ("two_in", b"", {}, 400, "the body is not JSON"),
    "deep nesting": ("two_in", b'{"inputs": ' + b"[" * 100_000, {}, 400, "the body is not JSON"),
    "a header too large": ("two_in", TWO_IN, {HEADER: "100000"}, 400, f"{HEADER} is '100000'"),
    "a header that is no number": ("two_in", TWO_IN, {HEADER: "x"}, 400, f"{HEADER} is 'x'"),
    "a wrong time limit": ("two_in", TWO_IN, {"X-Request-Timeout": "0"}, 400, "expected a positive number of seconds"),
    "not gzip": ("two_in", b"plain", {"Content-Encoding": "gzip"}, 400, "not gzip"),
    "a sequence": ("two_in", {**TWO_IN, "parameters": {"sequence_id": 1}}, {}, 501, "'sequence_id' is set"),
    "a fault of the model": (
        "mixed",
        {
            "inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [-1]}],
            "parameters": {"signature_name": "fail"},
        },
        {},
        400,
        "x must be positive",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_requests_get_a_status_and_a_message_that_help(gateway_url, case):
    path, body, headers, status, message = WRONG[case]
    answer = infer(gateway_url, path, body, headers=headers)
    assert (answer.status_code, message in answer.json()["error"]) == (status, True), answer.text
    assert len(answer.json()["error"]) < 1000


@pytest.mark.parametrize(
    ("path", "status", "expected"),
    [
        ("/v2", 200, {"name": "signet"}),
        ("/v2/", 200, {"name": "signet"}),
        ("/v2/health/live", 200, {"live": True}),
        ("/v2/health/ready", 200, {"ready": True, "live": True}),
        ("/v2/models/two_in", 200, {"name": "two_in", "versions": ["1"], "platform": "tensorflow_savedmodel"}),
        ("/v2/models/two_in/versions/1", 200, {"name": "two_in"}),
        ("/v2/models/two_in/versions/9", 404, {}),
        ("/v2/models/nope", 404, {}),
        ("/v2/models/two_in/ready", 200, {"name": "two_in", "ready": True}),
        ("/v2/models/two_in/versions/1/ready", 200, {"ready": True}),
        ("/v2/models/two_in/versions/9/ready", 503, {"ready": False}),
        ("/v2/models/nope/ready", 404, {"name": "nope", "ready": False}),
        ("/v2/models/two_in/config", 200, {"platform": "tensorflow_savedmodel", "max_batch_size": 64}),
        ("/v2/models/two_in/versions/1/config", 200, {"backend": "tensorflow"}),
        ("/v2/models/nope/config", 404, {}),
        ("/v2/models/nope/stats", 404, {}),
        ("/v2/models/two_in/versions/9/stats", 404, {}),
        ("/v2/models/mixed?signature_name=s", 200, {"inputs": [{"name": "s", "datatype": "BYTES", "shape": [-1]}]}),
        ("/v2/models/mixed?signature_name=none", 400, {}),
    ],
)
def test_what_is_told_of_server_and_models(gateway_url, path, status, expected):
    answer = httpx.get(gateway_url + path)
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert expected.items() <= body.items() if expected else body.keys() == {"error"}


def test_statistics_count_rows_requests_and_calls(gateway_url):
    def counts() -> list[int]:
        (line,) = httpx.get(f"{gateway_url}/v2/models/three_out/versions/1/stats").json()["model_stats"]
        stats = line["inference_stats"]
        assert all(stats[name]["ns"] > 0 for name in stats if stats[name]["count"])
        return [line["inference_count"], line["execution_count"], *(stats[name]["count"] for name in stats)]

    infer(gateway_url, "three_out", X)
    before = counts()
    two_rows = {"inputs": [{**X["inputs"][0], "shape": [2, 4], "data": list(range(8))}]}
    assert infer(gateway_url, "three_out", two_rows).status_code == 200
    assert infer(gateway_url, "three_out", {"inputs": []}).status_code == 400
    grown = np.subtract(counts(), before).tolist()
    # rows, calls, success, fail, then the stages of what succeeded
    assert grown == [2, 1, 1, 1, 1, 1, 1, 1]
    models = {line["name"] for line in httpx.get(f"{gateway_url}/v2/models/stats").json()["model_stats"]}
    assert models == {"clsreg", "mixed", "mlp", "three_out", "two_in"}


@pytest.mark.parametrize("content", [b"", b"{}", b'{"ready": true}'])
def test_the_repository_is_listed(gateway_url, content):
    lines = httpx.post(f"{gateway_url}/v2/repository/index", content=content).json()
    assert {"name": "two_in", "version": "1", "state": "READY", "reason": ""} in lines


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{", "JSON"),
        (b"[]", "the body is a list; expected an object"),
        (b'{"ready": 1}', "parameter 'ready' is the number 1; expected true or false"),
    ],
)
def test_a_listing_that_is_asked_for_wrongly_is_refused(gateway_url, content, problem):
    answer = httpx.post(f"{gateway_url}/v2/repository/index", content=content)
    assert (answer.status_code, problem in answer.json()["error"]) == (400, True), answer.text


@pytest.mark.parametrize("verb", ["load", "unload"])
def test_nobody_changes_the_models_by_request(gateway_url, verb):
    body = {"parameters": {"config": "{}", "file:1/saved_model.pb": "AAAA"}}
    answer = httpx.post(f"{gateway_url}/v2/repository/models/two_in/{verb}", json=body)
    assert (answer.status_code, f"cannot {verb} 'two_in' by request" in answer.json()["error"]) == (403, True)
    assert infer(gateway_url, "two_in", TWO_IN).status_code == 200


@pytest.fixture
def described(tmp_path):
    """A folder with a model whose card names its classes, and whose version 1 has a label."""
    folder = tmp_path / "models"
    shutil.copytree(GOLDEN_MODELS / "three_out" / "1", folder / "m" / "1")
    extra = folder / "m" / "1" / "assets.extra"
    extra.mkdir(exist_ok=True)
    classes = {"outputs": {"p": {"labels": ["a", "b", "c"]}, "q": {"labels": []}}}
    (extra / "model-card.json").write_text(json.dumps({"signatures": {"serving_default": classes}}))
    (folder / "m" / "labels.json").write_text('{"stable": 1}')
    return folder


def test_classes_have_the_names_of_the_card_and_a_version_may_be_a_label(described):
    asked = {**X, "outputs": [{"name": "p", "parameters": {"classification": 1}}]}
    with servers.gateway("--models-dir", described) as (url, running):
        for path in ("m", "m/versions/1", "m/versions/stable"):
            (output,) = infer(url, path, asked).json()["outputs"]
            assert (output["datatype"], output["shape"]) == ("BYTES", [1, 1])
            assert output["data"][0].partition(":")[2] == "2:c"
        with grpc.insecure_channel(servers.grpc_address(running)) as channel:
            call = channel.unary_unary(
                "/inference.GRPCInferenceService/ModelInfer",
                request_serializer=v2.ModelInferRequest.SerializeToString,
                response_deserializer=v2.ModelInferResponse.FromString,
            )
            request = v2.ModelInferRequest(model_name="m", model_version="stable")
            request.inputs.add(name="x", datatype="FP32", shape=[1, 4]).contents.fp32_contents.extend([0, 1, 2, 3])
            request.outputs.add(name="p").parameters["classification"].int64_param = 1
            (output,) = call(request, timeout=10).outputs
            assert output.contents.bytes_contents[0].endswith(b":2:c")
