"""What a worker process or a thread does with a large REST body; see `serving/offload/reading.py`. Pure, and light to import.

body ──parse──▶ the name of its signature; the rest is kept ──decode──▶ named arrays
"""

from signet.serving.json_arrays import number_arrays
from signet.serving.json_arrays.parsing import Read
from signet.serving.model_server.rest import predict_json
from signet.serving.offload.large_bodies import StepState
from signet.serving.rest_dialect import examples_json
from signet.serving.rest_dialect.json_codec import Layout
from signet.serving.rest_dialect.json_text import loads
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.protos import input_pb2
from signet.serving.tensors.signature import Signature


def parse_predict(kept: StepState, body: bytes, read: Read = number_arrays.loads) -> tuple[str, Layout]:
    """A predict body: the name of its signature, empty without one, and how it lays its tensors out."""
    kept["document"] = document = loads(body, read)
    kept["has_booleans"] = predict_json.may_hold_booleans(document, body)
    return document.get("signature_name", ""), predict_json.layout_of(document)


def decode_predict(kept: StepState, signature: Signature) -> Arrays:
    """The arrays of that predict body."""
    return predict_json.decode(kept.pop("document"), signature, kept.pop("has_booleans"))[0]


def parse_examples(kept: StepState, body: bytes) -> str:
    """A classify or regress body: the name of its signature, empty without one. Decoded by `large_messages`."""
    document = loads(body)
    kept["examples"] = examples = input_pb2.Input()
    examples_json.fill(document, examples)
    name: str = document.get("signature_name", "")
    return name
