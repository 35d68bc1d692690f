"""The compiled helper: the same numbers, values and errors as without it, whatever the text is."""

import itertools
import json
import random
import subprocess
import sys
from fractions import Fraction

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.errors import InvalidInput
from signet.serving.json_arrays import number_arrays, number_nests, parsing
from signet.serving.json_arrays.number_arrays import Heavy, light_loads, loads
from signet.serving.json_arrays.values import as_lists
from tests.servers import ROOT
from tests.serving.json_arrays.compiled import by_helper, by_simdjson
from tests.serving.json_arrays.test_number_arrays import plain

PADDING = " " * number_arrays.LARGE_BYTES * 2


@pytest.fixture(scope="module", autouse=True)
def compiled():
    with by_helper():
        yield


def decimal(value: Fraction) -> str:
    """All digits of a fraction whose denominator is a power of two."""
    twos = value.denominator.bit_length() - 1
    digits = str(abs(value.numerator) * 5**twos).rjust(twos + 1, "0")
    sign = "-" if value < 0 else ""
    return f"{sign}{digits[:-twos]}.{digits[-twos:]}" if twos else f"{sign}{digits}.0"


def any_double(dice: random.Random) -> float:
    while True:
        value = np.frombuffer(dice.randbytes(8), np.float64)[0]
        if np.isfinite(value):
            return float(value)


def halfway(dice: random.Random) -> str:
    """The middle between two doubles, or next to it, at one of its last digits."""
    value = abs(any_double(dice) if dice.random() < 0.3 else dice.uniform(1, 2) * 10 ** dice.randint(-30, 30))
    above = float(np.nextafter(value, np.inf))
    if above == np.inf:
        return "1.0"
    text = decimal((Fraction(value) + Fraction(above)) / 2)
    if dice.random() < 0.5:
        return text + dice.choice(["", "0" * 30 + "1", "9"])
    return text[: max(text.index(".") + 1, dice.randint(18, 40))] + "1"


NUMBERS = [
    lambda dice: repr(dice.random()),
    lambda dice: f"{dice.random():.4f}",
    lambda dice: repr(any_double(dice)),
    lambda dice: repr(float(np.float32(dice.gauss(0, 9)))),
    lambda dice: f"{dice.randint(0, 2**63)}e{dice.randint(-350, 288)}",
    lambda dice: f"{dice.randint(0, 10**19)}.{dice.randint(0, 99)}E{dice.choice(['', '+', '-'])}{dice.randint(0, 250)}",
    lambda dice: f"0.{'0' * dice.randint(0, 400)}{dice.randint(0, 10**17)}",
    lambda dice: f"{dice.randint(1, 2**60)}{'0' * dice.randint(0, 200)}.0",
    lambda dice: f"{dice.randint(1, 9)}.{dice.randint(0, 10**17):017}e-{dice.randint(300, 345)}",  # denormal, or nearly
    lambda dice: f"-{dice.choice(['0.0', '0e5', '0.00e-9', '0E400', '1e-400', '5e-324', '2.4703282292062327e-324'])}",
    lambda dice: dice.choice(["1.7976931348623157e308", "2.2250738585072011e-308", "2.2250738585072014e-308", "9e-999999999999"]),
    halfway,
    lambda dice: f"{2 ** dice.randint(50, 62) + dice.randint(-2, 2)}.{dice.choice(['0', '5', '50', '500001', '499999'])}",
    lambda dice: str(dice.randint(-(2**63), 2**63 - 1)),
]  # fmt: skip


def check_numbers(rounds: int) -> None:
    dice = random.Random(7)
    for kinds in itertools.islice(itertools.cycle([[each] for each in NUMBERS] + [NUMBERS]), rounds):
        texts = ["0.5", *[dice.choice(kinds)(dice) for _ in range(100)]]
        body = f'{{"x": [{",".join(texts)}]{PADDING}}}'.encode()
        found = number_nests.take_out(body)
        assert found, "all in one list"
        (array,) = found[1].values()
        assert array.tobytes() == np.array([float(text) for text in texts]).tobytes(), texts


def test_every_number_is_the_nearest_double():
    check_numbers(rounds=90)


@pytest.mark.long
def test_each_of_millions_of_numbers_is_the_nearest_double():
    check_numbers(rounds=30_000)


@pytest.mark.parametrize("numbers", [[2**63 - 1, -(2**63), 0, 10**18], [-(10**18) - 1, 1], list(range(-50, 50))])
def test_whole_numbers_stay_whole(numbers):
    array = loads(json.dumps({"x": numbers * 40}).encode() + b" " * 1024)["x"]
    assert array.dtype == np.int64
    assert array.tolist() == numbers * 40


