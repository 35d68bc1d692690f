"""Traces of the model server: its calls as spans below those of their callers, such as the gateway's.

    call, traceparent ──▶ sampled? ──▶ CallSpan, the current one while it is answered ──▶ ended ──▶ Exporter
                                            ▲ PredictionService.run notes what ran, and from when to when

Ways in are wrapped where tracing is on, and only those that ask for an inference; where it is off nothing is.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from http import HTTPStatus
from typing import Any

from signet.serving.errors import ServingError
from signet.serving.grpc_transport.calls import Metadata, StreamContext
from signet.serving.grpc_transport.coroutine_methods import CoroutineMethod
from signet.serving.http.server import Request, Response
from signet.serving.tracing import trace_context
from signet.serving.tracing.sampler import Sampler
from signet.serving.tracing.span import INTERNAL, SERVER, Recorded, Span
from signet.serving.tracing.trace_context import TRACEPARENT, TRACESTATE, TraceContext, new_span_id

_FAILURES = frozenset(("UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"))
"""Codes that are this side's fault, as OpenTelemetry's conventions see it."""

RestAnswer = Callable[[Request], Awaitable[Response]]


class CallSpan:
    """A recorded call while it is answered, for the event loop; the exporter's thread reads it afterwards."""

    def __init__(self, context: TraceContext, parent_id: str) -> None:
        """parent_id: of the caller's span; empty where it names none."""
        self._context, self._parent_id = context, parent_id
        self._to_unix_ns = time.time_ns() - time.perf_counter_ns()
        self._start = time.perf_counter()
        self._end = 0.0
        self._run: tuple[float, float] | None = None
        self._name, self._failed = "", False
        self._attributes: dict[str, str | int | float | bool] = {}

    def running(self, model: str, version: int, signature: str) -> None:
        """The engine, or the batching in front of it, is called."""
        now = time.perf_counter()
        self._run = now, now
        self._attributes |= {"signet.model": model, "signet.version": str(version), "signet.signature": signature}

    def ran(self) -> None:
        """It has answered."""
        assert self._run, "it was called"
        self._run = self._run[0], time.perf_counter()

    def ended(self, name: str, attributes: dict[str, str | int | float | bool], error: str, *, failed: bool) -> None:
        """The call is answered. error: its type; empty for none. failed: whether that is this side's fault."""
        self._end, self._name, self._failed = time.perf_counter(), name, failed
        self._attributes |= attributes
        if error:
            self._attributes["error.type"] = error

    def spans(self) -> list[Span]:
        """The call's own, then what it has been through."""
        context, start, end = self._context, self._start, self._end
        parts = []
        if self._run:
            begun, done = self._run
            parts = [("decode", start, begun), ("run", begun, done)]
            if done < end and "error.type" not in self._attributes:
                parts.append(("encode", done, end))
        failure = "" if self._failed else None
        remote = bool(self._parent_id)
        return [
            Span(
                self._name,
                SERVER,
                context,
                self._parent_id,
                self._ns(start),
                self._ns(end),
                self._attributes,
                failure=failure,
                remote_parent=remote,
            ),
            *(
                Span(
                    part,
                    INTERNAL,
                    context._replace(span_id=new_span_id()),
                    context.span_id,
                    self._ns(a),
                    self._ns(b),
                    {},
                )
                for part, a, b in parts
            ),
        ]

    def _ns(self, at: float) -> int:
        return self._to_unix_ns + int(at * 1e9)


current: ContextVar[CallSpan | None] = ContextVar("current", default=None)
"""Of the task that answers a call."""


class Tracing:
    """For the event loop."""

    def __init__(self, sampler: Sampler, record: Callable[[Recorded], None]) -> None:
        """record: told of each call that has ended and is recorded; it returns at once."""
        self._sampler, self._record = sampler, record

    def rpc(self, method: str, answer: CoroutineMethod) -> CoroutineMethod:
        """The same, recorded. method: such as `tensorflow.serving.PredictionService/Predict`."""

        async def recorded(data: bytes, context: Any) -> Any:
            span = self._begun(_value(context, TRACEPARENT), _value(context, TRACESTATE))
            if span is None:
                return await answer(data, context)
            code = "UNKNOWN"
            try:
                answered = await answer(data, context)
                code = "OK"
            except ServingError as error:
                code = error.grpc_code
                raise
            except asyncio.CancelledError:
                code = "CANCELLED"
                raise
            finally:
                attributes = {"rpc.system.name": "grpc", "rpc.method": method, "rpc.response.status_code": code}
                span.ended(method, {**attributes}, code if code != "OK" else "", failed=code in _FAILURES)
                self._record(span)
            return answered

        return recorded

    def rest(self, answer: RestAnswer, route: Callable[[Request], str]) -> RestAnswer:
        """The same, recorded. route(request) gives its path with names in the place of what differs."""

        async def recorded(request: Request) -> Response:
            headers = request.headers
            span = None
            if request.method == "POST":
                span = self._begun(_text(headers.get(b"traceparent")), _text(headers.get(b"tracestate")))
            if span is None:
                return await answer(request)
            status: int | None = None
            try:
                response = await answer(request)
                status = response.status
            finally:
                path = route(request)
                attributes: dict[str, str | int | float | bool] = {
                    "http.request.method": request.method,
                    "http.route": path,
                    "network.protocol.version": request.version,
                }
                if status is not None:
                    attributes["http.response.status_code"] = int(status)
                failed = status is not None and status >= HTTPStatus.INTERNAL_SERVER_ERROR
                error = str(int(status)) if status is not None and status >= HTTPStatus.BAD_REQUEST else ""
                span.ended(f"{request.method} {path}", attributes, error, failed=failed)
                self._record(span)
            return response

        return recorded

    def _begun(self, traceparent: str | None, tracestate: str | None) -> CallSpan | None:
        above = trace_context.parse(traceparent, tracestate) if traceparent is not None else None
        own = self._sampler.own(above)
        if own is None:
            return None
        span = CallSpan(own, above.span_id if above else "")
        current.set(span)  # each call is answered by a task of its own, with which this goes
        return span


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


def _value(context: StreamContext, name: str) -> str | None:
    """What a caller's metadata say under a name, joined by commas; None: nothing."""
    metadata: Metadata = context.metadata
    return ",".join([value for key, value in metadata if key == name and isinstance(value, str)]) or None
