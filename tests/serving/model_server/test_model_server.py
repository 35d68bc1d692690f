"""The program: flags, start-up failures, deadlines, swaps, SIGTERM."""

import json
import os
import re
import signal
import subprocess

import grpc
import numpy as np
import pytest

from signet.serving.model_server import flags
from signet.serving.model_server.flags import Flags
from signet.serving.tensors.arrays import from_proto, to_proto
from signet.serving.tensors.protos import predict_pb2, prediction_service_pb2_grpc
from tests import programs, servers
from tests.bench.swaps import swap_under_load, table
from tests.servers import GOLDEN_MODELS

CLI = json.loads((GOLDEN_MODELS.parent / "tfserving" / "cli.json").read_text())["cases"]


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
        ((), "INVALID_ARGUMENT: Both server_options.model_base_path and server_options.model_config_file are empty!"),
        (
            ("--model_base_path=models",),
            "INVALID_ARGUMENT: Expected model default to have an absolute path or URI; got base_path()=models",
        ),
        (("--model_config_file=/no/such/file",), "NOT_FOUND: /no/such/file; No such file or directory"),
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
    assert f":{port} cannot be opened; is it in use?" in running.output


@pytest.mark.parametrize("text", ["model_config_list { config { nme: 'x' } }", "model_config_list { config {", "\xff"])
def test_bad_config_files_are_refused_with_protobufs_own_line_on_stderr(tmp_path, text):
    config = tmp_path / "models.config"
    config.write_bytes(text.encode("latin-1"))
    command = [*servers.SIGNET, "model-server", f"--model_config_file={config}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 255
    recorded = next(case for case in CLI if case["name"] == "bad_config_syntax")
    assert ended.stdout == recorded["stdout"].replace("/base/bad.cfg", str(config))
    assert "Error parsing text-format tensorflow.serving.ModelServerConfig: " in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ([("m", "/m", "tensorflow")] * 2, "INVALID_ARGUMENT: Illegal to list model m multiple times in config list"),
        (
            [("m", "m", "tensorflow")],
            "INVALID_ARGUMENT: Expected model m to have an absolute path or URI; got base_path()=m",
        ),
        (
            [("m", "/m", "")],
            "INVALID_ARGUMENT: Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
            "ModelServerConfig::model_platform, model name is m",
        ),
        ([("m", "/m", "pytorch")], "INVALID_ARGUMENT: Model m requests unsupported platform pytorch"),
    ],
)
def test_a_config_that_cannot_be_served_is_refused_in_the_originals_words(tmp_path, entries, problem):
    config = tmp_path / "models.config"
    lines = [
        f"config {{ name: '{name}' base_path: '{path}' model_platform: '{kind}' }}" for name, path, kind in entries
    ]
    config.write_text(f"model_config_list {{ {' '.join(lines)} }}")
    with servers.program("model-server", f"--model_config_file={config}") as running:
        assert running.process.wait(30) == 255
        running.stop()
    assert f"Failed to start server. Error: {problem}\n" in running.output


@pytest.fixture
def slow_address(slow_model):
    flags = (f"--model_base_path={slow_model.parent}", "--model_name=slow", f"--rest_api_port={servers.free_port()}")
    with servers.model_server(*flags) as (address, running):
        yield address, running


def test_a_deadline_stops_the_call_and_the_server_goes_on(slow_address):
    address, _ = slow_address
    with pytest.raises(grpc.RpcError) as caught:
        predict(address, "slow", 0.3, steps=np.array([1 << 30], np.int32))
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert predict(address, "slow", steps=np.array([3], np.int32))["count"].tolist() == [3]


def test_sigterm_lets_the_call_in_flight_finish(slow_address):
    address, running = slow_address
    rest_port = running.read_until(r"HTTP/REST API at:localhost:(\d+)")[1]
    steps = np.array([200_000], np.int32)
    with grpc.insecure_channel(address) as channel:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "slow"
        request.inputs["steps"].CopyFrom(to_proto(steps))
        future = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict.future(request, timeout=60)
        in_work = 'signet_requests_in_flight{protocol="grpc_v1"} 1.0'
        servers.wait_until(lambda: in_work in servers.get(f"http://127.0.0.1:{rest_port}/metrics").text, what=in_work)
        assert running.stop(signal.SIGTERM) == 0
        assert from_proto(future.result().outputs["count"]).tolist() == [200_000]


@pytest.mark.parametrize("swaps", [3, pytest.param(50, marks=pytest.mark.long)])
def test_new_versions_are_served_while_requests_go_on(tmp_path, swaps):
    loads = swap_under_load(tmp_path, swaps, steady_s=2.0)
    print(table(loads, swaps))  # for `pytest -s`; `make bench` prints the same
    assert not [load.failures for load in loads.values() if load.failures]
    assert loads["grpc"].versions == set(range(1, swaps + 2))


RECORDED_FLAGS = re.findall(
    r"^\t--(\w+)=(\S*)", next(case["stdout"] for case in CLI if case["name"] == "help"), re.MULTILINE
)


@pytest.mark.parametrize(("name", "default"), RECORDED_FLAGS)
def test_every_flag_of_the_original_is_there_with_its_default(name, default):
    ours = getattr(Flags(), name)
    if name in ("rest_api_num_threads", "grpc_max_threads"):
        assert ours == 4 * os.cpu_count()
    elif isinstance(ours, bool):
        assert str(ours).lower() == default
    else:
        assert ours == type(ours)(default.strip('"'))
    assert flags.parse([f"--{name}={default.strip(chr(34))}"])[1] == []


