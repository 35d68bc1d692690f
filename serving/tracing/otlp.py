"""Spans as OTLP carries them: one ExportTraceServiceRequest for many. The messages are the `otlp` extra's.

They are filled in directly, and attributes, which are mostly the same, are written once and kept: the OpenTelemetry SDK makes the
same bytes of objects of its own, in several times the processor time. A field's bytes may stand anywhere in its message.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2

from signet.serving.tensors.wire_format import delimited
from signet.serving.tracing.span import Span

Value = str | int | float | bool

_HAS_REMOTE, _IS_REMOTE = 0x100, 0x200
"""Flags beside W3C's: whether it is said, and so, that the span above is another process's."""
_FAILED = 2
"""STATUS_CODE_ERROR."""
_SCOPE = "signet"
_RESOURCE_SPANS, _SCOPE_SPANS, _SPANS, _ATTRIBUTES = 1, 2, 2, 9
"""Numbers of fields: of the request, ResourceSpans, ScopeSpans and Span."""


def request(resource: Mapping[str, Value], version: str, spans: Iterable[Span]) -> bytes:
    """The message. resource: says which program the spans are of. version: of this program."""
    scope = trace_pb2.ScopeSpans()
    scope.scope.name, scope.scope.version = _SCOPE, version
    of_scope = b"".join([scope.SerializeToString(), *(delimited(_SPANS, _written(span)) for span in spans)])
    attributes = [KeyValue(key=key, value=_value(value)) for key, value in resource.items()]
    of_program = trace_pb2.ResourceSpans(resource=Resource(attributes=attributes)).SerializeToString()
    return delimited(_RESOURCE_SPANS, of_program + delimited(_SCOPE_SPANS, of_scope))


def rejected(response: bytes) -> tuple[int, str]:
    """How many spans a collector says that it has not taken, and why. Raises protobuf's `DecodeError`."""
    said = ExportTraceServiceResponse.FromString(response).partial_success
    return said.rejected_spans, said.error_message


def _written(span: Span) -> bytes:
    context = span.context
    message = trace_pb2.Span(
        trace_id=bytes.fromhex(context.trace_id),
        span_id=bytes.fromhex(context.span_id),
        trace_state=context.state,
        parent_span_id=bytes.fromhex(span.parent_id),
        flags=context.flags | _HAS_REMOTE | (_IS_REMOTE if span.remote_parent else 0),
        name=span.name,
        kind=span.kind,  # type: ignore[arg-type]  # a number, as sent
        start_time_unix_nano=span.start_ns,
        end_time_unix_nano=span.end_ns,
    )
    for link in span.links:
        message.links.add(trace_id=bytes.fromhex(link.trace_id), span_id=bytes.fromhex(link.span_id), flags=link.flags)
    if span.failure is not None:
        message.status.code, message.status.message = _FAILED, span.failure  # type: ignore[assignment]  # a number, as sent
    if not span.attributes:
        return message.SerializeToString()
    attributes = [_attribute(key, value) for key, value in span.attributes.items()]
    return b"".join([message.SerializeToString(), *attributes])


@lru_cache(2048, typed=True)  # for 1, 1.0 and True are equal
def _attribute(key: str, value: Value) -> bytes:
    """An attribute as a field of its span."""
    return delimited(_ATTRIBUTES, KeyValue(key=key, value=_value(value)).SerializeToString())


def _value(value: Value) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    return AnyValue(double_value=value)
