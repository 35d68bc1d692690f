"""JSON text -> values, its long lists of numbers as numpy arrays.

    {"inputs": [{"name": "pixels", "data": [0.5, …]}]} ──loads──▶ {"inputs": [{"name": "pixels", "data": float64 (n,)}]}

In a large body a Python object for every number costs more than all the rest. A picture of 128 × 128 × 3 floats becomes
an array in 1.2 ms where orjson and numpy take 4.9, as a flat list in 0.9 where they take 2.1, 500 whole numbers in 12 µs
where they take 20. Whether a list becomes an array is a matter of speed only: `values.as_lists` gives what orjson reads.

simdjson is one way there; the other is a compiled helper, where it was built (`number_nests.py`). It takes half the time, and
runs beside other threads.
"""

import itertools
import math
import operator
import threading
from typing import Any

import numpy as np
import orjson
import simdjson

from signet.serving.json_arrays import number_nests
from signet.serving.json_arrays.number_nests import COMPILED, MIN_NUMBERS
from signet.serving.json_arrays.parsing import may_repeat_names
from signet.serving.json_arrays.values import MAX_DEPTH
from signet.serving.tensors.arrays import Array

LARGE_BYTES = 1024
"""Smaller bodies are read by orjson alone, which is faster there."""
HELPER_BYTES = 1 << 13
"""From here on the helper is faster than simdjson."""
MOST_LIGHT_BYTES = 1 << 21
"""Larger bodies are never light: their numbers alone are some milliseconds' work for whoever gets them."""
MOST_REST_BYTES = 1 << 15
"""Of a light body without its nests of numbers. Each value in it becomes an object."""
BYTES_PER_VALUE = 256
"""Bytes of a body for each name, string, object or list that stays one, from which simdjson is the faster; denser bodies
are read by orjson."""

_HEAD_BYTES = 16384
_MAX_LENGTH = 0xFFFFFF
"""simdjson does not count further than this: a longer list says that it has as many elements."""
_MAX_KEPT_BYTES = 1 << 22
"""A parser keeps several times its largest body for the next one; larger bodies get a parser that is thrown away."""

_NUMBERS_AND_SPACES = b"0123456789.+-eE \t\r\n"

_threads = threading.local()
_NOTHING = object()


class _BetterByOrjson(Exception):
    """Something that only orjson reads rightly, or faster."""


def loads(body: bytes) -> Any:
    """The value of a JSON text as orjson reads it, but for long lists of numbers in large bodies.

    A list of numbers, or a regular nest of such lists, is an array of int64 or float64, read-only: the dtype that
    `np.array` gives such a list. Whole numbers beyond int64 stay in lists. Raises `orjson.JSONDecodeError`.
    """
    if len(body) < LARGE_BYTES or not body.startswith(b"{") or _is_dense(body):
        return orjson.loads(body)
    value = _by_helper(body) if COMPILED and len(body) >= HELPER_BYTES else _with_arrays(body)
    return orjson.loads(body) if value is _NOTHING else value


class Heavy(Exception):
    """A body that would hold up other threads for long."""


def may_be_light(body: bytes) -> bool:
    """Whether `light_loads` is worth a try. A word such as NaN, which is none of JSON's, has to be looked for first."""
    return COMPILED and len(body) <= MOST_LIGHT_BYTES and b"NaN" not in body and b"Inf" not in body


def light_loads(body: bytes) -> Any:
    """As `loads`, but for a thread beside others: nearly all the time the interpreter's lock is let go.

    Raises `Heavy` when the body is broken, when much is left of it besides long lists of numbers, or when names may come twice.
    """
    try:
        found = number_nests.take_out(body)
        if found is None or len(found[0]) > MOST_REST_BYTES:
            raise Heavy
        rest, arrays = found
        value = orjson.loads(rest)
    except orjson.JSONDecodeError:
        raise Heavy from None
    if may_repeat_names(value, bytes(rest)):
        raise Heavy
    return number_nests.put_back(value, arrays)


def _by_helper(body: bytes) -> Any:
    """The value, or `_NOTHING` for orjson to read it."""
    try:
        found = number_nests.take_out(body)
        return _NOTHING if found is None else number_nests.put_back(orjson.loads(found[0]), found[1])
    except orjson.JSONDecodeError:  # it says at which byte of the whole text
        return _NOTHING


def _with_arrays(body: bytes) -> Any:
    """The value, or `_NOTHING` for orjson to read it: then the parser's memory is free again."""
    parser = _threads.__dict__.pop("parser", None) or simdjson.Parser()
    try:
        value = _read(parser.parse(body), body)
    except (ValueError, RuntimeError, _BetterByOrjson):
        return _NOTHING  # broken, or a number beyond 64 bits; the error may still hold the document, and so the parser
    if len(body) <= _MAX_KEPT_BYTES:
        _threads.parser = parser
    return value


