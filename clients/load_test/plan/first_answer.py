"""The first answer of each model, looked at before the load begins: a server that says 200 to everything predicts nothing.

    answer ──v1, v2, grpc, grpc_v2──▶ the outputs' shapes ──check──▶ nothing, or `Internal` with what the answer lacks

Under load nobody takes answers apart: that would cost more than to ask. So one of each model is held against the
signature: names, dtypes, and a row for each that was sent.
"""

import math
from collections.abc import Mapping
from typing import Any

from signet.clients.client import http_messages, infer_messages
from signet.clients.client.http_messages import Response
from signet.serving.errors import Internal
from signet.serving.grpc_dialect.messages import parse
from signet.serving.open_inference import open_inference_pb2
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.protos import predict_pb2
from signet.serving.tensors.signature import Signature

_NO_ANSWER = "the answer is no {message}"

Shapes = Mapping[str, tuple[int, ...]]
"""Shapes of the outputs, by name."""


def v1(response: Response, signature: Signature) -> Shapes:
    """The shapes in an answer of TensorFlow Serving's REST dialect. Raises `Internal` for one that is none."""
    return _shapes(http_messages.parse_predict(response, signature))


def v2(response: Response, signature: Signature) -> Shapes:
    """The shapes in an answer of the Open Inference Protocol, in JSON or with bytes behind it. Raises `Internal`."""
    if response.json_bytes is not None:
        return _shapes(infer_messages.parse_infer(response, signature))
    document = http_messages.document_of(response)
    try:
        found = {tensor["name"]: tuple(tensor["shape"]) for tensor in document["outputs"]}
        whole = all(math.prod(tensor["shape"]) == _count(tensor["data"]) for tensor in document["outputs"])
    except (KeyError, TypeError) as error:
        raise Internal(f"the answer is no inference: {http_messages.quoted(response)}") from error
    if not whole:
        raise Internal(f"the answer has other data than its shapes say: {http_messages.quoted(response)}")
    return found


def grpc(answer: bytes, _: Signature) -> Shapes:
    """The shapes in a PredictResponse. Raises `Internal`."""
    outputs = parse(predict_pb2.PredictResponse, answer, Internal, _NO_ANSWER).outputs
    return {name: tuple(dim.size for dim in tensor.tensor_shape.dim) for name, tensor in outputs.items()}


def grpc_v2(answer: bytes, _: Signature) -> Shapes:
    """The shapes in a ModelInferResponse. Raises `Internal`."""
    outputs = parse(open_inference_pb2.ModelInferResponse, answer, Internal, _NO_ANSWER).outputs
    return {tensor.name: tuple(tensor.shape) for tensor in outputs}


def check(shapes: Shapes, signature: Signature, rows: int) -> None:
    """Raise `Internal` unless the answer to so many rows has the signature's outputs, with a row for each."""
    if shapes.keys() != signature.outputs.keys():
        raise Internal(
            f"the answer does not have the outputs of signature {signature.name!r}: it has "
            f"{', '.join(sorted(shapes)) or 'none'}, expected {', '.join(signature.outputs)}"
        )
    for name, shape in shapes.items() if signature.batched else ():
        if not shape or shape[0] != rows:
            raise Internal(f"output {name!r} of the answer has shape {shape} for {rows} rows")


def _shapes(outputs: Arrays) -> Shapes:
    return {name: array.shape for name, array in outputs.items()}


def _count(data: Any) -> int:
    """How many numbers are in a flat or nested list."""
    return sum(map(_count, data)) if isinstance(data, list) else 1
