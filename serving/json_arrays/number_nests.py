"""Long lists of numbers in JSON text -> arrays, by a small compiled helper: `number_nests.c`, which setup.py builds.

    {"instances": [[0.5, 1], …], "id": "7"} ──take_out──▶ {"instances": "MARK00000000", "id": "7"}, {"MARK00000000": array}

Where the helper was not built, or not for this machine, `COMPILED` is false, and `number_arrays.py` goes its other way, which
gives the same values. The helper lets the interpreter's lock go for large texts: it runs in a thread beside others.
"""

import ctypes
import math
import secrets
import threading
from ctypes import c_char_p, c_int64, c_void_p
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from signet.serving.tensors.arrays import Array

MIN_NUMBERS = 32
"""Lists with fewer numbers stay lists."""
LIBRARY = "_number_nests.so"
"""The helper's file, beside this one. setup.py names it too."""

_LOCKED_BYTES = 1 << 15
"""For smaller texts the lock is kept: they are read before another thread has got it."""
_LOWEST_POWER, _HIGHEST_POWER = -342, 308
"""Powers of ten beyond which every number is zero or infinity, whatever its digits are."""
_MOST_FOUND = 1 << 13
_MOST_DOUBTS = 256
_HEADER, _DOUBT = 3, 3

_MARK = secrets.token_hex(8).encode()
"""How the strings begin that stand where nests were, anew in every process: nobody can send one."""
_MARK_TEXT = _MARK.decode()


def _load(path: Path) -> tuple[Any, Any] | None:
    """The helper's function, with the interpreter's lock kept and let go; None where it cannot be loaded."""
    functions = []
    for library in (ctypes.PyDLL, ctypes.CDLL):
        try:
            function = library(str(path)).signet_number_nests
        except (OSError, AttributeError):
            return None
        function.restype = c_int64
        function.argtypes = [
            *(c_char_p, c_int64, c_void_p, c_int64),
            *(c_void_p, c_void_p, c_int64, c_void_p, c_int64),
            *(c_char_p, c_int64, c_void_p, c_void_p),
        ]
        functions.append(function)
    return functions[0], functions[1]


def powers_of_ten() -> Array:
    """Each power as the upper and lower half of 128 bits, of which the first is set, rounded down."""
    powers = np.empty((_HIGHEST_POWER - _LOWEST_POWER + 1, 2), np.uint64)
    for power in range(_LOWEST_POWER, _HIGHEST_POWER + 1):
        if power >= 0:
            shift = 128 - (10**power).bit_length()
            bits = 10**power << shift if shift >= 0 else 10**power >> -shift
        else:
            length = (10**-power).bit_length()  # not itself a power of two, so that the quotient has 128 bits
            bits = (1 << (127 + length)) // 10**-power
        powers[power - _LOWEST_POWER] = bits >> 64, bits & (1 << 64) - 1
    return powers


_FUNCTIONS = _load(Path(__file__).with_name(LIBRARY))
COMPILED = _FUNCTIONS is not None
"""Whether the helper is there."""
READ_BY = "a compiled helper" if COMPILED else "simdjson: there is no compiled helper here"
"""What reads long lists of numbers, for the log."""
_POWERS = powers_of_ten() if COMPILED else np.empty((0, 2), np.uint64)


class _Places(threading.local):
    """Where the helper writes what it found; each thread has its own."""

    def __init__(self) -> None:
        self.found, self.doubts = np.empty(_MOST_FOUND, np.int64), np.empty(_MOST_DOUBTS * _DOUBT, np.int64)
        self.sizes = np.empty(2, np.int64)
        self.addresses = self.found.ctypes.data, self.doubts.ctypes.data, self.sizes.ctypes.data


_places = _Places()
_powers_address = _POWERS.ctypes.data


def take_out(text: bytes) -> tuple[memoryview, dict[str, Array]] | None:
    """The text with strings in the places of its nests of numbers, and the nests by these strings; None where there is none.

    A nest is an array of int64 or float64, read-only, of the dtype that `np.array` gives its lists. Raises
    `orjson.JSONDecodeError` for a number that is infinity.
    """
    assert _FUNCTIONS is not None, "callers ask COMPILED"
    function = _FUNCTIONS[len(text) > _LOCKED_BYTES]
    numbers = np.empty(len(text) // 2 + 1)
    rest = np.empty(len(text), np.uint8)
    found, doubts, sizes = _places.addresses
    count = function(
        *(text, len(text), _powers_address, MIN_NUMBERS),
        *(numbers.ctypes.data, found, _MOST_FOUND, doubts, _MOST_DOUBTS),
        *(_MARK, len(_MARK), rest.ctypes.data, sizes),
    )
    if count <= 0:
        return None
    rest_size, doubt_count = _places.sizes.tolist()
    for i in range(0, doubt_count * _DOUBT, _DOUBT):
        place, start, end = _places.doubts[i : i + _DOUBT].tolist()
        numbers[place] = orjson.loads(text[start:end])
    return rest[:rest_size].data, _arrays(numbers, count)


def _arrays(numbers: Array, count: int) -> dict[str, Array]:
    """The nests by the strings that stand for them."""
    at = end = 0
    nests = []
    for _ in range(count):
        first, whole, rank = _places.found[at : at + _HEADER].tolist()
        at += _HEADER
        shape = _places.found[at : at + rank].tolist()
        at += rank
        end = first + math.prod(shape)
        nests.append((first, end, whole, shape))
    numbers.resize(end, refcheck=False)  # gives back what no number needed
    numbers.flags.writeable = False
    arrays = {}
    for i, (first, end, whole, shape) in enumerate(nests):
        flat = numbers[first:end]
        arrays[f"{_MARK_TEXT}{i:08x}"] = (flat.view(np.int64) if whole else flat).reshape(shape)
    return arrays


def put_back(value: Any, arrays: dict[str, Array]) -> Any:
    """The value with the arrays instead of the strings that stand for them; lists and objects are changed in place."""
    outermost = [value]
    left: list[Any] = [outermost]
    missing = len(arrays)
    while left and missing:
        node = left.pop()
        if type(node) is list:
            kinds = set(map(type, node))  # told apart in C: there may be many
            if kinds.isdisjoint((list, dict)) and (str not in kinds or arrays.keys().isdisjoint(node)):
                continue
            items: Any = enumerate(node)
        else:
            items = node.items()
        for key, element in items:
            kind = type(element)
            if kind is str:
                array = arrays.get(element)
                if array is not None:
                    node[key] = array
                    missing -= 1
            elif kind is list or kind is dict:
                left.append(element)
    return outermost[0]
