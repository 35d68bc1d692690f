"""Text of the dialect to values: NaN beside exact doubles, the first of equal names, UTF-8 or a refusal."""

import json
import math
import re
import sys
from contextlib import nullcontext

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.errors import InvalidInput
from signet.serving.json_arrays import number_arrays
from signet.serving.json_arrays.parsing import loads
from signet.serving.json_arrays.values import as_lists

PADDING = " " * number_arrays.LARGE_BYTES * 2
READERS = pytest.mark.parametrize("read", [orjson.loads, number_arrays.loads], ids=["orjson", "arrays"])


@READERS
@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"x": [NaN, Infinity, -Infinity, 1.5]}', {"x": [math.nan, math.inf, -math.inf, 1.5]}),
        (b'{"x": [Inf, -Inf, -NaN]}', {"x": [math.inf, -math.inf, math.nan]}),
        (b'{"x": NaN}', {"x": math.nan}),
        (b"NaN", math.nan),
        (b'{"x": {"y": [[1], [Infinity]]}}', {"x": {"y": [[1], [math.inf]]}}),
        (b'{"x": "NaN", "y": "\\"-Inf", "Infinity": [NaN]}', {"x": "NaN", "y": '"-Inf', "Infinity": [math.nan]}),
        (b'{"x": 1} and more', {"x": 1}),
        ('{"é": 1} "é'.encode(), {"é": 1}),
        (b'{"x": NaN}}', {"x": math.nan}),
        (b'\xef\xbb\xbf{"x": 1}', {"x": 1}),
        (b'\xef\xbb\xbf{"x": NaN} more', {"x": math.nan}),
        (b'{"x": 1, "x": 2}', {"x": 1}),
        (b'{"x": [{"a": 1, "b": 2, "a": 3}], "y": {"c": 4, "c": [5]}}', {"x": [{"a": 1, "b": 2}], "y": {"c": 4}}),
        (b'{"x": 1, "\\u0078": 2, "y": ":"}', {"x": 1, "y": ":"}),
        (b'{"x": 1, "x": 2, "y": "\\u003a"}', {"x": 1, "y": ":"}),
        (b'{"x": [18446744073709551615, 18446744073709551616], "x": 1}', {"x": [2**64 - 1, 2.0**64]}),
        (b'{"x": NaN, "x": 2, "y": NaN}', {"x": math.nan, "y": math.nan}),
        (b'{":": "a:b", "y": [":", ["::"]]}', {":": "a:b", "y": [":", ["::"]]}),
    ],
)  # fmt: skip
def test_the_dialect_is_read(text, value, read):
    assert repr(loads(text, read)) == repr(value)
    large = text.replace(b"{", b"{" + PADDING.encode(), 1)
    assert repr(as_lists(loads(large, read))) == repr(value)


@READERS
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "The document is empty"),
        (b'{"x": "caf\xe9"}', "the text is not UTF-8: byte 0xe9 at offset: 10"),
        (b'\xef\xbb\xbf{"x": NaN, "y": "\xff"}', "the text is not UTF-8: byte 0xff at offset: 20"),
        (b'{"x": Nan}', "Invalid value. at offset: "),
        (b'{"x": NaN1}', "at offset: 9"),
        (b'{"x": 1NaN}', "at offset: 7"),
        (b'{"x": --Inf}', "at offset: 7"),
        (b'{"x": InfNaN}', "at offset: 9"),
        (b'\xef\xbb\xbf{"x": [NaN, 1,]}', "Invalid value. at offset: 17"),
        (b'{"x": [NaN, 1e400]}', "Number too big to be stored in double. at offset: 12"),
        (b'{"x": ["NaN", "\\ud800"]}', "The surrogate pair in string is invalid. at offset: 15"),
        (b'{"x": ' + b"[" * 1500 + b"]" * 1500 + b"}", "recursion depth"),
        (b'{"NaN' + b'\\"' * 100_000, "Missing a closing quotation mark"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_not_of_the_dialect_is_refused_with_its_place(text, problem, read):
    with pytest.raises(InvalidInput, match=re.escape(problem)):
        loads(text, read)


def test_nests_are_read_as_deep_as_python_calls():
    """Where names are equal; the parser counts to 1,024 before, and Python to 1,000 until 3.11."""
    text = b'{"x": NaN, "x": ' + b"[" * 1010 + b"]" * 1010 + b"}"
    with pytest.raises(InvalidInput, match="recursion depth") if sys.version_info < (3, 12) else nullcontext():
        assert math.isnan(loads(text)["x"])


def test_nothing_may_follow_the_value_where_that_is_not_wanted():
    with pytest.raises(InvalidInput, match="must not be followed by other values"):
        loads(b'{"x": NaN} more', trailing=False)


@READERS
@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"x": ["caf\xe9", "\xc3\xa9", NaN]}', {"x": [b"caf\xe9", b"\xc3\xa9", math.nan]}),
        (b'{"x": "\xff", "x": 2} \xfe', {"x": b"\xff"}),
        ('{"x": "A\U0010ff41", "y": "\U0010ffff"}'.encode(), {"x": "A\U0010ff41".encode(), "y": "\U0010ffff".encode()}),
        ('{"x": "\U0010ff41', None),
        (b'{"x": "\xff\\ud800"}', None),
        (b'{"x": 1e400, "y": "\xff"}', None),
    ],
)
def test_raw_text_keeps_its_bytes(text, value, read):
    text = text if isinstance(text, bytes) else text.encode()
    if value is None:
        with pytest.raises(InvalidInput):
            loads(text, read, raw_text=True)
        return
    assert repr(as_bytes(loads(text, read, raw_text=True))) == repr(value)


def as_bytes(value: object) -> object:
    if isinstance(value, list):
        return [as_bytes(element) for element in value]
    if isinstance(value, dict):
        return {name: as_bytes(element) for name, element in value.items()}
    return value.encode(errors="surrogateescape") if isinstance(value, str) else value


DOUBLES = st.floats(allow_nan=False)


@given(st.lists(st.lists(DOUBLES, min_size=8, max_size=8), min_size=8, max_size=8))
def test_doubles_beside_words_are_exact(rows):
    rows[3][5] = math.nan
    for text in (json.dumps({"x": rows}), json.dumps({"x": rows, "y": "a:b", "z": PADDING})):
        read = loads(text.encode(), number_arrays.loads)["x"]
        assert np.array(read).tobytes() == np.array(rows).tobytes()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | DOUBLES | st.text(st.sampled_from('a:"\\é{'), max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.sampled_from('a:"'), max_size=2), inner),
    max_leaves=20,
)  # fmt: skip


@given(VALUES, st.booleans())
def test_any_value_comes_back_as_it_went(value, ascii_only):
    text = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert repr(as_lists(loads(text, number_arrays.loads))) == repr(value)


NAMES = st.sampled_from(["a", "b", ":"])
PAIRS = st.recursive(
    st.integers(0, 9) | st.sampled_from(["", "a:b", "::"]),
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(NAMES, inner), max_size=4).map(tuple),
    max_leaves=20,
)


@given(PAIRS)
def test_of_equal_names_the_first_counts_however_deep(value):
    assert loads(written(value).encode()) == firsts(value)


def written(value: object) -> str:
    """Tuples of pairs as objects."""
    if isinstance(value, tuple):
        return "{" + ", ".join(f"{json.dumps(name)}: {written(inner)}" for name, inner in value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return json.dumps(value)


def firsts(value: object) -> object:
    if isinstance(value, tuple):
        return {name: firsts(inner) for name, inner in reversed(value)}
    return [firsts(inner) for inner in value] if isinstance(value, list) else value
