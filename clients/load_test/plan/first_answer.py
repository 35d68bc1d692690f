"""The first answer of each model, looked at before the load begins: a server that says 200 to everything predicts nothing.

    payload ──exchange──▶ Response ──check──▶ nothing, or `Internal` with what the answer lacks

Under load nobody takes answers apart: that would cost more than to ask. So one of each model is held against the
signature: names, dtypes, and a row for each that was sent.
"""

import asyncio
import math
import ssl
from collections.abc import Mapping
from typing import Any

import httptools

from signet.clients.client import gateway_messages, infer_messages
from signet.clients.client.gateway_messages import Response
from signet.serving.errors import Internal
from signet.serving.open_inference import open_inference_pb2
from signet.serving.open_inference.bodies import HEADER
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.protos import predict_pb2
from signet.serving.tensors.signature import Signature

_MOST_BYTES = 1 << 30


class _Whole:
    """What httptools calls back for one response."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.body = bytearray()
        self.headers: dict[bytes, bytes] = {}
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        if len(self.body) + len(body) > _MOST_BYTES:
            raise ValueError("the answer is too long")
        self.body += body

    def on_message_complete(self) -> None:
        self.complete = True


async def exchange(host: str, port: int, tls: ssl.SSLContext | None, payload: bytes) -> Response:
    """The answer to a whole HTTP request, over a connection of its own. Raises OSError, `httptools.HttpParserError`."""
    reader, writer = await asyncio.open_connection(host, port, ssl=tls)
    try:
        writer.write(payload)
        whole = _Whole()
        while not whole.complete:
            data = await reader.read(1 << 16)
            if not data:
                raise ConnectionError("the server closed the connection before its answer was complete")
            whole.parser.feed_data(data)
    finally:
        writer.close()
    json_bytes = whole.headers.get(HEADER.lower().encode())
    return Response(
        whole.parser.get_status_code(), bytes(whole.body), json_bytes=int(json_bytes) if json_bytes else None
    )


def check_v1(response: Response, signature: Signature, rows: int) -> None:
    """Raise `Internal` unless the answer is one of TensorFlow Serving's REST dialect."""
    _check_rows(gateway_messages.parse_predict(response, signature), signature, rows)


def check_v2(response: Response, signature: Signature, rows: int) -> None:
    """Raise `Internal` unless the answer is one of the Open Inference Protocol, in JSON or with bytes behind it."""
    if response.json_bytes is not None:
        _check_rows(infer_messages.parse_infer(response, signature), signature, rows)
        return
    document = gateway_messages.document_of(response)
    try:
        found = {tensor["name"]: (tensor["shape"], tensor["data"]) for tensor in document["outputs"]}
        whole = all(math.prod(shape) == _count(data) for shape, data in found.values())
    except (KeyError, TypeError) as error:
        raise Internal(f"the answer is no inference: {gateway_messages.quoted(response)}") from error
    if found.keys() != signature.outputs.keys() or not whole:
        raise Internal(
            f"the answer does not have the outputs of signature {signature.name!r}: {gateway_messages.quoted(response)}"
        )
    _check_shapes({name: tuple(shape) for name, (shape, _) in found.items()}, signature, rows)


def check_grpc(message: predict_pb2.PredictResponse, signature: Signature, rows: int) -> None:
    """Raise `Internal` unless a PredictResponse has the outputs."""
    _check_names(set(message.outputs), signature)
    shapes = {name: tuple(dim.size for dim in tensor.tensor_shape.dim) for name, tensor in message.outputs.items()}
    _check_shapes(shapes, signature, rows)


def check_grpc_v2(message: open_inference_pb2.ModelInferResponse, signature: Signature, rows: int) -> None:
    """Raise `Internal` unless a ModelInferResponse has the outputs."""
    _check_names({tensor.name for tensor in message.outputs}, signature)
    _check_shapes({tensor.name: tuple(tensor.shape) for tensor in message.outputs}, signature, rows)


def _count(data: Any) -> int:
    """Numbers in a flat or nested list."""
    return sum(map(_count, data)) if isinstance(data, list) else 1


def _check_names(found: set[str], signature: Signature) -> None:
    if found != set(signature.outputs):
        shown = ", ".join(sorted(found)) or "no outputs"
        raise Internal(f"the answer has {shown}; signature {signature.name!r} gives {', '.join(signature.outputs)}")


def _check_rows(outputs: Arrays, signature: Signature, rows: int) -> None:
    _check_shapes({name: array.shape for name, array in outputs.items()}, signature, rows)


def _check_shapes(shapes: Mapping[str, tuple[int, ...]], signature: Signature, rows: int) -> None:
    if not signature.batched:
        return
    for name, shape in shapes.items():
        if not shape or shape[0] != rows:
            raise Internal(f"output {name!r} of the answer has shape {shape} for {rows} rows")
