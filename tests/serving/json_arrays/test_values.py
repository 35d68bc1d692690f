"""Any JSON value for any dtype comes through exactly or is refused, in rows, in columns and in V2; numpy is the oracle."""

import json
import math
import tracemalloc
from contextlib import suppress

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.errors import InvalidInput
from signet.serving.json_arrays import number_arrays
from signet.serving.json_arrays.inputs import JSON_DTYPES
from signet.serving.open_inference import bodies, requests
from signet.serving.open_inference.requests import DATATYPES, InferRequest
from signet.serving.rest_dialect import json_codec
from signet.serving.rest_dialect.json_codec import Layout
from signet.serving.tensors import dtypes
from signet.serving.tensors.signature import Signature, TensorSpec
from tests.serving.rest_dialect.test_json_codec import BY_NAME

PADDING = " " * number_arrays.LARGE_BYTES * 8
DTYPES = [BY_NAME[name] for name in sorted(JSON_DTYPES)]


def signature(dtype: dtypes.DType) -> Signature:
    spec = TensorSpec("x", dtype, None, "x:0")
    return Signature("s", {"x": spec}, {"x": spec})


def in_rows(value: object, of: Signature, spaces: str) -> np.ndarray:
    body = {"instances": [{"x": value}, {"x": value}], "spaces": spaces}
    both = json_codec.decode(json_codec.parse(json.dumps(body).encode()), of)["x"]
    np.testing.assert_array_equal(both[0, ...], both[1, ...])
    return both[0, ...]


def in_columns(value: object, of: Signature, spaces: str) -> np.ndarray:
    body = {"inputs": {"x": value}, "spaces": spaces}
    return json_codec.decode(json_codec.parse(json.dumps(body).encode()), of)["x"]


def in_v2(value: object, of: Signature, spaces: str) -> np.ndarray:
    shape = list(np.shape(value)) if regular(value) else [1]
    dtype = of.inputs["x"].dtype
    assert dtype is not None
    tensor = {"name": "x", "datatype": DATATYPES[dtype.name], "shape": shape}
    body = {"inputs": [{**tensor, "data": value}], "spaces": spaces}
    return requests.decode(bodies.parse(json.dumps(body).encode()), of)["x"]


def regular(value: object) -> bool:
    try:
        np.shape(value)
    except ValueError:
        return False
    return True


NUMBERS = st.integers(-(2**65), 2**65) | st.integers(-300, 300) | st.floats()
LEAVES = NUMBERS | st.booleans() | st.none() | st.text(max_size=3) | st.just({"b64": "AP8="})
SHAPES = st.lists(st.integers(0, 4), min_size=1, max_size=3)


@st.composite
def tensors(draw: st.DrawFn) -> object:
    """Regular nests, mostly of one kind, with now and then an odd leaf, or a row of another length."""
    shape = draw(SHAPES)
    leaf = draw(st.sampled_from([NUMBERS, st.integers(-300, 300), st.booleans(), st.text(max_size=3), LEAVES]))
    flat = draw(st.lists(leaf, min_size=math.prod(shape), max_size=math.prod(shape)))
    value = flat
    for size in reversed(shape[1:]):
        value = (
            [value[i : i + size] for i in range(0, len(value), size)] if size else [[] for _ in range(math.prod(shape))]
        )
    if value and draw(st.integers(0, 5)) == 0:
        value[-1] = draw(LEAVES | st.lists(LEAVES, max_size=2))
    return value


@given(tensors(), st.sampled_from(DTYPES), st.sampled_from(["", PADDING]))
def test_any_value_is_the_array_that_numpy_makes_of_it_or_refused(value, dtype, spaces):
    expected = oracle(value, dtype)
    for read in (in_rows, in_columns, in_v2):
        if expected is None:
            with pytest.raises(InvalidInput):
                read(value, signature(dtype), spaces)
        else:
            found = read(value, signature(dtype), spaces)
            assert found.dtype == dtype.numpy
            np.testing.assert_array_equal(found, expected)


def oracle(value: object, dtype: dtypes.DType) -> np.ndarray | None:
    """Element by element; None where one does not fit."""
    if not regular(value):
        return None
    flat = np.array(value, object)
    elements = [converted(element, dtype) for element in flat.reshape(-1).tolist()]
    if any(element is None for element in elements):
        return None
    out = np.empty(len(elements), dtype.numpy)
    with np.errstate(over="ignore"):
        for i, element in enumerate(elements):
            out[i] = element
    return out.reshape(flat.shape)


