"""The Open Inference Protocol's messages: typed and raw contents in, arrays or messages out."""

import re
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from signet.serving.errors import InvalidInput
from signet.serving.open_inference import metadata
from signet.serving.open_inference.messages import encode, parse
from signet.serving.open_inference.open_inference_pb2 import (
    ModelConfig,
    ModelInferRequest,
    ModelMetadataResponse,
    ServerMetadataResponse,
)
from signet.serving.open_inference.requests import answer, datatype, decode
from signet.serving.tensors import dtypes
from signet.serving.tensors.signature import Signature, TensorSpec
from tests.servers import ROOT

BY_NAME = {row.name: row for row in dtypes.ROWS}
SENT = [row for row in dtypes.ROWS if not row.name.startswith("complex")]


def signature(**inputs: tuple[str, tuple[int | None, ...] | None]) -> Signature:
    specs = {name: TensorSpec(name, BY_NAME[dtype], shape, f"{name}:0") for name, (dtype, shape) in inputs.items()}
    return Signature("serving_default", specs, {"y": TensorSpec("y", BY_NAME["float"], (None, 3), "y:0")})


QA = signature(text=("int32", (None, None)), question=("int32", (None, None)))


def request(*tensors: dict[str, object], raw: tuple[bytes, ...] = (), **more: object) -> ModelInferRequest:
    return ModelInferRequest(inputs=list(tensors), raw_input_contents=raw, **more)


def tensor(name: str, datatype: str, shape: list[int], **contents: object) -> dict[str, object]:
    head = {"name": name, "datatype": datatype, "shape": shape}
    return {**head, "contents": contents} if contents else head


def test_typed_contents_become_arrays():
    message = request(
        tensor("question", "INT32", [1, 1], int_contents=[4]), tensor("text", "INT32", [1, 2], int_contents=[1, -2])
    )
    arrays = decode(parse(message), QA)
    np.testing.assert_array_equal(arrays["text"], np.int32([[1, -2]]))
    np.testing.assert_array_equal(arrays["question"], np.int32([[4]]))


def test_raw_contents_are_in_the_order_of_the_inputs():
    raw = (np.int32([4]).tobytes(), np.int32([1, 2]).tobytes())
    message = request(tensor("question", "INT32", [1, 1]), tensor("text", "INT32", [1, 2]), raw=raw)
    arrays = decode(parse(message), QA)
    np.testing.assert_array_equal(arrays["text"], np.int32([[1, 2]]))


X = signature(x=("int8", (None,)))


@pytest.mark.parametrize(
    ("message", "of", "problem"),
    [
        (request(), X, "missing input 'x'"),
        (request(tensor("x", "INT8", [1], int_contents=[128])), X, "input 'x': INT8 goes from -128 to 127"),
        (request(tensor("x", "INT8", [2], int_contents=[1])), X, "input 'x' has 1 elements; shape [2] needs 2"),
        (request(tensor("x", "INT8", [1])), X, "input 'x' has 0 elements; shape [1] needs 1"),
        (request(tensor("x", "INT8", [-1], int_contents=[1])), X, "input 'x': shape has the number -1"),
        (request(tensor("x", "INT8", [2**40], int_contents=[1])), X, "has more than 2147483648 elements"),
        (request(tensor("x", "INT16", [1], int_contents=[1])), X, "has datatype 'INT16'; the model takes INT8"),
        (request(tensor("x", "INT8", [1], fp32_contents=[1])), X, "INT8 travels in int_contents, not in fp32_contents"),
        (
            request(tensor("x", "FP16", [1], fp32_contents=[1])),
            X,
            "'FP16' has no typed contents: use raw_input_contents",
        ),
        (request(tensor("x", "INT8", [1]), raw=(b"ab",)), X, "input 'x' has 2 bytes; shape [1]"),
        (request(tensor("x", "INT8", [1]), raw=(b"a", b"b")), X, "raw_input_contents has 2 entries for 1 inputs"),
        (
            request(tensor("x", "INT8", [1], int_contents=[1]), raw=(b"a",)),
            X,
            "input 'x': send either 'contents' or 'raw_input_contents': both are there",
        ),
        (request(parameters={"timeout": {"string_param": "1"}}), X, "'timeout' is the string \"1\"; expected a whole"),
    ],
)
def test_wrong_messages_are_explained(message, of, problem):
    with pytest.raises(InvalidInput, match=re.escape(problem)):
        decode(parse(message), of)


def test_parameters_say_signature_time_limit_and_form():
    message = request(
        id="7",
        parameters={
            "signature_name": {"string_param": "from_text"},
            "timeout": {"int64_param": 250_000},
            "priority": {"uint64_param": 1},
            "empty": {},
        },
        outputs=[{"name": "y", "parameters": {"classification": {"int64_param": 2}}}],
    )
    read = parse(message)
    assert (read.id, read.signature_name, read.timeout_s, read.binary) == ("7", "from_text", 0.25, False)
    assert (read.outputs[0].name, read.outputs[0].classes) == ("y", 2)


