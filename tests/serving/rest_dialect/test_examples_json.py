"""JSON examples and results of Classify and Regress, as tables."""

import re

import pytest
from google.protobuf import json_format

from signet.serving.errors import InvalidInput
from signet.serving.rest_dialect.examples_json import MAX_FEATURES, encode_classifications, encode_regressions, fill
from signet.serving.rest_dialect.json_text import loads
from signet.serving.tensors.protos import classification_pb2, input_pb2, regression_pb2


def examples_of(text: bytes) -> input_pb2.Input:
    message = input_pb2.Input()
    fill(loads(text), message)
    return message


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        (b"[1.5, 2.0]", {"floatList": {"value": [1.5, 2.0]}}),
        (b"2", {"int64List": {"value": ["2"]}}),
        (b"[true, 3, false]", {"int64List": {"value": ["1", "3", "0"]}}),
        (b'["a", {"b64": "/w"}]', {"bytesList": {"value": ["YQ==", "/w=="]}}),
        (b'"\xff"', {"bytesList": {"value": ["/w=="]}}),
        (b"[]", {}),
        (b"[NaN, 1e39]", {"floatList": {"value": ["NaN", "Infinity"]}}),
    ],
)
def test_the_literal_decides_the_type(feature, expected):
    message = examples_of(b'{"examples": [{"x": ' + feature + b"}]}")
    assert json_format.MessageToDict(message.example_list.examples[0].features.feature["x"]) == expected


def test_a_context_stands_beside_the_examples():
    message = examples_of(b'{"context": {"k": 5}, "examples": [{"x": 1}, {}]}')
    listed = message.example_list_with_context
    assert listed.context.features.feature["k"].int64_list.value == [5]
    assert len(listed.examples) == 2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b'{"examples": {}}', "Expecting 'examples' value to be an list/array"),
        (b'{"examples": []}', "'examples' value is an empty array"),
        (b'{"context": 5, "examples": [{}]}', "Example must be JSON object but got JSON Number"),
        (b'{"examples": [{"x": [1, 2.0]}]}', "Unexpected element type in feature: x expecting type: int64"),
        (b'{"examples": [{"x": ["a", 2]}]}', "Unexpected element type in feature: x expecting type: bytes"),
        (b'{"examples": [{"x": {"b": 1}}]}', "Feature: x has element with unexpected JSON type: Object"),
        (b'{"examples": [{"x": 9223372036854775808}]}', "Feature: x has uint64 element. Only int64 is supported."),
        (b'{"examples": [{"x": {"b64": "!"}}]}', "Unable to base64 decode"),
        (b'{"examples": [{"x": ["a", {"b": 1}]}]}', "Feature: x has element with unexpected JSON type: Object"),
        (b'{"examples": [{"x": [1, null, 2.0]}]}', "Feature: x has element with unexpected JSON type: Null"),
        (b'{"examples": [{"x": [1, 2.0, [3]]}]}', "Unexpected element type in feature: x expecting type: int64"),
        (b'{"examples": [{"x": [[1]]}]}', "Feature: x has element with unexpected JSON type: Array"),
        (b'{"examples": [{"\xa7": 1}]}', "Feature name: \udca7 is not UTF-8"),
        (
            b'{"examples": [' + b"{}," * MAX_FEATURES + b"{}]}",
            "262145 examples have 0 features; at most 262144 of both",
        ),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_wrong_examples_are_explained(text, problem):
    with pytest.raises(InvalidInput, match=re.escape(problem)):
        examples_of(text)


def test_results_are_lists():
    classes = [{"label": "é", "score": 0.1}, {"label": "", "score": float("inf")}]
    result = classification_pb2.ClassificationResult(classifications=[{"classes": classes}])
    assert encode_classifications(result).decode() == '{"results": [[["é", 0.1], ["", Infinity]]]}'
    result = regression_pb2.RegressionResult(regressions=[{"value": 1 / 3}, {"value": 2}])
    assert encode_regressions(result) == b'{"results": [0.33333334, 2.0]}'
