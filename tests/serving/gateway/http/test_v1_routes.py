"""Status, metadata, list, health and metrics, with each backend."""

import json
import subprocess

import httpx
import pytest

from tests import programs, servers
from tests.serving.gateway.test_predict import TWO_IN, post

RECORDED = {
    case["name"]: case
    for case in json.loads((servers.ROOT / "tests" / "golden" / "tfserving" / "rest.json").read_text())["cases"]
}


def test_status_and_metadata_are_the_recorded_ones(gateway_url):
    paths = {"/v1/models/two_in", "/v1/models/two_in/metadata", "/v1/models/two_in/versions/1/metadata"}
    replayed = set()
    for case in RECORDED.values():
        request, recorded = case["request"], case["response"]
        if request["method"] != "GET" or request["path"] not in paths or recorded["status"] != 200:
            continue
        answer = httpx.get(gateway_url + request["path"])
        assert answer.status_code == 200
        expected = json.loads(recorded["body"])
        if "model_version_status" in expected:
            expected |= {"name": "two_in", "ready": True}  # for KServe's client
        told = answer.json()
        assert ("joining" in told) == ("model_version_status" in told)
        told.pop("joining", None)
        assert told == expected, request["path"]
        replayed.add(request["path"])
    assert len(replayed) >= 2


def test_the_list_says_what_each_model_takes_and_where_grpc_is(gateway):
    gateway_url, grpc_address = gateway
    body = httpx.get(f"{gateway_url}/v1/models").json()
    assert body["grpc_port"] == int(grpc_address.rpartition(":")[2])
    assert body["models"] == ["clsreg", "mixed", "mlp", "three_out", "two_in"]
    two_in = body["details"][-1]
    assert two_in["versions"] == [1]
    assert two_in["signatures"]["serving_default"] == {
        "inputs": {"a": {"dtype": "float", "shape": [-1, 3]}, "b": {"dtype": "float", "shape": [-1, 2]}},
        "outputs": {"output_0": {"dtype": "float", "shape": [-1, 1]}},
    }


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/v1/models/nope", "Could not find any versions of model nope"),
        ("/v1/models/two_in/versions/9", "Could not find version 9 of model two_in"),
        ("/v1/models/nope/metadata", "Could not find any versions of model nope"),
        ("/v1/models/two_in/versions/9/metadata", "Servable not found for request: Specific(two_in, 9)"),
        (f"/v1/models/two_in/versions/{2**63}/metadata", f"Servable not found for request: Specific(two_in, {2**63})"),
        ("/v1/models/two_in/versions/-1/metadata", "Servable not found for request: Specific(two_in, -1)"),
    ],
)
def test_what_is_not_there_is_404(gateway_url, path, message):
    answer = httpx.get(gateway_url + path)
    assert (answer.status_code, answer.json().keys()) == (404, {"error"})
    assert message in answer.json()["error"]


def test_health(gateway_url):
    assert httpx.get(f"{gateway_url}/livez").json() == {"live": True}
    ready = httpx.get(f"{gateway_url}/readyz")
    assert (ready.status_code, ready.json()["ready"], ready.json()["missing"]) == (200, True, [])


def test_metrics_count_what_was_asked(gateway_url):
    def total(text: str, start: str) -> float:
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(start))

    before = httpx.get(f"{gateway_url}/metrics").text
    for _ in range(3):
        assert post(gateway_url, "two_in:predict", {"instances": [TWO_IN, TWO_IN]}).status_code == 200
    assert post(gateway_url, "two_in:predict", b"{").status_code == 400
    after = httpx.get(f"{gateway_url}/metrics").text
    grown = {
        'signet_requests_total{code="OK",model="two_in"': 3,
        'signet_requests_total{code="INVALID_ARGUMENT",model="unknown"': 1,
        'signet_request_duration_seconds_count{model="two_in"': 3,
        'signet_stage_duration_seconds_count{model="two_in",stage="decode"': 3,
        'signet_stage_duration_seconds_count{model="two_in",stage="queue"': 3,
        'signet_batch_rows_sum{model="two_in"': 6,
        'signet_response_size_bytes_count{protocol="v1"': 4,
    }
    for start, by in grown.items():
        assert total(after, start) - total(before, start) == by, start
    assert 'signet_model_state{model="two_in",state="AVAILABLE",version="1"} 1.0' in after
    assert 'signet_requests_in_flight{protocol="v1"} 0.0' in after


def test_promtool_finds_nothing_to_complain_about(gateway_url):
    programs.need("promtool")
    text = httpx.get(f"{gateway_url}/metrics").text
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