def test_one_16_bit_float_makes_the_whole_answer_bytes():
    outputs = {"a": np.float32([1]), "b": np.array([2], ml_dtypes.bfloat16)}
    specs = {name: TensorSpec(name, dtypes.from_numpy(array.dtype), (None,), "") for name, array in outputs.items()}
    of = Signature("serving_default", {}, specs)
    response = encode("m", "1", "", answer(parse(request()), of, outputs, {}))
    assert [(output.name, output.datatype, list(output.shape)) for output in response.outputs] == [
        ("a", "FP32", [1]),
        ("b", "BF16", [1]),
    ]
    assert list(response.raw_output_contents) == [outputs["a"].tobytes(), outputs["b"].tobytes()]
    assert not any(output.HasField("contents") for output in response.outputs)


ARRAYS = st.sampled_from([row.name for row in SENT if row.name not in ("string", "bfloat16")]).flatmap(
    lambda name: st_numpy.arrays(BY_NAME[name].numpy, st_numpy.array_shapes(min_dims=0, max_dims=3, max_side=5))
) | st_numpy.arrays(
    object, st_numpy.array_shapes(max_dims=2, max_side=4), elements=st.binary(max_size=6), fill=st.nothing()
)


@given(ARRAYS, st.booleans())
def test_any_tensor_survives_both_ways_bit_for_bit(array, raw):
    """The message of an answer is read again as a request: the tensors have the same fields."""
    spec = TensorSpec("x", dtypes.from_numpy(array.dtype), (None,) * array.ndim, "x:0")
    of = Signature("serving_default", {"x": spec}, {"x": spec})
    asked = request(parameters={"binary_data_output": {"bool_param": raw}})
    response = encode("m", "1", "7", answer(parse(asked), of, {"x": array}, {}))
    assert bool(response.raw_output_contents) == (raw or array.dtype == np.float16)
    output = response.outputs[0]
    sent = tensor("x", output.datatype, list(output.shape))
    if not response.raw_output_contents:
        sent["contents"] = output.contents
    back = decode(parse(request(sent, raw=tuple(response.raw_output_contents))), of)["x"]
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


# Metadata


def test_metadata_as_values_and_as_messages():
    values = metadata.model("qa", [3, 4], QA, ["serving_default", "from_text", "__saved_model_init_op"])
    assert values == {
        "name": "qa",
        "versions": ["3", "4"],
        "platform": "tensorflow_savedmodel",
        "inputs": [
            {"name": "text", "datatype": "INT32", "shape": [-1, -1]},
            {"name": "question", "datatype": "INT32", "shape": [-1, -1]},
        ],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}],
        "properties": {"signature_name": "serving_default", "signatures": "from_text,serving_default"},
    }
    message = metadata.to_message(values, ModelMetadataResponse())
    assert [tensor.name for tensor in message.inputs] == ["text", "question"]
    assert list(message.outputs[0].shape) == [-1, 3]
    server = metadata.to_message(metadata.server("1.2"), ServerMetadataResponse())
    assert server.version == "1.2"
    assert "binary_tensor_data" in server.extensions


def test_a_configuration_leaves_the_rows_out_of_the_shapes():
    text = signature(text=("string", (None, 2)))
    message = metadata.to_message(metadata.config("m", text, 64), ModelConfig())
    assert message.max_batch_size == 64
    assert (message.input[0].data_type, list(message.input[0].dims)) == (13, [2])
    fixed = metadata.config("m", signature(x=("float", (2, None))), 64)
    assert (fixed["max_batch_size"], fixed["input"][0]["dims"]) == (0, [2, -1])
    assert metadata.config("m", signature(x=("float", None)), 64)["input"][0]["dims"] == [-1]


@pytest.mark.parametrize("row", SENT, ids=lambda row: row.name)
def test_every_datatype_has_its_number_in_a_configuration(row):
    spec = TensorSpec("x", row, (2,), "x:0")
    values = metadata.config("m", Signature("s", {"x": spec}, {}), 1)
    message = metadata.to_message(values, ModelConfig())
    assert message.input[0].data_type > 0
    assert datatype(row, "x")


def test_the_types_in_git_are_those_that_protoc_writes(tmp_path):
    path = "signet/serving/open_inference/open_inference"
    # A process of its own: beside TensorFlow's library, protoc's crashes.
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT}", f"--pyi_out={tmp_path}"]
    subprocess.run([*command, str(ROOT / f"{path}.proto")], check=True)
    assert (tmp_path / f"{path}_pb2.pyi").read_text() == (ROOT / f"{path}_pb2.pyi").read_text()
