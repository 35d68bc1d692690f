"""The Open Inference Protocol over REST, as tables: literal body in, literal arrays, body or message out."""

import json
import re
import struct
from contextlib import suppress

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from signet.serving.errors import InvalidInput, ServingError, Unsupported
from signet.serving.open_inference.binary import to_bytes
from signet.serving.open_inference.bodies import encode, json_bytes, parse
from signet.serving.open_inference.requests import RequestedOutput, answer, decode
from signet.serving.tensors import dtypes
from signet.serving.tensors.signature import Signature, TensorSpec

BY_NAME = {row.name: row for row in dtypes.ROWS}
DATATYPES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "half": "FP16",
    "bfloat16": "BF16",
    "float": "FP32",
    "double": "FP64",
    "string": "BYTES",
}


def specs(**tensors: tuple[str, tuple[int | None, ...] | None]) -> dict[str, TensorSpec]:
    return {name: TensorSpec(name, BY_NAME[dtype], shape, f"{name}:0") for name, (dtype, shape) in tensors.items()}


def signature(outputs: dict[str, TensorSpec] | None = None, **inputs: tuple[str, tuple[int | None, ...] | None]):
    return Signature("serving_default", specs(**inputs), outputs or specs(y=("float", (None, 3))))


DIGITS = signature(pixels=("float", (None, 4)))
QA = signature(text=("int32", (None, None)), question=("int32", (None, None)))
TEXT = signature(text=("string", (None,)))
FLAG = signature(flag=("bool", (None,)))
IDS = signature(ids=("int64", (None,)))
SMALL = signature(small=("int8", (None,)))
BIG = signature(big=("uint64", (None,)))
HALF = signature(x=("half", (None,)))
BRAIN = signature(x=("bfloat16", (None,)))
SCALAR = signature(x=("double", ()))
IMAGE = signature(image=("uint8", (None, 2, None)))
TWO_FREE = signature(x=("float", (None, None, None)))
ANY = signature(x=("float", None))
FIXED = signature(x=("float", (2, 2)))


def tensor(name: str, datatype: str, shape: list[int], data: object, **extra: object) -> dict[str, object]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data, **extra}


def binary(name: str, datatype: str, shape: list[int], size: int) -> dict[str, object]:
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}


def read(inputs: object, of: Signature, blob: bytes | None = None, **more: object) -> dict[str, np.ndarray]:
    text = json.dumps({"inputs": inputs, **more}).encode()
    request = parse(text) if blob is None else parse(text + blob, len(text))
    return decode(request, of)


@pytest.mark.parametrize(
    ("inputs", "of", "expected"),
    [
        ([tensor("pixels", "FP32", [1, 4], [1, 2.5, 3, 4])], DIGITS, np.float32([[1, 2.5, 3, 4]])),
        ([tensor("pixels", "FP32", [2, 4], [[1, 2, 3, 4], [5, 6, 7, 8]])], DIGITS, np.float32([[1, 2, 3, 4], [5, 6, 7, 8]])),
        ([tensor("pixels", "FP32", [0, 4], [])], DIGITS, np.zeros((0, 4), np.float32)),
        ([tensor("pixels", "FP32", [1, 4], [1, "NaN", "-Infinity", 1e39])], DIGITS, np.float32([[1, np.nan, -np.inf, np.inf]])),
        ([tensor("pixels", "FP32", [1, 4], [[1, float("nan"), 3, 4]])], DIGITS, np.float32([[1, np.nan, 3, 4]])),
        ([tensor("text", "BYTES", [2], ["Größe", "true"])], TEXT, np.array(["Größe".encode(), b"true"], object)),
        ([tensor("text", "BYTES", [1], [{"b64": "AP8="}])], TEXT, np.array([b"\x00\xff"], object)),
        (
            [tensor("text", "BYTES", [2], ["AP8=", ""], parameters={"content_type": "base64"})],
            TEXT,
            np.array([b"\x00\xff", b""], object),
        ),
        ([tensor("flag", "BOOL", [2], [True, False])], FLAG, np.array([True, False])),
        ([tensor("ids", "INT64", [2], [9007199254740993, -(2**63)])], IDS, np.array([9007199254740993, -(2**63)])),
        ([tensor("big", "UINT64", [2], [2**64 - 1, 0])], BIG, np.array([2**64 - 1, 0], np.uint64)),
        ([tensor("small", "INT8", [2], [-128, 127])], SMALL, np.int8([-128, 127])),
        ([tensor("x", "FP16", [2], [0.1, 1])], HALF, np.float16([0.1, 1])),
        ([tensor("x", "BF16", [2], [0.1, 1])], BRAIN, np.array([0.1, 1], ml_dtypes.bfloat16)),
        ([tensor("x", "FP64", [], [0.1])], SCALAR, np.float64(0.1)),
        ([tensor("x", "FP32", [2, 1], [[1], [2]])], ANY, np.float32([[1], [2]])),
    ],
)  # fmt: skip
def test_json_becomes_an_array(inputs, of, expected):
    (array,) = read(inputs, of).values()
    np.testing.assert_array_equal(array, expected)
    assert array.dtype == expected.dtype
    assert array.shape == expected.shape


