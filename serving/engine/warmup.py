"""Warm-up: the requests that a version carries, run before it is available, so that the first caller does not wait.

    assets.extra/tf_serving_warmup_requests ──▶ TFRecords of PredictionLog ──▶ each one run ──▶ answers thrown away

TensorFlow prepares much of a graph when it is first called. A request that fails fails the load: it is a test, too.
A version without such a file is fine. Source: `saved_model_warmup.cc`, `saved_model_warmup_util.cc`.
"""

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from google.protobuf.message import DecodeError

from signet.serving.engine.servable import Servable
from signet.serving.errors import InvalidInput, ServingError, Unsupported, from_code
from signet.serving.grpc_dialect import example_inference, predict_request
from signet.serving.models import tfrecords
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.protos import (
    classification_pb2,
    inference_pb2,
    predict_pb2,
    prediction_log_pb2,
    regression_pb2,
)
from signet.serving.tensors.signature import DEFAULT, Signature

log = logging.getLogger(__name__)

FILE = Path("assets.extra") / "tf_serving_warmup_requests"
MAX_RECORDS = 1000

Run = Callable[[Servable, Signature, Arrays, Sequence[str]], Arrays]
"""How a call is made; outputs: the names wanted, all of them when empty."""


def warm_up(servable: Servable, path: Path, rounds: int = 1, run: Run = Servable.predict) -> int:
    """Run each request in the folder of a version so many times. Gives how many requests there are.

    Raises the error of the first that fails; one with code DATA_LOSS for a file that does not hold TFRecords, and
    `InvalidInput` for other records and for too many.
    """
    file = path / FILE
    if not file.is_file():  # a pipe would be waited for
        return 0
    started = time.monotonic()
    count = 0
    with file.open("rb") as opened:
        try:
            for record in tfrecords.read(opened):
                message = _parse(record, file)
                for _ in range(rounds):
                    _replay(servable, message, run)
                count += 1
                if count > MAX_RECORDS:
                    raise InvalidInput(f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {file}")
        except ServingError as error:
            if error.grpc_code == "DATA_LOSS":
                raise from_code(
                    "DATA_LOSS", f"{error}. Please verify your warmup data is in TFRecord format."
                ) from error
            raise
    log.info("ran %d warm-up requests of %r in %.2f s", count, servable.name, time.monotonic() - started)
    return count


def _parse(record: bytes, file: Path) -> prediction_log_pb2.PredictionLog:
    try:
        return prediction_log_pb2.PredictionLog.FromString(record)
    except DecodeError as error:
        raise InvalidInput(f"Failed to parse warmup record: {record[:100]!r} from {file}") from error


def _replay(servable: Servable, message: prediction_log_pb2.PredictionLog, run: Run) -> None:
    match message.WhichOneof("log_type"):
        case None:
            return
        case "predict_log":
            _predict(servable, message.predict_log.request, run)
        case "classify_log":
            _classify(servable, message.classify_log.request, run)
        case "regress_log":
            _regress(servable, message.regress_log.request, run)
        case "multi_inference_log":
            _multi_inference(servable, message.multi_inference_log.request, run)
        case other:
            number = message.DESCRIPTOR.fields_by_name[other].number
            raise Unsupported(f"Unsupported log_type for warmup: {number}")


def _predict(servable: Servable, request: predict_pb2.PredictRequest, run: Run) -> None:
    signature = predict_request.signature_of(servable, request)
    inputs = predict_request.inputs_of(request, signature)
    run(servable, signature, inputs, predict_request.outputs_of(request, signature))


def _classify(servable: Servable, request: classification_pb2.ClassificationRequest, run: Run) -> None:
    examples = example_inference.serialized(request.input)
    signature = example_inference.signature_of(servable, request.model_spec.signature_name)
    outputs = run(servable, signature, {"inputs": examples}, example_inference.classify_outputs(servable, signature))
    example_inference.classifications(outputs, len(examples))


def _regress(servable: Servable, request: regression_pb2.RegressionRequest, run: Run) -> None:
    examples = example_inference.serialized(request.input)
    signature = example_inference.signature_of(servable, request.model_spec.signature_name)
    outputs = run(servable, signature, {"inputs": examples}, example_inference.regress_outputs(servable, signature))
    example_inference.regressions(outputs, len(examples))


def _multi_inference(servable: Servable, request: inference_pb2.MultiInferenceRequest, run: Run) -> None:
    examples = example_inference.serialized(request.input)
    signatures = [
        example_inference.task_signature(servable, task.model_spec.signature_name or DEFAULT) for task in request.tasks
    ]
    fetched = [
        example_inference.task_outputs(servable, signature, task.method_name)
        for signature, task in zip(signatures, request.tasks, strict=True)
    ]
    joint = example_inference.joint_signature(signatures, fetched)
    tensors = run(servable, joint, dict.fromkeys(joint.inputs, examples), ())
    for signature, wanted, task in zip(signatures, fetched, request.tasks, strict=True):
        outputs = {name: tensors[signature.outputs[name].tensor] for name in wanted}
        if task.method_name == example_inference.CLASSIFY:
            example_inference.classifications(outputs, len(examples))
        else:
            example_inference.regressions(outputs, len(examples))
