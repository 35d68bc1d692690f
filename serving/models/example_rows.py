"""Inputs that a version should take: what its folder carries to warm it up and to check it.

    assets.extra/golden.json, assets.extra/tf_serving_warmup_requests ──▶ arrays by name, of one signature
    assets.extra/example_requests, as the warm-up requests are written ──▶ the same, many rows: for comparing versions

What is not there, or cannot be read, is passed over.
"""

import io
import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from signet.serving.errors import ServingError
from signet.serving.grpc_dialect import example_inference, predict_request
from signet.serving.json_arrays.inputs import to_input
from signet.serving.models import small_file, tfrecords
from signet.serving.rest_dialect import json_codec
from signet.serving.rest_dialect.json_codec import Layout, PredictBody
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.protos import prediction_log_pb2
from signet.serving.tensors.signature import DEFAULT, Signature

GOLDEN = Path("assets.extra") / "golden.json"
WARMUP = Path("assets.extra") / "tf_serving_warmup_requests"
EXAMPLES = Path("assets.extra") / "example_requests"

_MOST_RECORDS = 20
_UNREADABLE = (
    *(OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError),
    *(DecodeError, ServingError),
)


def of(folder: Path | None, signature: Signature) -> Iterator[Arrays]:
    """The inputs that a version's folder carries and that fit the signature."""
    if folder is None:
        return
    for inputs in (_golden, _warmup):
        yield from _read(inputs, folder, signature)


def to_compare(folder: Path, signature: Signature) -> Iterator[Arrays]:
    """The same, and the rows that are there to compare versions by."""
    yield from of(folder, signature)
    yield from _read(_examples, folder, signature)


def golden(folder: Path, signature: Signature) -> Iterator[Arrays]:
    """The inputs of the golden examples alone, where they fit the signature: one set of rows at most."""
    yield from _read(_golden, folder, signature)


def requests(folder: Path, signature: Signature) -> Iterator[Arrays]:
    """The inputs of the warm-up requests, then the rows that are there to compare versions by."""
    yield from _read(_warmup, folder, signature)
    yield from _read(_examples, folder, signature)


def golden_answers(folder: Path, signature: Signature) -> Arrays:
    """What is answered to the golden inputs, row for row; without the outputs of which nobody knows it, or that are random."""
    try:
        entry = _entry(folder, signature)
        outputs = {} if entry.get("random") else entry["outputs"]
        known = {name: column for name, column in outputs.items() if isinstance(column, list)}  # others: a digest
        return {name: to_input(signature.outputs[name], column, True) for name, column in known.items()}
    except _UNREADABLE:
        return {}


def _read(
    inputs: Callable[[Path, Signature], Iterator[Arrays]], folder: Path, signature: Signature
) -> Iterator[Arrays]:
    try:
        for arrays in inputs(folder, signature):
            yield signature.check(arrays)
    except _UNREADABLE:
        return


def _golden(folder: Path, signature: Signature) -> Iterator[Arrays]:
    columns = _entry(folder, signature)["inputs"]
    yield json_codec.decode(PredictBody("", Layout.COLUMNS, columns, True), signature)


def _entry(folder: Path, signature: Signature) -> Any:
    return json.loads(small_file.read(folder / GOLDEN))["signatures"][signature.name]


def _warmup(folder: Path, signature: Signature) -> Iterator[Arrays]:
    return _logged(folder / WARMUP, signature)


def _examples(folder: Path, signature: Signature) -> Iterator[Arrays]:
    return _logged(folder / EXAMPLES, signature)


def _logged(path: Path, signature: Signature) -> Iterator[Arrays]:
    file = io.BytesIO(small_file.read(path))
    for record in islice(tfrecords.read(file), _MOST_RECORDS):
        message = prediction_log_pb2.PredictionLog.FromString(record)
        kind = message.WhichOneof("log_type")
        if kind is None:
            continue
        request: Any = getattr(message, kind).request
        if kind == "multi_inference_log":
            names = [task.model_spec.signature_name for task in request.tasks]
        else:
            names = [request.model_spec.signature_name] if hasattr(request, "model_spec") else []
        if signature.name not in [name or DEFAULT for name in names]:
            continue
        if kind == "predict_log":
            yield predict_request.inputs_of(request, signature)
        else:
            yield {"inputs": example_inference.serialized(request.input)}
