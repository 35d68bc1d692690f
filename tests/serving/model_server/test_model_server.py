"""The program: flags, start-up failures, deadlines, swaps, SIGTERM."""

import shutil
import signal
import threading

import grpc
import numpy as np
import pytest

from serving.model_server import flags
from serving.model_server.flags import Flags
from serving.protos import predict_pb2, prediction_service_pb2_grpc
from serving.tensors import from_proto, to_proto
from tests import servers
from tests.servers import GOLDEN_MODELS


def predict(address: str, model: str, timeout_s: float = 30, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    for name, array in inputs.items():
        request.inputs[name].CopyFrom(to_proto(array))
    with grpc.insecure_channel(address) as channel:
        response = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=timeout_s)
    return {name: from_proto(proto) for name, proto in response.outputs.items()}


@pytest.mark.parametrize(
    ("arguments", "expected", "unknown"),
    [
        ([], Flags(), []),
        (["--port=1", "--port=2"], Flags(port=2), []),
        (["--model_name=a=b"], Flags(model_name="a=b"), []),
        (["--nope=1", "x", "--port=3"], Flags(port=3), ["--nope=1", "x"]),
        (["--file_system_poll_wait_seconds=-1"], Flags(file_system_poll_wait_seconds=-1), []),
    ],
)
def test_flags_are_read_in_the_originals_manner(arguments, expected, unknown):
    assert flags.parse(arguments) == (expected, unknown)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "one of --model_base_path and --model_config_file is required"),
        (("--model_base_path=models",), "--model_base_path is 'models'; expected an absolute path"),
        (("--port=many", "--model_base_path=/"), "--port is 'many'; expected a whole number"),
        (("--model_config_file=/no/such/file",), "cannot read the model config file '/no/such/file'"),
    ],
)
def test_a_start_that_fails_says_why_and_ends_with_255(arguments, problem):
    with servers.program("model-server", *arguments) as running:
        assert running.process.wait(30) == 255
        running.stop()
    assert f"Failed to start server. Error: {problem}" in running.output


def test_a_model_that_does_not_load_ends_it(tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"broken")
    with servers.program("model-server", f"--model_base_path={tmp_path}", "--max_num_load_retries=0") as running:
        assert running.process.wait(30) == 255
        running.stop()
    assert "1 servable(s) did not become available: {{name: default version: 1} due to error:" in running.output


def test_a_port_in_use_is_named(model_server_address):
    port = model_server_address.split(":")[1]
    path = GOLDEN_MODELS / "two_in"
    with servers.program("model-server", f"--model_base_path={path}", f"--port={port}") as running:
        assert running.process.wait(30) == 255
        running.stop()
    assert f"port {port} cannot be opened" in running.output


def test_bad_config_files_are_refused_with_protobufs_own_line(tmp_path):
    config = tmp_path / "models.config"
    config.write_text("model_config_list { config { nme: 'x' } }")
    with servers.program("model-server", f"--model_config_file={config}") as running:
        assert running.process.wait(30) == 255
        running.stop()
    assert "Error parsing text-format tensorflow.serving.ModelServerConfig: 1:30" in running.output


@pytest.fixture
def slow_address(slow_model):
    with servers.model_server(f"--model_base_path={slow_model.parent}", "--model_name=slow") as (address, running):
        yield address, running


def test_a_deadline_stops_the_call_and_the_server_goes_on(slow_address):
    address, _ = slow_address
    with pytest.raises(grpc.RpcError) as caught:
        predict(address, "slow", 0.3, steps=np.array([1 << 30], np.int32))
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert predict(address, "slow", steps=np.array([3], np.int32))["count"].tolist() == [3]


def test_sigterm_lets_the_call_in_flight_finish(slow_address):
    address, running = slow_address
    answers = []
    steps = np.array([200_000], np.int32)
    predict(address, "slow", steps=np.array([1], np.int32))
    with grpc.insecure_channel(address) as channel:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "slow"
        request.inputs["steps"].CopyFrom(to_proto(steps))
        future = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict.future(request, timeout=60)
        future.add_done_callback(lambda done: answers.append(done.exception()))
        assert not future.done()
        assert running.stop(signal.SIGTERM) == 0
        assert from_proto(future.result().outputs["count"]).tolist() == [200_000]


@pytest.mark.parametrize("swaps", [3, pytest.param(50, marks=pytest.mark.long)])
def test_new_versions_are_served_while_requests_go_on(tmp_path, swaps):
    shutil.copytree(GOLDEN_MODELS / "three_out" / "1", tmp_path / "1")
    failures, versions, done = [], set(), threading.Event()
    with servers.model_server(f"--model_base_path={tmp_path}") as (address, _):

        def call() -> None:
            request = predict_pb2.PredictRequest()
            request.model_spec.name = "default"
            request.inputs["x"].CopyFrom(to_proto(np.ones((1, 4), np.float32)))
            with grpc.insecure_channel(address) as channel:
                stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
                while not done.is_set():
                    try:
                        versions.add(stub.Predict(request, timeout=30).model_spec.version.value)
                    except grpc.RpcError as error:
                        failures.append(error)

        thread = threading.Thread(target=call)
        thread.start()
        for version in range(2, swaps + 2):
            shutil.copytree(GOLDEN_MODELS / "three_out" / "1", tmp_path / ".writing")
            (tmp_path / ".writing").rename(tmp_path / str(version))
            servers.wait_until(lambda wanted=version: wanted in versions, what=f"version {version}")
        done.set()
        thread.join()
    assert not failures
    assert versions == set(range(1, swaps + 2))
