"""The REST dialect, as tables: literal body in, literal arrays or message out."""

import json
import re
from contextlib import suppress

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from signet.serving.errors import InvalidInput, Unsupported
from signet.serving.json_arrays import number_arrays
from signet.serving.rest_dialect.json_codec import Layout, decode, encode, parse
from signet.serving.tensors import dtypes
from signet.serving.tensors.padding import PaddingRule
from signet.serving.tensors.signature import Signature, TensorSpec


def signature(**inputs: tuple[str, tuple[int | None, ...]]) -> Signature:
    specs = {name: TensorSpec(name, BY_NAME[dtype], shape, f"{name}:0") for name, (dtype, shape) in inputs.items()}
    return Signature("serving_default", specs, {})


BY_NAME = {row.name: row for row in dtypes.ROWS}
DIGITS = signature(pixels=("float", (None, 4)))
QA = signature(text=("int32", (None, None)), question=("int32", (None, None)))
TEXT = signature(text=("string", (None,)), question=("string", (None,)))
FLAG = signature(flag=("bool", (None,)))
IDS = signature(ids=("int64", (None,)))
BYTES = signature(small=("uint8", (None,)))


SPACES = ["", " " * 4 * number_arrays.LARGE_BYTES]
"""Beside a body: none, and as many as make it a large one, whose numbers are read in another way."""


def read(body: object, of: Signature, spaces: str = "", fill: PaddingRule | None = None) -> dict[str, np.ndarray]:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return decode(parse(text.replace(b"{", b"{" + spaces.encode(), 1)), of, fill)


@pytest.mark.parametrize("spaces", SPACES, ids=len)
@pytest.mark.parametrize(
    ("body", "of", "expected"),
    [
        ({"instances": [[1, 2, 3, 4]] * 20}, DIGITS, {"pixels": np.float32([[1, 2, 3, 4]] * 20)}),
        ({"instances": [[1, 2, 3, 4]]}, DIGITS, {"pixels": np.float32([[1, 2, 3, 4]])}),
        ({"instances": [{"pixels": [1, 2.5, 3, 4]}]}, DIGITS, {"pixels": np.float32([[1, 2.5, 3, 4]])}),
        ({"inputs": [[1, 2, 3, 4]]}, DIGITS, {"pixels": np.float32([[1, 2, 3, 4]])}),
        ({"inputs": {"pixels": [[1, 2, 3, 4]]}}, DIGITS, {"pixels": np.float32([[1, 2, 3, 4]])}),
        ({"inputs": {"pixels": []}}, DIGITS, {"pixels": np.zeros((0, 4), np.float32)}),
        (
            {"instances": [{"text": [1, 2], "question": [3]}, {"text": [4, 5], "question": [6]}]},
            QA,
            {"text": np.int32([[1, 2], [4, 5]]), "question": np.int32([[3], [6]])},
        ),
        ({"inputs": {"text": [[]], "question": [[]]}}, QA, {"text": np.zeros((1, 0)), "question": np.zeros((1, 0))}),
        ({"instances": [True, False]}, FLAG, {"flag": np.array([True, False])}),
        ({"instances": [9007199254740993]}, IDS, {"ids": np.array([9007199254740993])}),
        (b'{"instances": [[NaN, Infinity, -Infinity, 1]]}', DIGITS, {"pixels": [[np.nan, np.inf, -np.inf, 1]]}),
        (b'\xef\xbb\xbf{"instances": [[1, 2, 3, 4]]} and more', DIGITS, {"pixels": [[1, 2, 3, 4]]}),
        (b'{"instances": [[1, 2, 3, 1e39]]}', DIGITS, {"pixels": [[1, 2, 3, np.inf]]}),
    ],
)
def test_bodies_become_arrays(body, of, expected, spaces):
    arrays = read(body, of, spaces)
    assert arrays.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == of.inputs[name].dtype.numpy


def test_strings_come_as_text_or_base64():
    rows = [{"text": "Größe", "question": {"b64": "AP8="}}, {"text": "true", "question": {"b64": "YQ"}}]
    arrays = read({"instances": rows}, TEXT)
    assert arrays["text"].tolist() == ["Größe".encode(), b"true"]
    assert arrays["question"].tolist() == [b"\x00\xff", b"a"]


