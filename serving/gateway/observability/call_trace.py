"""What a call of the backend is told of the traces of its requests.

    requests of a call ──▶ its only one, or the first of several that is recorded ──▶ traceparent to the model server

A joint call is one call: it can be in one trace only, which is that of its first request that is recorded by somebody.
"""

from collections.abc import Sequence

from signet.serving.gateway.observability.request_context import RequestContext
from signet.serving.tracing.trace_context import TraceContext


class CallTrace:
    """The trace of one call. For the event loop."""

    __slots__ = ("metadata",)

    def __init__(self, context: TraceContext) -> None:
        self.metadata = context.fields()
        """What model servers are told."""


def passed_on(members: Sequence[RequestContext], requests: int) -> CallTrace | None:
    """The trace that a call of so many requests is told to belong to. members: those of them that belong to one, at least one."""
    first = members[0].trace
    if requests > 1:
        first = next((member.trace for member in members if member.trace and member.trace.sampled), None)
    return CallTrace(first) if first else None
