"""The Open Inference Protocol over REST: inference. The other routes are in `v2_routes.py`.

    path, body ──▶ InferRequest ──▶ OpenInference ──▶ {"model_name": …, "outputs": [{"name", "shape", "datatype", "data"}]}

A body may be JSON, or JSON with tensors as bytes after it; so may the answer.
"""

import re
import time
from collections.abc import Callable
from functools import partial

from signet.serving.gateway.core.inference import InferenceRequest
from signet.serving.gateway.core.open_inference import OpenInference, Outcome, version_or_label
from signet.serving.gateway.http import inference_headers, paths
from signet.serving.gateway.http.pipeline import Answer
from signet.serving.gateway.observability.request_context import RequestContext
from signet.serving.http.server import Request
from signet.serving.offload import large_bodies
from signet.serving.offload.pool import LARGE_BYTES, LARGE_ELEMENTS, Offload
from signet.serving.offload.reading import reading
from signet.serving.open_inference import binary, bodies
from signet.serving.open_inference.requests import InferRequest

PROTOCOL = "v2"
PATH = re.compile(rb"/v2/models/([^/?]+)(?:/versions/([^/?]+))?/infer(?:\?.*)?")

_HEADER = binary.HEADER.lower().encode()
_BINARY = b"Content-Type: application/octet-stream\r\n%b: %%d\r\n" % binary.HEADER.encode()


class V2:
    """Answers POSTs whose path matches `PATH`."""

    def __init__(self, open_inference: OpenInference, offload: Offload) -> None:
        """offload: reads large bodies and writes large answers."""
        self._open_inference, self._offload = open_inference, offload

    async def answer(self, match: re.Match[bytes], request: Request, body: bytes, context: RequestContext) -> Answer:
        """Answer an inference. match: of `PATH` with the request's path."""
        started = time.perf_counter()
        model = paths.decoded(match[1])
        version, label = version_or_label(model, paths.decoded(match[2]) if match[2] else "")
        make_request = partial(inference_headers.request_from_headers, request, model, version, label)
        header = request.headers.get(_HEADER)
        length = None if header is None else header.decode("latin-1")
        json_bytes = bodies.json_bytes(length, len(body))
        if (len(body) if json_bytes is None else json_bytes) < LARGE_BYTES:
            read = bodies.parse(body, json_bytes)
            context.stage("parse", started)
            context.limit(read.timeout_s)
            outcome = await self._open_inference.infer(make_request(read.signature_name), read, context)
        else:
            read, outcome = await self._infer_large(make_request, body, json_bytes, context)
        started = time.perf_counter()
        written = partial(large_bodies.encode_infer, read.without_inputs(), *outcome, model, context.version)
        if large_bodies.text_elements(read, outcome.outputs) < LARGE_ELEMENTS:
            text, json_bytes = written()
        else:
            async with context.in_time():
                text, json_bytes = await self._offload.call(written)
        context.stage("encode", started)
        return Answer(text) if json_bytes is None else Answer(text, _BINARY % json_bytes)

    async def _infer_large(
        self,
        make_request: Callable[[str], InferenceRequest],
        body: bytes,
        json_bytes: int | None,
        context: RequestContext,
    ) -> tuple[InferRequest, Outcome]:
        """The request without its tensors, and what the model gives. make_request: of the name of a signature."""
        started = time.perf_counter()
        parse, decode = large_bodies.parse_infer, large_bodies.decode_infer
        async with reading(self._offload, parse, decode, body, json_bytes) as large:
            async with context.in_time():
                read = await large.head()
            context.stage("parse", started)
            context.limit(read.timeout_s)
            request = make_request(read.signature_name)
            return read, await self._open_inference.infer(request, read, context, large.arrays)