@pytest.mark.parametrize("spaces", SPACES, ids=len)
@pytest.mark.parametrize(
    ("body", "of", "problem"),
    [
        (b"", DIGITS, "JSON Parse error: The document is empty"),
        (b"{", DIGITS, "JSON Parse error: Missing a name for object member. at offset: 1"),
        (b'{"instances": [1,]}', DIGITS, "JSON Parse error: Invalid value. at offset: 17"),
        (b"\xff\xfe", DIGITS, "JSON Parse error"),
        ([1], DIGITS, "the body is a list; expected an object with 'instances' or 'inputs'"),
        ({}, DIGITS, "neither is there, only nothing"),
        ({"instance": [1]}, DIGITS, "neither is there, only 'instance'"),
        ({"instances": [1], "inputs": 1}, DIGITS, "both are there"),
        ({"instances": [], "signature_name": 3}, DIGITS, "'signature_name' is the number 3; expected a string"),
        ({"instances": []}, DIGITS, "'instances' is an empty list; expected at least one row"),
        ({"instances": {"pixels": [1]}}, DIGITS, "'instances' is an object; expected a list, one element a row"),
        ({"instances": [[1, 2, 3]]}, DIGITS, "input 'pixels' has shape (1, 3); the model takes (None, 4)"),
        ({"instances": [[[1, 2, 3, 4]]]}, DIGITS, "input 'pixels' has shape (1, 1, 4); the model takes (None, 4)"),
        ({"instances": [[1, 2, 3, 4], [1, 2]]}, DIGITS, "[1] has 2 where [0] has 4"),
        ({"instances": [[1, 2, 3, "4"]]}, DIGITS, "input 'pixels'[0][3] is the string \"4\"; the model takes numbers"),
        ({"instances": [[1, 2, 3, True]]}, DIGITS, "input 'pixels'[0][3] is the boolean true"),
        ({"instances": [[1, 2, 3, None]]}, DIGITS, "input 'pixels'[0][3] is null"),
        ({"instances": [[1, 2, 3, {}]]}, DIGITS, "input 'pixels'[0][3] is an object"),
        ({"instances": [[1, 2, 3, [4]]]}, DIGITS, "input 'pixels'[0][3] is a list; expected a single value"),
        ({"instances": [[1, 2, 3, 4], 5]}, DIGITS, "input 'pixels'[1] is the number 5; expected a list of 4"),
        ({"instances": [[1, 2, 3, 4], {"pixels": 5}]}, DIGITS, "'instances'[1] is an object; expected plain values"),
        ({"instances": [{"pixels": [1, 2, 3, 4]}, 5]}, DIGITS, "'instances'[1] is the number 5; expected an object"),
        (
            {"instances": [{"pixel": [1, 2, 3, 4]}]},
            DIGITS,
            "'instances'[0]: missing input 'pixels'; unknown input 'pixel' (did you mean 'pixels'?). "
            "Signature 'serving_default' takes: pixels: float (None, 4)",
        ),
        ({"inputs": {"text": [[1]]}}, QA, "'inputs': missing input 'question'"),
        ({"inputs": {"text": [[1]], "question": [[1]], "x": 1}}, QA, "'inputs': unknown input 'x'"),
        ({"instances": [[1]]}, QA, "has several inputs: expected objects with 'text', 'question'"),
        ({"inputs": [[1]]}, QA, "'inputs' is a list, but signature 'serving_default' has several inputs"),
        ({"inputs": {"text": [[1]], "question": [[1], [2]]}}, QA, "'text' has 1, 'question' has 2"),
        ({"inputs": {"text": [[1.0]], "question": [[1]]}}, QA, "whole numbers (int32), written without a point"),
        ({"inputs": {"text": [[2**31]], "question": [[1]]}}, QA, "int32 goes from -2147483648 to 2147483647"),
        (
            {"inputs": {"text": [[10**400]], "question": [[1]]}},
            QA,
            "Number too big to be stored in double. at offset: ",
        ),
        ({"instances": [{"text": 5, "question": "a"}]}, TEXT, 'strings, or bytes as {"b64": "…"}'),
        ({"instances": [{"text": "a", "question": {"b64": "%"}}]}, TEXT, "unable to base64 decode"),
        ({"instances": [0]}, FLAG, "input 'flag'[0] is the number 0; the model takes true or false"),
        ({"instances": [300]}, BYTES, "input 'small'[0] is 300; uint8 goes from 0 to 255"),
        (b'{"instances": [' + b"[" * 500 + b"]" * 500 + b"]}", DIGITS, "nested deeper than"),
        (b'{"instances": ' + b"[" * 90_000, DIGITS, "JSON Parse error"),
    ],
)
def test_wrong_bodies_are_explained(body, of, problem, spaces):
    problem = problem if not spaces else re.sub(r"offset: \d+", "offset: ", problem)
    with pytest.raises(InvalidInput, match=re.escape(problem)):
        read(body, of, spaces)


