"""Classify and Regress over REST: JSON examples to tf.Examples, and results to JSON.

    {"context": {"k": 5}, "examples": [{"x": [1.5, 2.5]}]} ──fill──▶ Input message
    {"results": [[["neg", 9.0], …]]}   {"results": [7.0]}  ◀──encode── result message

The literal decides the type of a feature: 2.0 is a float, 2 and true are integers. Source: `json_tensor.cc`.
"""

import json
from typing import Any

import numpy as np

from serving.errors import InvalidInput
from serving.model_server.json_text import format_error, is_base64, kind, raw_bytes, to_bytes

_MAX_INT64 = (1 << 63) - 1
_LISTS = {"bytes": "bytes_list", "float": "float_list", "int64": "int64_list"}


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
    wanted = _type(value, name)
    present = feature.WhichOneof("kind")
    if present not in (None, _LISTS[wanted]):
        found = next(key for key, field in _LISTS.items() if field == present)
        raise InvalidInput(f"Unexpected element type in feature: {name} expecting type: {found}")
    if wanted == "int64" and value > _MAX_INT64:
        raise InvalidInput(f"Feature: {name} has uint64 element. Only int64 is supported.")
    getattr(feature, _LISTS[wanted]).value.append(to_bytes(value) if wanted == "bytes" else value)


def _type(value: Any, name: str) -> str:
    if isinstance(value, str) or is_base64(value):
        return "bytes"
    if isinstance(value, int):  # booleans too
        return "int64"
    if isinstance(value, float):
        return "float"
    raise InvalidInput(f"Feature: {name} has element with unexpected JSON type: {kind(value)}")


def _encode(results: list[Any]) -> bytes:
    return raw_bytes(json.dumps({"results": results}, ensure_ascii=False).encode())


def _short(value: float) -> float:
    """A float32 with as few digits as tell it apart: 0.1, not 0.10000000149011612."""
    return float(str(np.float32(value)))