# A file for --nope=1 alone would do: the original complains, starts, and fails for want of a model.
REFUSED = [case for case in CLI if case["exit_code"] == 255 and case["name"] != "bad_config_syntax"]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case["name"])
def test_recorded_refusals_to_start(case):
    with servers.program("model-server", *case["args"]) as running:
        assert running.process.wait(30) == 255
        running.stop()
    for line in case["stdout"].splitlines():
        if line.startswith(("Failed to start", "unknown argument")):
            assert line in running.output
    assert ("usage: " in running.output) == ("usage: " in case["stdout"])


def test_ignored_flags_are_named_in_one_warning():
    with servers.program("model-server", "--mixed_precision=bfloat16", "--num_load_threads=2") as running:
        assert running.process.wait(30) == 255
        running.stop()
    assert "accepted, but without meaning here: --num_load_threads, --mixed_precision" in running.output


def test_the_version_flag():
    with servers.program("model-server", "--version") as running:
        assert running.process.wait(30) == 0
        running.stop()
    assert re.fullmatch(r"TensorFlow ModelServer: signet \S+\nTensorFlow Library: 2\.20\.0\n", running.output)


WAYS = ["--grpc_transport=own", "--grpc_transport=grpcio", "--processes=2"]


@pytest.mark.parametrize("way", WAYS)
def test_health_and_reflection(tmp_path, way):
    from grpc_health.v1 import health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

    socket = tmp_path / "socket"
    arguments = (
        "--enable_grpc_healthcheck_service",
        f"--grpc_socket_path={socket}",
        "--grpc_channel_arguments=grpc.max_connection_age_ms=60000,b=c",
        way,
    )
    with servers.model_server(f"--model_base_path={GOLDEN_MODELS / 'two_in'}", *arguments) as (address, running):
        for target in (address, f"unix:{socket}"):
            with grpc.insecure_channel(target) as channel:
                stub = health_pb2_grpc.HealthStub(channel)
                for name in ("", "ModelService", "PredictionService"):
                    assert stub.Check(health_pb2.HealthCheckRequest(service=name)).status == 1
                with pytest.raises(grpc.RpcError) as caught:
                    stub.Check(health_pb2.HealthCheckRequest(service="foo"))
                assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        with grpc.insecure_channel(address) as channel:
            asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
            (answer,) = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(asked)
            assert "tensorflow.serving.PredictionService" in {s.name for s in answer.list_services_response.service}
            watching = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=""))
            assert next(watching).status == 1
            running.process.send_signal(signal.SIGTERM)
            assert next(watching).status == 2
            watching.cancel()
        assert running.process.wait(30) == 0
    assert ("--grpc_channel_arguments: without meaning here: b" in running.output) == (way != "--grpc_transport=grpcio")


def test_a_transport_that_there_is_not_is_refused():
    with servers.program("model-server", "--grpc_transport=smoke") as running:
        assert running.process.wait(30) == 255
        running.stop()
    assert "Couldn't interpret value smoke for flag grpc_transport." in running.output


@pytest.mark.parametrize("way", WAYS)
def test_tls_with_client_certificates(tmp_path, way):
    programs.need("openssl")

    def openssl(*arguments: object) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, cwd=tmp_path)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=ca")
    (tmp_path / "names").write_text("subjectAltName=DNS:localhost")
    for name in ("server", "client"):
        openssl(
            "req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", "/CN=x"
        )
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-out", f"{name}.crt",
                "-extfile", "names")  # fmt: skip
    pem = {
        name: (tmp_path / name).read_text()
        for name in ("server.key", "server.crt", "client.key", "client.crt", "ca.crt")
    }
    config = tmp_path / "ssl.config"
    config.write_text(
        f"server_key: {json.dumps(pem['server.key'])} server_cert: {json.dumps(pem['server.crt'])} "
        f"custom_ca: {json.dumps(pem['ca.crt'])} client_verify: true"
    )
    path = GOLDEN_MODELS / "two_in"
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "nope"
    flags = (f"--model_base_path={path}", f"--ssl_config_file={config}", way)
    with servers.model_server(*flags) as (address, _):
        target = address.replace("127.0.0.1", "localhost")
        for key, certificate, code in (
            (pem["client.key"], pem["client.crt"], grpc.StatusCode.NOT_FOUND),
            (None, None, grpc.StatusCode.UNAVAILABLE),
        ):
            credentials = grpc.ssl_channel_credentials(
                pem["ca.crt"].encode(), key and key.encode(), certificate and certificate.encode()
            )
            with grpc.secure_channel(target, credentials) as channel, pytest.raises(grpc.RpcError) as caught:
                prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=10)
            assert caught.value.code() is code


def test_tensor_content_behind_its_flag():
    path = GOLDEN_MODELS / "two_in"
    arguments = (f"--model_base_path={path}", "--enable_serialization_as_tensor_content")
    with servers.model_server(*arguments) as (address, _), grpc.insecure_channel(address) as channel:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "default"
        request.inputs["a"].CopyFrom(to_proto(np.ones((2, 3), np.float32)))
        request.inputs["b"].CopyFrom(to_proto(np.ones((2, 2), np.float32)))
        response = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=30)
    assert len(response.outputs["output_0"].tensor_content) == 8
    assert not response.outputs["output_0"].float_val