def test_several_inputs_come_in_any_order_and_a_long_list_is_as_good_as_a_short_one():
    text, question = np.arange(4000, dtype=np.int32).reshape(2, 2000), np.int32([[3], [6]])
    inputs = [
        tensor("question", "INT32", [2, 1], question.tolist()),
        tensor("text", "INT32", [2, 2000], text.reshape(-1).tolist()),
    ]
    arrays = read(inputs, QA, parameters={"binary_data_output": True})
    np.testing.assert_array_equal(arrays["text"], text)
    np.testing.assert_array_equal(arrays["question"], question)
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.int32)}


def test_bytes_after_the_json_are_cut_in_the_order_of_the_inputs_and_mix_with_json():
    text, question = np.int32([[1, 2, 3]]), np.int32([[4]])
    both = [binary("question", "INT32", [1, 1], 4), binary("text", "INT32", [1, 3], 12)]
    mixed = [tensor("question", "INT32", [1, 1], [4]), binary("text", "INT32", [1, 3], 12)]
    for inputs, blob in ((both, question.tobytes() + text.tobytes()), (mixed, text.tobytes())):
        arrays = read(inputs, QA, blob)
        np.testing.assert_array_equal(arrays["text"], text)
        np.testing.assert_array_equal(arrays["question"], question)


@pytest.mark.parametrize(
    ("body", "of", "expected"),
    [
        (np.float32([1, 2, 3, 4]).tobytes(), DIGITS, np.float32([[1, 2, 3, 4]])),
        (bytes(range(6)), IMAGE, np.arange(6, dtype=np.uint8).reshape(1, 2, 3)),
        (b"\xff\xd8 any bytes", TEXT, np.array([b"\xff\xd8 any bytes"], object)),
        (b"", IMAGE, np.zeros((1, 2, 0), np.uint8)),
        (np.float64(7).tobytes(), SCALAR, np.float64(7)),
    ],
)
def test_a_raw_body_is_one_row_of_the_only_input(body, of, expected):
    request = parse(body, 0)
    (array,) = decode(request, of).values()
    np.testing.assert_array_equal(array, expected)
    assert array.dtype == expected.dtype
    assert request.binary


@pytest.mark.parametrize(
    ("body", "of", "problem"),
    [
        (b"\0" * 12, DIGITS, "input 'pixels' has 12 bytes; shape [1, 4] of 4 bytes an element needs 16"),
        (b"\0" * 5, IMAGE, "input 'image' has 5 bytes; shape [1, 2, 2]"),
        (b"\0" * 8, QA, "a raw body fits one input; signature 'serving_default' has 'text', 'question'"),
        (b"\0" * 8, TWO_FREE, "takes (None, None, None); a raw body leaves one dimension open at most"),
        (b"\0" * 8, ANY, "of any rank, which a raw body cannot tell"),
        (b"a", signature(x=("string", (None, 2))), "takes (None, 2); a raw body is one string"),
    ],
)
def test_a_raw_body_that_cannot_fit_is_explained(body, of, problem):
    with pytest.raises(InvalidInput, match=re.escape(problem)):
        decode(parse(body, 0), of)


ONE = tensor("pixels", "FP32", [1, 4], [1, 2, 3, 4])


