"""How a server has ended a call: the status in its trailers, or what headers without one, resets and HTTP's errors stand for.

    trailers, or headers alone ──▶ Ending: code, details, trailing metadata
    headers ──▶ AnswerHead: the encoding of messages, or the Ending of what is no answer of gRPC

The same bytes mean the same for all calls of a connection: what they mean is kept in `Headers.owner`.
"""

from typing import NamedTuple

from signet.serving.errors import CODE_NAMES
from signet.serving.grpc_transport import metadata, status
from signet.serving.grpc_transport.calls import Metadata
from signet.serving.grpc_transport.channels import BrokenAnswer, CallError
from signet.serving.grpc_transport.messages import IDENTITY
from signet.serving.h2 import frames
from signet.serving.h2.headers import Headers

_OF_HTTP = {
    b"400": "INTERNAL",
    b"401": "UNAUTHENTICATED",
    b"403": "PERMISSION_DENIED",
    b"404": "UNIMPLEMENTED",
    b"429": "UNAVAILABLE",
    b"502": "UNAVAILABLE",
    b"503": "UNAVAILABLE",
    b"504": "UNAVAILABLE",
}
"""What HTTP's errors stand for where a proxy answers (`http-grpc-status-mapping.md`); all others are UNKNOWN."""

_OF_RESET = {
    frames.REFUSED_STREAM: "UNAVAILABLE",
    frames.CANCEL: "CANCELLED",
    frames.ENHANCE_YOUR_CALM: "RESOURCE_EXHAUSTED",
    frames.INADEQUATE_SECURITY: "PERMISSION_DENIED",
}
"""What resets of streams stand for (`PROTOCOL-HTTP2.md`); all others are INTERNAL."""


class Ending(NamedTuple):
    """The status that a server has sent."""

    code: str
    details: str
    trailing: Metadata
    broken: bool = False
    """Whether the answer is none of gRPC's, so that the code is what it stands for and not what the server has said."""

    def error(self) -> CallError:
        """What to tell who waits; not for OK."""
        kind = BrokenAnswer if self.broken else CallError
        return kind(self.code, self.details, self.trailing)


class AnswerHead(NamedTuple):
    """The headers of an answer."""

    encoding: bytes
    """Of those messages that are compressed."""
    ending: Ending | None
    """The status, where the headers are all there is; or what is wrong with them."""


class _Heads(NamedTuple):
    """What the same headers mean with and without an answer behind them."""

    first: AnswerHead
    alone: AnswerHead


def ending_of(trailers: Headers) -> Ending:
    """The status in trailers. What has none is UNKNOWN, and so is a number that gRPC does not have."""
    if isinstance(trailers.owner, Ending):
        return trailers.owner
    ending = _ending(trailers) or Ending("UNKNOWN", "the server has ended the answer without grpc-status", (), True)
    trailers.owner = ending
    return ending


def head_of(headers: Headers, *, alone: bool) -> AnswerHead:
    """What headers say. alone: nothing follows them, so that the status is in them."""
    heads = headers.owner
    if not isinstance(heads, _Heads):
        heads = headers.owner = _Heads(_head(headers, alone=False), _head(headers, alone=True))
    return heads.alone if alone else heads.first


def of_reset(code: int, reason: str) -> CallError:
    """The error for a stream that was reset. reason: why we did it; empty when the server has."""
    if reason:
        return BrokenAnswer("INTERNAL", f"the answer breaks HTTP/2: {reason}")
    kind = CallError if code in _OF_RESET else BrokenAnswer
    return kind(_OF_RESET.get(code, "INTERNAL"), f"the server has reset the stream with code {code}")


def _head(headers: Headers, *, alone: bool) -> AnswerHead:
    encoding, content_type = IDENTITY, b""
    for name, value in headers.fields:
        if name == b"grpc-encoding":
            encoding = value
        elif name == b"content-type":
            content_type = value
    ending = _ending(headers) if alone else None
    if ending is None and headers.status != b"200":
        code = _OF_HTTP.get(headers.status, "UNKNOWN")
        broken = code != "UNAVAILABLE"
        ending = Ending(code, f"the answer has HTTP status {headers.status.decode()}", (), broken)
    elif ending is None and not content_type.startswith(b"application/grpc"):
        ending = Ending(
            "UNKNOWN", f"the answer has content-type {content_type[:100]!r}; expected application/grpc", (), True
        )
    elif ending is None and alone:
        ending = Ending("UNKNOWN", "the server has ended the answer without grpc-status", (), True)
    return AnswerHead(encoding, ending)


def _ending(headers: Headers) -> Ending | None:
    code, details = "", ""
    for name, value in headers.fields:
        if name == b"grpc-status":
            code = _code(value)
        elif name == b"grpc-message":
            details = status.decode_message(value)
    if not code:
        return None
    try:
        return Ending(code, details, metadata.from_fields(headers.fields))
    except ValueError as error:
        return Ending("INTERNAL", f"the answer's trailers: {error}", (), True)


def _code(value: bytes) -> str:
    number = int(value) if value.isdigit() and len(value) <= 3 else -1
    return CODE_NAMES[number] if 0 <= number < len(CODE_NAMES) else "UNKNOWN"
