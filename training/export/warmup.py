"""The warm-up requests of an export: what a server runs before it says that a version is available.

    golden inputs of each signature ──repeated to 1, 8, 32 rows──▶ assets.extra/tf_serving_warmup_requests

A TFRecord file of PredictionLog messages; TensorFlow Serving and Signet's own engine read it. The first call of a graph
takes a hundred times as long as the next one, and the first of another size somewhat longer.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from signet.serving.tensors.arrays import to_proto
from signet.serving.tensors.protos import predict_pb2, prediction_log_pb2
from signet.training.export.golden import byte_count
from signet.training.model import Array, Arrays

FILE = "tf_serving_warmup_requests"
ROWS = (1, 8, 32)
MOST_BYTES = 1_000_000
"""Largest warm-up request of several rows; one row is sent however large it is."""


def write(path: Path, model: str, golden: Mapping[str, Arrays], fixed: frozenset[str] = frozenset()) -> None:
    """Write the file. golden: signature -> inputs; fixed: signatures that take just as many rows as these have."""
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as file:
        for signature, inputs in golden.items():
            for message in [request(model, signature, rows) for rows in _sizes(inputs, signature in fixed)]:
                file.write(message.SerializeToString(deterministic=True))


def _sizes(inputs: Arrays, fixed: bool) -> list[Arrays]:
    if fixed:
        return [inputs]
    sizes = [{name: _repeated(array, rows) for name, array in inputs.items()} for rows in ROWS]
    return [rows for rows in sizes if rows is sizes[0] or sum(map(byte_count, rows.values())) <= MOST_BYTES]


def _repeated(array: Array, rows: int) -> Array:
    return np.take(array, np.arange(rows) % len(array), axis=0)


def request(model: str, signature: str, inputs: Arrays) -> prediction_log_pb2.PredictionLog:
    """A request of one signature, as such files have it."""
    made = predict_pb2.PredictRequest()
    made.model_spec.name = model
    made.model_spec.signature_name = signature
    for name, array in inputs.items():
        made.inputs[name].CopyFrom(to_proto(array))
    log = prediction_log_pb2.PredictLog(request=made)
    return prediction_log_pb2.PredictionLog(predict_log=log)