def _is_dense(body: bytes) -> bool:
    """Whether it begins with many names and strings."""
    return body.count(b'"', 0, _HEAD_BYTES) * BYTES_PER_VALUE > min(len(body), _HEAD_BYTES)


def _read(document: Any, body: bytes) -> Any:
    reader = _Reader(len(body) // BYTES_PER_VALUE)
    value = reader.read(document, 0)
    if len(reader.nests) == 1:
        # Far cheaper than to walk it. No other list, and no string without [, has this pattern.
        if _pattern(reader.nests[0][1]) not in body.translate(None, _NUMBERS_AND_SPACES):
            raise _BetterByOrjson
    else:
        for nest, shape in reader.nests:
            _check_regular(nest, shape)
    if reader.lists != body.count(b"["):
        raise _BetterByOrjson  # a list where a number belongs, which `as_buffer` does not tell; or a string with [
    return value


class _Reader:
    """Turns one document of simdjson into values, as long as that takes few steps."""

    def __init__(self, steps: int) -> None:
        self._steps_left = steps
        self.lists = 0
        """Lists that were read, those within arrays too."""
        self.nests: list[tuple[Any, tuple[int, ...]]] = []
        """Arrays of three dimensions or more, with their shapes: all rows have yet to be found as long as the first."""

    def read(self, node: Any, depth: int) -> Any:
        if not isinstance(node, simdjson.Array | simdjson.Object):
            return node
        if isinstance(node, simdjson.Object):
            names = list(node.keys())
            self._step(len(names), depth)
            if len(set(names)) != len(names) or any("\0" in name for name in names):
                raise _BetterByOrjson  # `node[name]` takes the first of equal names, and a NUL for the end of a name
            return {name: self.read(node[name], depth + 1) for name in names}
        array = _array(node)
        if array is not None:
            self.lists += sum(itertools.accumulate(array.shape[:-1], operator.mul, initial=1))
            if array.ndim > 2:
                self.nests.append((node, array.shape))
            return array
        self.lists += 1
        if len(node) and isinstance(node[0], simdjson.Array | simdjson.Object):
            self._step(len(node), depth)
            return [self.read(element, depth + 1) for element in node]
        return node.as_list()

    def _step(self, steps: int, depth: int) -> None:
        self._steps_left -= steps
        if self._steps_left < 0 or depth > MAX_DEPTH:
            raise _BetterByOrjson


def _array(node: Any) -> Array | None:
    """A long list of numbers, or a regular nest of them; None for everything else."""
    shape: list[int] = []
    first = node
    while isinstance(first, simdjson.Array):
        shape.append(len(first))
        if shape[-1] == _MAX_LENGTH or len(shape) > MAX_DEPTH:
            raise _BetterByOrjson
        if not shape[-1]:
            return None
        first = first[0]
    size = math.prod(shape)
    if type(first) not in (int, float) or size < MIN_NUMBERS:
        return None
    if len(shape) > 1 and _lengths(node) != {shape[1]}:
        return None  # rows of different lengths, each of which may be regular in itself
    flat = _floats(node) if isinstance(first, float) else _numbers(node)
    if flat.size != size:
        raise _BetterByOrjson
    return flat.reshape(shape)


def _pattern(shape: tuple[int, ...]) -> bytes:
    """A nest of that shape without its numbers: (2, 1, 3) -> [[[,,]],[[,,]]]."""
    pattern = b""
    for size in reversed(shape):
        pattern = b"[" + b",".join([pattern] * size) + b"]"
    return pattern


def _check_regular(node: Any, shape: tuple[int, ...]) -> None:
    """Every list within a nest has the length of the first one on its level."""
    if len(shape) == 1:
        return
    if _lengths(node) != {shape[1]}:
        raise _BetterByOrjson
    for element in node:
        _check_regular(element, shape[1:])


def _lengths(node: Any) -> set[int]:
    try:
        return set(map(len, node))
    except TypeError:  # a number among lists
        raise _BetterByOrjson from None


def _numbers(node: Any) -> Array:
    """All numbers of a nest in a row; for a nest that holds anything else, orjson is asked."""
    try:
        return np.frombuffer(node.as_buffer(of_type="i"), np.int64)
    except TypeError:  # not a whole number
        return _floats(node)
    except ValueError:  # beyond int64, where numpy's rules are many
        raise _BetterByOrjson from None


def _floats(node: Any) -> Array:
    try:
        return np.frombuffer(node.as_buffer(of_type="d"), np.float64)
    except TypeError:  # not a number
        raise _BetterByOrjson from None
