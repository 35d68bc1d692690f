"""The gateway's gRPC port: time limits, callers who leave, bounds, metrics, health, reflection, start and stop."""

import re
import shutil
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import httpx
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from signet.serving.open_inference import open_inference_pb2 as v2
from signet.serving.tensors.arrays import to_proto
from signet.serving.tensors.protos import predict_pb2
from tests import servers
from tests.servers import GOLDEN_MODELS

PREDICT = "tensorflow.serving.PredictionService/Predict"
INFER = "inference.GRPCInferenceService/ModelInfer"
FOREVER = 1 << 30


def calling(channel, path, response_class):
    return channel.unary_unary(
        f"/{path}",
        request_serializer=lambda message: message if isinstance(message, bytes) else message.SerializeToString(),
        response_deserializer=response_class.FromString,
    )


def count_to(steps: int, **parameters: dict) -> v2.ModelInferRequest:
    request = v2.ModelInferRequest(model_name="slow", parameters=parameters)
    request.inputs.add(name="steps", datatype="INT32", shape=[1]).contents.int_contents.append(steps)
    return request


def predict_steps(steps: int) -> predict_pb2.PredictRequest:
    request = predict_pb2.PredictRequest(model_spec={"name": "slow"})
    request.inputs["steps"].CopyFrom(to_proto(np.int32([steps])))
    return request


