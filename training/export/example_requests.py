"""The example requests of an export: rows like those that callers send, for comparing this version with the next one.

    rows of the reference ──evenly, at most so many──▶ assets.extra/example_requests

In the form of the warm-up requests, but no server runs them: `signet release check` asks both versions.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from signet.training.export import warmup
from signet.training.export.golden import byte_count
from signet.training.model import Arrays

FILE = "example_requests"
MOST_ROWS, MOST_BYTES = 256, 1 << 20
"""Of each signature: beyond chance, 256 rows tell shares that are 10 % apart."""
_ROWS = 64
"""Of a request."""


def write(path: Path, model: str, reference: Mapping[str, Arrays]) -> None:
    """Write the file, if there are any. reference: signature -> rows."""
    import tensorflow as tf

    messages = [
        warmup.request(model, signature, piece)
        for signature, rows in reference.items()
        if rows
        for piece in _pieces(_bounded(rows))
    ]
    if messages:
        with tf.io.TFRecordWriter(str(path)) as file:
            for message in messages:
                file.write(message.SerializeToString(deterministic=True))


def _bounded(inputs: Arrays) -> Arrays:
    rows = len(next(iter(inputs.values())))
    each = sum(map(byte_count, inputs.values())) // max(rows, 1)
    chosen = np.unique(np.linspace(0, rows - 1, min(rows, MOST_ROWS, MOST_BYTES // max(each, 1))).astype(int))
    return {name: array[chosen] for name, array in inputs.items()}


def _pieces(inputs: Arrays) -> list[Arrays]:
    rows = len(next(iter(inputs.values())))
    return [{name: array[start : start + _ROWS] for name, array in inputs.items()} for start in range(0, rows, _ROWS)]
