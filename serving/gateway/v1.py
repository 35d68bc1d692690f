"""TensorFlow Serving's REST dialect: predict, classify and regress.

    path, body ──▶ Ask ──▶ Inference ──▶ {"predictions": …}, {"outputs": …} or {"results": …}

Beyond the dialect a predict body may say, in keys that TensorFlow Serving ignores:

    "output_filter": [names]     only these outputs
    "named_outputs": true        also the only output gets its name
    "non_finite": "null"         null, or with "string" a string, where the dialect writes bare NaN and Infinity
"""

import re
import time
from collections.abc import Sequence
from functools import partial

from serving import example_inference, examples_json, json_codec, json_text
from serving.errors import InvalidInput
from serving.gateway import http_ask, paths
from serving.gateway.backend import Lease
from serving.gateway.frame import Answer
from serving.gateway.inference import MAX_VERSION, Ask, Inference
from serving.gateway.record import Record
from serving.http_server import Request
from serving.json_codec import PredictBody
from serving.protos import input_pb2
from serving.signature import Signature
from serving.tensors import Array, Arrays

PROTOCOL = "v1"
PATH = re.compile(
    rb"/v1/models/([^/?]+?)(?:/versions/([^/:?]+)|/labels/([^/?]+?))?(:|%3[Aa])(predict|classify|regress)(?:\?.*)?"
)

_VERSION = re.compile(rb"\d{1,19}")


class V1:
    """Answers POSTs whose path matches `PATH`."""

    def __init__(self, inference: Inference) -> None:
        self._inference = inference

    async def __call__(self, request: Request, body: bytes, record: Record) -> Answer:
        match = PATH.fullmatch(request.path)
        assert match is not None, "the gateway sends only paths that match"
        verb = match[5]
        if verb == b"predict":
            return await self._predict(match, request, body, record)
        return await self._examples(match, request, body, record, verb == b"classify")

    async def _predict(self, match: re.Match[bytes], request: Request, text: bytes, record: Record) -> Answer:
        started = time.perf_counter()
        body = json_codec.parse(text)
        record.stage("parse", started)
        outputs = await self._inference.run(
            ask(match, request, body.signature_name), partial(self._decode, body), record
        )
        started = time.perf_counter()
        answer = Answer(json_codec.encode(outputs, body.layout, named=body.named_outputs, non_finite=body.non_finite))
        record.stage("encode", started)
        return answer

    def _decode(self, body: PredictBody, lease: Lease, signature: Signature) -> tuple[Arrays, Sequence[str]]:
        fill = self._inference.cards.padding(lease.name, lease.version, signature)
        return json_codec.decode(body, signature, fill), body.output_filter

    async def _examples(
        self, match: re.Match[bytes], request: Request, text: bytes, record: Record, classify: bool
    ) -> Answer:
        started = time.perf_counter()
        document = json_text.loads(text)
        message = input_pb2.Input()
        examples_json.fill(document, message)
        examples = example_inference.serialized(message)
        record.stage("parse", started)
        wanted = example_inference.classify_outputs if classify else example_inference.regress_outputs

        def decode(lease: Lease, signature: Signature) -> tuple[dict[str, Array], Sequence[str]]:
            return {"inputs": examples}, wanted(lease, signature)

        outputs = await self._inference.run(ask(match, request, document.get("signature_name", "")), decode, record)
        started = time.perf_counter()
        if classify:
            result = examples_json.encode_classifications(example_inference.classifications(outputs, len(examples)))
        else:
            result = examples_json.encode_regressions(example_inference.regressions(outputs, len(examples)))
        record.stage("encode", started)
        return Answer(result)


def ask(match: re.Match[bytes], request: Request, signature_name: str) -> Ask:
    """What a path (model, version, label) and the headers ask for. Raises `InvalidInput` and `NotFound`."""
    version = _version(match[2]) if match[2] else None
    label = paths.text(match[3]) if match[3] else None
    return http_ask.ask(request, paths.text(match[1]), version, label, signature_name)


def _version(digits: bytes) -> int:
    if not _VERSION.fullmatch(digits):
        raise InvalidInput(
            f"the version is {paths.text(digits)[:40]!r}; expected a whole number, at most {MAX_VERSION}"
        )
    return int(digits)