@pytest.fixture(scope="module", params=["embedded", "remote"])
def slow(request, slow_model, tmp_path_factory):
    """A gateway with a model that takes as long as it is told: its URL, and a channel to its gRPC port."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(slow_model, folder / "slow" / "1")
    arguments = ["--models-dir", folder]
    if request.param == "remote":
        config = servers.write_model_config(folder.with_suffix(".config"), folder)
        with servers.model_server(f"--model_config_file={config}") as (address, _):
            yield from _gateway([*arguments, "--backend", address])
    else:
        yield from _gateway(arguments)


def _gateway(arguments):
    with servers.gateway(*arguments) as (url, running), grpc.insecure_channel(servers.grpc_address(running)) as channel:
        yield url, channel


def metric(url: str, start: str) -> float:
    lines = [line for line in httpx.get(f"{url}/metrics").text.splitlines() if line.startswith(start)]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


@pytest.mark.parametrize(("path", "asked"), [(PREDICT, predict_steps(FOREVER)), (INFER, count_to(FOREVER))])
def test_the_callers_deadline_ends_the_work(slow, path, asked):
    url, channel = slow
    protocol = "grpc_v1" if path == PREDICT else "grpc_v2"
    in_flight = f'signet_requests_in_flight{{protocol="{protocol}"'
    call = calling(channel, path, v2.ModelInferResponse).future(asked, timeout=2)
    servers.wait_until(lambda: metric(url, in_flight) == 1, what="the call")
    assert call.exception().code() == grpc.StatusCode.DEADLINE_EXCEEDED
    servers.wait_until(lambda: metric(url, in_flight) == 0, what="the end of the work")
    # On a busy machine the caller's cancellation comes much before the end of its time as the gateway sees it.
    counted = (f'signet_requests_total{{code="{code}",model="slow"' for code in ("DEADLINE_EXCEEDED", "CANCELLED"))
    assert sum(metric(url, series) for series in counted) > 0


def test_the_timeout_parameter_ends_the_work(slow):
    url, channel = slow
    with pytest.raises(grpc.RpcError) as caught:
        calling(channel, INFER, v2.ModelInferResponse)(count_to(FOREVER, timeout={"int64_param": 200_000}), timeout=20)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    body = {
        "inputs": [{"name": "steps", "datatype": "INT32", "shape": [1], "data": [FOREVER]}],
        "parameters": {"timeout": 200_000},
    }
    assert httpx.post(f"{url}/v2/models/slow/infer", json=body, timeout=20).status_code == 504


@pytest.mark.parametrize(("path", "asked"), [(PREDICT, predict_steps(FOREVER)), (INFER, count_to(FOREVER))])
def test_a_caller_who_cancels_takes_the_work_back(slow, path, asked):
    url, channel = slow
    protocol = "grpc_v1" if path == PREDICT else "grpc_v2"
    in_flight = f'signet_requests_in_flight{{protocol="{protocol}"'
    cancelled = f'signet_requests_total{{code="CANCELLED",model="slow",protocol="{protocol}"'
    before = metric(url, cancelled)
    # Not for longer: the engine itself goes on until its time limit.
    call = calling(channel, path, v2.ModelInferResponse).future(asked, timeout=5)
    servers.wait_until(lambda: metric(url, in_flight) == 1, what="the call")
    call.cancel()
    servers.wait_until(lambda: metric(url, cancelled) == before + 1, what="the count")
    assert metric(url, in_flight) == 0


def test_the_version_comes_with_the_answer_and_each_protocol_is_counted(slow):
    url, channel = slow
    for path, asked, protocol in ((PREDICT, predict_steps(3), "grpc_v1"), (INFER, count_to(3), "grpc_v2")):
        series = f'signet_requests_total{{code="OK",model="slow",protocol="{protocol}",signature="serving_default"'
        before = metric(url, series)
        response_class = predict_pb2.PredictResponse if path == PREDICT else v2.ModelInferResponse
        _, call = calling(channel, path, response_class).with_call(asked, timeout=30)
        assert ("x-signet-model-version", "1") in [(key, value) for key, value in call.trailing_metadata()]
        assert metric(url, series) == before + 1


def test_bytes_that_are_no_message_are_the_callers_fault(gateway_channel):
    for path in (PREDICT, INFER, "inference.GRPCInferenceService/ModelMetadata"):
        with pytest.raises(grpc.RpcError) as caught:
            calling(gateway_channel, path, v2.ModelInferResponse)(b"\xff\xff\xff", timeout=10)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "the request is no " in caught.value.details()


def test_health_tells_of_every_service(gateway_channel):
    stub = health_pb2_grpc.HealthStub(gateway_channel)
    for name in ("", "inference.GRPCInferenceService", "tensorflow.serving.PredictionService"):
        assert stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=10).status == 1
    with pytest.raises(grpc.RpcError) as caught:
        stub.Check(health_pb2.HealthCheckRequest(service="nope"), timeout=10)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    watch = stub.Watch(health_pb2.HealthCheckRequest(service="nope"), timeout=10)
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    watch.cancel()


def test_reflection_lists_and_describes_the_services(gateway_channel):
    stub = reflection_pb2_grpc.ServerReflectionStub(gateway_channel)

    def ask(**request: str):
        return next(stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(**request)]), timeout=10))

    names = {service.name for service in ask(list_services="").list_services_response.service}
    assert {
        "inference.GRPCInferenceService",
        "tensorflow.serving.PredictionService",
        "tensorflow.serving.ModelService",
        "grpc.health.v1.Health",
    } <= names
    described = ask(file_containing_symbol="inference.GRPCInferenceService").file_descriptor_response
    assert b"ModelInfer" in described.file_descriptor_proto[0]


def test_a_stop_tells_those_who_watch_and_lets_calls_finish(slow_model, tmp_path):
    shutil.copytree(slow_model, tmp_path / "slow" / "1")
    with (
        servers.gateway("--models-dir", tmp_path) as (url, running),
        grpc.insecure_channel(servers.grpc_address(running)) as channel,
        ThreadPoolExecutor(1) as pool,
    ):
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=30)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        answer = pool.submit(calling(channel, INFER, v2.ModelInferResponse), count_to(300_000), timeout=60)
        servers.wait_until(lambda: metric(url, 'signet_requests_in_flight{protocol="grpc_v2"') == 1, what="the call")
        assert running.stop() == 0
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert list(answer.result().outputs[0].contents.int_contents) == [300_000]
        assert "Traceback" not in running.output


def test_bodies_and_calls_in_work_are_bounded(slow_model, tmp_path, monkeypatch):
    shutil.copytree(slow_model, tmp_path / "slow" / "1")
    monkeypatch.setenv("SIGNET_MAX_IN_FLIGHT", "1")
    monkeypatch.setenv("SIGNET_MAX_BODY_BYTES", "1000")
    with (
        servers.gateway("--models-dir", tmp_path) as (url, running),
        grpc.insecure_channel(servers.grpc_address(running)) as channel,
    ):
        call = calling(channel, INFER, v2.ModelInferResponse)
        with pytest.raises(grpc.RpcError) as caught:
            call(b"\0" * 2000, timeout=10)
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        first = call.future(count_to(FOREVER), timeout=30)
        servers.wait_until(lambda: metric(url, 'signet_requests_in_flight{protocol="grpc_v2"') == 1, what="the call")
        with pytest.raises(grpc.RpcError) as caught:
            call(count_to(1), timeout=10)
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "1 requests are in progress, which is the limit" in caught.value.details()
        first.cancel()


def test_without_grpc_no_port_is_opened():
    with servers.gateway("--models-dir", GOLDEN_MODELS, "--no-grpc") as (url, running):
        assert "gRPC" not in running.output
        assert httpx.get(f"{url}/v2/health/ready").status_code == 200


def test_a_grpc_port_in_use_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        arguments = ("serve", "--http-port", "0", "--grpc-port", port, "--models-dir", GOLDEN_MODELS)
        with servers.program(*arguments) as running:
            assert running.process.wait(30) == 1
            running.stop()
    last = running.output.strip().splitlines()[-1]
    assert re.fullmatch(rf"signet: cannot listen on 127.0.0.1:{port} for gRPC; .*--grpc-port.*", last), running.output


def test_calls_of_many_callers_share_a_run(embedded_gateway):
    url, address = embedded_gateway
    rows = 'signet_batch_rows_sum{model="mlp"'
    calls = 'signet_batch_rows_count{model="mlp"'
    before = metric(url, rows), metric(url, calls)
    with grpc.insecure_channel(address) as channel:
        infer = calling(channel, INFER, v2.ModelInferResponse)
        request = v2.ModelInferRequest(model_name="mlp", raw_input_contents=[np.zeros(16, np.float32).tobytes()])
        request.inputs.add(name="x", datatype="FP32", shape=[1, 16])
        started = threading.Barrier(8)

        def call() -> None:
            started.wait()
            for _ in range(20):
                infer(request, timeout=30)

        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(call) for _ in range(8)]:
                done.result()
    assert metric(url, rows) - before[0] == 160
    assert metric(url, calls) - before[1] <= 160
