"""The Open Inference Protocol over REST: inference. The other routes are in `v2_routes.py`.

    path, body ──▶ InferRequest ──▶ OpenInference ──▶ {"model_name": …, "outputs": [{"name", "shape", "datatype", "data"}]}

A body may be JSON, or JSON with tensors as bytes after it; so may the answer.
"""

import re
import time

from serving import open_inference_body
from serving.gateway import http_ask, paths
from serving.gateway.frame import Answer
from serving.gateway.open_inference import OpenInference, target
from serving.gateway.record import Record
from serving.http_server import Request

PROTOCOL = "v2"
PATH = re.compile(rb"/v2/models/([^/?]+)(?:/versions/([^/?]+))?/infer(?:\?.*)?")

_HEADER = open_inference_body.HEADER.lower().encode()
_BINARY = b"Content-Type: application/octet-stream\r\n%b: %%d\r\n" % open_inference_body.HEADER.encode()


class V2:
    """Answers POSTs whose path matches `PATH`."""

    def __init__(self, open_inference: OpenInference) -> None:
        self._open_inference = open_inference

    async def __call__(self, request: Request, body: bytes, record: Record) -> Answer:
        started = time.perf_counter()
        match = PATH.fullmatch(request.path)
        assert match is not None, "the gateway sends only paths that match"
        model = paths.text(match[1])
        version, label = target(model, paths.text(match[2]) if match[2] else "")
        header = request.headers.get(_HEADER)
        said = None if header is None else header.decode("latin-1")
        read = open_inference_body.parse(body, open_inference_body.json_bytes(said, len(body)))
        record.stage("parse", started)
        ask = http_ask.ask(request, model, version, label, read.signature_name, read.timeout_s)
        tensors = await self._open_inference.infer(ask, read, record)
        started = time.perf_counter()
        text, json_bytes = open_inference_body.encode(model, record.version, read.id, tensors, read.non_finite)
        record.stage("encode", started)
        return Answer(text) if json_bytes is None else Answer(text, _BINARY % json_bytes)
