"""NaN and infinity in JSON, which has no word for them: how answers write them.

[0.1, NaN]  bare      [0.1, "NaN"]  string      [0.1, null]  null
"""

from itertools import chain
from typing import Literal

import numpy as np
import orjson

from signet.serving.tensors.arrays import Array

NonFinite = Literal["bare", "null", "string"]
"""NaN as it is, which strict parsers refuse; as null; as the string "NaN"."""

WORDS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
"""What they are called."""


def text(array: Array, policy: NonFinite) -> orjson.Fragment:
    """JSON text of an array of floats, nested like it, with as few digits as tell the floats apart."""
    plain = orjson.dumps(np.ascontiguousarray(array) if array.ndim else array[()], option=orjson.OPT_SERIALIZE_NUMPY)
    if policy == "null" or b"null" not in plain:
        return orjson.Fragment(plain)
    values = array[~np.isfinite(array)]
    words = np.array([f'"{word}"'.encode() if policy == "string" else word.encode() for word in WORDS], object)
    words = words[np.where(np.isnan(values), 0, np.where(values > 0, 1, 2))]
    pieces = plain.split(b"null")  # one for every number that is not finite, and the last
    return orjson.Fragment(b"".join(chain.from_iterable(zip(pieces, [*words.tolist(), b""], strict=True))))


def is_finite(array: Array) -> bool:
    """Whether all of its floats are."""
    return bool(np.isfinite(array).all())
