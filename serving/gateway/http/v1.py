"""TensorFlow Serving's REST dialect: predict, classify and regress.

    path, body ──▶ InferenceRequest ──▶ Inference ──▶ {"predictions": …}, {"outputs": …} or {"results": …}

Beyond the dialect a predict body may say, in keys that TensorFlow Serving ignores:

    "output_filter": [names]     only these outputs
    "named_outputs": true        also the only output gets its name
    "non_finite": "null"         null, or with "string" a string, where the dialect writes bare NaN and Infinity
"""

import re
import time
from functools import partial

from signet.serving.errors import InvalidInput
from signet.serving.gateway.core.inference import MAX_VERSION, Decoded, Inference, InferenceRequest, LeasedSignature
from signet.serving.gateway.http import inference_headers, paths
from signet.serving.gateway.http.pipeline import Answer
from signet.serving.gateway.observability.request_context import RequestContext
from signet.serving.grpc_dialect import example_inference
from signet.serving.http.server import Request
from signet.serving.offload import large_bodies
from signet.serving.offload.pool import LARGE_BYTES, LARGE_ELEMENTS, Offload
from signet.serving.offload.reading import reading
from signet.serving.rest_dialect import json_codec
from signet.serving.rest_dialect.json_codec import PredictBody
from signet.serving.tensors.arrays import Arrays

PROTOCOL = "v1"
PATH = re.compile(
    rb"/v1/models/([^/?]+?)(?:/versions/([^/:?]+)|/labels/([^/?]+?))?(:|%3[Aa])(predict|classify|regress)(?:\?.*)?"
)

_VERSION = re.compile(rb"\d{1,19}")


class V1:
    """Answers POSTs whose path matches `PATH`."""

    def __init__(self, inference: Inference, offload: Offload) -> None:
        """offload: reads large bodies and writes large answers."""
        self._inference, self._offload = inference, offload

    async def answer(self, match: re.Match[bytes], request: Request, body: bytes, context: RequestContext) -> Answer:
        """Answer predict, classify or regress, as the path says. match: of `PATH` with the request's path."""
        verb = match[5]
        if verb == b"predict":
            return await self._predict(match, request, body, context)
        return await self._examples(match, request, body, context, verb == b"classify")

    async def _predict(self, match: re.Match[bytes], request: Request, text: bytes, context: RequestContext) -> Answer:
        started = time.perf_counter()
        if len(text) < LARGE_BYTES:
            body = json_codec.parse(text)
            context.stage("parse", started)
            inference_request = request_from_path(match, request, body.signature_name)
            outputs = await self._inference.run(inference_request, partial(self._decode, body), context)
        else:
            inference_request = request_from_path(match, request, "")
            body, outputs = await self._predict_large(inference_request, text, context)
        started = time.perf_counter()
        if large_bodies.elements(outputs) < LARGE_ELEMENTS:
            answer = json_codec.encode(outputs, body.layout, named=body.named_outputs, non_finite=body.non_finite)
        else:
            encode = partial(self._offload.call, large_bodies.encode_predict)
            async with context.in_time():
                answer = await encode(outputs, body.layout, body.named_outputs, body.non_finite)
        context.stage("encode", started)
        return Answer(answer)

    def _decode(self, body: PredictBody, leased: LeasedSignature) -> Decoded:
        return json_codec.decode(body, leased.signature, leased.padding), body.output_filter

    async def _predict_large(
        self, inference_request: InferenceRequest, text: bytes, context: RequestContext
    ) -> tuple[PredictBody, Arrays]:
        """The body without its value, and the outputs."""
        started = time.perf_counter()
        async with reading(self._offload, large_bodies.parse_predict, large_bodies.decode_predict, text) as large:
            async with context.in_time():
                body = await large.head()
            context.stage("parse", started)

            async def decode(leased: LeasedSignature) -> Decoded:
                async with context.in_time():
                    return await large.arrays(leased.signature, leased.padding), body.output_filter

            inference_request = inference_request._replace(signature_name=body.signature_name)
            return body, await self._inference.run(inference_request, decode, context)

    async def _examples(
        self, match: re.Match[bytes], request: Request, text: bytes, context: RequestContext, classify: bool
    ) -> Answer:
        started = time.perf_counter()
        inference_request = request_from_path(match, request, "")
        if len(text) < LARGE_BYTES:
            name, examples = large_bodies.read_examples(text)
        else:
            async with context.in_time():
                name, examples = await self._offload.call(large_bodies.read_examples, text)
        context.stage("parse", started)
        wanted = example_inference.classify_outputs if classify else example_inference.regress_outputs

        def decode(leased: LeasedSignature) -> Decoded:
            return {"inputs": examples}, wanted(leased.lease, leased.signature)

        outputs = await self._inference.run(inference_request._replace(signature_name=name), decode, context)
        started = time.perf_counter()
        if large_bodies.elements(outputs) < LARGE_ELEMENTS:
            answer = large_bodies.encode_examples(outputs, len(examples), classify)
        else:
            async with context.in_time():
                answer = await self._offload.call(large_bodies.encode_examples, outputs, len(examples), classify)
        context.stage("encode", started)
        return Answer(answer)


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
