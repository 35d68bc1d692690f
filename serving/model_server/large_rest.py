"""What a worker process does with a large REST body; see `serving/offload.py`. Pure, and light to import."""

from typing import Any

from signet.serving import examples_json, number_arrays
from signet.serving.json_codec import Layout
from signet.serving.json_text import loads
from signet.serving.large_bodies import Kept
from signet.serving.model_server import predict_json
from signet.serving.protos import input_pb2
from signet.serving.signature import Signature
from signet.serving.tensors import Arrays


def parse_predict(kept: Kept, body: bytes) -> Any:
    """A predict body: the name of its signature, None without."""
    kept["document"] = document = loads(body, number_arrays.loads)
    kept["has_booleans"] = b"true" in body or b"false" in body
    return document.get("signature_name")


def decode_predict(kept: Kept, signature: Signature) -> tuple[Arrays, Layout]:
    """Its arrays, and how it lays them out."""
    return predict_json.decode(kept.pop("document"), signature, kept.pop("has_booleans"))


def read_examples(body: bytes) -> tuple[str, bytes]:
    """A classify or regress body: the name of its signature, and its examples as Input message."""
    document = loads(body)
    message = input_pb2.Input()
    examples_json.fill(document, message)
    return document.get("signature_name", ""), bytes(message.SerializeToString())
