"""The trace of the program that asks, for the server: what OpenTelemetry's API holds as the current span, if it is in use.

span that is current ──fields──▶ traceparent, tracestate       OpenTelemetry never imported, or no span ──▶ nothing
"""

import sys


def fields() -> tuple[tuple[str, str], ...]:
    """The headers, or metadata, of a call that is made now."""
    api = sys.modules.get("opentelemetry.trace")  # a program without it has no span
    if api is None:
        return ()
    context = api.get_current_span().get_span_context()
    if not context.is_valid:
        return ()
    traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
    state = context.trace_state.to_header()
    return (("traceparent", traceparent), *((("tracestate", state),) if state else ()))