def test_a_type_that_json_cannot_carry_is_501():
    with pytest.raises(Unsupported, match="complex64, which JSON cannot carry") as caught:
        read({"instances": [1]}, signature(x=("complex64", (None,))))
    assert caught.value.http_status == 501


@pytest.mark.parametrize(
    ("outputs", "layout", "expected"),
    [
        ({"digit": np.float32([[0.1, 3]])}, Layout.ROWS, b'{"predictions":[[0.1,3.0]]}'),
        ({"digit": np.float32([[0.1, 3]])}, Layout.COLUMNS, b'{"outputs":[[0.1,3.0]]}'),
        (
            {"age": np.float32([31, 40]), "gender": np.array([b"f", b"m"], object)},
            Layout.ROWS,
            b'{"predictions":[{"age":31.0,"gender":"f"},{"age":40.0,"gender":"m"}]}',
        ),
        (
            {"age": np.float32([31]), "gender": np.array([b"f"], object)},
            Layout.COLUMNS,
            b'{"outputs":{"age":[31.0],"gender":["f"]}}',
        ),
        ({"raw_bytes": np.array([b"\xff"], object)}, Layout.ROWS, b'{"predictions":[{"b64":"/w=="}]}'),
        ({"n": np.int64(7) + np.zeros((), np.int64)}, Layout.COLUMNS, b'{"outputs":7}'),
        ({"s": np.array([b"ok", b"\xff"], object)}, Layout.ROWS, b'{"predictions":[{"b64":"b2s="},{"b64":"/w=="}]}'),
        (
            {"s": np.array([[b"ok"], [b"\xff"]], object), "t": np.array([b"a", b"b"], object)},
            Layout.ROWS,
            b'{"predictions":[{"s":[{"b64":"b2s="}],"t":"a"},{"s":[{"b64":"/w=="}],"t":"b"}]}',
        ),
        ({"h": np.float16([0.5, np.nan])}, Layout.ROWS, b'{"predictions":[0.5,NaN]}'),
        ({"h": np.array([[0.5, -np.inf]], ml_dtypes.bfloat16)}, Layout.COLUMNS, b'{"outputs":[[0.5,-Infinity]]}'),
        ({"u": np.uint16([65535])}, Layout.ROWS, b'{"predictions":[65535]}'),
        ({"y": np.float64(np.nan) + np.zeros(())}, Layout.COLUMNS, b'{"outputs":NaN}'),
        (
            {"y": np.float32([[0.1, np.nan], [1, 2]]), "s": np.array([b"null", b"NaN"], object)},
            Layout.ROWS,
            b'{"predictions":[{"y":[0.1,NaN],"s":"null"},{"y":[1.0,2.0],"s":"NaN"}]}',
        ),
        ({"y": np.float32([0.1, np.nan])}, Layout.ROWS, b'{"predictions":[0.1,NaN]}'),
        ({"y": np.float32([np.inf]), "n": np.int32([1])}, Layout.ROWS, b'{"predictions":[{"y":Infinity,"n":1}]}'),
        ({"flag": np.array([True])}, Layout.ROWS, b'{"predictions":[true]}'),
    ],
)
def test_answers_are_written_in_the_form_of_the_request(outputs, layout, expected):
    assert encode(outputs, layout) == expected


@pytest.mark.parametrize(
    ("outputs", "problem"),
    [
        ({"n": np.zeros((), np.int32)}, "output 'n' has no rows; ask in columns"),
        ({"a": np.zeros(2), "b": np.zeros(3)}, "different numbers of rows ('a' has 2, 'b' has 3)"),
        ({"z": np.zeros(1, np.complex64)}, "output 'z' is complex64"),
    ],
)
def test_answers_that_cannot_be_rows_say_so(outputs, problem):
    with pytest.raises(InvalidInput, match=re.escape(problem)):
        encode(outputs, Layout.ROWS)


@given(st_numpy.arrays(np.float32, st.tuples(st.integers(1, 4), st.just(4)), elements=st.floats(width=32)))
def test_float32_survives_the_round_trip_bit_for_bit(array):
    body = json.loads(encode({"pixels": array}, Layout.COLUMNS))
    np.testing.assert_array_equal(read({"inputs": body["outputs"]}, DIGITS)["pixels"], array)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body):
    with suppress(InvalidInput):
        decode(parse(body), DIGITS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["text", "question", "b64"]), inner),
    max_leaves=12,
)


