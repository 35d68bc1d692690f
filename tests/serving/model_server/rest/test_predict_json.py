"""Predict bodies in TensorFlow Serving's dialect, as tables: literal body in, literal arrays or message out."""

import json
import re
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.errors import InvalidInput, ServingError, Unsupported
from signet.serving.json_arrays import number_arrays
from signet.serving.model_server.rest import predict_json
from signet.serving.model_server.rest.predict_json import decode, encode
from signet.serving.rest_dialect.json_codec import Layout
from signet.serving.rest_dialect.json_text import NOT_UTF8, loads, quote
from signet.serving.tensors.signature import Signature
from tests.serving.rest_dialect.test_json_codec import BYTES, DIGITS, FLAG, IDS, QA, SPACES, TEXT, signature

WORD = signature(word=("string", (None,)))
NARROW = signature(n=("int16", (None,)))
HALF = signature(x=("half", (None,)))


def read(body: object, of: Signature, spaces: str = "") -> dict[str, np.ndarray]:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    text = text.replace(b"{", b"{" + spaces.encode(), 1)
    return decode(loads(text, number_arrays.loads), of, b"true" in text or b"false" in text)[0]


@pytest.mark.parametrize("spaces", SPACES, ids=len)
@pytest.mark.parametrize(
    ("body", "of", "expected"),
    [
        ({"instances": [[1, 2.5], [3, 4]] * 20}, DIGITS, {"pixels": np.float32([[1, 2.5], [3, 4]] * 20)}),
        ({"inputs": {"text": [[1, 2]] * 20, "question": [3] * 40}}, QA, {"text": [[1, 2]] * 20, "question": [3] * 40}),
        ({"instances": [[1, 2.5], [3, 4]]}, DIGITS, {"pixels": np.float32([[1, 2.5], [3, 4]])}),
        ({"instances": [1, 2]}, DIGITS, {"pixels": np.float32([1, 2])}),
        ({"inputs": 7}, DIGITS, {"pixels": np.float32(7)}),
        ({"inputs": {"pixels": [[]], "surplus": "is ignored"}}, DIGITS, {"pixels": np.zeros((1, 0), np.float32)}),
        (b'{"instances": [NaN, -Inf, 1e39]}', DIGITS, {"pixels": np.float32([np.nan, -np.inf, np.inf])}),
        (
            {"instances": [{"text": [1], "question": 2}, {"question": 3, "text": [4]}]},
            QA,
            {"text": np.int32([[1], [4]]), "question": np.int32([2, 3])},
        ),
        ({"inputs": {"text": [], "question": [[1, 2]]}}, QA, {"text": np.zeros(0, np.int32), "question": [[1, 2]]}),
        ({"instances": [300, -1]}, BYTES, {"small": np.uint8([44, 255])}),
        ({"instances": [40000]}, NARROW, {"n": np.int16([-25536])}),
        ({"instances": [9007199254740993, -(2**63)]}, IDS, {"ids": np.int64([9007199254740993, -(2**63)])}),
        ({"instances": [True, False]}, FLAG, {"flag": np.array([True, False])}),
        ({"instances": ["é", {"b64": "/w"}]}, WORD, {"word": np.array(["é".encode(), b"\xff"], object)}),
        ({"inputs": {"b64": "YQ=="}}, WORD, {"word": np.array(b"a", object)}),
        ({"inputs": [["a", "b"], ["c", "d"]]}, WORD, {"word": np.array([[b"a", b"b"], [b"c", b"d"]], object)}),
        (b'{"instances": ["caf\xe9", "\xff\xff"]}', WORD, {"word": np.array([b"caf\xe9", b"\xff\xff"], object)}),
    ],
)
def test_bodies_become_arrays(body, of, expected, spaces):
    arrays = read(body, of, spaces)
    assert arrays.keys() == expected.keys()
    for name, array in expected.items():
        assert arrays[name].dtype == of.inputs[name].dtype.numpy
        np.testing.assert_array_equal(arrays[name], array)


