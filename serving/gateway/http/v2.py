"""The Open Inference Protocol over REST: inference. The other routes are in `v2_routes.py`.

    path, body ──▶ InferRequest ──▶ Exchange ──▶ {"model_name": …, "outputs": [{"name", "shape", "datatype", "data"}]}

A body may be JSON, or JSON with tensors as bytes after it; so may the answer.
"""

import re
from collections.abc import Awaitable, Callable
from functools import partial

from signet.serving.gateway.core.inference import Decoded, InferenceRequest, LeasedSignature
from signet.serving.gateway.core.open_inference import InferSteps, version_or_label
from signet.serving.gateway.http import inference_headers, paths
from signet.serving.gateway.http.pipeline import Answer, HttpExchange, HttpServices
from signet.serving.http.messages import Reply, Request
from signet.serving.offload import large_bodies
from signet.serving.offload.pool import LARGE_BYTES, LARGE_ELEMENTS
from signet.serving.offload.reading import Reading
from signet.serving.open_inference import binary, bodies
from signet.serving.open_inference.requests import InferRequest
from signet.serving.tensors.arrays import Arrays

PROTOCOL = "v2"
PATH = re.compile(rb"/v2/models/([^/?]+)(?:/versions/([^/?]+))?/infer(?:\?.*)?")

_HEADER = binary.HEADER.lower().encode()
_BINARY = b"Content-Type: application/octet-stream\r\n%b: %%d\r\n" % binary.HEADER.encode()


class InferExchange(HttpExchange):
    """An inference by the Open Inference Protocol over REST."""

    def __init__(self, services: HttpServices, match: re.Match[bytes], request: Request, reply: Reply) -> None:
        """match: of `PATH` with the request's path."""
        super().__init__(PROTOCOL, services, match, request, reply)
        self._model = ""
        self._version_or_label: tuple[int | None, str | None] = None, None
        self._steps: InferSteps | None = None
        self._large: Reading[InferRequest] | None = None

    def route(self) -> str:
        return f"/v2/models/{{model}}{'/versions/{version}' if self.match[2] else ''}/infer"

    def read(self, body: bytes) -> InferenceRequest | Awaitable[InferenceRequest]:
        match, headers = self.match, self.http_request.headers
        self._model = paths.decoded(match[1])
        self._version_or_label = version_or_label(self._model, paths.decoded(match[2]) if match[2] else "")
        header = headers.get(_HEADER)
        json_bytes = bodies.json_bytes(None if header is None else header.decode("latin-1"), len(body))
        if (len(body) if json_bytes is None else json_bytes) < LARGE_BYTES:
            return self._asked_for(bodies.parse(body, json_bytes))
        return self._read_large(body, json_bytes)

    async def _read_large(self, body: bytes, json_bytes: int | None) -> InferenceRequest:
        parse, decode = large_bodies.parse_infer, large_bodies.decode_infer
        self._large = Reading(self.services.offload, parse, decode, body, json_bytes, text=body)
        return self._asked_for(await self._large.head())

    def _asked_for(self, read: InferRequest) -> InferenceRequest:
        self.limit(read.timeout_s)
        self._steps = InferSteps(read, self._large.arrays if self._large else None)
        model, (version, label) = self._model, self._version_or_label
        return inference_headers.request_from_headers(self.http_request, model, version, label, read.signature_name)

    def decode(self, leased: LeasedSignature) -> Decoded | Awaitable[Decoded]:
        assert self._steps is not None, "it was read"
        return self._steps.decode(leased)

    def encode(self, outputs: Arrays) -> Answer | Awaitable[Answer]:
        assert self._steps is not None, "it was read"
        read, outcome = self._steps.request, self._steps.outcome(outputs)
        written = partial(large_bodies.encode_infer, read.without_inputs(), *outcome, self._model, self.version)
        if large_bodies.text_elements(read, outputs) < LARGE_ELEMENTS:
            return _answer(*written())
        return self._encode_large(written)

    async def _encode_large(self, written: Callable[[], tuple[bytes, int | None]]) -> Answer:
        return _answer(*await self.services.offload.call(written))

    def close(self) -> None:
        super().close()
        if self._large:
            self._large.close()


def _answer(body: bytes, json_bytes: int | None) -> Answer:
    return Answer(body) if json_bytes is None else Answer(body, _BINARY % json_bytes)
