"""TensorFlow Serving's REST dialect: predict, classify and regress.

    path, body ──▶ InferenceRequest ──▶ Exchange ──▶ {"predictions": …}, {"outputs": …} or {"results": …}

Beyond the dialect a predict body may say, in keys that TensorFlow Serving ignores:

    "output_filter": [names]     only these outputs
    "named_outputs": true        also the only output gets its name
    "non_finite": "null"         null, or with "string" a string, where the dialect writes bare NaN and Infinity
"""

import re
from collections.abc import Awaitable
from functools import partial

from signet.serving.errors import InvalidInput
from signet.serving.gateway.core.inference import MAX_VERSION, Decoded, InferenceRequest, LeasedSignature
from signet.serving.gateway.http import inference_headers, paths
from signet.serving.gateway.http.pipeline import Answer, HttpExchange, HttpServices
from signet.serving.grpc_dialect import example_inference
from signet.serving.http.messages import Reply, Request
from signet.serving.offload import large_bodies
from signet.serving.offload.pool import LARGE_BYTES, LARGE_ELEMENTS
from signet.serving.offload.reading import Reading
from signet.serving.rest_dialect import json_codec
from signet.serving.rest_dialect.json_codec import PredictBody
from signet.serving.tensors.arrays import Array, Arrays

PROTOCOL = "v1"
PATH = re.compile(
    rb"/v1/models/([^/?]+?)(?:/versions/([^/:?]+)|/labels/([^/?]+?))?(:|%3[Aa])(predict|classify|regress)(?:\?.*)?"
)

_VERSION = re.compile(rb"\d{1,19}")


class PredictExchange(HttpExchange):
    """A predict of TensorFlow Serving's REST dialect."""

    _body: PredictBody | None = None
    """The body as read; without its value when a worker reads it."""
    _large: Reading[PredictBody] | None = None

    def __init__(self, services: HttpServices, match: re.Match[bytes], request: Request, reply: Reply) -> None:
        """match: of `PATH` with the request's path."""
        super().__init__(PROTOCOL, services, match, request, reply)

    def route(self) -> str:
        return route(self.match)

    def read(self, body: bytes) -> InferenceRequest | Awaitable[InferenceRequest]:
        if len(body) >= LARGE_BYTES:
            request = request_from_path(self.match, self.http_request, "")
            return self._read_large(request, body)
        self._body = json_codec.parse(body)
        return request_from_path(self.match, self.http_request, self._body.signature_name)

    async def _read_large(self, request: InferenceRequest, body: bytes) -> InferenceRequest:
        offload = self.services.offload
        self._large = Reading(offload, large_bodies.parse_predict, large_bodies.decode_predict, body, text=body)
        self._body = await self._large.head()
        return request._replace(signature_name=self._body.signature_name)

    def decode(self, leased: LeasedSignature) -> Decoded | Awaitable[Decoded]:
        body = self._body
        assert body is not None, "it was read"
        if self._large:
            return self._decode_large(self._large, body, leased)
        return json_codec.decode(body, leased.signature, leased.padding), body.output_filter

    async def _decode_large(self, large: Reading[PredictBody], body: PredictBody, leased: LeasedSignature) -> Decoded:
        return await large.arrays(leased.signature, leased.padding), body.output_filter

    def encode(self, outputs: Arrays) -> Answer | Awaitable[Answer]:
        body = self._body
        assert body is not None, "it was read"
        if large_bodies.elements(outputs) < LARGE_ELEMENTS:
            return Answer(json_codec.encode(outputs, body.layout, named=body.named_outputs, non_finite=body.non_finite))
        return self._encode_large(outputs, body)

    async def _encode_large(self, outputs: Arrays, body: PredictBody) -> Answer:
        encode = partial(self.services.offload.call, large_bodies.encode_predict)
        return Answer(await encode(outputs, body.layout, body.named_outputs, body.non_finite))

    def close(self) -> None:
        super().close()
        if self._large:
            self._large.close()


class ExamplesExchange(HttpExchange):
    """A classify or regress of TensorFlow Serving's REST dialect."""

    def __init__(self, services: HttpServices, match: re.Match[bytes], request: Request, reply: Reply) -> None:
        """match: of `PATH` with the request's path."""
        super().__init__(PROTOCOL, services, match, request, reply)
        self._classify = match[5] == b"classify"
        self._examples: Array | None = None
        """Each example serialized, once they are read."""

    def route(self) -> str:
        return route(self.match)

    def read(self, body: bytes) -> InferenceRequest | Awaitable[InferenceRequest]:
        request = request_from_path(self.match, self.http_request, "")
        if len(body) >= LARGE_BYTES:
            return self._read_large(request, body)
        signature_name, self._examples = large_bodies.read_examples(body)
        return request._replace(signature_name=signature_name)

    async def _read_large(self, request: InferenceRequest, body: bytes) -> InferenceRequest:
        signature_name, self._examples = await self.services.offload.call(large_bodies.read_examples, body)
        return request._replace(signature_name=signature_name)

    def decode(self, leased: LeasedSignature) -> Decoded:
        wanted = example_inference.classify_outputs if self._classify else example_inference.regress_outputs
        assert self._examples is not None, "they were read"
        return {"inputs": self._examples}, wanted(leased.lease, leased.signature)

    def encode(self, outputs: Arrays) -> Answer | Awaitable[Answer]:
        assert self._examples is not None, "they were read"
        count = len(self._examples)
        if large_bodies.elements(outputs) < LARGE_ELEMENTS:
            return Answer(large_bodies.encode_examples(outputs, count, self._classify))
        return self._encode_large(outputs, count)

    async def _encode_large(self, outputs: Arrays, count: int) -> Answer:
        return Answer(await self.services.offload.call(large_bodies.encode_examples, outputs, count, self._classify))


def route(match: re.Match[bytes]) -> str:
    """A path with names in the place of what differs. match: of `PATH`."""
    version = "/versions/{version}" if match[2] else "/labels/{label}" if match[3] else ""
    return f"/v1/models/{{model}}{version}:{match[5].decode()}"


def request_from_path(match: re.Match[bytes], request: Request, signature_name: str) -> InferenceRequest:
    """What a path (model, version, label) and the headers ask for. Raises `InvalidInput` and `NotFound`."""
    version = _version(match[2]) if match[2] else None
    label = paths.decoded(match[3]) if match[3] else None
    return inference_headers.request_from_headers(request, paths.decoded(match[1]), version, label, signature_name)


def _version(digits: bytes) -> int:
    if not _VERSION.fullmatch(digits):
        raise InvalidInput(
            f"the version is {paths.decoded(digits)[:40]!r}; expected a whole number, at most {MAX_VERSION}"
        )
    return int(digits)
