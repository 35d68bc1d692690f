"""Overload in every protocol: refused at the door, with when to come back; who has time, and who is alone, is served."""

import asyncio
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from signet.serving.gateway.grpc import v1_inference, v2
from signet.serving.gateway.grpc.pipeline import GrpcServices
from signet.serving.http.server import Request
from signet.serving.open_inference import open_inference_pb2
from signet.serving.tensors.protos import predict_pb2
from tests.servers import GOLDEN_MODELS
from tests.serving.gateway import in_process
from tests.serving.gateway.in_process import Call, header

V1, V2 = b"/v1/models/three_out:predict", b"/v2/models/three_out/infer"
X = b'{"instances": [[1, 1, 1, 1]]}'


@pytest.fixture
def gateway(tmp_path: Path):
    """A gateway with one model, which has been asked once."""
    shutil.copytree(GOLDEN_MODELS / "three_out", tmp_path / "three_out")
    with in_process.gateway(models_dir=tmp_path, max_in_flight=100) as running:
        assert running.ask("POST", V1, X).status == 200
        yield running


def keep_busy(running, call_s):
    """As if calls took that long, one had just begun in each slot, and no slot were free."""
    load = running.gateway.inference.admission.load("three_out")
    load.slots = lambda: 1
    load.time.seconds = call_s
    load.running["a call"] = time.perf_counter()
    return load


def metric(running, line):
    found = [text for text in running.ask("GET", b"/metrics").body.decode().splitlines() if text.startswith(line + " ")]
    return float(found[0].rsplit(" ", 1)[1])


@pytest.mark.parametrize(("path", "protocol"), [(V1, "v1"), (V2, "v2")])
def test_what_cannot_be_in_time_is_refused_with_when_to_come_back(gateway, path, protocol):
    load = keep_busy(gateway, 10.0)
    answer = gateway.ask("POST", path, b"not looked at", {b"x-request-timeout": b"5"})
    assert (answer.status, header(answer, "Retry-After")) == (429, "10")
    assert b"try again in 10 s" in answer.body
    assert metric(gateway, 'signet_shed_total{reason="predicted_wait"}') == 1
    labels = f'code="RESOURCE_EXHAUSTED",model="three_out",protocol="{protocol}",signature="unknown",version="unknown"'
    assert metric(gateway, f"signet_requests_total{{{labels}}}") == 1
    assert 9 < metric(gateway, 'signet_predicted_wait_seconds{model="three_out"}') <= 10
    load.running.clear()
    assert gateway.ask("POST", V1, X, {b"x-request-timeout": b"5"}).status == 200, "nothing is in its way"
    assert metric(gateway, 'signet_predicted_wait_seconds{model="three_out"}') == 0


def test_who_has_the_time_is_admitted_and_without_a_deadline_there_is_a_default(gateway):
    load = keep_busy(gateway, 0.004)
    assert gateway.ask("POST", V1, X, {b"x-request-timeout": b"30"}).status == 200
    assert gateway.ask("POST", V1, X).status == 200
    keep_busy(gateway, 12.0)
    refused = gateway.ask("POST", V1, X)
    assert (refused.status, header(refused, "Retry-After")) == (429, "12"), (
        "24 s is more than 0.75 of the limit of 30 s"
    )
    load.running.clear()


@pytest.mark.parametrize("timeout", [b"0", b"-1", b"nan", b"soon"])
def test_a_wrong_time_limit_is_explained_under_overload_too(gateway, timeout):
    keep_busy(gateway, 10.0)
    answer = gateway.ask("POST", V1, X, {b"x-request-timeout": timeout})
    assert answer.status == 400
    assert b"expected a positive number of seconds" in answer.body


def test_a_model_that_is_not_there_is_not_found_under_overload_too(gateway):
    keep_busy(gateway, 10.0)
    assert gateway.ask("POST", b"/v1/models/none:predict", X, {b"x-request-timeout": b"1"}).status == 404


