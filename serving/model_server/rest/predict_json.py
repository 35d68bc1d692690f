"""Predict over REST: bodies and answers, in the words of TensorFlow Serving.

    {"instances": …}    rows       ──decode──▶ arrays ──run──▶ outputs ──encode──▶   {"predictions": …}
    {"inputs": …}       columns                                                      {"outputs": …}

What is in order takes a fast way, which shares its steps with the gateway's `json_codec`. What that refuses is walked
value by value, because the original's order of checks decides which fault its words name; the walk gives the arrays all
the same or says what is wrong. The signature gives names and dtypes; shapes are TensorFlow's to refuse.
Source: `json_tensor.cc`.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from signet.serving.errors import InvalidInput, ServingError, Unsupported
from signet.serving.json_arrays import inputs, values
from signet.serving.json_arrays.values import as_lists
from signet.serving.rest_dialect import json_codec
from signet.serving.rest_dialect.json_codec import Layout, is_named
from signet.serving.rest_dialect.json_text import NOT_UTF8, format_error, kind, quote, to_bytes
from signet.serving.tensors import dtypes
from signet.serving.tensors.arrays import MAX_RANK, Array, Arrays
from signet.serving.tensors.signature import Signature, TensorSpec

JSON_DTYPES = inputs.JSON_DTYPES - {"half", "bfloat16", "uint16"}
"""What the original reads and writes."""

MAX_WALKED = 100_000
"""Values that are walked one by one, about 1 µs each, to say in the original's words what is wrong with one of them."""

_INT32 = np.dtype(np.int32)
_LIMITS = {
    # Narrow integers wrap around, as they do in a TensorProto.
    **dict.fromkeys(("int32", "int16", "int8", "uint8"), (-(1 << 31), (1 << 31) - 1)),
    "int64": (-(1 << 63), (1 << 63) - 1),
    "uint32": (0, (1 << 32) - 1),
    "uint64": (0, (1 << 64) - 1),
}
_SEVERAL = "as multiple input tensors required as per tensorinfo_map"


def decode(document: dict[str, Any], signature: Signature, has_booleans: bool) -> tuple[Arrays, Layout]:
    """The arrays of a body, and how it lays them out. Raises `InvalidInput` and `Unsupported`.

    document: long lists of numbers may be arrays already, as `number_arrays` reads them. has_booleans: whether there may
    be `true` or `false` among the values.
    """
    if not signature.inputs:
        raise InvalidInput(f"Failed to get input map for signature: {signature.name}")
    if "instances" in document:
        if "inputs" in document:
            problem = "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist "
            raise format_error(document, problem)
        return _from_rows(document, signature, has_booleans), Layout.ROWS
    if "inputs" in document:
        return _from_columns(document["inputs"], signature, has_booleans), Layout.COLUMNS
    raise InvalidInput("Missing 'inputs' or 'instances' key")


def layout_of(document: dict[str, Any]) -> Layout:
    """How a body lays its tensors out, which its answer does, too."""
    return Layout.ROWS if "instances" in document else Layout.COLUMNS


def may_hold_booleans(document: dict[str, Any], text: bytes) -> bool:
    """Whether there may be `true` or `false` among the values of a body with that text."""
    return json_codec.may_hold_booleans(document.get("instances", document.get("inputs")), text)


def encode(outputs: Arrays, layout: Layout) -> bytes:
    """The answer in the layout of the request. Raises `InvalidInput` for outputs that JSON, or rows, cannot carry."""
    if layout is Layout.ROWS:
        _check_rows(outputs)
    for array in outputs.values():
        name = dtypes.from_numpy(array.dtype).name
        if name not in JSON_DTYPES:
            raise InvalidInput(f"Failed to write JSON value for tensor type: {name}")
    return json_codec.encode(outputs, layout, raw_text=True)


