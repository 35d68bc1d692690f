"""JSON bodies of TensorFlow Serving's REST dialect <-> named arrays.

    {"instances": [{"text": [4, 7], "question": [2]}, …]}      rows      ──▶ {"text": (n, 2), "question": (n, 1)}
    {"inputs": {"text": [[4, 7], …], "question": [[2], …]}}    columns   ──▶ the same
    {"predictions": [...]}  rows   ◀── outputs ──▶   {"outputs": ...}  columns

`parse` reads the text, `decode` makes arrays that fit a signature, `encode` writes the answer in the request's form.
A signature with one input may leave its name out, and the only output has none. Strings are JSON strings, or bytes as
{"b64": "…"}; an output whose name ends in `_bytes` is written as b64. Source: `json_tensor.cc`, `api_rest.md`.
"""

import base64
import codecs
import enum
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import orjson
import rapidjson

from serving import dtypes, number_arrays
from serving.dtypes import DType
from serving.errors import InvalidInput, Unsupported
from serving.fill import Fill
from serving.signature import Signature, TensorSpec, shape_text
from serving.tensors import Array, Arrays

MAX_DEPTH = 32
"""Deepest nesting of lists read into a tensor; numpy's own limit on dimensions is 64."""

_QUOTED_CHARACTERS = 80
JSON_DTYPES = frozenset(
    ["float", "double", "int32", "int16", "int8", "uint8", "int64", "uint32", "uint64", "bool", "string"]
)


NonFinite = Literal["bare", "null", "string"]
"""NaN as it is, which strict parsers refuse; as null; as the string "NaN"."""


class Layout(enum.Enum):
    """How a body lays its tensors out; the answer does the same."""

    ROWS = "instances"
    COLUMNS = "inputs"


@dataclass(frozen=True)
class PredictBody:
    """A predict body, read but not yet held against a signature."""

    signature_name: str
    layout: Layout
    value: Any
    has_booleans: bool
    """Whether there may be `true` or `false` among the values: numpy would take them for numbers."""
    output_filter: tuple[str, ...] = ()
    """The outputs that are wanted; empty: all of them."""
    named_outputs: bool = False
    """Whether also the only output gets its name."""
    non_finite: "NonFinite" = "bare"
    """How the answer writes numbers that are not finite."""


def parse(body: bytes) -> PredictBody:
    """Read the text of a predict request. Raises `InvalidInput` for broken JSON and for a wrong outer form."""
    document = loads(body, read=number_arrays.loads)
    if not isinstance(document, dict):
        raise InvalidInput(f"the body is {described(document)}; expected an object with 'instances' or 'inputs'")
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise InvalidInput(f"'signature_name' is {described(name)}; expected a string")
    rows, columns = "instances" in document, "inputs" in document
    if rows == columns:
        found = "both are there" if rows else f"neither is there, only {_names(document)}"
        raise InvalidInput(f"send either 'instances' (rows) or 'inputs' (columns): {found}")
    layout = Layout.ROWS if rows else Layout.COLUMNS
    value = document[layout.value]
    # Arrays were read as numbers; to look through their text would take as long as much of the rest.
    has_booleans = not _all_arrays(value) and (b"true" in body or b"false" in body)
    return PredictBody(name, layout, value, has_booleans, **_options(document))


def _all_arrays(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(array, np.ndarray) for array in value.values())
    return isinstance(value, np.ndarray)


