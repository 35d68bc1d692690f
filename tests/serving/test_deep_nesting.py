"""Lists and objects within each other, however deep, are read or refused on every way that reads JSON."""

from collections.abc import Callable
from contextlib import suppress

import pytest

from signet.serving.errors import ServingError
from signet.serving.json_arrays import number_arrays
from signet.serving.model_server.rest import predict_json
from signet.serving.offload import large_bodies
from signet.serving.open_inference import bodies, requests
from signet.serving.rest_dialect import json_codec, json_text
from signet.serving.tensors.signature import Signature
from tests.serving.rest_dialect.test_json_codec import DIGITS

FRAMES = 120
"""Calls that stand before those of a reader in a server."""


def v1(body: bytes, of: Signature) -> None:
    json_codec.decode(json_codec.parse(body), of)


def v2(body: bytes, of: Signature) -> None:
    requests.decode(bodies.parse(body), of)


def examples(body: bytes, of: Signature) -> None:
    large_bodies.read_examples(body)


def model_server(body: bytes, of: Signature) -> None:
    predict_json.decode(json_text.loads(body, number_arrays.loads), of, b"true" in body)


def called_deep(read: Callable[[bytes, Signature], None], body: bytes, of: Signature, frames: int = FRAMES) -> None:
    if frames:
        called_deep(read, body, of, frames - 1)
    else:
        read(body, of)


PLACES = {
    "row": b'{"instances": [%b], "inputs": [{"name": "pixels", "shape": [1], "datatype": "FP32", "data": [1]}]}',
    "rows": b'{"instances": %b}',
    "column": b'{"inputs": %b}',
    "named": b'{"inputs": {"pixels": %b}}',
    "data": b'{"inputs": [{"name": "pixels", "shape": [1, 4], "datatype": "FP32", "data": %b}]}',
    "shape": b'{"inputs": [{"name": "pixels", "shape": %b, "datatype": "FP32", "data": [1]}]}',
    "parameters": b'{"inputs": [], "parameters": {"timeout": %b}}',
    "examples": b'{"examples": [{"x": %b}]}',
    "context": b'{"examples": [{}], "context": %b}',
    "signature": b'{"instances": [1], "signature_name": %b}',
}
INSIDES = [b"", b"1", b"NaN", b"true", b'"a:b"', b'{"a": 1, "a": 2}', b"[1, 2, 3, 4]" + b", 1" * 1000]


@pytest.mark.parametrize("read", [v1, v2, examples, model_server], ids=lambda read: read.__name__)
@pytest.mark.parametrize("place", PLACES)
def test_nothing_but_our_errors_comes_of_deep_nests(place, read):
    for depth in (33, 300, 900, 1020, 5000):
        for inside in INSIDES:
            for start, end in ((b"[", b"]"), (b'{"a": ', b"}"), (b'{"a": [', b"]}")):
                nest = start * depth + (inside or b"1") + end * depth
                with suppress(ServingError):
                    called_deep(read, PLACES[place] % nest, DIGITS)