def _check_rows(outputs: Arrays) -> None:
    rows = None
    for name, array in outputs.items():
        if not array.ndim:
            raise InvalidInput(f"Tensor name: {name} has no shape information ")
        if rows not in (None, len(array)):
            raise InvalidInput(f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {rows}")
        rows = len(array)


def _from_rows(document: dict[str, Any], signature: Signature, has_booleans: bool) -> Arrays:
    rows = document["instances"]
    if not isinstance(rows, list | np.ndarray):
        raise format_error(document, "Expecting 'instances' to be an list/array")
    if not len(rows):
        raise format_error(document, "No values in 'instances' array")
    if not isinstance(rows[0], dict) and len(signature.inputs) > 1:
        raise InvalidInput(f"instances is a plain list, but expecting list of objects {_SEVERAL}")
    named = is_named(rows[0])
    columns: dict[str, Any] | None = (
        json_codec.by_input(rows, signature.inputs) if named else dict.fromkeys(signature.inputs, rows)
    )
    arrays = _quickly(columns, signature, has_booleans) if columns else None
    if arrays is None:
        if columns:
            _check_walkable(columns, signature)
        elif len(rows) > MAX_WALKED:
            rows = [_odd_row(rows, signature)]
        rows = as_lists(rows)
        arrays = _walk_named(rows, signature) if named else _walk_plain(rows, signature)
    return arrays


def _from_columns(value: Any, signature: Signature, has_booleans: bool) -> Arrays:
    if not is_named(value):
        if len(signature.inputs) > 1:
            raise InvalidInput(f"inputs is a plain value/list, but expecting an object {_SEVERAL}")
        columns = dict.fromkeys(signature.inputs, value)
    else:
        for name in signature.inputs:
            if name not in value:
                raise InvalidInput(f"Missing named input: {name} in 'inputs' object.")
        columns = value  # names that the signature does not have are ignored
    arrays = _quickly(columns, signature, has_booleans)
    if arrays is None:
        _check_walkable(columns, signature)
        arrays = {name: _walk(as_lists(columns[name]), spec) for name, spec in signature.inputs.items()}
    return arrays


# The fast way


def _quickly(columns: dict[str, Any], signature: Signature, has_booleans: bool) -> Arrays | None:
    """The arrays, or None where one of them needs a closer look."""
    arrays = {}
    for name, spec in signature.inputs.items():
        array = _array(columns[name], spec, has_booleans)
        if array is None:
            return None
        arrays[name] = array
    return arrays


def _array(value: Any, spec: TensorSpec, has_booleans: bool) -> Array | None:
    dtype = spec.dtype
    if dtype is None or dtype.name not in JSON_DTYPES:
        return None
    wanted = dtypes.from_numpy(_INT32) if _is_narrow(spec) else dtype
    array = None if dtype.is_string else values.numeric(value, wanted, has_booleans)
    if array is None and (has_booleans or dtype.is_string):
        try:
            array = values.to_array(spec, wanted, value, not_utf8=NOT_UTF8)
        except InvalidInput:  # the walk finds the original's words
            return None
    return array if array is None else array.astype(dtype.numpy, copy=False)


def _odd_row(rows: Any, signature: Signature) -> Any:
    """The first row that is no object with exactly the inputs."""
    return next(row for row in rows if not (isinstance(row, dict) and row.keys() == signature.inputs.keys()))


def _check_walkable(columns: dict[str, Any], signature: Signature) -> None:
    """Raise `InvalidInput` for so many values that it would take too long to tell in the original's words what is wrong."""
    for name, spec in signature.inputs.items():
        if spec.dtype is not None and values.is_larger(columns[name], MAX_WALKED):
            values.to_array(spec, spec.dtype, columns[name])


# The walk, in the order of FillTensorMapFromInstancesList and FillTensorProto


class _Column:
    """One input, gathered row by row; every row must look like the first."""

    def __init__(self, spec: TensorSpec) -> None:
        self._spec = spec
        self._values: list[Any] = []
        self._first: tuple[int, tuple[int, ...]] | None = None
        """Number of values and shape of the first row."""

    def add(self, item: Any) -> None:
        shape, values = _flat(item, self._spec)
        self._first = self._first or (len(values), shape)
        size, expected = self._first
        if len(values) != size:
            raise InvalidInput(f"Expecting tensor size: {size} but got: {len(values)}")
        if shape != expected:
            raise InvalidInput(f"Expecting shape {_shape_text(expected)} but got: {_shape_text(shape)}")
        self._values += values

    def array(self, rows: int) -> Array:
        assert self._first is not None, "every row has every input"
        return _to_array(self._values, (rows, *self._first[1]), self._spec)


def _walk_plain(rows: list[Any], signature: Signature) -> Arrays:
    ((name, spec),) = signature.inputs.items()
    column = _Column(spec)
    for i, row in enumerate(rows):
        if is_named(row):
            raise InvalidInput(f"Expecting value/list but got object at item {i} of input list")
        try:
            column.add(row)
        except ServingError as error:
            raise _of_element(f"{i}", error) from None
    return {name: column.array(len(rows))}


def _walk_named(rows: list[Any], signature: Signature) -> Arrays:
    columns = {name: _Column(spec) for name, spec in signature.inputs.items()}
    for i, row in enumerate(rows):
        if not is_named(row):
            raise InvalidInput(f"Expecting object but got list at item {i} of input list")
        for name, value in row.items():
            try:
                if name not in columns:
                    raise InvalidInput(f"JSON object: does not have named input: {name}")
                columns[name].add(value)
            except ServingError as error:
                raise _of_element(f"{i} key: {name}", error) from None
        if row.keys() != columns.keys():
            raise InvalidInput(
                f"Failed to process element: {i} of 'instances' list. JSON object: {quote(row)} "
                f"keys must be equal to: {','.join(sorted(columns))}"
            )
    return {name: column.array(len(rows)) for name, column in columns.items()}


def _of_element(place: str, error: ServingError) -> InvalidInput:
    return InvalidInput(f"Failed to process element: {place} of 'instances' list. Error: {error.grpc_code}: {error}")


def _walk(value: Any, spec: TensorSpec) -> Array:
    shape, values = _flat(value, spec)
    return _to_array(values, shape, spec)


def _flat(value: Any, spec: TensorSpec) -> tuple[tuple[int, ...], list[Any]]:
    """The shape that the first elements tell, and the values, all of which must agree with it."""
    shape = tuple(_sizes(value))
    if len(shape) >= MAX_RANK:
        raise InvalidInput(f"tensor parsing error: {spec.name}")
    values: list[Any] = []
    _fill(value, shape, 0, spec, values)
    return shape, values


def _sizes(value: Any) -> Iterable[int]:
    while isinstance(value, list):
        yield len(value)
        value = value[0] if value else None


def _fill(value: Any, shape: tuple[int, ...], level: int, spec: TensorSpec, values: list[Any]) -> None:
    rank = len(shape)
    if not isinstance(value, list):
        if level != rank:
            raise format_error(
                value, f"found at incorrect level: {level + 1} in the JSON DOM. Expected at level: {rank}"
            )
        values.append(_element(value, spec))
        return
    if level >= rank:
        raise InvalidInput(f"Encountered list at unexpected level: {level} expected < {rank}")
    if len(value) != shape[level]:
        raise InvalidInput(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    for element in value:
        _fill(element, shape, level + 1, spec, values)


def _element(value: Any, spec: TensorSpec) -> Any:
    name = spec.dtype.name if spec.dtype else "unsupported"
    if name == "string" and isinstance(value, str | dict):
        return to_bytes(value)
    if name in JSON_DTYPES or isinstance(value, dict):
        if not _fits(value, name):
            raise format_error(value, f"Type: {kind(value)} is not of expected type: {name}")
        return value
    raise Unsupported(f"Conversion of JSON Value: {quote(value)} to type: {name}")


def _fits(value: Any, name: str) -> bool:
    if isinstance(value, bool) or name == "bool":
        return isinstance(value, bool) and name == "bool"
    if name in ("float", "double"):
        return isinstance(value, int | float)
    if name not in _LIMITS or not isinstance(value, int):
        return False
    smallest, largest = _LIMITS[name]
    return smallest <= value <= largest


def _to_array(values: list[Any], shape: tuple[int, ...], spec: TensorSpec) -> Array:
    if spec.dtype is None:
        raise InvalidInput(f"tensor parsing error: {spec.name}")
    array = np.empty(math.prod(shape), spec.dtype.numpy)
    with np.errstate(over="ignore"):  # beyond float32 is infinity
        array[:] = np.array(values, _INT32) if _is_narrow(spec) else values
    return array.reshape(shape)


def _is_narrow(spec: TensorSpec) -> bool:
    """An integer of 8 or 16 bits."""
    return spec.dtype is not None and spec.dtype.numpy.kind in "iu" and spec.dtype.numpy.itemsize < _INT32.itemsize


def _shape_text(shape: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, shape))}]"
