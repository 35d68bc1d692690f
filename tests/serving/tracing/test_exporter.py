"""The way of spans to a collector that is there, away, slow, busy or does not want them."""

import logging
import time

import pytest

from signet.serving.errors import UsageError
from signet.serving.tracing import exporter as exporting_thread
from signet.serving.tracing import otel_variables
from signet.serving.tracing.exporting import start
from signet.serving.tracing.span import INTERNAL, Span
from signet.serving.tracing.trace_context import TraceContext, new_span_id, new_trace_id
from tests.collector import collector
from tests.servers import free_port


class One:
    """A request of one span."""

    def __init__(self, name="it"):
        self._name = name

    def spans(self):
        context = TraceContext(new_trace_id(), new_span_id())
        return [Span(self._name, INTERNAL, context, "", 1, 2, {"a": "x", "b": 1, "c": 1.5, "d": True})]


class Broken(One):
    def spans(self):
        raise ValueError("a bug")


@pytest.fixture
def dropped():
    return []


@pytest.fixture
def started(dropped, monkeypatch):
    """start(url): an exporter that is quick to try again; stopped at the end."""
    monkeypatch.setattr(exporting_thread, "_PERIOD_S", 0.01)
    monkeypatch.setattr(exporting_thread, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(exporting_thread, "_AGAIN_S", 0.1)
    running = []

    def begin(url, **environ):
        running.append(start(url, "tests", environ, "1", lambda reason, number: dropped.append((reason, number))))
        return running[-1]

    yield begin
    for one in running:
        one.stop(5.0)


def until(true):
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_spans_come_with_their_attributes_and_headers_of_the_variables(started, dropped):
    with collector() as traces:
        exporter = started(traces.url, OTEL_EXPORTER_OTLP_HEADERS="api-key=a%20b,x=y")
        exporter.hand_over(One())
        (span,) = traces.wait(1)
        assert (span.service, span.name, span.attributes) == ("tests", "it", {"a": "x", "b": 1, "c": 1.5, "d": True})
        assert (traces.headers[0]["api-key"], traces.headers[0]["x"]) == ("a b", "y")
    assert dropped == []


def test_a_collector_that_is_away_is_told_of_once_and_costs_what_waits(started, dropped, caplog):
    caplog.set_level(logging.INFO)
    exporter = started(f"http://user:hidden@127.0.0.1:{free_port()}/v1/traces?key=hidden")
    for _ in range(3):
        exporter.hand_over(One())
        until(lambda: sum(number for _, number in dropped) == _ + 1)
    assert {reason for reason, _ in dropped} == {"unreachable"}
    (record,) = caplog.records
    assert "does not take traces" in record.getMessage()
    assert "hidden" not in caplog.text


def test_a_busy_collector_gets_the_same_again(started, dropped, caplog):
    caplog.set_level(logging.INFO)
    with collector() as traces:
        traces.status = 503
        exporter = started(traces.url)
        exporter.hand_over(One())
        traces.wait_asked(2)
        traces.status = 200
        exporter.hand_over(One("next"))
        names = [span.name for span in traces.wait(1 if dropped else 2)]
        assert names[-1] == "next"
        until(lambda: len(caplog.records) == 2)
        assert "takes traces again" in caplog.records[1].getMessage()


def test_what_a_collector_does_not_want_is_not_sent_again(started, dropped):
    with collector() as traces:
        traces.status = 400
        exporter = started(traces.url)
        exporter.hand_over(One())
        until(lambda: dropped)
        assert dropped == [("refused", 1)]
        assert traces.asked == 1


def test_a_slow_collector_bounds_what_waits_and_the_end(started, dropped, monkeypatch, caplog):
    monkeypatch.setattr(exporting_thread, "_MOST", 5)
    with collector() as traces:
        traces.release.clear()
        exporter = started(traces.url)
        exporter.hand_over(One())
        traces.wait_asked(1)
        for _ in range(8):
            exporter.hand_over(One())
        assert dropped == [("queue_full", 1)] * 3
        exporter.stop(0.05)
        assert "did not reach the collector" in caplog.text
        traces.release.set()
        assert len(traces.wait(6)) == 6


def test_a_bug_costs_the_spans_that_have_it(started, dropped, caplog):
    with collector() as traces:
        exporter = started(traces.url)
        exporter.hand_over(Broken())
        until(lambda: dropped)
        exporter.hand_over(One())
        traces.wait(1)
    assert dropped == [("broken", 1)]


def test_variables_say_of_which_program_spans_are():
    environ = {"OTEL_RESOURCE_ATTRIBUTES": "service.name=a,deployment.environment.name=x%2Cy"}
    assert otel_variables.read(environ, "d").resource == {"service.name": "a", "deployment.environment.name": "x,y"}
    assert otel_variables.read(environ | {"OTEL_SERVICE_NAME": "b"}, "d").resource["service.name"] == "b"
    assert otel_variables.read({}, "d").resource == {"service.name": "d"}
    both = {"OTEL_EXPORTER_OTLP_HEADERS": "a=1", "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "b=2"}
    assert otel_variables.read(both, "d").headers == {"b": "2"}
    with pytest.raises(UsageError, match="OTEL_EXPORTER_OTLP_HEADERS has an entry that is no key=value"):
        otel_variables.read({"OTEL_EXPORTER_OTLP_HEADERS": "secret"}, "d")


def test_roots_that_are_none_end_the_start(tmp_path, started):
    (tmp_path / "ca.pem").write_text("none")
    with pytest.raises(UsageError, match="holds no certificates in PEM"):
        started("https://127.0.0.1:1", OTEL_EXPORTER_OTLP_CERTIFICATE=str(tmp_path / "ca.pem"))