def pixels(**changes: object) -> list[dict[str, object]]:
    return [{**ONE, **changes}]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "the body is not JSON"),
        (b"{", "the body is not JSON"),
        (b'{"inputs": []} more', "the body is not JSON"),
        (b"[]", "the body is a list; expected an object with 'inputs'"),
        ({"instances": []}, "the body has no 'inputs', only 'instances'"),
        ({"inputs": {}}, "'inputs' is an object; expected a list of objects with 'name'"),
        ({"inputs": []}, "missing input 'pixels'. Signature 'serving_default' takes: pixels: float (None, 4)"),
        ({"inputs": [3]}, "'inputs'[0] is the number 3; expected an object with 'name'"),
        ({"inputs": [{}]}, "'inputs'[0]: 'name' is null; expected a string"),
        ({"inputs": pixels(name="pixel")}, "missing input 'pixels'; unknown input 'pixel' (did you mean 'pixels'?)"),
        ({"inputs": pixels() * 2}, "input 'pixels' is there more than once"),
        ({"inputs": pixels(datatype=None)}, "input 'pixels': 'datatype' is null; expected a string such as 'FP32'"),
        ({"inputs": pixels(datatype="FP64")}, "input 'pixels' has datatype 'FP64'; the model takes FP32"),
        ({"inputs": pixels(shape=4)}, "input 'pixels': 'shape' is the number 4; expected a list of whole numbers"),
        ({"inputs": pixels(shape=[-1, 4])}, "input 'pixels': shape has the number -1; expected whole numbers from 0"),
        ({"inputs": pixels(shape=[1.0, 4])}, "input 'pixels': shape has the number 1.0"),
        ({"inputs": pixels(shape=[True, 4])}, "input 'pixels': shape has the boolean true"),
        ({"inputs": pixels(shape=[2**62, 4])}, "has more than 2147483648 elements"),
        ({"inputs": pixels(shape=[2**62, 0])}, "has more than 2147483648 elements"),
        ({"inputs": pixels(shape=[2**30, 0], data=[])}, "[1073741824, 0] is very large for a tensor without elements"),
        ({"inputs": pixels(shape=[1, 2**30, 0], data=[])}, "is very large for a tensor without elements"),
        ({"inputs": pixels(shape=[1] * 40)}, "shape has 40 dimensions; the most are 32"),
        ({"inputs": pixels(shape=[1, 3])}, "input 'pixels' has shape (1, 3); the model takes (None, 4)"),
        ({"inputs": pixels(shape=[2, 4])}, "input 'pixels' has 4 elements; shape [2, 4] needs 8"),
        ({"inputs": pixels(data=5)}, "input 'pixels': 'data' is the number 5; expected a list"),
        ({"inputs": pixels(data=[[1, 2], [3, 4]])}, "'data' is nested as [2, 2], but 'shape' says [1, 4]"),
        ({"inputs": pixels(data=[[1, 2, 3], [4]])}, "input 'pixels' has rows of different lengths"),
        ({"inputs": pixels(data=[1, 2, 3, "4"])}, "input 'pixels'[3] is the string \"4\"; the model takes numbers"),
        ({"inputs": pixels(data=[1, 2, 3, True])}, "input 'pixels'[3] is the boolean true"),
        ({"inputs": pixels(data=[1, 2, 3, None])}, "input 'pixels'[3] is null"),
        ({"inputs": pixels(parameters=3)}, "input 'pixels': 'parameters' is the number 3; expected an object"),
        ({"inputs": pixels(parameters=[])}, "input 'pixels': 'parameters' is a list; expected an object"),
        ({"inputs": pixels(), "parameters": 0}, "'parameters' is the number 0; expected an object"),
        ({"inputs": pixels(parameters={"binary_data_size": 16})}, "needs the header Inference-Header-Content-Length"),
        ({"inputs": [binary("pixels", "FP32", [1, 4], 16)]}, "needs the header Inference-Header-Content-Length"),
        ({"inputs": [{**ONE, "data": [1], "shape": [1]}], "id": 3}, "'id' is the number 3; expected a string"),
        ({"inputs": pixels(), "outputs": [{"name": 3}]}, "'outputs'[0]: 'name' is the number 3; expected a string"),
        ({"inputs": pixels(), "outputs": 3}, "'outputs' is the number 3; expected a list"),
        ({"inputs": pixels(), "parameters": {"timeout": "5"}}, "'timeout' is the string \"5\"; expected a whole number"),
        ({"inputs": pixels(), "parameters": {"timeout": -1}}, "'timeout' is -1; expected microseconds, 0 for no limit"),
        ({"inputs": pixels(), "parameters": {"signature_name": 1}}, "'signature_name' is the number 1; expected a string"),
        ({"inputs": pixels(), "parameters": {"binary_data_output": 1}}, "is the number 1; expected true or false"),
        ({"inputs": pixels(), "parameters": {"non_finite": "x"}}, "'x'; expected one of 'bare', 'null', 'string'"),
        (
            {"inputs": pixels(), "outputs": [{"name": "y", "parameters": {"classification": -1}}]},
            "output 'y': parameter 'classification' is -1; expected a number of classes",
        ),
    ],
)  # fmt: skip
def test_wrong_bodies_are_explained(body, problem):
    with pytest.raises(InvalidInput, match=re.escape(problem)):
        decode(parse(body if isinstance(body, bytes) else json.dumps(body).encode()), DIGITS)