@pytest.mark.parametrize("spaces", SPACES, ids=len)
@pytest.mark.parametrize(
    ("body", "of", "problem"),
    [
        (b"", DIGITS, "JSON Parse error: The document is empty"),
        (b"\xef\xbb\xbf{", DIGITS, "JSON Parse error: Missing a name for object member. at offset: 4"),
        ({"signature_name": 5}, DIGITS, "not formatted correctly. 'signature_name' key must be a string value."),
        ({"instances": {}}, DIGITS, "Expecting 'instances' to be an list/array"),
        ({"instances": [{"x": 1}]}, DIGITS, "element: 0 key: x of 'instances' list. Error: INVALID_ARGUMENT: JSON obj"),
        ({"instances": [1, {"x": 1}]}, DIGITS, "Expecting value/list but got object at item 1 of input list"),
        ({"instances": [{"pixels": 1}, 2]}, DIGITS, "Expecting object but got list at item 1 of input list"),
        ({"instances": [{"pixels": 1}, [1.5] * 400]}, DIGITS, "Expecting object but got list at item 1 of input list"),
        ({"instances": [[1, 2], [[3], [4]]]}, DIGITS, "Expecting shape [2] but got: [2,1]"),
        (
            {"instances": [[1, 2], 3]},
            DIGITS,
            "element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting tensor",
        ),
        ({"instances": [[1, [2]]]}, DIGITS, "Encountered list at unexpected level: 1 expected < 1"),
        (
            {"instances": [[[1], 2]]},
            DIGITS,
            "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at le",
        ),
        ({"inputs": [1, True]}, DIGITS, "JSON Value: true Type: True is not of expected type: float"),
        ({"inputs": [1, None]}, DIGITS, "JSON Value: null Type: Null is not of expected type: float"),
        (
            {"inputs": {"text": [1.0], "question": [1]}},
            QA,
            "JSON Value: 1.0 Type: Number is not of expected type: int32",
        ),
        ({"inputs": {"text": [2**31], "question": [1]}}, QA, "JSON Value: 2147483648 Type: Number is not of expected"),
        ({"instances": [2**31]}, BYTES, "JSON Value: 2147483648 Type: Number is not of expected type: uint8"),
        ({"instances": [{"text": 1}]}, QA, 'JSON object: {\n    "text": 1\n} keys must be equal to: question,text'),
        ({"instances": [{"b64": "!"}]}, WORD, "of 'instances' list. Error: INVALID_ARGUMENT: Unable to base64 decode"),
        ({"inputs": [{"b64": 5}]}, WORD, "not formatted correctly for base64 data"),
        ({"instances": [1]}, HALF, "Error: UNIMPLEMENTED: Conversion of JSON Value: 1 to type: half"),
        ({"inputs": [1]}, Signature("init", {}, {}), "Failed to get input map for signature: init"),
        (b'{"inputs": ' + b"[" * 80 + b"]" * 80 + b"}", DIGITS, "tensor parsing error: pixels"),
        (b'{"inputs": ' + b"[" * 5000 + b"]" * 5000 + b"}", DIGITS, "JSON Parse error: Maximum parse recursion depth"),
        (b'{"inputs": {"text": [[1]], "\xff": 2}}', QA, "Missing named input: question in 'inputs' object."),
    ],
)
def test_wrong_bodies_are_explained_in_the_originals_words(body, of, problem, spaces):
    with pytest.raises(InvalidInput, match=re.escape(problem)):
        read(body, of, spaces)


def test_a_type_that_json_cannot_carry_is_501_in_columns_alone():
    with pytest.raises(Unsupported, match="Conversion of JSON Value: 1 to type: half"):
        read({"inputs": [1]}, HALF)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "question", "b64"]), inner),
    max_leaves=8,
)


@given(st.sampled_from(["instances", "inputs"]), JSON, st.sampled_from([DIGITS, QA, TEXT, FLAG, IDS, BYTES, WORD]))
def test_the_fast_way_gives_what_the_walk_gives(key, value, of):
    body = {key: value}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predict_json, "_quickly", lambda *_: None)
        walked = outcome(body, of)
    quick = outcome(body, of)
    assert type(quick) is type(walked)
    if isinstance(quick, dict):
        for name, array in walked.items():
            assert quick[name].dtype == array.dtype
            np.testing.assert_array_equal(quick[name], array)
    else:
        assert quick == walked


