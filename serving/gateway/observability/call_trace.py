"""The trace of a call of the backend: what the model server is told, and the call's own span where one is recorded.

    requests of a call ──▶ its only one, or of several the first that is recorded ──▶ CallTrace ──▶ traceparent to the server
                                                                                       │ ended
                       links to the other recorded ones ◀── span of the call ◀─────────┘

A joint call is one call: it can be in one trace only, which is that of its first request that is recorded. The others' `run`
has a link to it, and it has links to theirs.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from signet.serving.errors import ServingError
from signet.serving.gateway.observability.request_context import RequestContext
from signet.serving.gateway.observability.request_span import to_unix_ns
from signet.serving.tensors.arrays import Arrays
from signet.serving.tracing.span import CLIENT, INTERNAL, Recorded, Span
from signet.serving.tracing.trace_context import TraceContext, new_span_id

_MOST_LINKS = 128
"""As many as OpenTelemetry's SDKs keep of a span."""
_METHOD = "tensorflow.serving.PredictionService/Predict"


class CallTrace:
    """The trace of one call. For the event loop."""

    __slots__ = ("attempts", "metadata", "server")

    def __init__(self, context: TraceContext) -> None:
        self.metadata = context.fields()
        """What model servers are told."""
        self.server = ""
        """HOST:PORT of the model server that was asked last, or has answered; empty for the embedded engine."""
        self.attempts = 0
        """How many were asked."""

    def sent(self, server: str) -> None:
        """The call has been sent to a model server."""
        self.server = server
        self.attempts += 1


class RecordedCall(CallTrace):
    """A call with a span of its own, which is recorded when the call ends. It is read by the exporter's thread from then on."""

    __slots__ = (
        "_attributes",
        "_context",
        "_end",
        "_error",
        "_links",
        "_parent_id",
        "_record",
        "_start",
        "_to_unix_ns",
    )

    def __init__(
        self, members: Sequence[RequestContext], requests: int, rows: int, record: Callable[[Recorded], None]
    ) -> None:
        """members: the recorded requests among so many. rows: of all together. record: told of it when it has ended."""
        first = members[0]
        assert first.trace, "it is recorded"
        assert first.span, "it is recorded"
        self._context = first.trace._replace(span_id=new_span_id())
        super().__init__(self._context)
        self._parent_id = first.span.run_id
        self._links = tuple(
            [
                member.trace._replace(span_id=member.span.run_id)
                for member in members[1 : 1 + _MOST_LINKS]
                if member.trace and member.span
            ]
        )
        for member in members[1:]:
            if member.span:
                member.span.call = self._context
        self._attributes: dict[str, str | int | float | bool] = {
            "signet.model": first.model,
            "signet.version": first.version,
            "signet.signature": first.signature,
            "signet.batch.requests": requests,
            "signet.batch.rows": rows,
        }
        self._record = record
        self._start, self._end, self._error = time.perf_counter(), 0.0, ""
        self._to_unix_ns = to_unix_ns()

    def observed(self, call: Callable[[], Arrays | Awaitable[Arrays]]) -> Arrays | Awaitable[Arrays]:
        """What the call gives; its end is noted."""
        try:
            result = call()
        except BaseException as error:
            self._ended(error)
            raise
        if isinstance(result, dict):
            self._ended(None)
            return result
        future = asyncio.ensure_future(result)
        future.add_done_callback(self._done)
        return future

    def _done(self, future: "asyncio.Future[Arrays]") -> None:
        self._ended(asyncio.CancelledError() if future.cancelled() else future.exception())

    def _ended(self, error: BaseException | None) -> None:
        self._end = time.perf_counter()
        if error:
            self._error = error.grpc_code if isinstance(error, ServingError) else type(error).__name__
        self._record(self)

    def spans(self) -> list[Span]:
        """The one of the call."""
        attributes, error = self._attributes, self._error
        name, kind = "call", INTERNAL
        if self.attempts:
            name, kind = _METHOD, CLIENT
            host, _, port = self.server.rpartition(":")
            attributes |= {
                "rpc.system.name": "grpc",
                "rpc.method": _METHOD,
                "rpc.response.status_code": error or "OK",
                "server.address": host or self.server,
                "signet.attempts": self.attempts,
            }
            if port.isdigit():
                attributes["server.port"] = int(port)
        if error:
            attributes["error.type"] = error
        start_ns, end_ns = (self._to_unix_ns + int(at * 1e9) for at in (self._start, self._end))
        failure = error if error and error != "CancelledError" else None
        return [Span(name, kind, self._context, self._parent_id, start_ns, end_ns, attributes, self._links, failure)]


def passed_on(members: Sequence[RequestContext], requests: int) -> CallTrace | None:
    """The trace that a call of so many requests is told to belong to, where none of them is recorded here.

    members: those of them that belong to one, at least one.
    """
    first = members[0].trace
    if requests > 1:
        first = next((member.trace for member in members if member.trace and member.trace.sampled), None)
    return CallTrace(first) if first else None