@pytest.mark.parametrize(
    ("inputs", "of", "blob", "problem"),
    [
        ([binary("pixels", "FP32", [1, 4], 16)], DIGITS, b"\0" * 12, "'binary_data_size' is 16; 12 bytes are left"),
        ([binary("pixels", "FP32", [1, 4], -1)], DIGITS, b"\0" * 12, "'binary_data_size' is -1; 12 bytes are left"),
        ([binary("pixels", "FP32", [1, 4], 16)], DIGITS, b"\0" * 17, "17 bytes follow the JSON; the inputs'"),
        ([binary("pixels", "FP32", [1, 4], 12)], DIGITS, b"\0" * 12, "has 12 bytes; shape [1, 4] of 4 bytes"),
        ([ONE], DIGITS, b"\0", "1 bytes follow the JSON; the inputs' binary_data_size make 0"),
        (
            [{**binary("pixels", "FP32", [1, 4], 16), "data": [1, 2, 3, 4]}],
            DIGITS,
            b"\0" * 16,
            "send either 'data' or the parameter 'binary_data_size': both are there",
        ),
        ([{"name": "pixels", "datatype": "FP32", "shape": [1, 4]}], DIGITS, b"", "neither is there"),
        ([binary("text", "BYTES", [1 << 21], 0)], TEXT, b"", "has more than 1048576 strings as bytes"),
        ([binary("text", "BYTES", [2], 4)], TEXT, b"\0" * 4, "has 4 bytes; 2 strings need at least 8"),
        ([binary("text", "BYTES", [1], 5)], TEXT, struct.pack("<I", 2) + b"a", "string 0 of 1 says it has 2 bytes; 1"),
        ([binary("text", "BYTES", [2], 8)], TEXT, struct.pack("<I", 4) + b"abcd", "end before the length of string 1"),
        ([binary("text", "BYTES", [1], 6)], TEXT, struct.pack("<I", 1) + b"ab", "1 bytes are left after its 1 strings"),
    ],
)
def test_wrong_bytes_are_explained(inputs, of, blob, problem):
    with pytest.raises(InvalidInput, match=re.escape(problem)):
        read(inputs, of, blob)


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": pixels(), "parameters": {"sequence_id": 7}},
        {"inputs": pixels(parameters={"shared_memory_region": "a"})},
        {"inputs": pixels(), "outputs": [{"name": "y", "parameters": {"shared_memory_region": "a"}}]},
    ],
)
def test_what_other_servers_have_and_this_one_has_not_is_501(body):
    with pytest.raises(Unsupported) as caught:
        parse(json.dumps(body).encode())
    assert caught.value.http_status == 501


def test_a_type_without_datatype_is_501():
    with pytest.raises(Unsupported, match="input 'x' is complex64; the Open Inference Protocol has no datatype for it"):
        read([tensor("x", "COMPLEX64", [1], [1])], signature(x=("complex64", (None,))))


def test_parameters_say_signature_time_limit_and_form():
    said = {"signature_name": "from_text", "timeout": 250_000, "priority": 1, "mine": "x", "non_finite": "null"}
    request = parse(json.dumps({"inputs": [ONE], "id": "7", "parameters": said}).encode())
    assert (request.signature_name, request.timeout_s, request.id) == ("from_text", 0.25, "7")
    assert request.non_finite == "null"
    assert not request.binary
    assert parse(json.dumps({"inputs": [ONE], "parameters": {"timeout": 0}}).encode()).timeout_s is None


