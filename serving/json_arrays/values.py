"""Nested lists of a JSON value -> arrays, and JSON values in words.

    [[1, 2], [3, 4]] ──numeric──▶ array             numbers, where nothing is doubtful
    [["a"], ["b"]]   ──to_array──▶ array, or InvalidInput: "input 'x'[1] has 3 where [0] has 2"

Both go through all elements in C, a level of lists at a time: 60 MB of numbers with one wrong one at their end are refused
about as fast as right ones are read.
"""

import base64
import json
from collections.abc import Callable
from itertools import chain
from typing import Any, NoReturn

import numpy as np

from signet.serving.errors import InvalidInput
from signet.serving.json_arrays.non_finite import WORDS
from signet.serving.tensors.arrays import Array
from signet.serving.tensors.dtypes import DType
from signet.serving.tensors.signature import TensorSpec, shape_text

MAX_DEPTH = 32
"""Deepest nesting of lists read into a tensor; numpy's own limit on dimensions is 64."""

QUOTED_CHARACTERS = 80
"""Most characters of what a caller sent that a message quotes."""

Place = Callable[[int], tuple[int, ...]]
"""Where the i-th of all elements is in the lists."""


_CONTAINERS = {list, np.ndarray}
_NESTED = {list, dict, np.ndarray}
_EXACT = 1 << 53
"""Whole numbers from here on may have been rounded when they became floats."""


class Uneven(Exception):
    """Lists that make no tensor: at `place` is `value`, where others have a list of `length`, or None for a single value."""

    def __init__(self, place: tuple[int, ...], value: Any, length: int | None) -> None:
        super().__init__(place)
        self.place, self.value, self.length = place, value, length


def as_lists(value: Any, depth: int = 0) -> Any:
    """The same value with its arrays as lists again, for those who look at elements one by one.

    Whole numbers among others were floats in the array, and are whole again. depth: of the value; far down are no arrays.
    """
    if isinstance(value, np.ndarray):
        return _mixed_list(value) if value.dtype.kind == "f" else value.tolist()
    if depth > MAX_DEPTH + 1 or not isinstance(value, list | dict):
        return value
    if isinstance(value, dict):
        return {name: as_lists(element, depth + 1) for name, element in value.items()}
    if _NESTED.isdisjoint(map(type, value)):  # told apart in C: there may be millions
        return value
    return [as_lists(element, depth + 1) for element in value]


def _mixed_list(array: Array) -> Any:
    whole = (array == np.floor(array)) & (np.abs(array) < _EXACT)
    if not whole.any() or whole.all():
        return array.tolist()
    mixed = array.astype(object)
    mixed[whole] = array[whole].astype(np.int64).astype(object)
    return mixed.tolist()


def numeric(value: Any, dtype: DType, has_booleans: bool) -> Array | None:
    """Lists of numbers as array, or None where elements must be looked at, be it to explain what is wrong.

    has_booleans: whether there may be `true` or `false` among them, which numpy would take for numbers. An array that
    was read as such holds none.
    """
    if has_booleans and dtype.name != "bool" and not isinstance(value, np.ndarray):
        return None
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):
        return None
    kind = array.dtype.kind
    if not array.size and kind == "f":
        return array.astype(dtype.numpy)
    if dtype.name == "bool":
        return array if kind == "b" else None
    if dtype.is_float and kind in "fiu":
        with np.errstate(over="ignore"):  # beyond float32 is infinity, as in C++
            return array.astype(dtype.numpy)
    if kind not in "iu":
        return None
    limits = np.iinfo(dtype.numpy)
    return array.astype(dtype.numpy) if limits.min <= array.min() and array.max() <= limits.max else None


def to_array(spec: TensorSpec, dtype: DType, value: Any, words: bool = False, not_utf8: str = "surrogatepass") -> Array:
    """Nested lists of any JSON values as array of the dtype. Raises `InvalidInput`, which names the first odd element.

    words: whether "NaN", "Infinity" and "-Infinity" are numbers. not_utf8: how bytes that are no UTF-8 stand in text.
    """
    try:
        shape, flat = flattened(value)
    except Uneven as uneven:
        _raise_uneven(spec, uneven)
    if words and dtype.is_float and str in set(map(type, flat)):
        flat = [WORDS.get(element, element) if type(element) is str else element for element in flat]
    return _elements(spec, dtype, flat, lambda i: _place(i, shape), not_utf8).reshape(shape)


