"""NaN and infinity in JSON, which has no word for them: how answers write them, and back.

[0.1, NaN]  TOKEN, as TensorFlow Serving and Python do      [0.1, "NaN"]  STRING      [0.1, null]  NULL
"""

import enum
import math
from typing import Any

import numpy as np
import orjson

from serving.tensors import Array


class NonFinite(enum.Enum):
    """What stands in an answer for NaN, Infinity and -Infinity."""

    TOKEN = "token"  # noqa: S105
    """The bare words, which strict readers refuse."""
    STRING = "string"
    """The same words as strings."""
    NULL = "null"
    """null for all three."""


_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def flat_list(array: Array, policy: NonFinite) -> orjson.Fragment:
    """JSON text of an array of floats as one flat list, with as few digits as tell the floats apart."""
    flat = np.ascontiguousarray(array).reshape(-1)
    text = orjson.dumps(flat, option=orjson.OPT_SERIALIZE_NUMPY)
    if policy is NonFinite.NULL or bool(np.isfinite(flat).all()):
        return orjson.Fragment(text)
    pieces = text.split(b"null")  # one for every number that is not finite
    words = [_word(value, policy) for value in flat[~np.isfinite(flat)].tolist()]
    return orjson.Fragment(b"".join(piece + word for piece, word in zip(pieces, [*words, b""], strict=True)))


def from_words(value: Any) -> Any:
    """Nested lists with the strings "NaN", "Infinity" and "-Infinity" as the numbers they stand for."""
    if isinstance(value, list):
        return [from_words(element) for element in value]
    return _WORDS.get(value, value) if isinstance(value, str) else value


def _word(value: float, policy: NonFinite) -> bytes:
    word = next(
        word for word, number in _WORDS.items() if number == value or (math.isnan(number) and math.isnan(value))
    )
    return f'"{word}"'.encode() if policy is NonFinite.STRING else word.encode()