def test_a_large_body_is_refused_before_it_is_read(gateway):
    keep_busy(gateway, 10.0)

    def door(path, headers):
        return gateway.gateway.door(Request("POST", path, headers, b"", "1.1", False))

    refused = door(V1, {b"x-request-timeout": b"5"})
    assert refused
    assert (refused.status, refused.close, header(refused, "Retry-After")) == (429, True, "10")
    assert door(V1, {b"x-request-timeout": b"60"}) is None
    assert door(V1, {b"x-request-timeout": b"nonsense"}) is None, "that is explained when the body is there"
    assert door(b"/v1/models/none:predict", {b"x-request-timeout": b"5"}) is None
    assert door(b"/v1/models", {}) is None


def asked_over_grpc(running, exchange, message, left_s):
    """Code, trailing metadata."""
    gateway = running.gateway
    method = GrpcServices(gateway.inference, gateway.offload, gateway.budget).inference_method(exchange)
    told = {}

    class Noting(Call):
        def refuse(self, code, details, trailing=()):
            told.update(trailing)
            super().refuse(code, details, trailing)

    async def ask():
        call = Noting(left_s)
        method.unary(message.SerializeToString(), call)
        return await call.ended

    ended = running._runner.run(ask())
    return ended[0] if isinstance(ended, tuple) else "OK", told, method


HEAD = SimpleNamespace(path="", metadata=(), key=None)
"""Of a call, without a key."""


def predict():
    message = predict_pb2.PredictRequest()
    message.model_spec.name = "three_out"
    return message


@pytest.mark.parametrize(
    ("exchange", "message"),
    [(v1_inference.Predict, predict()), (v2.ModelInfer, open_inference_pb2.ModelInferRequest(model_name="three_out"))],
)
def test_over_grpc_the_trailing_metadata_say_when_to_come_back(gateway, exchange, message):
    keep_busy(gateway, 10.0)
    code, told, _ = asked_over_grpc(gateway, exchange, message, 5.0)
    assert (code, told) == ("RESOURCE_EXHAUSTED", {"retry-after": "10", "grpc-retry-pushback-ms": "10000"})
    code, told, _ = asked_over_grpc(gateway, exchange, message, 60.0)
    assert (code, told) == ("INVALID_ARGUMENT", {"x-signet-model-version": "1"}), "admitted, and without inputs"


def test_over_grpc_nothing_is_read_while_as_many_are_in_work_as_may_be(gateway):
    _, _, method = asked_over_grpc(gateway, v1_inference.Predict, predict(), 5.0)
    assert method.door(HEAD, "") is None
    gateway.gateway.inference.admission.places.taken += 100
    refusal = method.door(HEAD, "")
    assert refusal is not None
    assert (refusal.code, dict(refusal.trailing)["retry-after"]) == ("RESOURCE_EXHAUSTED", "1")
    gateway.gateway.inference.admission.places.taken -= 100
    assert metric(gateway, 'signet_shed_total{reason="in_flight"}') == 1


def test_what_would_be_late_is_dropped_before_its_call(gateway):
    """While it waited, its time ran out: no call is made for it."""
    load = keep_busy(gateway, 0.02)
    inference = gateway.gateway.inference
    backend_slots, calls = inference._batcher._slots, []
    observe = inference._batcher._observe
    inference._batcher._observe = lambda *call: (calls.append(call), observe(*call))
    inference._batcher._slots = lambda _: 0

    async def ask():
        request = Request("POST", V1, {b"x-request-timeout": b"0.5"}, X, "1.1", True)
        waiting = [asyncio.ensure_future(gateway.answer(request)) for _ in range(2)]
        await asyncio.sleep(0)
        assert inference._batcher.waiting() == 2
        load.time.seconds = 10.0
        inference._batcher._slots = backend_slots
        inference._batcher.flush(lambda _: True)
        return [await one for one in waiting]

    answers = gateway._runner.run(ask())
    assert [answer.status for answer in answers] == [429, 200], "somebody is always served"
    assert (
        b"a call of model 'three_out' takes about 10 s, and the request, which had to wait, has 0." in answers[0].body
    )
    assert len(calls) == 1
    assert metric(gateway, 'signet_shed_total{reason="too_late"}') == 1
    load.running.clear()
