"""Another configuration while the server runs: by the RPC and by the polled file."""

import contextlib

import grpc
import pytest
from google.protobuf import text_format

from signet.serving.model_server import tensorflow_text
from signet.serving.model_server.monitoring import THEIRS, Monitoring
from signet.serving.tensors.arrays import to_proto
from signet.serving.tensors.protos import (
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from tests import servers
from tests.serving.engine.test_repository import add, add_broken
from tests.serving.model_server.test_makes import A


def entry(name, base, more=""):
    return f'config {{ name: "{name}" base_path: "{base}" model_platform: "tensorflow" {more} }}'


def config(*entries):
    return f"model_config_list {{ {' '.join(entries)} }}"


@pytest.fixture
def bases(tmp_path):
    """Folders `m` with the versions 1 and 2, and `bad` with a version that does not load."""
    (tmp_path / "m").mkdir()
    (tmp_path / "bad").mkdir()
    add(tmp_path / "m", 1)
    add(tmp_path / "m", 2)
    add_broken(tmp_path / "bad", 1)
    return tmp_path


@pytest.fixture
def server(bases, tmp_path):
    """A channel to a server that serves `m` by a polled file, and that file."""
    path = tmp_path / "models.config"
    path.write_text(config(entry("m", bases / "m")))
    flags = (f"--model_config_file={path}", "--model_config_file_poll_wait_seconds=1", "--max_num_load_retries=0")
    with servers.model_server(*flags) as (address, _), grpc.insecure_channel(address) as channel:
        yield channel, path


def reload(channel, text, metric_names=()):
    request = model_management_pb2.ReloadConfigRequest(metric_names=metric_names)
    text_format.Parse(text, request.config)
    return model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest(request, timeout=60)


def version_of(channel, model, label=""):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    if label:
        request.model_spec.version_label = label
    request.inputs["x"].CopyFrom(to_proto(A.repeat(2, axis=1)))
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    return stub.Predict(request, timeout=30).model_spec.version.value


def available(channel, model):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = model
    response = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request, timeout=30)
    return {status.version for status in response.model_version_status if status.state == status.AVAILABLE}


def test_labels_follow_the_configuration(server, bases):
    channel, path = server
    both = "model_version_policy { all {} }"
    path.write_text(config(entry("m", bases / "m", both)))
    servers.wait_until(lambda: available(channel, "m") == {1, 2}, what="version 1")
    labels = 'version_labels { key: "stable" value: 1 } version_labels { key: "canary" value: 2 }'
    path.write_text(config(entry("m", bases / "m", both + labels)))
    assert reload(channel, path.read_text()).status.error_code == 0
    assert (version_of(channel, "m", "stable"), version_of(channel, "m", "canary"), version_of(channel, "m")) == (
        1,
        2,
        2,
    )
    with pytest.raises(grpc.RpcError) as caught:
        version_of(channel, "m", "beta")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == "Unrecognized servable version label: beta"


def test_a_new_model_that_fails_is_reported_and_the_rest_is_applied(server, bases):
    channel, path = server
    text = config(entry("n", bases / "m"), entry("bad", bases / "bad"))
    path.write_text(text)
    with pytest.raises(grpc.RpcError) as caught:
        reload(channel, text)
    assert caught.value.code() is grpc.StatusCode.UNKNOWN
    assert caught.value.details().startswith(
        "1 model(s) did not become available: {{name: bad version: 1} due to error:"
    )
    servers.wait_until(lambda: available(channel, "n") == {2}, what="the good model")
    servers.wait_until(lambda: available(channel, "m") == set(), what="the end of the old one")


def test_a_broken_file_changes_nothing_and_a_mended_one_is_applied(server, bases):
    channel, path = server
    path.write_text("model_config_list { oops")
    servers.wait_until(lambda: version_of(channel, "m") == 2, what="an answer")
    path.write_text(config(entry("n", bases / "m")))
    servers.wait_until(lambda: available_or_none(channel, "n") == {2}, what="the new model")


def available_or_none(channel, model):
    with contextlib.suppress(grpc.RpcError):
        return available(channel, model)


def test_the_growth_of_counters_that_are_asked_for_is_told(server, bases):
    channel, path = server
    names = ("/tensorflow/serving/model_warmup_records_read", "/tensorflow/serving/request_count", "nope")
    request = model_management_pb2.ReloadConfigRequest(metric_names=names)
    text_format.Parse(path.read_text(), request.config)
    answer = model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest(request, timeout=60)
    assert {metric.name: metric.int64_value_increase for metric in answer.metric} == dict.fromkeys(names, 0)


def test_a_wish_for_logged_requests_is_refused_when_the_models_are_there(server, bases):
    channel, path = server
    text = config(entry("n", bases / "m", "logging_config { sampling_config { sampling_rate: 1 } }"))
    path.write_text(config(entry("n", bases / "m")))
    with pytest.raises(grpc.RpcError) as caught:
        reload(channel, text)
    assert (caught.value.code().name, caught.value.details()) == (
        "INVALID_ARGUMENT",
        "No request-logger-creator provided.",
    )
    assert available(channel, "n") == {2}


def test_requests_are_counted_by_reloads():
    monitoring = Monitoring()
    monitoring.answered("REST", "predict", "m", "OK", 0.1, version="1", signature="s")
    name = "/tensorflow/serving/request_count"
    assert tensorflow_text.first_cells(monitoring.told()[THEIRS], [name, "nope"]) == {name: 1, "nope": 0}
