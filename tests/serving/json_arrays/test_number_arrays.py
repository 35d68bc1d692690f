"""Numbers from text to arrays: the same as orjson and numpy give, whichever way they go."""

import json
import threading

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.json_arrays import number_arrays
from signet.serving.json_arrays.number_arrays import loads
from signet.serving.json_arrays.values import as_lists
from tests.serving.json_arrays.compiled import WAYS

PADDING = " " * number_arrays.LARGE_BYTES * 2


@pytest.fixture(scope="module", autouse=True, params=WAYS.values(), ids=WAYS)
def way(request):
    with request.param():
        yield


def read(text: str) -> object:
    """What `loads` makes of the text as value of the name `x` in a large body."""
    return loads(f'{{"x": {text}{PADDING}}}'.encode())["x"]


def slow(text: str) -> object:
    """The same through orjson, then numpy."""
    return np.array(orjson.loads(text))


REGULAR = [
    [0.5] * 50,
    list(range(-25, 25)),
    [2**63 - 1, -(2**63)] * 20,
    [2**53 + 1, 0.5] * 20,
    [[1, 2.5]] * 20,
    [[[1, 2, 3], [4, 5, 6]]] * 10,
    [[[[[[1]]]]]] * 40,
    [[-0.0, 1e-400, 5e-324, 1.7976931348623157e308]] * 10,
]


@pytest.mark.parametrize("value", REGULAR, ids=repr)
def test_a_regular_nest_of_numbers_becomes_the_array_that_numpy_makes_of_it(value):
    text = json.dumps(value)
    array, expected = read(text), slow(text)
    assert isinstance(array, np.ndarray)
    assert array.dtype == expected.dtype
    assert array.tobytes() == expected.tobytes()
    assert array.shape == expected.shape


IRREGULAR = [
    [],
    [[]] * 50,
    [True] * 50,
    [1] * 40 + [True],
    [1] * 40 + [None],
    [1] * 40 + ["a"],
    [1] * 40 + [[1]],
    [[1]] * 40 + [1],
    [[1, 2]] * 40 + [[1]],
    [[[1, 2]]] * 40 + [[[1]]],
    [[1, 2]] * 20 + [[3], [4, 5, 6]],
    [[[1, 2]]] * 20 + [[[3]], [[4, 5, 6]]],
    [[1], [[2]]] * 20,
    [{"a": 1}] * 3,
    [2**64 - 1, 0] * 20,
    [2**63, -1] * 20,
    [2**64] * 40,
    [-(2**63) - 1] * 40,
    ["text"] * 50,
    [1] * (number_arrays.MIN_NUMBERS - 1),
    {"b64": "AP8="},
    {"a\0b": 1, "a": 2, "": 3},
    "text",
    ["["],
    None,
    1.5,
]


@pytest.mark.parametrize("value", IRREGULAR, ids=lambda value: repr(value)[:40])
def test_what_is_no_regular_nest_of_numbers_is_read_as_orjson_reads_it(value):
    text = json.dumps(value)
    assert as_lists(read(text)) == orjson.loads(text)
    assert repr(as_lists(read(text))) == repr(orjson.loads(text)), "1, 1.0 and true are equal to Python"


def test_a_whole_number_among_others_is_whole_again():
    assert repr(as_lists(read(json.dumps([[1, 2.5]] * 20)))) == repr([[1, 2.5]] * 20)


def test_rows_of_different_lengths_are_arrays_each():
    rows = read(json.dumps([[1] * 40, [2.5] * 50]))
    assert [row.tolist() for row in rows] == [[1] * 40, [2.5] * 50]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"x": [NaN]}',
        b'{"x": [1e400]}',
        b'{"x": [01]}',
        b'{"x": [1,]}',
        b'{"x": ["\\ud800"]}',
        b'{"x": ["\xff"]}',
        b'{"x": 1} y',
        b"\xef\xbb\xbf{}",
        b'{"x": ' + b"[" * 2000 + b"]" * 2000 + b"}",
    ],
)
def test_broken_text_is_refused_as_orjson_refuses_it(body):
    for text in (body, body + b" " * number_arrays.LARGE_BYTES * 10):
        with pytest.raises(orjson.JSONDecodeError) as expected:
            orjson.loads(text)
        with pytest.raises(orjson.JSONDecodeError) as caught:
            loads(text)
        assert str(caught.value) == str(expected.value)


def test_the_last_of_equal_names_counts():
    assert loads(f'{{"x": 1, "x": 2{PADDING}}}'.encode()) == {"x": 2}


def test_a_body_of_many_small_values_is_read_whole():
    rows = [{"a": 1, "b": [2, 3]} for _ in range(3000)]
    numbers = [0.5] * 20_000
    body = json.dumps({"numbers": numbers, "rows": rows}).encode()
    assert as_lists(loads(body)) == {"numbers": numbers, "rows": rows}


def test_arrays_outlive_the_parser_and_each_thread_has_its_own():
    bodies = [json.dumps({"x": [[i + 0.5] * 100] * 10}).encode() for i in range(8)]
    results: dict[int, list[np.ndarray]] = {}

    def work(i: int) -> None:
        results[i] = [loads(bodies[i])["x"] for _ in range(50)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, arrays in results.items():
        assert all((array == i + 0.5).all() for array in arrays)


def plain(value: object) -> object:
    """Numbers as floats, but not booleans: among floats a whole number may have become one."""
    if isinstance(value, dict):
        return {name: plain(element) for name, element in value.items()}
    if isinstance(value, list):
        return [plain(element) for element in value]
    return float(value) if type(value) in (int, float) else str(value)


NUMBERS = st.integers(-(2**70), 2**70) | st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False)
NESTS = st.recursive(NUMBERS | st.booleans(), lambda inner: st.lists(inner, max_size=6), max_leaves=60)
SHAPES = st.lists(st.integers(0, 6), min_size=1, max_size=4)


@given(st.sampled_from([NUMBERS, st.integers(-(2**63), 2**64 - 1), st.floats(width=32)]).flatmap(
    lambda elements: st.lists(elements.filter(lambda x: abs(x) < float("inf")), min_size=1, max_size=8)
), SHAPES)  # fmt: skip
def test_any_regular_nest_is_the_array_that_numpy_makes_of_it(numbers, shape):
    flat = np.resize(np.array(numbers, object), shape)
    text = json.dumps(flat.tolist())
    value, expected = read(text), slow(text)
    array = np.array(value)
    assert array.dtype == expected.dtype
    np.testing.assert_array_equal(array, expected)
    assert plain(as_lists(value)) == plain(orjson.loads(text))


@given(st.lists(NESTS, max_size=40) | st.dictionaries(st.text(max_size=3), NESTS, max_size=4))
def test_any_value_is_the_one_that_orjson_reads(value):
    text = json.dumps(value)
    assert plain(as_lists(read(text))) == plain(orjson.loads(text))
