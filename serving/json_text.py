"""JSON text as TensorFlow Serving reads and quotes it.

    body ──loads──▶ value ──quote──▶ `{\\n    "instances": null\\n}` within a message

Bytes that are not UTF-8 pass through it. Here each stands as a character of a private range, which no text uses, until
`raw_bytes` turns them back: {"text": "caf\\xe9"} reaches the model, and comes back in a message, byte for byte.
Source: `json_tensor.cc`.
"""

import codecs
import re
from collections.abc import Callable
from itertools import takewhile
from typing import Any

import numpy as np
import orjson
import rapidjson

from serving import json_codec
from serving.errors import InvalidInput
from serving.number_arrays import as_lists

_MAX_QUOTED = 256
"""Characters of a value that a message quotes."""

_FIRST = 0x10FF00  # the character for byte 0; in UTF-8 f4 8f bc 80
_RAW = re.compile(rb"\xf4\x8f([\xbc-\xbf])([\x80-\xbf])")

NOT_UTF8 = "signet-raw-bytes"
"""For `bytes.decode`: the name of this way to handle what is not UTF-8."""


def _as_characters(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "".join(chr(_FIRST + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error(NOT_UTF8, _as_characters)


def raw_bytes(encoded: bytes) -> bytes:
    """Encoded text, with the bytes that were not UTF-8 as they came."""
    if b"\xf4\x8f" not in encoded:
        return encoded
    return _RAW.sub(lambda match: bytes([(match[1][0] - 0xBC) << 6 | (match[2][0] - 0x80)]), encoded)


def loads(body: bytes, read: Callable[[bytes], Any] = orjson.loads) -> dict[str, Any]:
    """The object that a body holds, with its optional `signature_name`. Raises `InvalidInput`.

    read: reads strict JSON.
    """
    document = json_codec.loads(body, NOT_UTF8, read)
    if not isinstance(document, dict):
        raise format_error(document, "Is not object")
    if not isinstance(document.get("signature_name", ""), str):
        raise InvalidInput(
            f"JSON Value: {quote(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return document


def error_body(message: str) -> bytes:
    """An error, laid out as the original does."""
    return raw_bytes(b'{\n    "error": ' + orjson.dumps(message) + b"\n}")


def format_error(value: Any, problem: str) -> InvalidInput:
    """What is wrong with the form of a value."""
    return InvalidInput(f"JSON Value: {quote(value)} {problem}")


def quote(value: Any) -> str:
    """A value for a message, cut off where it gets long."""
    if isinstance(value, float):
        return _decimal(value)
    text: str = rapidjson.dumps(
        _shortened(value, [_MAX_QUOTED]),
        indent=4,
        write_mode=rapidjson.WM_SINGLE_LINE_ARRAY,
        ensure_ascii=False,
        number_mode=rapidjson.NM_NATIVE | rapidjson.NM_NAN,
    )
    return text[:_MAX_QUOTED]


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


def is_base64(value: Any) -> bool:
    """Whether a value is {"b64": "…"}, which stands for bytes."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def to_bytes(value: Any) -> bytes:
    """The bytes of a string, or of an object for base64. Raises `InvalidInput`."""
    if isinstance(value, str):
        return raw_bytes(value.encode())
    if not is_base64(value):
        raise InvalidInput(f"JSON Value: {quote(value)} not formatted correctly for base64 data")
    try:
        return json_codec.unbase64(value["b64"])
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
    """The same value as far as that many characters of it can show: to quote a large body should cost little."""
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
