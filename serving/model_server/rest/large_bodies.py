"""What a worker process does with a large REST body; see `serving/offload/pool.py`. Pure, and light to import."""

from typing import Any

from signet.serving.json_arrays import number_arrays
from signet.serving.model_server.rest import predict_json
from signet.serving.offload.large_bodies import Kept
from signet.serving.rest_dialect import examples_json
from signet.serving.rest_dialect.json_codec import Layout
from signet.serving.rest_dialect.json_text import loads
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.protos import input_pb2
from signet.serving.tensors.signature import Signature


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