def outcome(body: object, of: Signature) -> dict[str, np.ndarray] | str:
    try:
        return read(body, of)
    except ServingError as error:
        return f"{error.grpc_code}: {error}"


@given(st.binary(max_size=100))
def test_any_bytes_are_read_or_refused(body):
    with suppress(ServingError):
        read(body, WORD)


@pytest.mark.parametrize(
    ("outputs", "layout", "expected"),
    [
        ({"y": np.float32([[0.1], [3]])}, Layout.ROWS, b'{"predictions":[[0.1],[3.0]]}'),
        ({"n": np.array(7, np.uint8)}, Layout.COLUMNS, b'{"outputs":7}'),
        ({"word": np.array([b"caf\xe9"], object)}, Layout.ROWS, b'{"predictions":["caf\xe9"]}'),
        ({"raw_bytes": np.array([b"\xff"], object)}, Layout.COLUMNS, b'{"outputs":[{"b64":"/w=="}]}'),
        ({"y": np.float32([np.nan]), "n": np.int8([1])}, Layout.ROWS, b'{"predictions":[{"y":NaN,"n":1}]}'),
    ],
)
def test_answers_are_written_in_the_layout_of_the_request(outputs, layout, expected):
    assert encode(outputs, layout) == expected


@pytest.mark.parametrize(
    ("outputs", "problem"),
    [
        ({"n": np.zeros(())}, "Tensor name: n has no shape information "),
        ({"a": np.zeros(2), "b": np.zeros(3)}, "Tensor name: b has inconsistent batch size: 3 expecting: 2"),
        ({"h": np.zeros(1, np.float16)}, "Failed to write JSON value for tensor type: half"),
        ({"u": np.zeros(1, np.uint16)}, "Failed to write JSON value for tensor type: uint16"),
    ],
)
def test_answers_that_cannot_be_written_say_so(outputs, problem):
    with pytest.raises(InvalidInput, match=re.escape(problem)):
        encode(outputs, Layout.ROWS)


@pytest.mark.parametrize(
    ("last", "problem"),
    [
        (b"[1, true]", "input 'pixels'[100000][1] is the boolean true"),
        (b"[1]", "[100000] has 1 where [0] has 2"),
        (b'{"x": 1}', "input 'pixels'[100000] is an object; expected a list of 2"),
    ],
)
def test_among_very_many_values_the_wrong_one_is_found_without_walking_them(last, problem):
    with pytest.raises(InvalidInput, match=re.escape(problem)):
        read(b'{"instances": [' + b"[1, 2]," * 100_000 + last + b"]}", DIGITS)


def test_among_very_many_rows_the_odd_one_is_found():
    rows = b'{"instances": [' + b'{"pixels": 1},' * 100_000 + b'{"pixel": 1}]}'
    with pytest.raises(InvalidInput, match="does not have named input: pixel"):
        read(rows, DIGITS)


@pytest.mark.parametrize("text", ["A\U0010ff41x", "\U0010ffff", "\uf800", "\x7f"])
def test_text_of_any_plane_arrives_as_sent(text):
    (found,) = read({"instances": [text]}, WORD)["word"]
    assert found == text.encode()
    assert json.loads(encode({"word": np.array([found], object)}, Layout.ROWS)) == {"predictions": [text]}
    assert text in quote({"a": text})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.0"),
        (0.1, "0.1"),
        (1 / 3, "0.333333343"),
        (1e6, "1e+06"),
        (1e300, "1e+300"),
        (float("-inf"), "-Infinity"),
        ('é"\n', '"é\\"\\n"'),
        ({"a": [1, {"b": [2]}]}, '{\n    "a": [1, {\n            "b": [2]\n        }]\n}'),
    ],
)
def test_values_are_quoted_as_rapidjson_prints_them(value, text):
    assert quote(value) == text


def test_quotes_are_short_whatever_is_quoted():
    assert len(quote([[["x" * 10] * 1000] * 1000] * 1000)) == 256


def test_bytes_that_are_not_utf8_come_through_text():
    assert loads(b'{"\xff\xc3": "\xe9"}').popitem()[0].encode(errors=NOT_UTF8) == b"\xff\xc3"
