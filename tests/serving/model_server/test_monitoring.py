"""What the model server counts: TensorFlow Serving's page as recorded, and ours, which Prometheus' checker reads."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import numpy as np
import pytest

from signet.serving.model_server import tensorflow_text
from signet.serving.model_server.monitoring import OURS, REST, THEIRS, Monitoring
from signet.serving.process import combining
from signet.serving.tensors.arrays import to_proto
from signet.serving.tensors.protos import predict_pb2, prediction_service_pb2_grpc
from tests import programs, servers

RECORDED = json.loads((Path(__file__).parents[2] / "golden" / "tfserving" / "prometheus.json").read_text())
PATH = "/monitoring/prometheus/metrics"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """gRPC address and REST URL of a server that has had the requests of the recording, and three over gRPC."""
    config = tmp_path_factory.mktemp("monitoring") / "monitoring.config"
    config.write_text("prometheus_config { enable: true }")
    model = (f"--model_base_path={servers.GOLDEN_MODELS / 'mixed'}", "--model_name=mixed")
    with servers.both_apis(*model, f"--monitoring_config_file={config}") as (address, url, _):
        for _ in range(3):
            assert httpx.post(f"{url}/v1/models/mixed:predict", content='{"instances": [[1, 2]]}').status_code == 200
            assert httpx.get(f"{url}/v1/models/mixed{'/metadata' if _ else ''}").status_code == 200
        for _ in range(2):
            assert httpx.post(f"{url}/v1/models/mixed:predict", content="{").status_code == 400
        assert httpx.post(f"{url}/v1/models/nope:predict", content='{"instances": [1]}').status_code == 404
        yield address, url


def masked(page: str) -> list[str]:
    """The lines of the three families that requests fill, without how long anything took."""
    lines = re.findall(
        r"^.*:serving:(?:request_count|request_latency|runtime_latency)(?:_|\{| ).*$", page, re.MULTILINE
    )
    return sorted(re.sub(r'(_sum\{.*\}|le="[\d.e+]+"\}) .*', r"\1 *", line) for line in lines)


def test_the_page_is_the_recorded_one(server):
    _, url = server
    response = httpx.get(url + PATH)
    assert response.headers["content-type"] == RECORDED["headers"]["Content-Type"]
    assert masked(response.text) == masked(RECORDED["full_text"])


def test_any_method_gets_the_page_and_a_query_does_not(server):
    _, url = server
    assert httpx.post(url + PATH).status_code == 200
    response = httpx.get(f"{url}{PATH}?x=1")
    assert (response.status_code, response.text) == (400, f"Unexpected path: {PATH}?x=1. Should be {PATH}")


def test_prometheus_finds_nothing_wrong_with_our_page(server):
    programs.need("promtool")
    page = httpx.get(f"{server[1]}/metrics").text
    checked = subprocess.run(["promtool", "check", "metrics"], check=False, input=page, text=True, capture_output=True)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_grpc_calls_are_counted_too(server):
    address, url = server
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "mixed"
    request.inputs["x"].CopyFrom(to_proto(np.ones((1, 2), np.float32)))
    with grpc.insecure_channel(address) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        stub.Predict(request)
        request.model_spec.signature_name = "nope"
        with pytest.raises(grpc.RpcError):
            stub.Predict(request)
    theirs, ours = httpx.get(url + PATH).text, httpx.get(f"{url}/metrics").text
    assert ':request_count{model_name="mixed",status="FAILED_PRECONDITION"} 1\n' in theirs
    assert ':request_latency_count{model_name="mixed",API="Predict",entrypoint="GRPC"} 1\n' in theirs
    assert ':runtime_latency_count{model_name="mixed",API="Predict",runtime="TF1"} 4\n' in theirs
    labels = 'method="predict",model="mixed",protocol="grpc_v1"'
    assert f'signet_requests_total{{code="OK",{labels},signature="serving_default",version="1"}} 1.0\n' in ours
    assert f'signet_requests_total{{code="FAILED_PRECONDITION",{labels},signature="unknown"' in ours
    assert 'signet_model_state{model="mixed",state="AVAILABLE",version="1"} 1.0\n' in ours
    assert 'signet_requests_in_flight{protocol="grpc_v1"} 0.0\n' in ours


def test_what_strangers_send_makes_no_series_of_ours_and_a_bounded_number_of_theirs():
    monitoring = Monitoring()
    for i in range(2000):
        monitoring.answered(REST, "predict", f"model {i}", "NOT_FOUND", 0.001)
    assert combining.text(monitoring.told()[OURS]).count(b"signet_requests_total{") == 1
    assert tensorflow_text.text(monitoring.told()[THEIRS]).count(b"request_count{") == 1001


def test_versions_that_are_no_longer_served_lose_their_series():
    monitoring = Monitoring()
    for version in range(10):
        monitoring.answered(REST, "predict", "digits", "OK", 0.001, version=str(version), signature="serving_default")
    assert re.findall(rb'version="(\d)"', combining.text(monitoring.told()[OURS])) == [b"6", b"7", b"8", b"9"]


def test_batches_and_warm_ups_are_told():
    monitoring = Monitoring()
    monitoring.batch_ran("digits", [0.001, 0.002], [3, 2], 8)
    monitoring.warmed_up(Path('/models/"digits"/1'), "OK", 0.5)
    page = tensorflow_text.text(monitoring.told()[THEIRS]).decode()
    for line in (
        ':tensorflow:serving:batching_session:queuing_latency_count{thread_pool_name=""} 2',
        ":tensorflow:serving:batching_session:wrapped_run_count{} 1",
        ':tensorflow:serving:batching_session:padding_size_sum{execution_batch_size="8"} 3',
        ":tensorflow:serving:batching_session:input_batch_size_sum{} 5",
        ':tensorflow:serving:model_warmup_latency_count{model_path="/models/\\"digits\\"/1",status="OK"} 1',
    ):
        assert f"{line}\n" in page


def test_a_monitoring_file_that_cannot_be_read_ends_the_start(tmp_path):
    config = tmp_path / "monitoring.config"
    config.write_text("prometheus { }")
    model = f"--model_base_path={servers.GOLDEN_MODELS / 'two_in'}"
    flags = (f"--port={servers.free_port()}", f"--rest_api_port={servers.free_port()}")
    with servers.program("model-server", model, *flags, f"--monitoring_config_file={config}") as running:
        running.read_until("Failed to start server. Error: INVALID_ARGUMENT: Invalid protobuf file: ")
        assert running.process.wait(30) == 255
