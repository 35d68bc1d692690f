"""Classify and Regress over REST: JSON examples to tf.Examples, and results to JSON.

    {"context": {"k": 5}, "examples": [{"x": [1.5, 2.5]}]} ──fill──▶ Input message
    {"results": [[["neg", 9.0], …]]}   {"results": [7.0]}  ◀──encode── result message

The literal decides the type of a feature: 2.0 is a float, 2 and true are integers. Source: `json_tensor.cc`.
"""

import json
from typing import Any

import numpy as np

from signet.serving.errors import InvalidInput
from signet.serving.json_arrays.values import is_base64
from signet.serving.rest_dialect.json_text import format_error, kind, to_bytes
from signet.serving.tensors.protos import (
    classification_pb2,
    example_pb2,
    feature_pb2,
    input_pb2,
    regression_pb2,
)

MAX_FEATURES = 1 << 18
"""Features of all examples of a request; each takes about 2 µs. Their elements are only bounded by the body."""

_KINDS = {str: "bytes", dict: "bytes", bool: "int64", int: "int64", float: "float"}
"""What a JSON value makes of the feature that holds it."""


def fill(document: dict[str, Any], message: input_pb2.Input) -> None:
    """Put the examples of a body into an Input message. Raises `InvalidInput`."""
    target = message.example_list.examples
    if "context" in document:
        target = message.example_list_with_context.examples
        _fill_example(document["context"], message.example_list_with_context.context)
    if "examples" not in document:
        raise format_error(document, "When method is classify, key 'examples' is expected and was not found")
    examples = document["examples"]
    if not isinstance(examples, list):
        raise format_error(document, "Expecting 'examples' value to be an list/array")
    if not examples:
        raise format_error(document, "'examples' value is an empty array")
    features = sum(len(example) for example in examples if isinstance(example, dict))
    if features + len(examples) > MAX_FEATURES:
        raise InvalidInput(
            f"{len(examples)} examples have {features} features; at most {MAX_FEATURES} of both are taken in a request"
        )
    for example in examples:
        _fill_example(example, target.add())


def encode_classifications(result: classification_pb2.ClassificationResult) -> bytes:
    """A ClassificationResult: for each example a list of [label, score]."""
    return _encode([[[entry.label, _short(entry.score)] for entry in row.classes] for row in result.classifications])


def encode_regressions(result: regression_pb2.RegressionResult) -> bytes:
    """A RegressionResult: a number for each example."""
    return _encode([_short(regression.value) for regression in result.regressions])


def _fill_example(value: Any, example: example_pb2.Example) -> None:
    if not isinstance(value, dict):
        raise InvalidInput(f"Example must be JSON object but got JSON {kind(value)}")
    for name, content in value.items():
        try:
            feature = example.features.feature[name]
        except UnicodeEncodeError:  # a message carries no such name
            raise InvalidInput(f"Feature name: {name} is not UTF-8") from None
        elements = content if isinstance(content, list) else [content]
        if elements:
            _add(elements, name, feature)


def _add(elements: list[Any], name: str, feature: feature_pb2.Feature) -> None:
    types = set(map(type, elements))
    wanted = _KINDS.get(type(elements[0]))
    odd = [kind for kind in types if _KINDS.get(kind) != wanted or wanted is None]
    if odd:
        listed = list(map(type, elements))
        element = elements[min(map(listed.index, odd))]
        if type(element) not in _KINDS or (type(element) is dict and not is_base64(element)):
            raise _unexpected(element, name)
        raise InvalidInput(f"Unexpected element type in feature: {name} expecting type: {wanted}")
    if wanted == "bytes":
        feature.bytes_list.value.extend([_bytes(element, name) for element in elements])
    elif wanted == "float":
        feature.float_list.value.extend(elements)
    else:
        try:
            feature.int64_list.value.extend(map(int, elements) if bool in types else elements)
        except ValueError:
            raise InvalidInput(f"Feature: {name} has uint64 element. Only int64 is supported.") from None


def _bytes(value: Any, name: str) -> bytes:
    if type(value) is dict and not is_base64(value):
        raise _unexpected(value, name)
    return to_bytes(value)


def _unexpected(value: Any, name: str) -> InvalidInput:
    return InvalidInput(f"Feature: {name} has element with unexpected JSON type: {kind(value)}")


def _encode(results: list[Any]) -> bytes:
    return json.dumps({"results": results}, ensure_ascii=False).encode()


def _short(value: float) -> float:
    """A float32 with as few digits as tell it apart: 0.1, not 0.10000000149011612."""
    return float(str(np.float32(value)))
