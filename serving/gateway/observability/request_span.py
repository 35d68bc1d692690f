"""What is noted of a request that is recorded, and the spans that are made of it: one of the request, one of each stage.

    begin ──▶ RequestSpan ──calls and stages fill it in──▶ ended ──▶ EndedRequest ──exporter's thread──▶ Span, Span, …

The stages' times are those that the metrics are told; only when they began is noted besides.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

from signet.serving.errors import ServingError
from signet.serving.tracing.span import INTERNAL, SERVER, Span
from signet.serving.tracing.trace_context import TraceContext, new_span_id

RUN = "run"
"""The stage of the call, below which the call's own span is."""

Stage = tuple[str, float, float]
"""Its name, its begin and its end, by `time.perf_counter`."""

_FAILURES = frozenset(("UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"))
"""Codes that are this side's fault, as OpenTelemetry's conventions see it; others are the caller's."""
_MOST = 200
"""Characters of an error's message."""


class RequestSpan:
    """A recorded request while it is answered. For the event loop."""

    __slots__ = ("call", "parent_id", "parsed_at", "run_id")

    def __init__(self, parent_id: str) -> None:
        """parent_id: of its caller's span; empty where it names none."""
        self.parent_id, self.run_id = parent_id, new_span_id()
        """run_id: of the stage `run`."""
        self.parsed_at: float | None = None
        """When it was parsed, by `time.perf_counter`."""
        self.call: TraceContext | None = None
        """The span of the joint call that it went into, where that is in another trace."""


class EndedRequest(NamedTuple):
    """A recorded request that has been answered."""

    span: RequestSpan
    context: TraceContext
    name: str
    attributes: dict[str, str | int | float | bool]
    stages: Sequence[Stage]
    start: float
    end: float
    to_unix_ns: int
    """What the clock of `time.perf_counter` has to be put forward by."""
    code: str
    error: ServingError | None

    def spans(self) -> list[Span]:
        """The request's own first, then its stages."""
        context, span = self.context, self.span
        failure = None
        if self.code in _FAILURES:
            failure = str(self.error or "")[:_MOST]
        spans = [
            Span(
                self.name,
                SERVER,
                context,
                span.parent_id,
                self._ns(self.start),
                self._ns(self.end),
                self.attributes,
                failure=failure,
                remote_parent=bool(span.parent_id),
            )
        ]
        trace_id = context.trace_id
        for name, start, end in self.stages:
            own = TraceContext(trace_id, span.run_id if name == RUN else new_span_id(), context.flags, context.state)
            links = (span.call,) if name == RUN and span.call else ()
            spans.append(Span(name, INTERNAL, own, context.span_id, self._ns(start), self._ns(end), {}, links))
        return spans

    def _ns(self, at: float) -> int:
        return self.to_unix_ns + int(at * 1e9)


def to_unix_ns() -> int:
    """What the clock of `time.perf_counter` has to be put forward by now to show the nanoseconds since 1970."""
    return time.time_ns() - time.perf_counter_ns()