def test_outputs_are_asked_for_one_by_one():
    outputs = [
        {"name": "a"},
        {"name": "b", "parameters": {"binary_data": False, "classification": 2}},
        {"name": "c", "parameters": {"binary_data": True, "content_type": "base64"}},
    ]
    text = json.dumps({"inputs": [ONE], "outputs": outputs, "parameters": {"binary_data_output": True}}).encode()
    request = parse(text)
    assert request.outputs == [
        RequestedOutput("a", True),
        RequestedOutput("b", False, classes=2),
        RequestedOutput("c", True, base64=True),
    ]
    assert request.wanted == ("a", "b", "c")


@pytest.mark.parametrize(
    ("header", "expected"), [(None, None), ("0", 0), ("7", 7), ("10", 10)], ids=["missing", "raw", "some", "all"]
)
def test_the_header_says_how_many_bytes_are_json(header, expected):
    assert json_bytes(header, 10) == expected


@pytest.mark.parametrize("header", ["", "-1", "11", "1.0", "x", "²", "9" * 30])
def test_a_header_that_cannot_be_is_explained(header):
    with pytest.raises(InvalidInput, match="expected a number from 0 to 10, the body's bytes"):
        json_bytes(header, 10)


# Answers


def written(
    arrays: dict[str, np.ndarray], /, batched: bool = True, labels=None, **body: object
) -> tuple[bytes, int | None]:
    """An answer to a request with that body."""
    given = {
        name: TensorSpec(name, dtypes.from_numpy(array.dtype), (None, *array.shape[1:]) if batched else array.shape, "")
        for name, array in arrays.items()
    }
    request = parse(json.dumps({"inputs": [ONE], **body}).encode())
    of = signature(given, pixels=("float", (None, 4) if batched else (1, 4)))
    return encode("digits", "3", request.id, answer(request, of, arrays, labels or {}), request.non_finite)


@pytest.mark.parametrize(
    ("outputs", "body", "expected"),
    [
        ({"y": np.float32([[0.1, 3]])}, {}, [["FP32", [1, 2], [0.1, 3.0]]]),
        ({"y": np.float64([[0.1]])}, {}, [["FP64", [1, 1], [0.1]]]),
        ({"y": np.float16([0.1])}, {}, [["FP16", [1], [0.099975586]]]),
        ({"y": np.array([0.1], ml_dtypes.bfloat16)}, {}, [["BF16", [1], [0.100097656]]]),
        ({"y": np.array([2**63 - 1, -(2**63)])}, {}, [["INT64", [2], [2**63 - 1, -(2**63)]]]),
        ({"y": np.array([2**64 - 1], np.uint64)}, {}, [["UINT64", [1], [2**64 - 1]]]),
        ({"y": np.array([[True], [False]])}, {}, [["BOOL", [2, 1], [True, False]]]),
        ({"y": np.array(["Größe".encode(), b""], object)}, {}, [["BYTES", [2], ["Größe", ""]]]),
        ({"y": np.asfortranarray(np.int8([[1, 2], [3, 4]]))}, {}, [["INT8", [2, 2], [1, 2, 3, 4]]]),
        ({"y": np.float32([np.nan, np.inf, -np.inf, 0.1])}, {}, [["FP32", [4], ["NaN", "Infinity", "-Infinity", 0.1]]]),
        ({"y": np.float32([np.nan, 0.1])}, {"parameters": {"non_finite": "null"}}, [["FP32", [2], [None, 0.1]]]),
        ({"a": np.int32([1]), "b": np.int32([2])}, {}, [["INT32", [1], [1]], ["INT32", [1], [2]]]),
        ({"a": np.int32([1]), "b": np.int32([2])}, {"outputs": [{"name": "b"}]}, [["INT32", [1], [2]]]),
        ({"y": np.zeros((0, 4), np.float32)}, {}, [["FP32", [0, 4], []]]),
    ],
)  # fmt: skip
def test_answers_in_json(outputs, body, expected):
    text, length = written(outputs, **body)
    assert length is None
    document = json.loads(text)
    assert (document["model_name"], document["model_version"]) == ("digits", "3")
    assert [[out["datatype"], out["shape"], out["data"]] for out in document["outputs"]] == expected


