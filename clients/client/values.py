"""What callers hold – arrays, lists, strings, bytes – as named arrays that a signature takes, and arrays as JSON.

    {"pixels": [[0, 3, …]]} ──to_arrays──▶ {"pixels": float32 (1, 64)} ──to_json──▶ JSON ──from_json──▶ array

Whatever the caller holds, the rules are those of the server's JSON dialect: any number becomes a float, a whole number
another width that has room for it; nothing else is cast. A string tensor is an array of dtype object that holds bytes.
"""

import base64
import decimal
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from signet.clients.client.answer import Answer
from signet.serving.errors import InvalidInput, Unsupported
from signet.serving.json_arrays.inputs import to_input
from signet.serving.json_arrays.values import MAX_DEPTH
from signet.serving.tensors import dtypes
from signet.serving.tensors.arrays import Array, Arrays
from signet.serving.tensors.signature import Signature, TensorSpec

_JSON_TYPES = {bool, int, float, str, dict, type(None)}
NOT_IN_JSON = {"half", "bfloat16", "uint16", "complex64", "complex128"}
"""Dtypes that TensorFlow Serving's JSON does not carry."""


def to_arrays(inputs: Mapping[str, Any], signature: Signature) -> Arrays:
    """The inputs as the signature takes them. Raises `InvalidInput`, which says what is expected and what came."""
    signature.check_names(inputs)
    arrays = {name: to_array(spec, inputs[name]) for name, spec in signature.inputs.items()}
    signature.check_rows(arrays)
    return arrays


def to_array(spec: TensorSpec, value: Any) -> Array:
    """One input: an array, anything that turns into one, or nested lists of numbers, strings, bytes or arrays.

    A `Path` stands for what the file holds, where the model takes strings.
    """
    if spec.dtype is None:
        raise Unsupported(f"input {spec.name!r} has a type that cannot be sent")
    if hasattr(value, "__array__"):
        _check_not_masked(spec, value)
        array = np.asarray(value)
        if array.dtype != object:
            return spec.check(_cast(spec, array))
        value = array.tolist()
    if spec.dtype.name in NOT_IN_JSON:
        return spec.check(_cast(spec, _regular(spec, value)))
    types = _types(spec, value)
    if not types <= _JSON_TYPES | {bytes}:
        value = _plain(spec, value)
        types = _types(spec, value)
    if spec.dtype.is_string and types and types <= {str, bytes}:
        array = np.array(value, object)
        if all(isinstance(element, str | bytes) for element in array.flat):
            return spec.check(array)  # else its rows have different lengths, which is explained below
    return from_json(spec, _with_base64(value) if bytes in types else value, has_booleans=bool in types)


def from_json(spec: TensorSpec, value: Any, *, has_booleans: bool) -> Array:
    """A value as a JSON parser gives it, held against the spec by the server's own rules.

    has_booleans: whether true or false may stand in it; each element is then looked at, which takes longer.
    """
    return spec.in_shape(to_input(spec, value, has_booleans))


def to_json(name: str, array: Array) -> Any:
    """An array as something that `dumps` writes. Numbers that are not finite become bare NaN, Infinity, -Infinity.

    Strings become text, or {"b64": "…"} where they are no UTF-8 or the name ends in `_bytes`.
    """
    if array.dtype == object:
        return _strings(array, as_base64=name.endswith("_bytes"))
    dtype = dtypes.from_numpy(array.dtype)
    if dtype.name in NOT_IN_JSON:
        raise Unsupported(f"{name!r} is {dtype.name}, which JSON cannot carry; use GrpcClient")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return orjson.Fragment(json.dumps(_short_floats(array)))
    return np.ascontiguousarray(array) if array.ndim else array[()]


def with_texts(outputs: Answer) -> Answer:
    """The outputs as callers get them: text is `str`, but for names that end in `_bytes` and for what is no UTF-8."""
    return Answer(
        {
            name: texts(array) if array.dtype == object and not name.endswith("_bytes") else array
            for name, array in outputs.items()
        },
        outputs.model,
        outputs.version,
    )


def text_of(value: Any) -> Any:
    """Bytes as text where they are UTF-8; anything else as it is."""
    try:
        return value.decode()
    except (UnicodeDecodeError, AttributeError):
        return value


