"""The ways to ask, by the name that --protocol takes: named arrays become a payload, ready to be sent.

v1          POST /v1/models/NAME:predict       JSON in columns
v2          POST /v2/models/NAME/infer         JSON of the Open Inference Protocol
v2-binary   the same, with tensors as raw bytes
grpc        TensorFlow Serving's Predict
grpc-v2     the Open Inference Protocol's ModelInfer
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from signet.clients.client import connecting, grpc_messages, http_messages, infer_messages
from signet.clients.client.connecting import Access
from signet.clients.load_test.plan import first_answer
from signet.clients.load_test.plan.first_answer import Shapes
from signet.clients.load_test.plan.mix import MixEntry
from signet.serving.open_inference import open_inference_pb2, requests
from signet.serving.open_inference.binary import to_bytes
from signet.serving.tensors import dtypes
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.signature import Signature

Encode = Callable[[MixEntry, int | None, Arrays], http_messages.Request]


@dataclass(frozen=True)
class HttpDialect:
    """A way to ask over HTTP."""

    name: str
    build: Encode
    shapes: Callable[[http_messages.Response, Signature], Shapes]
    """Reads an answer, for `first_answer.check`."""

    def payload(self, url: str, access: Access, entry: MixEntry, version: int | None, arrays: Arrays) -> bytes:
        """The whole request: head and body."""
        request = self.build(entry, version, arrays)
        parts = urlsplit(url)
        headers = {
            "host": parts.netloc.rpartition("@")[2],
            "content-type": "application/json",
            **connecting.signed_in(url),
            **{name.lower(): value for name, value in access.headers},
            **dict(request.headers),
            "content-length": str(len(request.body)),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        path = parts.path.rstrip("/") + request.path
        return f"{request.method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + request.body


@dataclass(frozen=True)
class GrpcDialect:
    """A way to ask over gRPC."""

    name: str
    method: str
    build: Callable[[MixEntry, int | None, Arrays], bytes]
    shapes: Callable[[bytes, Signature], Shapes]
    """Reads an answer, for `first_answer.check`."""


def _v1(entry: MixEntry, version: int | None, arrays: Arrays) -> http_messages.Request:
    return http_messages.build_predict(entry.model, arrays, selector=version, signature=entry.signature, timeout_s=0)


def _v2(entry: MixEntry, version: int | None, arrays: Arrays, *, binary: bool) -> http_messages.Request:
    return infer_messages.build_infer(
        entry.model, arrays, selector=version, signature=entry.signature, timeout_s=0, binary=binary
    )


def _grpc_v2(entry: MixEntry, version: int | None, arrays: Arrays) -> bytes:
    message = open_inference_pb2.ModelInferRequest(model_name=entry.model, model_version=str(version or ""))
    message.parameters["signature_name"].string_param = entry.signature
    for name, array in arrays.items():
        named = requests.datatype(dtypes.from_numpy(array.dtype), f"input {name!r}")
        message.inputs.add(name=name, datatype=named, shape=array.shape)
        message.raw_input_contents.append(to_bytes(array))
    return message.SerializeToString()


def _grpc(entry: MixEntry, version: int | None, arrays: Arrays) -> bytes:
    call = grpc_messages.build_predict(entry.model, arrays, 0, selector=version, signature=entry.signature)
    return call.request.SerializeToString()


DIALECTS: dict[str, HttpDialect | GrpcDialect] = {
    dialect.name: dialect
    for dialect in (
        HttpDialect("v1", _v1, first_answer.v1),
        HttpDialect("v2", partial(_v2, binary=False), first_answer.v2),
        HttpDialect("v2-binary", partial(_v2, binary=True), first_answer.v2),
        GrpcDialect("grpc", "/tensorflow.serving.PredictionService/Predict", _grpc, first_answer.grpc),
        GrpcDialect("grpc-v2", "/inference.GRPCInferenceService/ModelInfer", _grpc_v2, first_answer.grpc_v2),
    )
}
