"""Classify and Regress over REST: JSON examples to tf.Examples, and results to JSON.

    {"context": {"k": 5}, "examples": [{"x": [1.5, 2.5]}]} ──fill──▶ Input message
    {"results": [[["neg", 9.0], …]]}   {"results": [7.0]}  ◀──encode── result message

The literal decides the type of a feature: 2.0 is a float, 2 and true are integers. Source: `json_tensor.cc`.
"""

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from serving.errors import InvalidInput
from serving.json_text import format_error, kind, to_bytes
from serving.json_values import is_base64

_MAX_INT64 = (1 << 63) - 1
_KINDS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "bytes": ("bytes_list", to_bytes),
    "float": ("float_list", float),
    "int64": ("int64_list", int),
}
"""Kind of a feature: the field that holds its values, and what makes one of a JSON value."""


def fill(document: dict[str, Any], message: Any) -> None:
    """Put the examples of a body into an Input message. Raises `InvalidInput`."""
    target = message.example_list
    if "context" in document:
        target = message.example_list_with_context
        _fill_example(document["context"], target.context)
    if "examples" not in document:
        raise format_error(document, "When method is classify, key 'examples' is expected and was not found")
    examples = document["examples"]
    if not isinstance(examples, list):
        raise format_error(document, "Expecting 'examples' value to be an list/array")
    if not examples:
        raise format_error(document, "'examples' value is an empty array")
    for example in examples:
        _fill_example(example, target.examples.add())


def encode_classifications(result: Any) -> bytes:
    """A ClassificationResult: for each example a list of [label, score]."""
    return _encode([[[entry.label, _short(entry.score)] for entry in row.classes] for row in result.classifications])


def encode_regressions(result: Any) -> bytes:
    """A RegressionResult: a number for each example."""
    return _encode([_short(regression.value) for regression in result.regressions])


def _fill_example(value: Any, example: Any) -> None:
    if not isinstance(value, dict):
        raise InvalidInput(f"Example must be JSON object but got JSON {kind(value)}")
    for name, content in value.items():
        feature = example.features.feature[name]
        for element in content if isinstance(content, list) else [content]:
            _add(element, name, feature)


def _add(value: Any, name: str, feature: Any) -> None:
    wanted = _kind(value, name)
    field, convert = _KINDS[wanted]
    present = feature.WhichOneof("kind")
    if present not in (None, field):
        expected = next(kind for kind, (field, _) in _KINDS.items() if field == present)
        raise InvalidInput(f"Unexpected element type in feature: {name} expecting type: {expected}")
    if wanted == "int64" and value > _MAX_INT64:
        raise InvalidInput(f"Feature: {name} has uint64 element. Only int64 is supported.")
    getattr(feature, field).value.append(convert(value))


def _kind(value: Any, name: str) -> str:
    if isinstance(value, str) or is_base64(value):
        return "bytes"
    if isinstance(value, int):  # booleans too
        return "int64"
    if isinstance(value, float):
        return "float"
    raise InvalidInput(f"Feature: {name} has element with unexpected JSON type: {kind(value)}")


def _encode(results: list[Any]) -> bytes:
    return json.dumps({"results": results}, ensure_ascii=False).encode()


def _short(value: float) -> float:
    """A float32 with as few digits as tell it apart: 0.1, not 0.10000000149011612."""
    return float(str(np.float32(value)))
