"""Classify, Regress and MultiInference of signatures as TensorFlow 2 exports them, in the original's words."""

import grpc
import pytest

from signet.serving.tensors.protos import (
    classification_pb2,
    example_pb2,
    inference_pb2,
    input_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)
from tests import servers

CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"


def serving(odd_models, *flags):
    model = (f"--model_base_path={odd_models / 'examples'}", "--model_name=examples")
    with servers.model_server(*model, *flags) as (address, _), grpc.insecure_channel(address) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="module")
def stub(odd_models):
    yield from serving(odd_models)


@pytest.fixture
def batching_stub(odd_models):
    yield from serving(odd_models, "--enable_batching")


def rows(*values: tuple[float, float]) -> input_pb2.Input:
    message = input_pb2.Input()
    for value in values:
        example = example_pb2.Example()
        example.features.feature["x"].float_list.value.extend(value)
        message.example_list.examples.append(example)
    return message


def task(signature: str, method: str, model: str = "examples") -> inference_pb2.InferenceTask:
    return inference_pb2.InferenceTask(model_spec={"name": model, "signature_name": signature}, method_name=method)


@pytest.mark.parametrize("server", ["stub", "batching_stub"])
def test_tasks_with_input_tensors_of_their_own_get_the_same_examples(request, server):
    stub = request.getfixturevalue(server)
    tasks = [task("classify", CLASSIFY), task("regress", REGRESS)]
    message = inference_pb2.MultiInferenceRequest(tasks=tasks, input=rows((1, 2), (3, 4)))
    classified, regressed = stub.MultiInference(message, timeout=30).results
    assert [spec.model_spec.signature_name for spec in (classified, regressed)] == ["classify", "regress"]
    found = [
        [(one.label, one.score) for one in row.classes] for row in classified.classification_result.classifications
    ]
    assert found == [[("1", 2), ("2", 4)], [("3", 6), ("4", 8)]]
    assert [row.value for row in regressed.regression_result.regressions] == [3, 7]


@pytest.mark.parametrize(
    ("tasks", "code", "message"),
    [
        ([], "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        ([task("classify", CLASSIFY, "nope")], "NOT_FOUND", "Servable not found for request: Latest(nope)"),
        (
            [task("classify", CLASSIFY), task("regress", REGRESS, "")],
            "INVALID_ARGUMENT",
            "Found ModelSpec with an empty model name.",
        ),
        (
            [task("classify", CLASSIFY), task("regress", REGRESS, "other")],
            "INVALID_ARGUMENT",
            "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
        ),
        ([task("regress", REGRESS)] * 2, "INVALID_ARGUMENT", "Duplicate evaluation of signature: regress"),
        ([task("two", CLASSIFY)], "INVALID_ARGUMENT", "Expected one input Tensor."),
        ([task("regress", "predict")], "UNIMPLEMENTED", "Unsupported signature method_name: predict"),
        ([task("regress", REGRESS)], "INVALID_ARGUMENT", "Input is empty."),
    ],
)
def test_wrong_tasks_are_refused_in_the_originals_order(stub, tasks, code, message):
    with pytest.raises(grpc.RpcError) as caught:
        stub.MultiInference(inference_pb2.MultiInferenceRequest(tasks=tasks), timeout=30)
    assert (caught.value.code().name, caught.value.details()) == (code, message)


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        ("two", "Expected one input Tensor."),
        ("three", "Expected one or two output Tensors, found 3"),
        ("flat", "Expected Tensor shape: [batch_size num_classes] but got [2]"),
        ("double", "Expected scores Tensor of DT_FLOAT. Got: DT_DOUBLE"),
        ("uneven", "Tensors class and score should match in dim_size(1). Got 2 vs. 1"),
        ("short", "Expected scores output batch size of 2. Got: 1"),
        ("nope", "No signature was found with the name: nope"),
    ],
)
def test_what_cannot_be_classified_is_told_in_the_originals_words(stub, signature, message):
    spec = {"name": "examples", "signature_name": signature}
    request = classification_pb2.ClassificationRequest(model_spec=spec, input=rows((1, 2), (3, 4)))
    with pytest.raises(grpc.RpcError) as caught:
        stub.Classify(request, timeout=30)
    assert (caught.value.code().name, caught.value.details()) == ("INVALID_ARGUMENT", message)


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        ("two", "Expected one input Tensor."),
        ("three", "Expected one output Tensor."),
        ("half", "Expected output Tensor of DT_FLOAT.  Got: DT_DOUBLE"),
        ("wide", "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [2,2]"),
        ("cut", "Input batch size did not match output batch size: 2 vs. 1"),
    ],
)
def test_what_is_no_regression_is_told_in_the_originals_words(stub, signature, message):
    spec = {"name": "examples", "signature_name": signature}
    request = regression_pb2.RegressionRequest(model_spec=spec, input=rows((1, 2), (3, 4)))
    with pytest.raises(grpc.RpcError) as caught:
        stub.Regress(request, timeout=30)
    assert (caught.value.code().name, caught.value.details()) == ("INVALID_ARGUMENT", message)