def converted(element: object, dtype: dtypes.DType) -> object:
    if dtype.is_string:
        return element.encode() if isinstance(element, str) else b"\0\xff" if isinstance(element, dict) else None
    if dtype.name == "bool" or isinstance(element, bool):
        return element if dtype.name == "bool" and isinstance(element, bool) else None
    if dtype.is_float:
        if isinstance(element, int) and not -(2**63) <= element < 2**64:
            element = float(element)  # as JSON parsers read it
        with np.errstate(over="ignore"):
            return dtype.numpy.type(element) if isinstance(element, int | float) else None
    limits = np.iinfo(dtype.numpy)
    return element if isinstance(element, int) and limits.min <= element <= limits.max else None


@given(st.data(), st.sampled_from(DTYPES), st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_any_answer_is_read_back_bit_for_bit(data, dtype, shape):
    array = data.draw(arrays(dtype, shape))
    of = signature(dtype)
    for layout in Layout:
        text = json_codec.encode({"x": array}, layout)
        asked = b'{"inputs":' + text.partition(b":")[2]
        same(json_codec.decode(json_codec.parse(asked), of)["x"], array)
    answered = requests.answer(InferRequest([]), of, {"x": array}, {})
    text, _ = bodies.encode("m", "1", "", answered, "string")
    same(requests.decode(bodies.parse(text.replace(b'"outputs"', b'"inputs"')), of)["x"], array)


def arrays(dtype: dtypes.DType, shape: list[int]) -> st.SearchStrategy[np.ndarray]:
    """Of any bits, but that all NaN are the same."""
    count = math.prod(shape)
    if dtype.is_string:
        flat = st.lists(st.binary(max_size=4) | st.text(max_size=3).map(str.encode), min_size=count, max_size=count)
        return flat.map(lambda values: np.array([*values, None], object)[:-1].reshape(shape))
    if dtype.name == "bool":
        return st.lists(st.booleans(), min_size=count, max_size=count).map(
            lambda v: np.array(v, np.bool_).reshape(shape)
        )
    size = count * dtype.numpy.itemsize
    return st.binary(min_size=size, max_size=size).map(lambda bits: np.frombuffer(bits, dtype.numpy).reshape(shape))


def same(found: np.ndarray, array: np.ndarray) -> None:
    assert found.dtype == array.dtype
    if array.dtype == ml_dtypes.bfloat16:  # numpy does not know that its NaN is one
        found, array = found.astype(np.float32), array.astype(np.float32)
    np.testing.assert_array_equal(found, array)
    if array.dtype.kind == "f":
        assert (np.signbit(found) == np.signbit(array))[~np.isnan(array)].all()


def test_small_floats_round_to_the_nearest():
    for dtype in (BY_NAME["half"], BY_NAME["bfloat16"]):
        found = in_columns([0.1, 1e-9, 70000, 1 / 3], signature(dtype), "")
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(found, np.array([0.1, 1e-9, 70000, 1 / 3]).astype(dtype.numpy))
    assert np.array(0.1, ml_dtypes.bfloat16) == in_columns(0.1, signature(BY_NAME["bfloat16"]), "")


@pytest.mark.parametrize("end", [b"", b",[]", b",true", b",NaN", b',{"b64":1,"b64":2}', b",["])
@pytest.mark.parametrize("row", [b"[1]", b"[]", b"{}", b'{"x":1}', b'"a"', b"1", b"0.5", b'{"b64":""}', b"null"])
def test_reading_takes_at_most_so_many_times_the_memory_of_the_body(row, end):
    body = b'{"instances":[' + b",".join([row] * (60_000 // (len(row) + 1))) + end + b"]}"
    tracemalloc.start()
    try:
        with suppress(InvalidInput):
            json_codec.decode(json_codec.parse(body), signature(BY_NAME["string" if b'"' in row else "float"]))
        assert tracemalloc.get_traced_memory()[1] < 40 * len(body)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([[1, 2]] * 5 + [[1]], "input 'x' has rows of different lengths: [5] has 1 where [0] has 2"),
        ([[1, 2]] * 5 + [[1, True]], "input 'x'[5][1] is the boolean true"),
        ([[1, 2]] * 5 + [[1, None]], "input 'x'[5][1] is null"),
        ([[1, 2]] * 5 + [[1, [2]]], "input 'x'[5][1] is a list; expected a single value as elsewhere"),
        ([[1, 2]] * 5 + [7], "input 'x'[5] is the number 7; expected a list of 2"),
        ([[1, 2]] * 5 + [[1, "a"]], "input 'x'[5][1] is the string \"a\""),
        ([[[1]]] * 40 + [[[1], [2]]], "[40] has 2 where [0] has 1"),
    ],
)
def test_the_first_odd_element_is_named(value, problem):
    for spaces in ("", PADDING):
        with pytest.raises(InvalidInput) as caught:
            in_columns(value, signature(BY_NAME["float"]), spaces)
        assert problem in str(caught.value)
