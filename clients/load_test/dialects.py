"""The ways to ask, by the name that --protocol takes: named arrays become a payload, ready to be sent.

v1          POST /v1/models/NAME:predict       JSON in columns
v2          POST /v2/models/NAME/infer         JSON of the Open Inference Protocol
v2-binary   the same, with tensors as raw bytes
grpc        TensorFlow Serving's Predict
grpc-v2     the Open Inference Protocol's ModelInfer
"""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from clients import gateway_client
from clients.load_test.mix import Entry
from serving.tensors import Arrays

Encode = Callable[[Entry, int | None, Arrays], gateway_client.Request]


@dataclass(frozen=True)
class HttpDialect:
    """A way to ask over HTTP."""

    name: str
    build: Encode

    def payload(self, url: str, entry: Entry, version: int | None, arrays: Arrays) -> bytes:
        """The whole request: head and body."""
        request = self.build(entry, version, arrays)
        parts = urlsplit(url)
        headers = {
            "host": parts.netloc,
            "content-type": "application/json",
            **dict(request.headers),
            "content-length": str(len(request.body)),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        path = parts.path.rstrip("/") + request.path
        return f"{request.method} {path} HTTP/1.1\r\n{head}\r\n".encode() + request.body


@dataclass(frozen=True)
class GrpcDialect:
    """A way to ask over gRPC."""

    name: str
    method: str
    build: Callable[[Entry, int | None, Arrays], bytes]


def _v1(entry: Entry, version: int | None, arrays: Arrays) -> gateway_client.Request:
    return gateway_client.build_predict(entry.model, arrays, version=version, signature=entry.signature, timeout_s=0)


def _grpc(entry: Entry, version: int | None, arrays: Arrays) -> bytes:
    from clients.grpc_client import build_predict  # noqa: PLC0415  # gRPC is only imported where it is used

    call = build_predict(entry.model, arrays, 0, version=version, signature=entry.signature)
    return bytes(call.request.SerializeToString())


DIALECTS: dict[str, HttpDialect | GrpcDialect] = {
    dialect.name: dialect
    for dialect in (
        HttpDialect("v1", _v1),
        GrpcDialect("grpc", "/tensorflow.serving.PredictionService/Predict", _grpc),
    )
}
