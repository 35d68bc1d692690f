"""The rows that the benchmark sends, random but the same every time, and how they look as JSON."""

import json

import numpy as np

from serving.protos import predict_pb2
from serving.tensors import Arrays, to_proto

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


def body(model: str, rows: int) -> bytes:
    """A V1 predict body in row form; the sole input goes without its name, as people write it."""
    inputs = arrays(model, rows)
    if len(inputs) == 1:
        (array,) = inputs.values()
        instances: list[object] = array.astype(float).round(4).tolist() if array.dtype.kind == "f" else array.tolist()
    else:
        instances = [{name: array[i].tolist() for name, array in inputs.items()} for i in range(rows)]
    return json.dumps({"instances": instances}, separators=(",", ":")).encode()


def message(model: str, rows: int) -> bytes:
    """A serialized PredictRequest."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    for name, array in arrays(model, rows).items():
        request.inputs[name].CopyFrom(to_proto(array))
    return bytes(request.SerializeToString())
