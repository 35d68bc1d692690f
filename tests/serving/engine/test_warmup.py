"""Warm-up requests: run before a version is available, and a test that it has to pass."""

import shutil

import numpy as np
import pytest

from signet.serving.engine.loading import Loader
from signet.serving.engine.repository import Repository
from signet.serving.engine.warmup import FILE
from signet.serving.errors import InvalidInput, ServingError
from signet.serving.models.model_config import ModelConfig
from signet.serving.models.model_status import State
from signet.serving.tensors.arrays import to_proto
from signet.serving.tensors.protos import prediction_log_pb2
from tests.servers import GOLDEN_MODELS
from tests.tfrecord import record


def write(path, *records):
    """The warm-up file of a version, each record a PredictionLog or bytes."""
    (path / FILE).parent.mkdir(exist_ok=True)
    texts = (entry if isinstance(entry, bytes) else entry.SerializeToString() for entry in records)
    (path / FILE).write_bytes(b"".join(map(record, texts)))


def version(tmp_path, model):
    shutil.copytree(GOLDEN_MODELS / model / "1", tmp_path / "1")
    return tmp_path / "1"


def predict_log(signature="", outputs=(), **inputs):
    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.name = "any name will do"
    request.model_spec.signature_name = signature
    request.output_filter.extend(outputs)
    for name, array in inputs.items():
        request.inputs[name].CopyFrom(to_proto(array))
    return log


def inference_log(kind, signature="", values=(1.0, 2.0)):
    log = prediction_log_pb2.PredictionLog()
    request = getattr(log, kind).request
    request.model_spec.signature_name = signature
    feature = request.input.example_list.examples.add().features.feature["x"]
    feature.float_list.value.extend(values)
    return log


def multi_inference_log(*tasks):
    log = prediction_log_pb2.PredictionLog()
    request = log.multi_inference_log.request
    for signature, method in tasks:
        task = request.tasks.add(method_name=f"tensorflow/serving/{method}")
        task.model_spec.name, task.model_spec.signature_name = "m", signature
    request.input.CopyFrom(inference_log("classify_log").classify_log.request.input)
    return log


GOOD = predict_log(x=np.ones((3, 4), np.float32))
NOTHING = prediction_log_pb2.PredictionLog()


def load(path, **options):
    """The calls that were made for the warm-up: signature, rows, outputs."""
    calls = []

    def run(servable, signature, inputs, outputs):
        calls.append((signature.name, len(next(iter(inputs.values()))), tuple(outputs)))
        return servable.predict(signature, inputs, outputs)

    Loader(warmup_run=run, **options)("m", 1, path).close()
    return calls


def test_predict_requests_are_run_in_order_each_as_often_as_asked_for(tmp_path):
    path = version(tmp_path, "three_out")
    write(path, GOOD, NOTHING, predict_log(outputs=["q"], x=np.ones((1, 4), np.float32)))
    calls = [("serving_default", 3, ()), ("serving_default", 1, ("q",))]
    assert load(path) == calls
    assert load(path, warmup_rounds=2) == [call for call in calls for _ in range(2)]
    assert load(path, warmup_rounds=0) == []


def test_classify_regress_and_multi_inference_requests_are_run(tmp_path):
    path = version(tmp_path, "clsreg")
    tasks = ("serving_default", "classify"), ("regress", "regress")
    write(path, inference_log("classify_log"), inference_log("regress_log", "regress"), multi_inference_log(*tasks))
    assert [call[:2] for call in load(path)] == [("serving_default", 1), ("regress", 1), ("serving_default+regress", 1)]


def test_a_version_without_warm_up_requests_is_fine(tmp_path):
    told = []
    path = version(tmp_path, "three_out")
    assert load(path, warmed_up=lambda *facts: told.append(facts)) == []
    write(path)
    assert load(path, warmed_up=lambda *facts: told.append(facts)) == []
    assert told == []


@pytest.mark.parametrize(
    ("model", "records", "code", "problem"),
    [
        ("three_out", [GOOD, predict_log(x=np.ones((1, 5), np.float32))], "INVALID_ARGUMENT", "Matrix size-incompat"),
        ("three_out", [predict_log("nope")], "FAILED_PRECONDITION", 'Serving signature key "nope" not found.'),
        ("three_out", [predict_log()], "INVALID_ARGUMENT", "input size does not match signature: 0!=1"),
        ("three_out", [b"no message"], "INVALID_ARGUMENT", "Failed to parse warmup record: b'no message' from "),
        ("three_out", [NOTHING] * 1001, "INVALID_ARGUMENT", "Number of warmup records exceeds the maximum (1000) at "),
        ("clsreg", [inference_log("classify_log", values=[1.0])], "INVALID_ARGUMENT", "Key: x"),
        ("clsreg", [inference_log("regress_log")], "INVALID_ARGUMENT", "Expected one output Tensor."),
        ("clsreg", [multi_inference_log(("regress", "rank"))], "UNIMPLEMENTED", "Unsupported signature method_name"),
        (
            "three_out",
            [prediction_log_pb2.PredictionLog(session_run_log={})],
            "UNIMPLEMENTED",
            "Unsupported log_type for warmup: 5",
        ),
        (
            "three_out",
            [prediction_log_pb2.PredictionLog(predict_streamed_log={})],
            "UNIMPLEMENTED",
            "Unsupported log_type for warmup: 7",
        ),
    ],
)
def test_one_bad_request_fails_the_load(tmp_path, model, records, code, problem):
    path = version(tmp_path, model)
    write(path, *records)
    told = []
    with pytest.raises(ServingError) as caught:
        load(path, warmed_up=lambda *facts: told.append(facts))
    assert (caught.value.grpc_code, problem in str(caught.value)) == (code, True), caught.value
    assert [facts[:2] for facts in told] == [(path, code)]


def test_a_file_of_something_else_is_data_loss(tmp_path):
    path = version(tmp_path, "three_out")
    write(path)
    (path / FILE).write_text("these are not the records you are looking for")
    with pytest.raises(
        ServingError, match=r"\(Is this even a TFRecord file\?\)\. Please verify your warmup data"
    ) as caught:
        load(path)
    assert caught.value.grpc_code == "DATA_LOSS"


def test_a_version_whose_warm_up_fails_does_not_replace_the_one_before(tmp_path):
    version(tmp_path, "three_out")
    repository = Repository([ModelConfig("m", tmp_path)], poll_s=0.05)
    repository.start()
    try:
        assert repository.first_pass.wait(30)
        shutil.copytree(tmp_path / "1", tmp_path / ".writing")
        write(tmp_path / ".writing", predict_log())
        (tmp_path / ".writing").rename(tmp_path / "2")
        assert repository.wait(lambda r: any(status.state is State.END for status in r.statuses("m")), 30)
        failed = repository.statuses("m")[0]
        assert (failed.version, failed.error_code) == (2, "INVALID_ARGUMENT")
        assert set(repository.versions("m")) == {1}
    finally:
        repository.stop()


def test_a_refused_version_is_closed(tmp_path):
    closed = []

    def refuse(servable, path):
        closed.append(servable.closed)
        raise InvalidInput(f"not this one: {path.name}")

    with pytest.raises(InvalidInput, match="not this one: 1"):
        Loader(admit=refuse)("m", 1, GOLDEN_MODELS / "mlp" / "1")
    assert closed[0].is_set()
