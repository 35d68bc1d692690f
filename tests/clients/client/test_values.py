"""What callers hold, as tables: a value in, an array or a message out."""

import re
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from signet.clients.client.values import dumps, from_json, loads, to_array, to_arrays, to_json, to_json_rows
from signet.serving.errors import InvalidInput, Unsupported
from signet.serving.tensors import dtypes
from signet.serving.tensors.signature import Signature, TensorSpec

BY_NAME = {row.name: row for row in dtypes.ROWS}


def spec(dtype: str, *shape: int | None) -> TensorSpec:
    return TensorSpec("x", BY_NAME[dtype], shape, "")


ROWS_OF_3 = spec("float", None, 3)
WORDS = spec("string", None)
NUMBERS = spec("int32", None)
FLAGS = spec("bool", None)


@pytest.mark.parametrize(
    ("of", "value", "expected"),
    [
        (ROWS_OF_3, [[1, 2.5, 3]], [[1, 2.5, 3]]),
        (ROWS_OF_3, [(1, 2.5, 3)], [[1, 2.5, 3]]),
        (ROWS_OF_3, np.ones((2, 3), np.float64), np.ones((2, 3))),
        (ROWS_OF_3, np.ones((2, 3), ">f4"), np.ones((2, 3))),
        (ROWS_OF_3, np.array([[1, 2, 3]], object), [[1, 2, 3]]),
        (ROWS_OF_3, [np.ones(3), np.zeros(3, np.int64)], [[1, 1, 1], [0, 0, 0]]),
        (ROWS_OF_3, [[1, float("nan"), float("inf")]], [[1, np.nan, np.inf]]),
        (ROWS_OF_3, [[1e39, 0, 0]], [[np.inf, 0, 0]]),
        (ROWS_OF_3, [], np.zeros((0, 3))),
        (NUMBERS, np.array([1, 2], np.uint8), [1, 2]),
        (NUMBERS, [np.int64(3), 4], [3, 4]),
        (FLAGS, [True, np.bool_(False)], [True, False]),
        (WORDS, ["é", b"\xff", {"b64": "YQ=="}], [b"\xc3\xa9", b"\xff", b"a"]),
        (WORDS, np.array(["é", "ab"]), [b"\xc3\xa9", b"ab"]),
        (WORDS, np.array(["é", b"ab"], object), [b"\xc3\xa9", b"ab"]),
        (WORDS, [bytearray(b"a"), memoryview(b"b"), np.str_("c")], [b"a", b"b", b"c"]),
        (WORDS, [], np.zeros(0, object)),
        (spec("string"), "one", b"one"),
        (spec("string", None, 2), [], np.zeros((0, 2), object)),
        (spec("float"), 3, 3),
        (spec("half", None), [1, 2.5], [1, 2.5]),
        (spec("bfloat16", None), [1, 2.5], [1, 2.5]),
        (spec("complex64", None), [1, 2j], [1, 2j]),
        (spec("uint16", None), [65535], [65535]),
    ],
)
def test_values_become_arrays(of, value, expected):
    array = to_array(of, value)
    assert array.dtype == of.dtype.numpy
    np.testing.assert_array_equal(array, np.array(expected, array.dtype))


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("of", "value", "problem"),
    [
        (ROWS_OF_3, [[1, 2]], "input 'x' has shape (1, 2); the model takes (None, 3)"),
        (ROWS_OF_3, np.ones(3), "input 'x' has shape (3,); the model takes (None, 3)"),
        (ROWS_OF_3, [[1, 2, 3], [1]], "input 'x' has rows of different lengths: [1] has 1 where [0] has 3"),
        (ROWS_OF_3, [[1, True, 3]], "input 'x'[0][1] is the boolean true; the model takes numbers (float)"),
        (ROWS_OF_3, [(1, None, 3)], "input 'x'[0][1] is null; the model takes numbers (float)"),
        (ROWS_OF_3, np.array([["a", "b", "c"]]), "input 'x' is string; the model takes float"),
        (ROWS_OF_3, {1, 2}, "input 'x' holds set; expected numbers, strings, bytes or arrays"),
        (ROWS_OF_3, nested(2000), "input 'x': lists are nested deeper than 32"),
        (NUMBERS, [1.0], "input 'x'[0] is the number 1.0; the model takes whole numbers (int32)"),
        (NUMBERS, np.array([1.5]), "input 'x' is double; the model takes int32"),
        (
            NUMBERS,
            np.array([1, 2**40]),
            "input 'x' holds 1 to 1099511627776; int32 goes from -2147483648 to 2147483647",
        ),
        (NUMBERS, [2**40], "input 'x'[0] is 1099511627776; int32 goes from -2147483648 to 2147483647"),
        (NUMBERS, np.array([True]), "input 'x' is bool; the model takes int32"),
        (FLAGS, [1], "input 'x'[0] is the number 1; the model takes true or false"),
        (WORDS, "one", "input 'x' has shape (); the model takes (None,)"),
        (WORDS, ["a", 3], "input 'x'[1] is the number 3; the model takes strings"),
        (WORDS, ["a", [b"b"]], "input 'x'[1] is a list; expected a single value as elsewhere"),
        (spec("string", None, 2), [["a", "b"], ["c"]], "input 'x' has rows of different lengths"),
        (spec("half", None), [[1], [1, 2]], "input 'x' has rows of different lengths"),
        (spec("half", None), ["a"], "input 'x' is string; the model takes half"),
    ],
)
def test_wrong_values_are_explained(of, value, problem):
    with pytest.raises(InvalidInput, match=re.escape(problem)):
        to_array(of, value)


