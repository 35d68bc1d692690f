"""A trace from a caller through the gateway to the model server, as a collector gets it from both of them."""

import grpc
import httpx
import numpy as np
import pytest

from signet.serving.tensors.arrays import to_proto
from signet.serving.tensors.protos import predict_pb2
from tests import servers
from tests.collector import collector

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"
RPC = "tensorflow.serving.PredictionService/Predict"
OF_REQUEST, OF_CALL = 7, 4
"""Spans of a request in the gateway, with its call, and of a call in the model server."""


def predict_request():
    message = predict_pb2.PredictRequest()
    message.model_spec.name = "two_in"
    for name, row in (("a", [1, 2, 3]), ("b", [4, 5])):
        message.inputs[name].CopyFrom(to_proto(np.array([row], np.float32)))
    return message.SerializeToString()


def held_together(spans, name):
    """The spans' own order: each one's parent is there, and around it. Gives that of the request."""
    by_id = {span.span_id: span for span in spans}
    (top,) = [span for span in spans if span.parent_id == SPAN]
    assert (top.service, top.name, top.trace_id) == ("signet-gateway", name, TRACE)
    for span in spans:
        if span is not top:
            above = by_id[span.parent_id]
            assert span.trace_id == TRACE
            assert above.start_ns - 1_000_000 <= span.start_ns <= span.end_ns <= above.end_ns + 1_000_000, span.name
    return top


@pytest.fixture(scope="module")
def traced():
    """A collector, and a gateway before a model server that both send to it: its URL and its gRPC address."""
    with (
        collector() as traces,
        servers.both_apis(
            f"--model_base_path={servers.GOLDEN_MODELS / 'two_in'}", "--model_name=two_in", f"--otlp={traces.url}"
        ) as (address, rest_url, _),
    ):
        arguments = ("--backend", address, "--models", "two_in", "--otlp", traces.url, "--otlp-sample", "0")
        with servers.gateway(*arguments) as (url, running):
            yield traces, url, servers.grpc_address(running), rest_url


def test_gateway_and_model_server_are_in_the_trace_of_the_caller(traced):
    traces, url, address, _ = traced
    body = {"instances": [{"a": [1, 2, 3], "b": [4, 5]}]}
    headers = {"traceparent": TRACEPARENT, "tracestate": "vendor=1"}
    assert httpx.post(f"{url}/v1/models/two_in:predict", json=body, headers=headers).status_code == 200
    spans = traces.wait(OF_REQUEST + OF_CALL)
    top = held_together(spans, "POST /v1/models/{model}:predict")
    (run,) = [span for span in spans if span.name == "run" and span.parent_id == top.span_id]
    (call,) = [span for span in spans if span.parent_id == run.span_id]
    assert (call.name, call.kind, call.attributes["server.port"]) == (RPC, 3, int(call.attributes["server.port"]))
    (answered,) = [span for span in spans if span.parent_id == call.span_id]
    assert (answered.service, answered.name, answered.kind) == ("signet-model-server", RPC, 2)
    assert {span.name for span in spans if span.parent_id == answered.span_id} == {"decode", "run", "encode"}
    assert {span.state for span in spans} == {"vendor=1"}

    traces.spans.clear()
    with grpc.insecure_channel(address) as channel:
        predict = channel.unary_unary(f"/{RPC}")
        predict(predict_request(), metadata=(("traceparent", TRACEPARENT),))
    assert held_together(traces.wait(OF_REQUEST + OF_CALL), RPC).attributes["rpc.response.status_code"] == "OK"
    traces.spans.clear()


def test_the_model_server_records_its_own_callers_too(traced):
    traces, _, _, rest_url = traced
    body = {"instances": [{"a": [1, 2, 3], "b": [4, 5]}]}
    assert httpx.post(f"{rest_url}/v1/models/two_in:predict", json=body).status_code == 200
    headers = {"traceparent": TRACEPARENT}
    wrong = httpx.post(f"{rest_url}/v1/models/two_in:predict", json={"instances": [1]}, headers=headers)
    assert wrong.status_code == 400
    assert httpx.post(f"{rest_url}/v1/models/two_in:predict", json=body, headers=headers).status_code == 200
    spans = [span for span in traces.wait(5) if span.kind == 2]
    assert [span.attributes["http.response.status_code"] for span in spans] == [400, 200]
    assert all((span.name, span.parent_id) == ("POST /v1/models/{model}:predict", SPAN) for span in spans)
    traces.spans.clear()


def test_what_was_recorded_is_sent_before_the_end():
    with collector() as traces:
        arguments = ("--models-dir", servers.GOLDEN_MODELS, "--otlp", traces.url, "--otlp-sample", "1")
        with servers.gateway(*arguments, environment={"OTEL_SERVICE_NAME": "shop"}) as (url, running):
            for _ in range(3):
                httpx.post(f"{url}/v1/models/two_in:predict", json={"instances": []})
            assert running.stop() == 0
        assert [span.name for span in traces.spans if span.kind == 2] == ["POST /v1/models/{model}:predict"] * 3
        assert {span.service for span in traces.spans} == {"shop"}