def test_bare_words_for_what_is_not_finite_when_asked_for():
    text, _ = written({"y": np.float64([np.nan, -np.inf])}, parameters={"non_finite": "bare"})
    assert b'"data":[NaN,-Infinity]' in text


@pytest.mark.parametrize(
    "body", [b'{"id": null, "inputs": %b}', b'\xef\xbb\xbf{"inputs": %b}', b'{"inputs": %b, "inputs": 3}']
)
def test_a_null_id_a_byte_order_mark_and_equal_names_are_taken(body):
    request = parse(body % json.dumps([ONE]).encode())
    assert request.id == ""
    np.testing.assert_array_equal(decode(request, DIGITS)["pixels"], np.float32([[1, 2, 3, 4]]))


def test_an_id_comes_back_and_none_is_made_up():
    assert json.loads(written({"y": np.int32([1])}, id="a7")[0])["id"] == "a7"
    assert "id" not in json.loads(written({"y": np.int32([1])})[0])


def test_strings_that_are_no_text_are_base64_and_say_so():
    document = json.loads(written({"y": np.array([b"\xff", b"a"], object)})[0])
    assert document["outputs"][0] == {
        "name": "y",
        "shape": [2],
        "datatype": "BYTES",
        "parameters": {"content_type": "base64"},
        "data": ["/w==", "YQ=="],
    }
    asked = [{"name": "y", "parameters": {"content_type": "base64"}}]
    document = json.loads(written({"y": np.array([b"a"], object)}, outputs=asked)[0])
    assert document["outputs"][0]["data"] == ["YQ=="]


def test_answers_as_bytes_mix_with_json():
    outputs = {"a": np.float32([1, 2]), "b": np.array([b"xy", b""], object), "c": np.int32([7])}
    asked = [{"name": "b"}, {"name": "c", "parameters": {"binary_data": False}}, {"name": "a"}]
    body, length = written(outputs, outputs=asked, parameters={"binary_data_output": True})
    document = json.loads(body[:length])
    assert [out["name"] for out in document["outputs"]] == ["b", "c", "a"]
    assert document["outputs"][0]["parameters"] == {"binary_data_size": 10}
    assert "data" not in document["outputs"][0]
    assert document["outputs"][1]["data"] == [7]
    assert body[length:] == b"\2\0\0\0xy\0\0\0\0" + np.float32([1, 2]).tobytes()


@pytest.mark.parametrize(
    ("array", "batched", "count", "labels", "expected"),
    [
        (np.float32([[0.1, 0.7, 0.2], [0.5, 0.25, 0.5]]), True, 2, [], ["0.7:1", "0.2:2", "0.5:0", "0.5:2"]),
        (np.float32([[0.1, 0.7, 0.2]]), True, 9, ["a", "b", "c"], ["0.7:1:b", "0.2:2:c", "0.1:0:a"]),
        (np.float32([0.1, 0.7]), False, 1, ["a", "b"], ["0.7:1:b"]),
        (np.int64([[3, -1]]), True, 1, ["only one"], ["3:0"]),
        (np.float32([[np.nan, 1]]), True, 2, [], ["1.0:1", "nan:0"]),
        (np.int64([[2**53, 2**53 + 1, -(2**63)]]), True, 3, [], [f"{2**53 + 1}:1", f"{2**53}:0", f"{-(2**63)}:2"]),
        (np.uint64([[7, 2**64 - 1, 7]]), True, 3, [], [f"{2**64 - 1}:1", "7:0", "7:2"]),
        (np.array([[0.5, 2]], ml_dtypes.bfloat16), True, 1, [], ["2:1"]),
        (np.zeros((0, 3), np.float32), True, 2, [], []),
        (np.zeros((0, 3), np.int64), True, 2, ["a", "b", "c"], []),
        (np.zeros(0, np.float32), False, 2, [], []),
    ],
)
def test_classification_gives_the_highest_values_with_their_labels(array, batched, count, labels, expected):
    asked = [{"name": "y", "parameters": {"classification": count}}]
    (output,) = json.loads(written({"y": array}, batched, {"y": labels}, outputs=asked)[0])["outputs"]
    assert (output["datatype"], output["data"]) == ("BYTES", expected)
    rows = [len(array)] if batched else []
    classes = array.size // (rows or [1])[0] if array.size else array.shape[-1]
    assert output["shape"] == [*rows, min(count, classes)]