@given(st.sampled_from(["instances", "inputs"]), JSON, st.sampled_from([DIGITS, QA, TEXT, FLAG, IDS]))
def test_any_json_is_read_or_refused(key, value, of):
    with suppress(InvalidInput):
        arrays = read({key: value}, of)
        assert arrays.keys() == of.inputs.keys()


@pytest.mark.parametrize("spaces", SPACES, ids=len)
@pytest.mark.parametrize(
    "body",
    [
        {"instances": [{"text": [1, 2, 3], "question": [9]}, {"text": [4], "question": [7, 8]}]},
        {"inputs": {"text": [[1, 2, 3], [4]], "question": [[9], [7, 8]]}},
        {"instances": [{"text": [1, 2, 3], "question": [9]}, {"text": [4], "question": [7, 8]}], "named_outputs": True},
    ],
)
def test_rows_of_different_lengths_are_filled_up_where_that_is_safe(body, spaces):
    fill = PaddingRule(0, {"text": (1,), "question": (1,)})
    arrays = read(body, QA, spaces, fill)
    np.testing.assert_array_equal(arrays["text"], [[1, 2, 3], [4, 0, 0]])
    np.testing.assert_array_equal(arrays["question"], [[9, 0], [7, 8]])
    assert arrays["text"].dtype == np.int32
    with pytest.raises(InvalidInput, match="rows of different lengths"):
        read(body, QA, spaces)


def test_a_wrong_element_in_a_row_of_any_length_is_named():
    rows = [{"text": [1], "question": [9]}, {"text": [4, 2.5], "question": [7, 8]}]
    with pytest.raises(InvalidInput, match=re.escape("input 'text'[1][1] is the number 2.5; the model takes whole")):
        read({"instances": rows}, QA, fill=PaddingRule(0, {"text": (1,), "question": (1,)}))


def test_little_is_not_filled_up_to_gigabytes():
    rows = [{"text": [1], "question": [9]}] * 50_000 + [{"text": [1] * 50_000, "question": [9]}]
    with pytest.raises(InvalidInput, match=re.escape("filled up to [50001, 50000]: that is too much for 400000 bytes")):
        read({"instances": rows}, QA, fill=PaddingRule(0, {"text": (1,), "question": (1,)}))


def test_only_the_lengths_that_may_differ_are_filled_up():
    pairs = signature(x=("float", (None, None, 2)))
    fill = PaddingRule(-1, {"x": (1,)})
    np.testing.assert_array_equal(
        read({"instances": [[[1, 2]], [[3, 4], [5, 6]]]}, pairs, fill=fill)["x"],
        [[[1, 2], [-1, -1]], [[3, 4], [5, 6]]],
    )
    with pytest.raises(InvalidInput, match="rows of different lengths"):
        read({"instances": [[[1, 2]], [[3, 4, 5]]]}, pairs, fill=fill)
    with pytest.raises(InvalidInput, match=re.escape("row 0: input 'x'[0][0] is the string")):
        read({"instances": [[["a", 2]], [[3, 4], [5, 6]]]}, pairs, fill=fill)


NOT_FINITE = {"y": np.float32([[np.nan, 0.1], [-np.inf, 1]])}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, b'{"predictions":[[NaN,0.1],[-Infinity,1.0]]}'),
        ({"non_finite": "null"}, b'{"predictions":[[null,0.1],[null,1.0]]}'),
        ({"non_finite": "string"}, b'{"predictions":[["NaN",0.1],["-Infinity",1.0]]}'),
        ({"named": True, "non_finite": "null"}, b'{"predictions":[{"y":[null,0.1]},{"y":[null,1.0]}]}'),
    ],
)
def test_an_answer_follows_the_options_of_the_request(options, expected):
    assert encode(NOT_FINITE, Layout.ROWS, **options) == expected


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"output_filter": "y"}, "'output_filter' is the string \"y\"; expected a list of the names of outputs"),
        ({"named_outputs": 1}, "'named_outputs' is the number 1; expected true or false"),
        ({"non_finite": "nan"}, "'non_finite' is the string \"nan\"; expected one of 'bare', 'null', 'string'"),
        ({"non_finite": [1]}, "'non_finite' is a list; expected one of"),
    ],
)
def test_wrong_options_are_explained(options, problem):
    with pytest.raises(InvalidInput, match=re.escape(problem)):
        parse(json.dumps({"instances": [1], **options}).encode())
