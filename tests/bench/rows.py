"""The rows that the benchmark sends, random but the same every time, and how they look in each dialect."""

import json
from dataclasses import dataclass, field

import numpy as np

from signet.serving.tensors.arrays import Array, Arrays, to_proto
from signet.serving.tensors.protos import predict_pb2

SHAPES: dict[str, dict[str, tuple[tuple[int, ...], int | None]]] = {
    "digits": {"pixels": ((64,), None)},
    "question_answering": {"text": ((64,), 10_000), "question": ((16,), 10_000)},
    "social_posts": {"posts": ((500,), 50_000)},
    "image": {"image": ((128, 128, 3), None)},
}
"""Inputs of each model: shape of a row, and for ids how many there are."""


def arrays(model: str, rows: int) -> Arrays:
    """Named inputs for that many rows."""
    random = np.random.default_rng(0)
    made: Arrays = {}
    for name, (shape, ids) in SHAPES[model].items():
        if ids:
            made[name] = random.integers(1, ids, (rows, *shape)).astype(np.int32)
        else:
            made[name] = random.random((rows, *shape), np.float32).round(4)
    return made


@dataclass(frozen=True)
class Post:
    """A request: path after the server's address, body, headers."""

    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def v1(model: str, rows: int) -> Post:
    """V1 JSON in row form; the sole input goes without its name, as people write it."""
    inputs = arrays(model, rows)
    instances: list[object] = [{name: array[i].tolist() for name, array in inputs.items()} for i in range(rows)]
    if len(inputs) == 1:
        (array,) = inputs.values()
        instances = _short(array).tolist()
    return Post(f"/v1/models/{model}:predict", _json({"instances": instances}))


def v2(model: str, rows: int) -> Post:
    """V2 JSON, data flat."""
    inputs = [
        {**_v2_header(name, array), "data": _short(array).reshape(-1).tolist()}
        for name, array in arrays(model, rows).items()
    ]
    return Post(f"/v2/models/{model}/infer", _json({"inputs": inputs}))


def v2_binary(model: str, rows: int) -> Post:
    """V2 with binary tensors, there and back."""
    inputs, raw = [], []
    for name, array in arrays(model, rows).items():
        raw.append(array.tobytes())
        inputs.append({**_v2_header(name, array), "parameters": {"binary_data_size": len(raw[-1])}})
    head = _json({"inputs": inputs, "parameters": {"binary_data_output": True}})
    headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
    return Post(f"/v2/models/{model}/infer", b"".join([head, *raw]), headers)


def message(model: str, rows: int) -> bytes:
    """A serialized PredictRequest."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    for name, array in arrays(model, rows).items():
        request.inputs[name].CopyFrom(to_proto(array))
    return bytes(request.SerializeToString())


DIALECTS = {"V1": v1, "V2": v2, "V2 binary": v2_binary}


def _v2_header(name: str, array: Array) -> dict[str, object]:
    return {"name": name, "datatype": {"f": "FP32", "i": "INT32"}[array.dtype.kind], "shape": array.shape}


def _short(array: Array) -> Array:
    return array.astype(float).round(4) if array.dtype.kind == "f" else array


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