def test_classification_of_strings_is_refused():
    asked = [{"name": "y", "parameters": {"classification": 1}}]
    with pytest.raises(InvalidInput, match=re.escape("output 'y' has no classes: it is string (1,)")):
        written({"y": np.array([b"a"], object)}, outputs=asked)


# Properties

ARRAYS = st.sampled_from([name for name in DATATYPES if name not in ("string", "bfloat16")]).flatmap(
    lambda name: st_numpy.arrays(BY_NAME[name].numpy, st_numpy.array_shapes(min_dims=0, max_dims=3, max_side=5))
) | st_numpy.arrays(
    object, st_numpy.array_shapes(max_dims=2, max_side=4), elements=st.binary(max_size=6), fill=st.nothing()
)


@given(ARRAYS, st.sampled_from(["flat", "nested", "binary"]))
def test_any_tensor_survives_the_way_in_bit_for_bit(array, form):
    dtype = dtypes.from_numpy(array.dtype)
    of = signature(x=(dtype.name, (None,) * array.ndim))
    head = {"name": "x", "datatype": DATATYPES[dtype.name], "shape": list(array.shape)}
    if form == "binary":
        blob = to_bytes(array)
        arrays = read([{**head, "parameters": {"binary_data_size": len(blob)}}], of, blob)
    else:
        data = array.reshape(-1) if form == "flat" or not array.ndim else array
        values = data.tolist() if not dtype.is_string else in_base64(data.tolist())
        parameters = {"content_type": "base64"} if dtype.is_string else {}
        arrays = read([{**head, "data": values, "parameters": parameters}], of)
    assert arrays["x"].dtype == array.dtype
    np.testing.assert_array_equal(arrays["x"], array)


def in_base64(value: object) -> object:
    import base64

    return [in_base64(element) for element in value] if isinstance(value, list) else base64.b64encode(value).decode()


@given(ARRAYS.filter(lambda array: array.ndim > 0), st.booleans(), st.sampled_from(["bare", "string", "null"]))
def test_any_tensor_survives_the_way_out_bit_for_bit(array, as_bytes, policy):
    asked = [{"name": "y", "parameters": {"content_type": "base64"}}]
    said = {"binary_data_output": as_bytes, "non_finite": policy}
    body, length = written({"y": array}, outputs=asked, parameters=said)
    (output,) = json.loads(body[:length])["outputs"]
    head = {"name": "x", "datatype": output["datatype"], "shape": output["shape"]}
    of = signature(x=(dtypes.from_numpy(array.dtype).name, (None,) * array.ndim))
    if as_bytes:
        back = read([{**head, "parameters": output["parameters"]}], of, body[length:])["x"]
    else:
        data = [float("nan") if value is None else value for value in output["data"]]
        back = read([{**head, "data": data, "parameters": output.get("parameters", {})}], of)["x"]
        if policy == "null" and array.dtype.kind == "f":
            array = np.where(np.isfinite(array), array, np.nan)
    np.testing.assert_array_equal(back, array)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["name", "shape", "datatype", "data", "parameters", "pixels", "FP32"]), inner)
    ),
    max_leaves=12,
)


BUSY = settings(suppress_health_check=[HealthCheck.too_slow])
"""On a busy machine the first of these values takes seconds."""


@BUSY
@given(st.dictionaries(st.sampled_from(["inputs", "outputs", "id", "parameters"]), JSON))
def test_any_json_is_read_or_refused(document):
    with suppress(ServingError):
        decode(parse(json.dumps(document).encode()), DIGITS)


@BUSY
@given(
    st.lists(
        st.fixed_dictionaries({}, optional=dict.fromkeys(["name", "shape", "datatype", "data", "parameters"], JSON))
    )
)
def test_any_inputs_are_read_or_refused(inputs):
    with suppress(ServingError):
        read(inputs, DIGITS)


@given(st.binary(max_size=200), st.integers(0, 200))
def test_any_bytes_are_read_or_refused(body, length):
    for of in (DIGITS, TEXT, IMAGE):
        with suppress(ServingError):
            decode(parse(body, min(length, len(body))), of)