def test_a_type_that_cannot_travel_is_refused():
    with pytest.raises(Unsupported, match="input 'x' has a type that cannot be sent"):
        to_array(TensorSpec("x", None, (None,), ""), [1])


def test_names_and_rows_are_held_against_the_signature():
    two = Signature("both", {"a": TensorSpec("a", BY_NAME["float"], (None,), ""), "b": WORDS}, {})
    with pytest.raises(InvalidInput, match=r"missing input 'b'; unknown input 'bb'.*'both' takes: a: float \(None,\)"):
        to_arrays({"a": [1], "bb": ["x"]}, two)
    with pytest.raises(InvalidInput, match="different numbers of rows: 'a' has 1, 'b' has 2"):
        to_arrays({"a": [1], "b": ["x", "y"]}, two)


def same(left: np.ndarray, right: np.ndarray) -> bool:
    equal_nan = left.dtype.kind == "f"
    return left.shape == right.shape and left.dtype == right.dtype and np.array_equal(left, right, equal_nan=equal_nan)


@given(
    st.sampled_from(
        ["float", "double", "int8", "int16", "int32", "int64", "uint8", "uint32", "uint64", "bool"]
    ).flatmap(lambda name: st_numpy.arrays(BY_NAME[name].numpy, st_numpy.array_shapes(min_dims=0, max_side=3)))
)
def test_arrays_come_back_from_json_as_they_were(array):
    of = TensorSpec("x", dtypes.from_numpy(array.dtype), array.shape, "")
    text = dumps({"x": to_json("x", array)})
    assert same(from_json(of, loads(text)["x"], has_booleans=b"e" in text), array)
    if array.ndim:
        rows = loads(dumps({"x": to_json_rows("x", array)}))["x"]
        assert same(from_json(of, rows, has_booleans=True), array)


@given(st_numpy.arrays(object, st_numpy.array_shapes(min_dims=0, max_side=3), elements=st.binary()))
def test_any_bytes_come_back_from_json_as_they_were(array):
    for name in ("x", "x_bytes"):
        of = TensorSpec(name, BY_NAME["string"], array.shape, "")
        assert same(from_json(of, loads(dumps({"x": to_json(name, array)}))["x"], has_booleans=False), array)


@pytest.mark.parametrize(
    ("name", "array", "text"),
    [
        ("x", np.float32([0.1, 1e-7]), b"[0.1,1e-7]"),
        ("x", np.float32([0.1, np.nan, np.inf, -np.inf]), b"[0.1, NaN, Infinity, -Infinity]"),
        ("x", np.float32(2), b"2.0"),
        ("x", np.array([b"a", "é".encode(), b"\xff"], object), '["a","é",{"b64":"/w=="}]'.encode()),
        ("x_bytes", np.array([[b"a"]], object), b'[[{"b64":"YQ=="}]]'),
        ("x", np.ones((2, 2), np.int8).T[:1], b"[[1,1]]"),
    ],
)
def test_arrays_are_written_shortly(name, array, text):
    assert dumps(to_json(name, array)) == text


@pytest.mark.parametrize("dtype", ["half", "bfloat16", "uint16", "complex64"])
def test_what_json_cannot_carry_is_said(dtype):
    with pytest.raises(Unsupported, match=f"'x' is {dtype}, which JSON cannot carry; use GrpcClient"):
        to_json("x", np.ones(1, BY_NAME[dtype].numpy))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b'{"a": [1}', "Expecting ',' delimiter at character 8"),
        (b"\xff\xfe{}", "can't decode byte 0xff in position 0"),
        (b"[" * 200_000 + b"]" * 200_000, "it is nested too deeply"),
        (b"", "Expecting value at character 0"),
    ],
)
def test_broken_json_is_explained(text, problem):
    with pytest.raises(ValueError, match=re.escape(problem)):
        loads(text)


def test_decimals_are_numbers():
    assert to_array(spec("float", None, 2), [[Decimal("1.50"), Decimal(2)]]).tolist() == [[1.5, 2.0]]
    assert to_array(NUMBERS, [Decimal(7)]).tolist() == [7]