def to_json_rows(name: str, array: Array, non_finite: str = "bare") -> list[Any]:
    """`to_json` of each row. non_finite: `bare` words, `null` or `string`."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        if non_finite != "bare":
            return [in_json(_short_floats(np.asarray(row)), non_finite) for row in array]
        return [to_json(name, np.asarray(row)) for row in array]
    return list(to_json(name, array))


def in_json(value: Any, non_finite: str) -> Any:
    """A value with NaN and infinity as `dumps` is to write them: the `bare` words, `null` or a `string`."""
    if isinstance(value, float) and not math.isfinite(value):
        word = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        return orjson.Fragment(word) if non_finite == "bare" else word if non_finite == "string" else None
    if isinstance(value, list):
        return [in_json(element, non_finite) for element in value]
    if isinstance(value, dict):
        return {key: in_json(element, non_finite) for key, element in value.items()}
    return value


def dumps(document: Any) -> bytes:
    """The JSON text of a document that may hold what `to_json` gave."""
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def loads(text: bytes) -> Any:
    """Read JSON in which NaN, Infinity and -Infinity may stand bare. Raises ValueError, which says where and why."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            return json.loads(text.decode())
        except json.JSONDecodeError as error:
            raise ValueError(f"{error.msg} at character {error.pos}") from None
        except RecursionError:
            raise ValueError("it is nested too deeply") from None


def _cast(spec: TensorSpec, array: Array) -> Array:
    """The array in the spec's dtype where JSON would let it through; else as it came."""
    dtype, kind = spec.dtype, array.dtype.kind
    assert dtype is not None, "the caller has looked"
    if array.dtype == dtype.numpy:
        return array
    floating = dtype.is_float or dtype.name == "bfloat16"
    if (floating and kind in "fiu") or (dtype.numpy.kind == "c" and kind in "fiuc"):
        with np.errstate(over="ignore"):  # beyond float32 is infinity, as on the server
            return array.astype(dtype.numpy)
    if dtype.numpy.kind in "iu" and kind in "iu":
        limits = np.iinfo(dtype.numpy)
        if array.size and not (limits.min <= array.min() and array.max() <= limits.max):
            raise InvalidInput(
                f"input {spec.name!r} holds {array.min()} to {array.max()}; "
                f"{dtype.name} goes from {limits.min} to {limits.max}"
            )
        return array.astype(dtype.numpy)
    return array


def _types(spec: TensorSpec, value: Any, depth: int = 0) -> set[type]:
    """The types of what stands in nested lists; other than lists, tuples are named too."""
    if not isinstance(value, list | tuple):
        return {type(value)}
    if depth > MAX_DEPTH:
        raise InvalidInput(f"input {spec.name!r}: lists are nested deeper than {MAX_DEPTH}")
    types = set(map(type, value))
    if list in types or tuple in types:
        types.discard(list)
        types.update(*(_types(spec, element, depth + 1) for element in value))
    return types | {tuple} if isinstance(value, tuple) else types


def _plain(spec: TensorSpec, value: Any) -> Any:
    """Lists of JSON's own types and bytes, from lists of whatever else."""
    if isinstance(value, list | tuple):
        return [_plain(spec, element) for element in value]
    if hasattr(value, "__array__"):
        _check_not_masked(spec, value)
        return np.asarray(value).tolist()
    if isinstance(value, bool | int | float | str | bytes | dict | None):
        return value
    if isinstance(value, decimal.Decimal):
        return int(value) if value.is_finite() and value == value.to_integral_value() else float(value)
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, os.PathLike):
        return _content(spec, value)
    raise InvalidInput(f"input {spec.name!r} holds {type(value).__name__}; expected numbers, strings, bytes or arrays")


def _check_not_masked(spec: TensorSpec, value: Any) -> None:
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise InvalidInput(f"input {spec.name!r} is a masked array, and some of it is masked; fill it first")


def _content(spec: TensorSpec, path: os.PathLike[str]) -> bytes:
    assert spec.dtype is not None, "the caller has looked"
    if not spec.dtype.is_string:
        raise InvalidInput(f"input {spec.name!r} holds the path of a file; the model takes {spec.dtype.name}")
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidInput(f"input {spec.name!r}: {path} cannot be read: {error.strerror}") from error


def _regular(spec: TensorSpec, value: Any) -> Array:
    try:
        return np.asarray(value)
    except ValueError as error:
        raise InvalidInput(f"input {spec.name!r} has rows of different lengths") from error


def _with_base64(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_base64(element) for element in value]
    return {"b64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _strings(array: Array, as_base64: bool) -> Any:
    if array.ndim:
        return [_strings(np.asarray(element, object), as_base64) for element in array]
    return _string(array[()], as_base64)


def texts(array: Array) -> Array:
    """An array of strings with text in place of bytes, where they are UTF-8."""
    found = np.empty(array.size, object)
    found[:] = [text_of(value) for value in array.flat]
    return found.reshape(array.shape)


def _string(value: Any, as_base64: bool) -> Any:
    if isinstance(value, str):
        return value
    if not as_base64:
        try:
            return value.decode()
        except UnicodeDecodeError:
            pass
    return {"b64": base64.b64encode(value).decode()}


def _short_floats(array: Array) -> Any:
    """Floats with as few digits as tell them apart: 0.1 of float32 is 0.1, not 0.10000000149011612."""
    return [_short_floats(element) for element in array] if array.ndim else float(str(array))
