"""NaN and infinity in JSON, which has no word for them: how answers write them, and back.

[0.1, NaN]  bare      [0.1, "NaN"]  string      [0.1, null]  null
"""

import math
from typing import Any

import numpy as np
import orjson

from serving.json_codec import NonFinite
from serving.tensors import Array

_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def flat_list(array: Array, policy: NonFinite) -> orjson.Fragment:
    """JSON text of an array of floats as one flat list, with as few digits as tell the floats apart."""
    flat = np.ascontiguousarray(array).reshape(-1)
    text = orjson.dumps(flat, option=orjson.OPT_SERIALIZE_NUMPY)
    if policy == "null" or bool(np.isfinite(flat).all()):
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
    return f'"{word}"'.encode() if policy == "string" else word.encode()
