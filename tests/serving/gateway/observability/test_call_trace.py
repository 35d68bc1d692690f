"""Which trace a call of the backend is told to belong to."""

import asyncio

import pytest

from signet.serving.gateway.observability import call_trace
from signet.serving.gateway.observability.request_context import RequestContext
from signet.serving.tracing.trace_context import TraceContext
from tests.serving.gateway.other_program import gateway_at, program

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-%s"


def request(number: int, *, sampled: bool) -> RequestContext:
    context = RequestContext("v1", 1.0)
    context.trace = TraceContext(f"{number:032x}", f"{number:016x}", int(sampled))
    return context


@pytest.mark.parametrize(
    ("sampled", "requests", "chosen"),
    [
        ([True], 1, 1),
        ([False], 1, 1),
        ([True], 2, 1),
        ([False], 2, None),
        ([False, True, True], 3, 2),
        ([False, False], 2, None),
    ],
)
def test_a_joint_call_belongs_to_its_first_request_that_is_recorded(sampled, requests, chosen):
    members = [request(number, sampled=yes) for number, yes in enumerate(sampled, 1)]
    trace = call_trace.passed_on(members, requests)
    assert (trace and dict(trace.metadata)["traceparent"][:35]) == (chosen and f"00-{chosen:032x}")


@pytest.mark.parametrize("flags", ["01", "00"])
def test_the_model_server_is_told_what_the_caller_says(flags):
    async def run():
        told = []
        async with program(told=told) as (address, *_), gateway_at(address) as (ask, *_):
            headers = {b"traceparent": (TRACEPARENT % flags).encode(), b"tracestate": b"a=1"}
            assert (await ask(headers=headers))[0] == 200
            assert (await ask(headers=headers | {b"traceparent": b"00-none"}))[0] == 200
            assert (await ask())[0] == 200
        assert (told[0]["traceparent"], told[0]["tracestate"]) == (TRACEPARENT % flags, "a=1")
        assert not any("traceparent" in metadata for metadata in told[1:])

    asyncio.run(run())
