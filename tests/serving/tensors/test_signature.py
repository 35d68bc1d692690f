"""Signatures against arrays: what fits passes unchanged, what does not is named."""

import re

import numpy as np
import pytest

from signet.serving.errors import FailedPrecondition, InvalidInput
from signet.serving.tensors import dtypes
from signet.serving.tensors.signature import Signature, TensorSpec, from_signature_def, select
from tests.serving.rest_dialect.test_json_codec import DIGITS, QA, TEXT


def test_arrays_that_fit_pass():
    array = np.zeros((2, 4), np.float32)
    assert DIGITS.check({"pixels": array})["pixels"] is array


def test_text_becomes_bytes():
    checked = TEXT.check({"text": np.array(["é"]), "question": np.array([b"x"])})
    assert checked["text"].tolist() == ["é".encode()]


@pytest.mark.parametrize(
    ("arrays", "signature", "problem"),
    [
        ({"pixels": np.zeros((1, 4))}, DIGITS, "input 'pixels' is double; the model takes float"),
        ({"pixels": np.zeros((4,), np.float32)}, DIGITS, "has shape (4,); the model takes (None, 4)"),
        ({"pixls": np.zeros((1, 4))}, DIGITS, "missing input 'pixels'; unknown input 'pixls' (did you mean 'pixels'?)"),
        ({}, QA, "missing inputs 'question', 'text'"),
        (
            {"text": np.zeros((2, 1), np.int32), "question": np.zeros((1, 1), np.int32)},
            QA,
            "different numbers of rows: 'text' has 2, 'question' has 1",
        ),
        (
            {"text": np.array([5], object), "question": np.array([b""], object)},
            TEXT,
            "holds int; expected str or bytes",
        ),
    ],
)
def test_what_does_not_fit_is_named(arrays, signature, problem):
    with pytest.raises(InvalidInput, match=re.escape(problem)):
        signature.check(arrays)


def test_an_unknown_signature_lists_those_there_are():
    with pytest.raises(FailedPrecondition, match=r"no signature 'serving' \(did you mean 'serving_default'\?\)"):
        select({"serving_default": DIGITS}, "serving", "digits")
    assert select({"serving_default": DIGITS}, "", "digits") is DIGITS


def test_only_free_first_dimensions_are_batched():
    free = TensorSpec("x", dtypes.from_enum(1), (None, 2), "x:0")
    fixed = TensorSpec("y", dtypes.from_enum(1), (1, 2), "y:0")
    assert Signature("s", {"x": free}, {"y": free}).batched
    assert not Signature("s", {"x": free}, {"y": fixed}).batched
    assert not Signature("s", {}, {"y": free}).batched


def test_messages_become_signatures():
    from signet.serving.tensors.protos import meta_graph_pb2

    message = meta_graph_pb2.SignatureDef(method_name="tensorflow/serving/predict")
    message.inputs["x"].name, message.inputs["x"].dtype = "x:0", 1
    message.inputs["x"].tensor_shape.dim.add(size=-1)
    message.inputs["x"].tensor_shape.dim.add(size=3)
    message.outputs["y"].name, message.outputs["y"].dtype = "y:0", 7
    message.outputs["y"].tensor_shape.unknown_rank = True
    signature = from_signature_def("s", message)
    assert str(signature.inputs["x"]) == "x: float (None, 3)"
    assert str(signature.outputs["y"]) == "y: string of any rank"
