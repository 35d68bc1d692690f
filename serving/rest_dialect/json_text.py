"""JSON text as TensorFlow Serving reads and quotes it.

    body ──loads──▶ value ──quote──▶ `{\\n    "instances": null\\n}` within a message

Bytes that are not UTF-8 pass through it as `surrogateescape` has them, which no text does: {"text": "caf\\xe9"} reaches the
model, and comes back in a message, byte for byte.
Source: `json_tensor.cc`.
"""

import json
from itertools import takewhile
from typing import Any

import numpy as np
import orjson
import rapidjson

from signet.serving.errors import InvalidInput
from signet.serving.json_arrays import parsing
from signet.serving.json_arrays.values import as_lists, is_base64, unbase64

_MAX_QUOTED = 256
"""Characters of a value that a message quotes."""

NOT_UTF8 = "surrogateescape"
"""How what is not UTF-8 stands in text: for `bytes.decode` and `str.encode`."""


def loads(body: bytes, read: parsing.Read = orjson.loads, raw_text: bool = True) -> dict[str, Any]:
    """The object that a body holds, with its optional `signature_name`. Raises `InvalidInput`.

    read: reads strict JSON. raw_text: whether text may be other than UTF-8.
    """
    document = parsing.loads(body, read, raw_text=raw_text)
    if not isinstance(document, dict):
        raise format_error(document, "Is not object")
    if not isinstance(document.get("signature_name", ""), str):
        raise InvalidInput(
            f"JSON Value: {quote(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return document


def error_body(message: str) -> bytes:
    """An error, laid out as the original does."""
    return b'{\n    "error": %b\n}' % string(message)


def string(text: str) -> bytes:
    """A string of JSON, with bytes that are not UTF-8 as they came."""
    return json.dumps(text, ensure_ascii=False).encode(errors=NOT_UTF8)


def format_error(value: Any, problem: str) -> InvalidInput:
    """The error for a value of another form than was expected, which it quotes."""
    return InvalidInput(f"JSON Value: {quote(value)} {problem}")


def quote(value: Any) -> str:
    """A value for a message, cut off where it gets long."""
    if isinstance(value, float):
        return _decimal(value)
    return _written(_shortened(value, [_MAX_QUOTED]))[:_MAX_QUOTED]


def _written(value: Any, margin: str = "") -> str:
    """A value as RapidJSON's PrettyWriter writes it, lists in one line."""
    inner = margin + "    "
    if isinstance(value, dict) and value:
        members = [f"{inner}{_written(name)}: {_written(value[name], inner)}" for name in value]
        return "{\n" + ",\n".join(members) + f"\n{margin}}}"
    if isinstance(value, list):
        return f"[{', '.join([_written(element, inner) for element in value])}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    text: str = rapidjson.dumps(value, number_mode=rapidjson.NM_NATIVE | rapidjson.NM_NAN)
    return text


def kind(value: Any) -> str:
    """RapidJSON's name for what a value is."""
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int | float):
        return "Number"
    if isinstance(value, str):
        return "String"
    return "Array" if isinstance(value, list) else "Object"


def to_bytes(value: Any) -> bytes:
    """The bytes of a string, or of an object for base64. Raises `InvalidInput`."""
    if isinstance(value, str):
        return value.encode(errors=NOT_UTF8)
    if not is_base64(value):
        raise InvalidInput(f"JSON Value: {quote(value)} not formatted correctly for base64 data")
    try:
        return unbase64(value["b64"])
    except ValueError:
        raise InvalidInput("Unable to base64 decode") from None


def _decimal(value: float) -> str:
    """Six significant digits if they tell the value apart as float32, else nine: 1.0, 0.1, 0.333333343."""
    if not np.isfinite(value):
        return "NaN" if np.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
    single = abs(value) <= float(np.finfo(np.float32).max)
    exact: Any = np.float32 if single else float
    text = f"{value:g}"
    if exact(text) != exact(value):
        text = f"{exact(value):.9g}" if single else f"{value:.17g}"
    return text if "." in text or "e" in text else f"{text}.0"


def _shortened(value: Any, left: list[int]) -> Any:
    """A value cut down to what the characters that are left can show: to quote a large body should cost little."""
    left[0] -= 1
    value = as_lists(value) if isinstance(value, np.ndarray) else value
    if isinstance(value, str):
        left[0] -= len(value)
        return value[:_MAX_QUOTED]
    if isinstance(value, list):
        return [_shortened(element, left) for element in takewhile(lambda _: left[0] > 0, value)]
    if isinstance(value, dict):
        return {key: _shortened(value[key], left) for key in takewhile(lambda _: left[0] > 0, value)}
    return value