def to_flat(spec: TensorSpec, dtype: DType, rows: list[Any]) -> tuple[Array, Array] | None:
    """Rows of different lengths as their lengths and all their elements in a row; None where rows are no flat lists.

    [[1, 2, 3], [4]] -> [3, 1], [1, 2, 3, 4]. Raises `InvalidInput` as `to_array` does.
    """
    rows = _each_as_lists(rows)
    if set(map(type, rows)) != {list}:
        return None
    flat = list(chain.from_iterable(rows))
    if list in set(map(type, flat)):
        return None
    lengths = np.array(list(map(len, rows)))
    ends = np.cumsum(lengths)

    def place(i: int) -> tuple[int, ...]:
        row = int(np.searchsorted(ends, i, side="right"))
        return row, i - int(ends[row] - lengths[row])

    return lengths, _elements(spec, dtype, flat, place)


def flattened(value: Any) -> tuple[tuple[int, ...], list[Any]]:
    """The shape of nested lists, and all their elements in a row: [[1, 2], [3, 4]] -> (2, 2), [1, 2, 3, 4].

    Raises `Uneven` for lists of different lengths or depths, `InvalidInput` for a nest that is too deep.
    """
    if type(value) is list and _CONTAINERS.isdisjoint(map(type, value)):
        return (len(value),), value
    shape: tuple[int, ...] = ()
    level = _each_as_lists([value])
    while level and isinstance(level[0], list):
        if len(shape) == MAX_DEPTH:
            raise InvalidInput(f"lists are nested deeper than {MAX_DEPTH}")
        length = len(level[0])
        if set(map(type, level)) != {list} or set(map(len, level)) != {length}:
            fits = (type(node) is list and len(node) == length for node in level)
            i = list(fits).index(False)
            raise Uneven(_place(i, shape), level[i], length)
        shape = (*shape, length)
        level = _each_as_lists(list(chain.from_iterable(level)))
    if list in set(map(type, level)):
        i = list(map(type, level)).index(list)
        raise Uneven(_place(i, shape), level[i], None)
    return shape, level


def _each_as_lists(level: list[Any]) -> list[Any]:
    """The values of a level, with those that are arrays as lists again."""
    return list(map(as_lists, level)) if np.ndarray in set(map(type, level)) else level


def is_larger(value: Any, most: int) -> bool:
    """Whether nested lists have more lists and elements than that."""
    left = most
    level = [value]
    while level and left >= 0:
        left -= sum(node.size if isinstance(node, np.ndarray) else 1 for node in level)
        level = list(chain.from_iterable(node for node in level if isinstance(node, list)))
    return left < 0


def is_base64(value: Any) -> bool:
    """Whether a value is {"b64": "…"}, which stands for bytes."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def unbase64(text: str) -> bytes:
    """The bytes of base64 text; white space is skipped, padding may be left out. Raises ValueError."""
    compact = "".join(text.split())
    return base64.b64decode(compact + "=" * (-len(compact) % 4) if "=" not in compact else compact, validate=True)


def described(value: Any) -> str:
    """A JSON value in words: `the number 5`, `a list`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, int | float):
        return f"the number {_quote(value)}"
    if isinstance(value, str):
        return f"the string {_quote(value)}"
    return "a list" if isinstance(value, list | np.ndarray) else "an object"


