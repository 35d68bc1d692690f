"""Tracing of a gateway, where it is on: which requests are recorded, and what was noted of them on its way to the collector.

Exchange.begin ──begin──▶ recorded or not ──▶ its call: `call_trace.py` ──▶ answered ──ended──▶ record
"""

from collections.abc import Callable

from signet.serving.gateway.observability.metrics import UNKNOWN
from signet.serving.gateway.observability.request_context import RequestContext
from signet.serving.gateway.observability.request_span import EndedRequest, RequestSpan, to_unix_ns
from signet.serving.tracing.sampler import Sampler
from signet.serving.tracing.span import Recorded


class Tracing:
    """For the event loop. What costs more than a microsecond is done for recorded requests only."""

    def __init__(self, sampler: Sampler, record: Callable[[Recorded], None]) -> None:
        """record: told of each request and call that has ended and is recorded; it returns at once."""
        self._sampler, self.record = sampler, record

    def begin(self, request: RequestContext) -> None:
        """Record a request that has begun, if it is to be. From then on its trace is that below its own span."""
        above = request.trace
        own = self._sampler.own(above)
        if own is not None:
            request.trace, request.span = own, RequestSpan(above.span_id if above else "")

    def ended(self, request: RequestContext, code: str, seconds: float, response_bytes: int) -> None:
        """An `Observer`."""
        span = request.span
        if span is None or request.trace is None:
            return
        name, attributes = request.described(code)
        for key, value in (
            ("signet.model", request.model),
            ("signet.version", request.version),
            ("signet.signature", request.signature),
        ):
            if value != UNKNOWN:
                attributes[key] = value
        attributes["signet.rows"] = request.rows
        attributes["signet.code"] = code
        attributes["signet.request.size"], attributes["signet.response.size"] = request.bytes, response_bytes
        if request.key:
            attributes["signet.key"] = request.key
        if code != "OK":
            attributes["error.type"] = code
        start = request.started
        self.record(
            EndedRequest(
                span,
                request.trace,
                name,
                attributes,
                request.stages(),
                start,
                start + seconds,
                to_unix_ns(),
                code,
                request.error,
            )
        )
