"""What the headers of a request ask for: which method, by when, in which encoding; or why there is no call of it.

    POST /package.Service/Method, content-type: application/grpc, grpc-timeout: 5S … ──▶ RequestHead

Callers send the same headers again and again: what they mean is found once for all calls whose headers are the same bytes.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from signet.serving.grpc_transport import answer_blocks, metadata, timeouts
from signet.serving.grpc_transport.calls import Metadata, Method
from signet.serving.grpc_transport.messages import ENCODINGS, IDENTITY
from signet.serving.h2.headers import Headers

_CONTENT_TYPE = b"application/grpc"


class RequestHead:
    """The meaning of a request's headers. Many calls share one: nobody changes it, but for `key`."""

    __slots__ = ("_fields", "_metadata", "_path", "encoding", "key", "method", "refusal", "timeout_s")

    def __init__(self, headers: Headers, methods: Mapping[bytes, Method]) -> None:
        self.method: Method = Method()
        self.timeout_s: float | None = None
        """Seconds from the call's beginning to its deadline."""
        self.encoding = IDENTITY
        """Of those messages that are compressed."""
        self.key: Any = None
        """The key that its callers have shown, noted by their method's door."""
        self._path, self._fields = headers.path, headers.fields
        self._metadata: Metadata | None = None
        self.refusal: bytes | None = self._read(headers, methods)
        """The whole answer to a call that cannot be, and to what is no call of gRPC."""

    @property
    def path(self) -> str:
        """Of the method."""
        return self._path.decode("latin-1")

    @property
    def metadata(self) -> Metadata:
        """What the caller sent, without what is HTTP's and gRPC's own."""
        if self._metadata is None:
            self._metadata = metadata.from_fields(self._fields)
        return self._metadata

    def _read(self, headers: Headers, methods: Mapping[bytes, Method]) -> bytes | None:
        content_type, timeout = b"", None
        has_bytes = False
        for name, value in headers.fields:
            if name == b"content-type":
                content_type = value
            elif name == b"grpc-timeout":
                timeout = value
            elif name == b"grpc-encoding":
                self.encoding = value
            elif name[-4:] == b"-bin":
                has_bytes = True
        if headers.method != b"POST":
            return answer_blocks.http_refusal(HTTPStatus.METHOD_NOT_ALLOWED, "a call of gRPC is a POST")
        if not _is_grpc(content_type):
            details = f"content-type {content_type[:100]!r}; expected application/grpc"
            return answer_blocks.http_refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, details)
        method = methods.get(headers.path)
        if method is None:
            return answer_blocks.refusal("UNIMPLEMENTED", "Method not found!")
        self.method = method
        if self.encoding not in ENCODINGS:
            details = f"grpc-encoding {self.encoding[:100]!r} is unknown; expected one of grpc-accept-encoding"
            return answer_blocks.refusal("UNIMPLEMENTED", details, accepted=ENCODINGS)
        try:
            self.timeout_s = None if timeout is None else timeouts.parse(timeout)
            if has_bytes:
                self._metadata = metadata.from_fields(headers.fields)
        except ValueError as error:
            return answer_blocks.refusal("INTERNAL", str(error))
        return None


def _is_grpc(content_type: bytes) -> bool:
    """Whether it is application/grpc, alone or with a format or parameters behind; application/grpc-web is another protocol."""
    return content_type.startswith(_CONTENT_TYPE) and content_type[len(_CONTENT_TYPE) :][:1] in (b"", b"+", b";")