def _elements(spec: TensorSpec, dtype: DType, flat: list[Any], place: Place, not_utf8: str = "surrogatepass") -> Array:
    if dtype.is_string:
        return _strings(spec, dtype, flat, place, not_utf8)
    kinds = set(map(type, flat))
    good = {bool} if dtype.name == "bool" else {int, float} if dtype.is_float else {int}
    if not kinds <= good:
        types = list(map(type, flat))
        _raise_odd(spec, dtype, flat, place, min(types.index(kind) for kind in kinds - good))
    if not dtype.is_float:
        return np.array(flat, np.bool_) if dtype.name == "bool" else _whole(spec, dtype, flat, place)
    numbers: Array = np.array(flat)
    if numbers.dtype == object:  # a whole number beyond 64 bits
        numbers = np.array([_float(value) for value in flat])
    with np.errstate(over="ignore"):
        return numbers.astype(dtype.numpy)


def _whole(spec: TensorSpec, dtype: DType, flat: list[Any], place: Place) -> Array:
    limits = np.iinfo(dtype.numpy)
    numbers: Array = np.array(flat) if flat else np.zeros(0, np.int64)
    if numbers.dtype.kind not in "iu":  # beyond 64 bits, or 2^63 and more beside negative ones
        numbers = np.array(flat, object)
    beyond = (numbers < limits.min) | (numbers > limits.max)
    if beyond.any():
        i = int(beyond.argmax())
        raise InvalidInput(
            f"input {spec.name!r}{_where(place(i))} is {_quote(flat[i])}; "
            f"{dtype.name} goes from {limits.min} to {limits.max}"
        )
    return numbers.astype(dtype.numpy)


def _strings(spec: TensorSpec, dtype: DType, flat: list[Any], place: Place, not_utf8: str) -> Array:
    out = np.empty(len(flat), object)
    if set(map(type, flat)) <= {str}:
        out[:] = [text.encode(errors=not_utf8) for text in flat]
        return out
    for i, value in enumerate(flat):
        if isinstance(value, str):
            out[i] = value.encode(errors=not_utf8)
        elif isinstance(value, bytes):  # of a body that is no JSON
            out[i] = value
        elif is_base64(value):
            try:
                out[i] = unbase64(value["b64"])
            except ValueError as error:
                where = f"input {spec.name!r}{_where(place(i))}"
                raise InvalidInput(f"{where}: unable to base64 decode {_quote(value['b64'])}") from error
        else:
            _raise_odd(spec, dtype, flat, place, i)
    return out


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _raise_odd(spec: TensorSpec, dtype: DType, flat: list[Any], place: Place, i: int) -> NoReturn:
    where = _where(place(i))
    problem = f"input {spec.name!r}{where} is {described(flat[i])}; the model takes {_expected(dtype)}"
    raise InvalidInput.text(spec.name, problem) if isinstance(flat[i], str) else InvalidInput(problem)


def _raise_uneven(spec: TensorSpec, uneven: Uneven) -> NoReturn:
    where, value = _where(uneven.place), uneven.value
    if uneven.length is None:
        problem = f"{where} is a list; expected a single value as elsewhere"
    elif isinstance(value, list):
        first = _where((0,) * len(uneven.place))
        problem = (
            f" has rows of different lengths: {where or 'it'} has {len(value)} where {first} has {uneven.length}. "
            f"The model takes {shape_text(spec.shape)}: send rows of one length, or one request each"
        )
    else:
        problem = f"{where} is {described(value)}; expected a list of {uneven.length}"
    raise InvalidInput(f"input {spec.name!r}{problem}") from uneven


def _place(i: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Where the i-th element of a level is: the fifth in (2, 3) is at (1, 1)."""
    return tuple(map(int, np.unravel_index(i, shape)))


def _where(place: tuple[int, ...]) -> str:
    return "".join(f"[{i}]" for i in place)


def _quote(value: Any) -> str:
    try:
        text = json.dumps(value)
    except ValueError:  # an integer of thousands of digits
        return "a number with too many digits"
    return text if len(text) <= QUOTED_CHARACTERS else text[:QUOTED_CHARACTERS] + "…"


def _expected(dtype: DType) -> str:
    if dtype.is_string:
        return 'strings, or bytes as {"b64": "…"}'
    if dtype.name == "bool":
        return "true or false"
    return f"numbers ({dtype.name})" if dtype.is_float else f"whole numbers ({dtype.name}), written without a point"