ENDS = ["", "]", "]}", ",", "[", "{", '"', '"\\', "}", "0", "-", ".", "e", "null", ":", "]]", "\0", "\xe9"]
BROKEN = [
    "01", "1.", ".5", "+1", "-", "1e", "1e+", "0x1", "1_0", "--1", "1 2", "1,,2", "1,", ",1", "[1", "1]", "1e400", "-1e999",
    "1:2", "[1]:2", "NaNs", "Infinit", "tru", "'1'", "/*1*/1", "\v1", "1\0", "﻿1",
]  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_a_malformed_nest_is_refused_in_the_same_words(broken):
    many = ", ".join(["0.25"] * 40)
    for text in (f"[{broken}, {many}]", f"[{many}, {broken}]", f"[[{many}], [{broken}]]", f"[{many}] {broken}", broken):
        body = f'{{"a": [{many}], "x": {text}, "y": [1]{PADDING}}}'.encode()
        said = []
        for way in (by_helper, by_simdjson):
            with way(), pytest.raises(InvalidInput) as caught:
                parsing.loads(body, loads, trailing=False)
            said.append(str(caught.value))
        assert said[0] == said[1]
        with pytest.raises(Heavy):
            light_loads(body)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(max_size=3), inner, max_size=4)
        | st.lists(inner, max_size=2).map(lambda values: values * 20)
    ),
    max_leaves=6,
)


def outcome(body: bytes, read: parsing.Read = loads) -> str:
    """The value, or the error with its place."""
    try:
        return repr(plain(as_lists(read(body))))
    except orjson.JSONDecodeError as error:
        return f"{error.pos}: {error}"


@given(JSON, st.sampled_from([None, 1, "\t", "\r\n"]), st.integers(0, 2000), st.sampled_from(ENDS))
def test_any_text_gives_the_same_value_or_the_same_error(value, indent, cut, end):
    text = json.dumps({"x": value, "y": [[0.5] * 10] * 4}, indent=indent, ensure_ascii=False)
    for body in (text.encode(), (text[:cut] + end + text[cut:]).encode(), (text[:cut] + end).encode()):
        padded = body + PADDING.encode()
        with by_simdjson():
            expected = outcome(padded)
        assert outcome(padded) == expected == outcome(padded, orjson.loads)


def test_a_text_that_ends_where_memory_ends_is_not_read_beyond():
    """In a process of its own, which would be killed: each beginning of a text lies right before a page nobody may read."""
    code = """if True:
        import ctypes, mmap
        from signet.serving.json_arrays import number_nests
        from tests.serving.json_arrays.compiled import by_helper
        text = b'{"a\\\\n": [[-1.25e-3, 12345678901234567890.5, 7], [1, 0.000012345678, 2e5]], "b": [1,2,3,4,5,6,7,8]}'
        pages = mmap.mmap(-1, 2 * mmap.PAGESIZE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(pages))
        assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(start + mmap.PAGESIZE), mmap.PAGESIZE, 0) == 0
        with by_helper():
            function = number_nests._FUNCTIONS[0]
            function.argtypes = None
            plain = lambda *given: function(*[ctypes.c_void_p(x) if isinstance(x, int) and x > 2**31 else
                ctypes.c_int64(x) if isinstance(x, int) else x for x in given])
            out = ctypes.create_string_buffer(1 << 16)
            to = ctypes.addressof(out)
            found, doubts, sizes = number_nests._places.addresses
            for size in range(len(text) + 1):
                place = start + mmap.PAGESIZE - size
                ctypes.memmove(place, text, size)
                plain(place, size, number_nests._powers_address, 4, to, found, 8192, doubts, 256, b"M", 1, to + 32768, sizes)
        print("whole")
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "whole\n"), done.stderr


# Light bodies


def test_a_light_body_is_read_as_any_other():
    body = json.dumps({"signature_name": "a", "instances": [[0.5] * 100] * 100, "id": ["x", 1]}).encode()
    assert repr(as_lists(light_loads(body))) == repr(orjson.loads(body))


@pytest.mark.parametrize(
    "value",
    [
        "[[0.5], [0.25, 1]]",
        "[" + "[1, 2], [true]," * 5000 + "0]",
        json.dumps(["text"] * 10_000),
        "1, " + '"x": 2',
    ],
    ids=["no long list", "many values", "many strings", "a name twice"],
)
def test_a_body_that_would_hold_up_others_is_heavy(value):
    with pytest.raises(Heavy):
        light_loads(f'{{"x": {value}}}'.encode())


def test_words_for_numbers_and_very_large_bodies_are_not_tried():
    assert number_arrays.may_be_light(b'{"x": [1, 2, 3]}')
    assert not number_arrays.may_be_light(b'{"x": [1, NaN, 3]}')
    assert not number_arrays.may_be_light(b'{"x": [1, -Infinity, 3]}')
    assert not number_arrays.may_be_light(b" " * (number_arrays.MOST_LIGHT_BYTES + 1))
    with by_simdjson():
        assert not number_arrays.may_be_light(b'{"x": [1, 2, 3]}')


def test_without_its_file_there_is_no_helper(tmp_path):
    assert number_nests._load(tmp_path / "none.so") is None
    (tmp_path / "text.so").write_text("not for this machine")
    assert number_nests._load(tmp_path / "text.so") is None
