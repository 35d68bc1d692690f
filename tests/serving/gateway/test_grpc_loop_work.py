"""Large gRPC messages are read beside the event loop, and answered as small ones are."""

import threading

import numpy as np
import pytest

from signet.serving.gateway.grpc import pipeline, v1_inference, v2
from signet.serving.gateway.grpc.pipeline import GrpcServices
from signet.serving.gateway.grpc.v1 import GrpcV1
from signet.serving.gateway.grpc.v2 import GrpcV2
from signet.serving.offload.message_weight import heavy_bytes
from signet.serving.offload.pool import LARGE_BYTES
from signet.serving.open_inference import open_inference_pb2
from signet.serving.tensors import arrays
from signet.serving.tensors.protos import classification_pb2, inference_pb2, predict_pb2
from tests.servers import GOLDEN_MODELS
from tests.serving.gateway import in_process

X = np.arange(160_000, dtype=np.float32).reshape(-1, 4)
"""Rows of model `three_out`."""
WHOLE = np.arange(160_000, dtype=np.int32)
"""Rows of model `mixed`, which are written one by one."""


def predict(array, typed=True, name="three_out", alias="x", **spec):
    message = predict_pb2.PredictRequest()
    message.model_spec.name = name
    for key, value in spec.items():
        setattr(message.model_spec, key, value)
    message.inputs[alias].CopyFrom(arrays.to_typed_proto(array) if typed else arrays.to_proto(array))
    return message.SerializeToString()


def infer(array, typed=True):
    message = open_inference_pb2.ModelInferRequest(model_name="three_out", id="7")
    tensor = message.inputs.add(name="x", datatype="FP32", shape=array.shape)
    if typed:
        tensor.contents.fp32_contents.extend(array.reshape(-1).tolist())
    else:
        message.raw_input_contents.append(array.tobytes())
    return message.SerializeToString()


def infer_whole(array):
    message = open_inference_pb2.ModelInferRequest(model_name="mixed", id="8")
    message.parameters["signature_name"].string_param = "i"
    message.inputs.add(name="i", datatype="INT32", shape=array.shape).contents.int_contents.extend(array.tolist())
    return message.SerializeToString()


def examples(message):
    message.input.example_list.examples.add().features.feature["x"].float_list.value.extend([1.0] * 4)
    for _ in range(9999):
        message.input.example_list.examples.add().CopyFrom(message.input.example_list.examples[0])
    return message.SerializeToString()


def tasks():
    message = inference_pb2.MultiInferenceRequest()
    task = message.tasks.add(method_name="tensorflow/serving/classify")
    task.model_spec.name = "three_out"
    return message


CLASSIFY = classification_pb2.ClassificationRequest()
CLASSIFY.model_spec.name = "three_out"
MESSAGES = {
    "typed": ("Predict", predict(X)),
    "whole numbers": ("Predict", predict(WHOLE, name="mixed", alias="i", signature_name="i")),
    "strings for numbers": ("Predict", predict(np.array([b"a"] * 100_000, object))),
    "wrong shape": ("Predict", predict(X.reshape(-1, 5))),
    "no such model": ("Predict", predict(X, name="none")),
    "no such signature": ("Predict", predict(X, signature_name="none")),
    "cut off": ("Predict", predict(X)[:-3]),
    "V2 typed": ("ModelInfer", infer(X)),
    "V2 whole numbers": ("ModelInfer", infer_whole(WHOLE)),
    "V2 wrong shape": ("ModelInfer", infer(X.reshape(-1, 5))),
    "examples": ("Classify", examples(CLASSIFY)),
    "tasks": ("MultiInference", examples(tasks())),
}


@pytest.fixture(scope="module")
def running():
    with in_process.gateway(models_dir=GOLDEN_MODELS) as started:
        yield started


def handlers(gateway):
    """The methods of the gateway by name."""
    shared = GrpcServices(gateway.inference, gateway.offload, gateway.budget)
    services = GrpcV1(gateway.inference, gateway.backend).services(shared)
    services |= GrpcV2(gateway.open_inference).services(shared)
    return {path.rpartition("/")[2]: method.unary for path, method in services.items()}


def call(running, method, data, **left_s):
    async def outcome():
        made = in_process.Call(**left_s)
        handlers(running.gateway)[method](data, made)
        return await made.ended

    return running._runner.run(outcome())


@pytest.mark.parametrize("kind", MESSAGES)
def test_a_large_message_is_read_beside_the_loop_and_answered_as_a_small_one(running, monkeypatch, kind):
    method, data = MESSAGES[kind]
    heaviest = 0
    read_message = pipeline.parse

    def read(message_class, data):
        nonlocal heaviest
        heaviest = max(heaviest, heavy_bytes(data, message_class))
        return read_message(message_class, data)

    monkeypatch.setattr(pipeline, "parse", read)
    answer = call(running, method, data)
    assert heaviest < LARGE_BYTES < len(data)
    with monkeypatch.context() as within:
        within.setattr(pipeline, "parse", read_message)
        within.setattr(pipeline, "LARGE_BYTES", 1 << 40)
        for module in (v1_inference, v2):
            within.setattr(module, "LARGE_ELEMENTS", 1 << 40)
        expected = call(running, method, data)
    if isinstance(expected, tuple):
        assert answer == expected
    else:
        kind = predict_pb2.PredictResponse if method == "Predict" else open_inference_pb2.ModelInferResponse
        assert kind.FromString(answer) == kind.FromString(expected)


@pytest.mark.parametrize(
    ("method", "data"), [("Predict", predict(X, typed=False)), ("ModelInfer", infer(X, typed=False))]
)
def test_tensors_that_are_runs_of_bytes_need_no_worker(running, monkeypatch, method, data):
    threads = []

    def read(message_class, data):
        threads.append(threading.get_ident())
        return message_class.FromString(data)

    monkeypatch.setattr(pipeline, "parse", read)
    assert isinstance(call(running, method, data), bytes)
    assert threads == [threading.get_ident()]


def test_the_callers_deadline_holds_for_reading_too(running):
    code, details = call(running, "Predict", MESSAGES["whole numbers"][1], left_s=1e-6)
    assert code == "DEADLINE_EXCEEDED"
    assert details.startswith("the request timed out after")
