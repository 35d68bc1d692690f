"""Traces of a gateway, as a collector gets them."""

import asyncio
import json

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from signet.serving.errors import UsageError
from signet.serving.gateway.app import Gateway
from signet.serving.gateway.settings import Settings, read
from signet.serving.http.server import Request
from tests.collector import collector
from tests.servers import GOLDEN_MODELS
from tests.serving.gateway import in_process
from tests.serving.gateway.in_process import answered

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PATH = b"/v1/models/two_in:predict"
BODY = json.dumps({"instances": [{"a": [1, 2, 3], "b": [4, 5]}]}).encode()


def named(spans, name):
    return [span for span in spans if span.name == name]


def headers(flags="01", **more):
    return {b"traceparent": f"00-{TRACE}-{SPAN}-{flags}".encode()} | {
        name.encode(): value for name, value in more.items()
    }


def test_a_request_is_a_span_with_one_for_each_stage_and_one_for_its_call():
    with collector() as traces, in_process.gateway(models_dir=GOLDEN_MODELS, otlp=traces.url) as gateway:
        path = PATH + b"?token=secret"
        answer = gateway.ask("POST", path, BODY, headers(tracestate=b"a=1", authorization=b"Bearer secret"))
        assert answer.status == 200
        spans = traces.wait(7)
        (request,) = named(spans, "POST /v1/models/{model}:predict")
        assert (request.trace_id, request.parent_id, request.kind, request.state) == (TRACE, SPAN, 2, "a=1")
        assert request.service == "signet-gateway"
        assert request.attributes["signet.model"] == "two_in"
        assert request.attributes["http.response.status_code"] == 200
        assert request.attributes["url.path"] == PATH.decode()
        stages = [named(spans, name)[0] for name in ("parse", "decode", "queue", "run", "encode")]
        assert all((stage.trace_id, stage.parent_id) == (TRACE, request.span_id) for stage in stages)
        times = [
            request.start_ns,
            *(time for stage in stages for time in (stage.start_ns, stage.end_ns)),
            request.end_ns,
        ]
        assert times == sorted(times)
        (call,) = named(spans, "call")
        assert (call.trace_id, call.parent_id, call.links) == (TRACE, stages[3].span_id, [])
        assert call.attributes["signet.batch.requests"] == 1
        assert "secret" not in str(spans)
        assert len(spans) == 7


def test_requests_that_share_a_call_have_links_to_it_and_it_to_them():
    with collector() as traces:
        settings = Settings(models_dir=GOLDEN_MODELS, otlp=traces.url, otlp_sample=1.0, batch_models="two_in=on")
        gateway = Gateway(settings)

        async def run():
            await gateway.backend.start()
            try:
                request = Request("POST", PATH, {}, BODY, "1.1", True)
                answers = await asyncio.gather(*(answered(gateway, request) for _ in range(4)))
                assert [answer.status for answer in answers] == [200] * 4
            finally:
                await gateway.stop()

        asyncio.run(run())
        spans = traces.wait(25)
        requests = named(spans, "POST /v1/models/{model}:predict")
        assert len({request.trace_id for request in requests}) == 4
        (call,) = named(spans, "call")
        assert (call.attributes["signet.batch.requests"], call.attributes["signet.batch.rows"]) == (4, 4)
        runs = {(span.trace_id, span.span_id): span for span in named(spans, "run")}
        first = runs.pop((call.trace_id, call.parent_id))
        assert first.links == []
        assert sorted(call.links) == sorted(runs)
        assert all(run.links == [(call.trace_id, call.span_id)] for run in runs.values())


@pytest.mark.parametrize(("share", "flags", "recorded"), [(1.0, "00", False), (0.0, "01", True), (0.0, None, False)])
def test_what_is_recorded_follows_the_caller_and_else_the_share(share, flags, recorded):
    with collector() as traces:
        with in_process.gateway(models_dir=GOLDEN_MODELS, otlp=traces.url, otlp_sample=share) as gateway:
            gateway.ask("POST", PATH, BODY, headers(flags) if flags else {})
        assert len(named(traces.spans, "run")) == recorded  # what there is has come when the gateway has stopped


def test_errors_of_this_side_are_marked_and_those_of_callers_are_not():
    with collector() as traces, in_process.gateway(models_dir=GOLDEN_MODELS, otlp=traces.url) as gateway:
        gateway.ask("POST", b"/v1/models/two_in:predict", b"{", headers())
        gateway.ask("POST", b"/v1/models/none:predict", BODY, headers())
        gateway.ask("POST", PATH, BODY, headers() | {b"x-request-timeout": b"0.000001"})
        spans = [span for span in traces.wait(3) if span.kind == 2]
        assert [span.attributes["http.response.status_code"] for span in spans] == [400, 404, 504]
        assert [span.attributes["error.type"] for span in spans] == [
            "INVALID_ARGUMENT",
            "NOT_FOUND",
            "DEADLINE_EXCEEDED",
        ]
        assert [span.failed for span in spans] == [False, False, True]


@pytest.mark.parametrize("url", ["localhost:4318", "ftp://x", "http://", "nonsense"])
def test_an_address_that_is_none_ends_the_start(url):
    with pytest.raises(UsageError, match="otlp is no address of a collector's OTLP/HTTP port"):
        Gateway(read({"models_dir": GOLDEN_MODELS, "otlp": url}))


def test_metrics_lead_to_traces_for_those_who_read_openmetrics():
    with collector() as traces, in_process.gateway(models_dir=GOLDEN_MODELS, otlp=traces.url) as gateway:
        gateway.ask("POST", PATH, BODY, headers())
        gateway.ask("POST", PATH, BODY)
        accept = {b"accept": b"application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}
        answer = gateway.ask("GET", b"/metrics", headers=accept)
        assert in_process.header(answer, "content-type").startswith("application/openmetrics-text; version=1.0.0")
        families = {family.name: family for family in text_string_to_metric_families(answer.body.decode())}
        samples = families["signet_request_duration_seconds"].samples
        assert {sample.exemplar.labels["trace_id"] for sample in samples if sample.exemplar} == {TRACE}
        plain = gateway.ask("GET", b"/metrics")
        assert in_process.header(plain, "content-type").startswith("text/plain; version=0.0.4")
        assert TRACE.encode() not in plain.body
        told = {line.split()[0] for line in plain.body.decode().splitlines() if not line.startswith("#")}
        assert told == {line.split()[0] for line in answer.body.decode().splitlines() if not line.startswith("#")}
