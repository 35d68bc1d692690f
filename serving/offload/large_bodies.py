"""What a worker does with a large body or answer; see `pool.py`. Pure, and light to import.

body ──parse──▶ what it asks for, without its tensors; they are kept ──decode──▶ named arrays
outputs ──encode──▶ the text of the answer
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from signet.serving.grpc_dialect import example_inference
from signet.serving.json_arrays import number_arrays
from signet.serving.json_arrays.non_finite import NonFinite
from signet.serving.json_arrays.parsing import Read
from signet.serving.open_inference import bodies, requests
from signet.serving.open_inference.requests import InferRequest
from signet.serving.rest_dialect import examples_json, json_codec, json_text
from signet.serving.rest_dialect.json_codec import Layout, PredictBody
from signet.serving.tensors.arrays import Array, Arrays
from signet.serving.tensors.padding import PaddingRule
from signet.serving.tensors.protos import input_pb2
from signet.serving.tensors.signature import Signature

StepState = dict[str, Any]
"""What one step of a worker's session leaves for the next, such as a parsed body whose tensors wait for a signature."""

_FEW = 1 << 12
"""Numbers that nobody need look at more closely."""
_ROWS_AT_ONCE = 1 << 14
"""Rows of several outputs that are objects at the same time."""
_STRING_BYTES = 16
"""Bytes of strings that are as much work as one number."""


def elements(outputs: Mapping[str, Array]) -> int:
    """How much there is to write, in numbers."""
    count = sum([array.size for array in outputs.values()])
    for array in outputs.values():
        if array.dtype.kind == "O" and array.size < 1 << 16:
            count += sum(map(len, array.reshape(-1).tolist())) // _STRING_BYTES
    return count


def text_elements(request: InferRequest, outputs: Arrays) -> int:
    """How much there is to write in an answer of the Open Inference Protocol, where numbers that go as bytes are no work."""
    if (count := elements(outputs)) < _FEW:
        return count
    if not request.outputs:
        as_bytes = set(outputs) if request.binary else set()
    else:
        as_bytes = {output.name for output in request.outputs if output.binary and not output.classes}
    texts = {name: array for name, array in outputs.items() if name not in as_bytes or array.dtype.kind == "O"}
    return elements(texts)


def parse_predict(kept: StepState, text: bytes, read: Read = number_arrays.loads) -> PredictBody:
    """A predict body of TensorFlow Serving's REST dialect."""
    kept["body"] = body = json_codec.parse(text, read)
    return body._replace(value=None)


def decode_predict(kept: StepState, signature: Signature, fill: PaddingRule | None) -> Arrays:
    """The arrays of a predict body that `parse_predict` has kept; raises as `json_codec.decode` does."""
    return json_codec.decode(kept.pop("body"), signature, fill)


def encode_predict(outputs: Arrays, layout: Layout, named: bool, non_finite: NonFinite) -> bytes:
    """The answer to a predict body, as `json_codec.encode` writes it.

    Rows that are objects are written some at a time: each costs a kilobyte till then.
    """
    encode = partial(json_codec.encode, layout=layout, named=named, non_finite=non_finite)
    counts = {len(array) if array.ndim else 0 for array in outputs.values()}
    if layout is Layout.COLUMNS or len(outputs) == 1 or len(counts) != 1:
        return encode(outputs)
    cuts = range(0, max(counts), _ROWS_AT_ONCE)
    parts = [encode({name: array[i : i + _ROWS_AT_ONCE] for name, array in outputs.items()}) for i in cuts]
    start, end = b'{"predictions":[', b"]}"
    return start + b",".join([part[len(start) : -len(end)] for part in parts]) + end if parts else encode(outputs)


def read_examples(text: bytes) -> tuple[str, Array]:
    """A classify or regress body: the name of the signature, and each example serialized."""
    document = json_text.loads(text, raw_text=False)
    message = input_pb2.Input()
    examples_json.fill(document, message)
    return document.get("signature_name", ""), example_inference.serialized(message)


def encode_examples(outputs: Arrays, count: int, classify: bool) -> bytes:
    """The answer to a classify or regress body of that many examples."""
    if classify:
        return examples_json.encode_classifications(example_inference.classifications(outputs, count))
    return examples_json.encode_regressions(example_inference.regressions(outputs, count))


def parse_infer(kept: StepState, body: bytes, json_bytes: int | None, read: Read = number_arrays.loads) -> InferRequest:
    """A body of the Open Inference Protocol whose JSON is large."""
    kept["request"] = request = bodies.parse(body, json_bytes, read)
    return request.without_inputs()


def decode_infer(kept: StepState, signature: Signature) -> Arrays:
    """The arrays of a body that `parse_infer` has kept, held against the signature."""
    return requests.decode(kept.pop("request"), signature)


def encode_infer(
    request: InferRequest,
    signature: Signature,
    labels: Mapping[str, Sequence[str]],
    outputs: Arrays,
    model: str,
    version: str,
) -> tuple[bytes, int | None]:
    """The answer by the Open Inference Protocol, and how many bytes of it are JSON; None when all are.

    The rest of the arguments is what a model gave: see `gateway/open_inference.py`.
    """
    tensors = requests.answer(request, signature, outputs, labels)
    return bodies.encode(model, version, request.id, tensors, request.non_finite)
