"""A client's calls belong to the trace of the program that makes them, if that has one."""

import subprocess
import sys

from signet.clients.client import current_trace
from signet.clients.client.grpc_client import GrpcClient
from signet.clients.client.http_client import Client
from tests import servers
from tests.collector import collector
from tests.servers import GOLDEN_MODELS, grpc_address

INPUTS = {"a": [[1, 2, 3]], "b": [[4, 5]]}


def test_calls_are_below_the_current_span():
    from opentelemetry import trace
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState

    context = SpanContext(7, 9, False, TraceFlags(1), TraceState([("a", "1")]))
    with collector() as traces:
        arguments = ("--models-dir", GOLDEN_MODELS, "--otlp", traces.url, "--otlp-sample", "0")
        with (
            servers.gateway(*arguments) as (url, running),
            Client(url) as http,
            GrpcClient(grpc_address(running)) as rpc,
        ):
            http.predict("two_in", INPUTS)
            with trace.use_span(NonRecordingSpan(context)):
                assert dict(current_trace.fields())["tracestate"] == "a=1"
                http.predict("two_in", INPUTS)
                rpc.predict("two_in", INPUTS)
            tops = [span for span in traces.wait(14) if span.kind == 2]
    assert [(span.trace_id, span.parent_id) for span in tops] == [(f"{7:032x}", f"{9:016x}")] * 2


def test_a_program_without_opentelemetry_imports_none():
    code = (
        "import sys; from signet.clients.client import current_trace; assert current_trace.fields() == ();"
        "assert not any(name.startswith('opentelemetry') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