def _options(document: dict[str, Any]) -> dict[str, Any]:
    """What a body asks for beyond TensorFlow Serving's dialect."""
    options: dict[str, Any] = {}
    if "output_filter" in document:
        names = document["output_filter"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InvalidInput(f"'output_filter' is {described(names)}; expected a list of the names of outputs")
        options["output_filter"] = tuple(names)
    if "named_outputs" in document:
        if not isinstance(document["named_outputs"], bool):
            raise InvalidInput(f"'named_outputs' is {described(document['named_outputs'])}; expected true or false")
        options["named_outputs"] = document["named_outputs"]
    if "non_finite" in document:
        if document["non_finite"] not in get_args(NonFinite):
            known = ", ".join(map(repr, get_args(NonFinite)))
            raise InvalidInput(f"'non_finite' is {described(document['non_finite'])}; expected one of {known}")
        options["non_finite"] = document["non_finite"]
    return options


def decode(body: PredictBody, signature: Signature, fill: Fill | None = None) -> Arrays:
    """The arrays of a predict request, held against its signature: names, dtypes, shapes and equal rows.

    fill: where given, rows of different lengths are filled up to the longest. Raises `InvalidInput`, which names the
    input, what the model takes and what came.
    """
    if not signature.inputs and (body.layout is Layout.ROWS or not isinstance(body.value, dict)):
        raise InvalidInput(f"signature {signature.name!r} has no inputs: send 'inputs': {{}}")
    values = _rows(body.value, signature) if body.layout is Layout.ROWS else _columns(body.value, signature)
    arrays = {name: _array(spec, values[name], body.has_booleans, fill) for name, spec in signature.inputs.items()}
    for name, spec in signature.inputs.items():
        spec.check_shape(arrays[name].shape)
    signature.check_rows(arrays)
    return arrays


def encode(
    outputs: Arrays,
    layout: Layout,
    not_utf8: str = "replace",
    *,
    named: bool = False,
    non_finite: NonFinite = "bare",
) -> bytes:
    """The answer to a predict request: `predictions` for rows, `outputs` for columns.

    not_utf8: what `bytes.decode` does with strings of the model that are not UTF-8. named: whether also the only output
    gets its name. non_finite: bare NaN, Infinity and -Infinity are what TensorFlow Serving writes.
    """
    finite = _finite(outputs)
    values = {name: _jsonable(name, array, finite, not_utf8) for name, array in outputs.items()}
    bare = len(values) == 1 and not named
    if layout is Layout.ROWS:
        _check_rows(outputs)
        document = {"predictions": _only(values) if bare else _to_rows(values)}
    else:
        document = {"outputs": _only(values) if bare else values}
    if finite:
        return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    if non_finite == "null":
        return orjson.dumps(document)  # it writes null for them
    if non_finite == "string":
        document = _named_non_finite(document)
    return json.dumps(document, ensure_ascii=False).encode()


def _finite(outputs: Arrays) -> bool:
    for array in outputs.values():
        if array.dtype.kind == "f" and not np.logical_and.reduce(np.isfinite(array), axis=None):
            return False
    return True


def encode_error(message: str) -> bytes:
    """An error as TensorFlow Serving writes it: one object with the one key `error`."""
    return orjson.dumps({"error": message})


# Reading


def loads(body: bytes, not_utf8: str = "replace", read: Callable[[bytes], Any] = orjson.loads) -> Any:
    """The value that a body holds, by the dialect's rules. Raises `InvalidInput` with the reason and its offset.

    not_utf8: what `bytes.decode` does where the body is not UTF-8. read: reads strict JSON, as fast as it can be.
    """
    if not body:
        raise InvalidInput("JSON Parse error: The document is empty")
    try:
        return read(body)
    except orjson.JSONDecodeError:
        # Strict JSON has no NaN and Infinity, and nothing after its end; the dialect has. Its own parser decides.
        return _loads_dialect(body, not_utf8)


_NUMBERS = rapidjson.NM_NATIVE | rapidjson.NM_NAN  # native: what is too big for a double is an error, not infinity


def _loads_dialect(body: bytes, not_utf8: str) -> Any:
    text = body.decode("utf-8-sig", errors=not_utf8)
    try:
        return rapidjson.loads(text, number_mode=_NUMBERS)
    except (rapidjson.JSONDecodeError, RecursionError) as error:
        offset, reason = _reason(error)
        if offset and "must not be followed" in reason:
            return rapidjson.loads(text.encode()[:offset].decode(), number_mode=_NUMBERS)
        offset += len(codecs.BOM_UTF8) if body.startswith(codecs.BOM_UTF8) else 0
        raise InvalidInput(f"JSON Parse error: {reason} at offset: {offset}") from error


def _reason(error: Exception) -> tuple[int, str]:
    match = re.match(r"Parse error at offset (\d+): (.*)", str(error), re.DOTALL)
    return (int(match[1]), match[2]) if match else (0, str(error))


def _rows(rows: Any, signature: Signature) -> dict[str, Any]:
    """Rows, turned into one list of values per input; regular numbers may be an array already."""
    if isinstance(rows, np.ndarray) and len(signature.inputs) == 1:
        return {next(iter(signature.inputs)): rows}
    if not isinstance(rows, list | np.ndarray):
        raise InvalidInput(f"'instances' is {described(rows)}; expected a list, one element a row")
    if not len(rows):
        raise InvalidInput("'instances' is an empty list; expected at least one row")
    names = signature.input_names
    if _is_plain(rows[0]):
        if len(names) != 1:
            raise InvalidInput(
                f"'instances' holds plain values, but signature {signature.name!r} has several inputs: "
                f"expected objects with {_names(signature.inputs)}"
            )
        if dict in set(map(type, rows)):  # told apart in C: there may be millions
            for i, row in enumerate(rows):
                if not _is_plain(row):
                    raise InvalidInput(f"'instances'[{i}] is an object; expected plain values as in 'instances'[0]")
        return {next(iter(names)): rows}
    for i, row in enumerate(rows):
        if not isinstance(row, dict):
            raise InvalidInput(
                f"'instances'[{i}] is {described(row)}; expected an object with {_names(signature.inputs)}"
            )
        if row.keys() != names:
            signature.check_names(row, f"'instances'[{i}]: ")
    return {name: [row[name] for row in rows] for name in names}


def _columns(value: Any, signature: Signature) -> dict[str, Any]:
    if not _is_plain(value):
        # TensorFlow Serving ignores surplus names here; a misspelt optional input would go unnoticed.
        signature.check_names(value, "'inputs': ")
        return dict(value)
    if len(signature.inputs) != 1:
        raise InvalidInput(
            f"'inputs' is {described(value)}, but signature {signature.name!r} has several inputs: "
            f"expected an object with {_names(signature.inputs)}"
        )
    return {next(iter(signature.inputs)): value}


def _is_plain(value: Any) -> bool:
    """A tensor's value rather than an object of named inputs; {"b64": "…"} is a value."""
    return not isinstance(value, dict) or (value.keys() == {"b64"} and isinstance(value["b64"], str))


def _array(spec: TensorSpec, value: Any, has_booleans: bool, fill: Fill | None = None) -> Array:
    """One input's value as array of the spec's dtype; numbers take the fast way when nothing is doubtful."""
    dtype = spec.dtype
    if dtype is None or dtype.name not in JSON_DTYPES:
        name = dtype.name if dtype else "a type unknown here"
        raise Unsupported(f"input {spec.name!r} is {name}, which JSON cannot carry; use gRPC")
    array = None if dtype.is_string else numeric(value, dtype, has_booleans)
    if array is None and fill and spec.name in fill.axes and isinstance(value, list):
        array = _filled_up(spec, value, has_booleans, fill)
    if array is None:
        array = element_by_element(spec, dtype, value)
    if not array.size and spec.shape is not None and array.ndim < len(spec.shape):
        # [] says nothing of the inner dimensions of its zero rows.
        array = array.reshape(array.shape + tuple(size or 0 for size in spec.shape[array.ndim :]))
    return array


def _filled_up(spec: TensorSpec, rows: list[Any], has_booleans: bool, fill: Fill) -> Array | None:
    """Rows as one array, each as long as the longest; None where they differ in more than the lengths that may."""
    row_spec = replace(spec, shape=None)
    arrays = []
    for i, row in enumerate(rows):
        try:
            arrays.append(_array(row_spec, row, has_booleans)[np.newaxis])
        except InvalidInput as error:
            raise InvalidInput(f"row {i}: {error}") from error
    free = fill.axes[spec.name]
    fixed = {tuple(size for axis, size in enumerate(array.shape) if axis not in free) for array in arrays}
    if len(fixed) != 1 or len({array.ndim for array in arrays}) != 1:
        return None
    return fill.concatenated(spec.name, arrays)


def numeric(value: Any, dtype: DType, has_booleans: bool) -> Array | None:
    """Lists of numbers as array, or None where elements must be looked at one by one, be it to explain what is wrong.

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


def element_by_element(spec: TensorSpec, dtype: DType, value: Any) -> Array:
    """The same array by walking the value, so that an error can name the element."""
    shape = _shape(value)
    flat: list[Any] = []
    _flatten(spec, dtype, value, shape, (), flat)
    array = np.empty(len(flat), dtype.numpy)
    with np.errstate(over="ignore"):
        array[:] = flat
    return array.reshape(shape)


def _shape(value: Any) -> tuple[int, ...]:
    """As the first elements tell; every other one must agree with them."""
    shape: list[int] = []
    while isinstance(value, list | np.ndarray):
        shape.append(len(value))
        if not len(value):
            break
        if len(shape) > MAX_DEPTH:
            raise InvalidInput(f"lists are nested deeper than {MAX_DEPTH}")
        value = value[0]
    return tuple(shape)


def _flatten(
    spec: TensorSpec, dtype: DType, value: Any, shape: tuple[int, ...], at: tuple[int, ...], out: list[Any]
) -> None:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list):
        if len(at) >= len(shape) or len(value) != shape[len(at)]:
            _raise_ragged(spec, value, shape, at)
        for i, element in enumerate(value):
            _flatten(spec, dtype, element, shape, (*at, i), out)
    elif len(at) != len(shape):
        raise InvalidInput(
            f"input {spec.name!r}{_place(at)} is {described(value)}; expected a list of {shape[len(at)]}"
        )
    else:
        out.append(_element(spec, dtype, value, at))


def _raise_ragged(spec: TensorSpec, value: list[Any], shape: tuple[int, ...], at: tuple[int, ...]) -> None:
    if len(at) >= len(shape):
        raise InvalidInput(f"input {spec.name!r}{_place(at)} is a list; expected a single value as elsewhere")
    first = _place((0,) * len(at))
    raise InvalidInput(
        f"input {spec.name!r} has rows of different lengths: {_place(at) or 'it'} has {len(value)} where {first} has "
        f"{shape[len(at)]}. The model takes {shape_text(spec.shape)}: send rows of one length, or one request each"
    )


def _element(spec: TensorSpec, dtype: DType, value: Any, at: tuple[int, ...]) -> Any:
    if dtype.is_string:
        if isinstance(value, str):
            return value.encode(errors="surrogatepass")
        if isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str):
            return _unbase64(spec, value["b64"], at)
    elif dtype.name == "bool":
        if isinstance(value, bool):
            return value
    elif isinstance(value, bool):
        pass
    elif dtype.is_float and isinstance(value, int | float):
        return _finite_float(value)
    elif isinstance(value, int):
        limits = np.iinfo(dtype.numpy)
        if limits.min <= value <= limits.max:
            return value
        raise InvalidInput(
            f"input {spec.name!r}{_place(at)} is {_quote(value)}; {dtype.name} goes from {limits.min} to {limits.max}"
        )
    raise InvalidInput(f"input {spec.name!r}{_place(at)} is {described(value)}; the model takes {_expected(dtype)}")


def _finite_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _unbase64(spec: TensorSpec, text: str, at: tuple[int, ...]) -> bytes:
    try:
        return unbase64(text)
    except ValueError as error:
        raise InvalidInput(f"input {spec.name!r}{_place(at)}: unable to base64 decode {_quote(text)}") from error


def unbase64(text: str) -> bytes:
    """The bytes of base64 text; white space is skipped, padding may be left out. Raises ValueError."""
    compact = "".join(text.split())
    return base64.b64decode(compact + "=" * (-len(compact) % 4) if "=" not in compact else compact, validate=True)


# Writing


def _check_rows(outputs: Arrays) -> None:
    for name, array in outputs.items():
        if not array.ndim:
            raise InvalidInput(f"output {name!r} has no rows; ask in columns, with 'inputs' instead of 'instances'")
    counts = {name: len(array) for name, array in outputs.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name!r} has {count}" for name, count in counts.items())
        raise InvalidInput(f"the outputs have different numbers of rows ({listed}); ask in columns, with 'inputs'")


def _to_rows(values: dict[str, Any]) -> list[dict[str, Any]]:
    names = list(values)
    return [dict(zip(names, row, strict=True)) for row in zip(*values.values(), strict=True)]


def _only(values: dict[str, Any]) -> Any:
    return next(iter(values.values()))


def _jsonable(name: str, array: Array, finite: bool, not_utf8: str) -> Any:
    """An array as something that can be written: as it is for orjson, else as nested lists."""
    kind = array.dtype.kind
    if kind == "O":
        return _strings(array, name.endswith("_bytes"), not_utf8)
    if kind not in "bfiu" or array.dtype == np.float16:
        raise InvalidInput(
            f"output {name!r} is {dtypes.from_numpy(array.dtype).name}, which JSON cannot carry; use gRPC"
        )
    if not finite:
        return _short_floats(array) if kind == "f" else array.tolist()
    return np.ascontiguousarray(array) if array.ndim else array[()]


def _named_non_finite(value: Any) -> Any:
    """The same with the strings NaN, Infinity and -Infinity for numbers that are not finite."""
    if isinstance(value, dict):
        return {key: _named_non_finite(element) for key, element in value.items()}
    if isinstance(value, list):
        return [_named_non_finite(element) for element in value]
    return json.dumps(value) if isinstance(value, float) and not math.isfinite(value) else value


def _short_floats(array: Array) -> Any:
    """Floats with as few digits as tell them apart: 0.1 of float32 is 0.1, not 0.10000000149011612."""
    return [_short_floats(element) for element in array] if array.ndim else float(str(array))


def _strings(array: Array, as_b64: bool, not_utf8: str) -> Any:
    if array.ndim > 1:
        return [_strings(element, as_b64, not_utf8) for element in array]
    texts = [
        {"b64": base64.b64encode(value).decode()} if as_b64 else value.decode(errors=not_utf8)
        for value in array.reshape(-1).tolist()
    ]
    return texts if array.ndim else texts[0]


# Words for messages


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


def _quote(value: Any) -> str:
    try:
        text = json.dumps(value)
    except ValueError:  # an integer of thousands of digits
        return "a number with too many digits"
    return text if len(text) <= _QUOTED_CHARACTERS else text[:_QUOTED_CHARACTERS] + "…"


def _expected(dtype: DType) -> str:
    if dtype.is_string:
        return 'strings, or bytes as {"b64": "…"}'
    if dtype.name == "bool":
        return "true or false"
    return f"numbers ({dtype.name})" if dtype.is_float else f"whole numbers ({dtype.name}), written without a point"


def _place(at: tuple[int, ...]) -> str:
    return "".join(f"[{i}]" for i in at)


def _names(names: Any) -> str:
    listed = [repr(str(name)[:_QUOTED_CHARACTERS]) for name in list(names)[:16]]
    return ", ".join(listed) or "nothing"
