"""JSON bodies of TensorFlow Serving's REST dialect <-> named arrays.

    {"instances": [{"text": [4, 7], "question": [2]}, …]}      rows      ──▶ {"text": (n, 2), "question": (n, 1)}
    {"inputs": {"text": [[4, 7], …], "question": [[2], …]}}    columns   ──▶ the same
    {"predictions": [...]}  rows   ◀── outputs ──▶   {"outputs": ...}  columns

`parse` reads the text, `decode` makes arrays that fit a signature, `encode` writes the answer in the request's form.
A signature with one input may leave its name out, and the only output has none. Strings are JSON strings, or bytes as
{"b64": "…"}; an output is written as b64, all of it, when its name ends in `_bytes` or a string in it is not UTF-8.
Beyond the dialect half, bfloat16 and uint16 are numbers too. Source: `json_tensor.cc`, `api_rest.md`.
"""

import base64
import enum
import json
from collections.abc import Collection
from typing import Any, NamedTuple, NoReturn, get_args

import numpy as np
import orjson

from signet.serving.errors import InvalidInput
from signet.serving.json_arrays import number_arrays, parsing, values
from signet.serving.json_arrays.inputs import JSON_DTYPES, to_input
from signet.serving.json_arrays.non_finite import NonFinite, is_finite, text
from signet.serving.json_arrays.values import QUOTED_CHARACTERS, described
from signet.serving.tensors import dtypes
from signet.serving.tensors.arrays import Array, Arrays
from signet.serving.tensors.padding import PaddingRule
from signet.serving.tensors.signature import Signature


class Layout(enum.Enum):
    """How a body lays its tensors out; the answer does the same."""

    ROWS = "instances"
    COLUMNS = "inputs"


class PredictBody(NamedTuple):
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
    non_finite: NonFinite = "bare"
    """How the answer writes numbers that are not finite."""


def parse(body: bytes, read: parsing.Read = number_arrays.loads) -> PredictBody:
    """Read the text of a predict request. Raises `InvalidInput` for broken JSON and for a wrong outer form."""
    document = parsing.loads(body, read)
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
    if len(document) == 1:
        return PredictBody(name, layout, value, may_hold_booleans(value, body))
    return PredictBody(name, layout, value, may_hold_booleans(value, body), **_options(document))


def may_hold_booleans(value: Any, text: bytes) -> bool:
    """Whether there may be `true` or `false` among the values of a body with that text.

    Arrays were read as numbers; to look through their text would take as long as much of the rest.
    """
    if b"true" not in text and b"false" not in text:
        return False
    parts = value.values() if isinstance(value, dict) else [value]
    return not all(isinstance(part, np.ndarray) for part in parts)


def is_named(value: Any) -> bool:
    """Whether a value is an object of named inputs rather than the value of the only one, as {"b64": "…"} is."""
    return isinstance(value, dict) and not values.is_base64(value)


def by_input(rows: list[Any] | Array, names: Collection[str]) -> dict[str, Any] | None:
    """Rows as one list of values per input; None unless each row is an object with exactly the names."""
    try:
        columns = {name: [row[name] for row in rows] for name in names}
    except (LookupError, TypeError):
        return None
    return columns if set(map(len, rows)) == {len(names)} else None


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


def decode(body: PredictBody, signature: Signature, fill: PaddingRule | None = None) -> Arrays:
    """The arrays of a predict request, held against its signature: names, dtypes, shapes and equal rows.

    fill: where given, rows of different lengths are filled up to the longest. Raises `InvalidInput`, which names the
    input, what the model takes and what came.
    """
    if not signature.inputs and (body.layout is Layout.ROWS or not isinstance(body.value, dict)):
        raise InvalidInput(f"signature {signature.name!r} has no inputs: send 'inputs': {{}}")
    columns = _rows(body.value, signature) if body.layout is Layout.ROWS else _columns(body.value, signature)
    arrays = {name: to_input(spec, columns[name], body.has_booleans, fill) for name, spec in signature.inputs.items()}
    for name, spec in signature.inputs.items():
        arrays[name] = spec.in_shape(arrays[name])
    if len(arrays) > 1:
        signature.check_rows(arrays)
    return arrays


def encode(
    outputs: Arrays,
    layout: Layout,
    *,
    named: bool = False,
    non_finite: NonFinite = "bare",
    raw_text: bool = False,
) -> bytes:
    """The answer to a predict request: `predictions` for rows, `outputs` for columns.

    named: whether also the only output gets its name. non_finite: bare NaN, Infinity and -Infinity are what TensorFlow
    Serving writes. raw_text: whether strings that are not UTF-8 are written as they are, as TensorFlow Serving does,
    rather than in base64.
    """
    strict = _encode(outputs, layout, named, "null", raw_text)
    if non_finite == "null" or b"null" not in strict:  # found much sooner than each number is looked at
        return strict
    return _encode(outputs, layout, named, non_finite, raw_text)


def _encode(outputs: Arrays, layout: Layout, named: bool, non_finite: NonFinite, raw_text: bool) -> bytes:
    bare = len(outputs) == 1 and not named
    if layout is Layout.ROWS:
        _check_rows(outputs)
        if bare:
            document: Any = {"predictions": _only(outputs, non_finite, raw_text)}
        else:
            columns = [_row_values(name, array, non_finite, raw_text) for name, array in outputs.items()]
            names = list(outputs)
            document = {"predictions": [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]}
    elif bare:
        document = {"outputs": _only(outputs, non_finite, raw_text)}
    else:
        document = {"outputs": {name: _value(name, outputs[name], non_finite, raw_text) for name in outputs}}
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def encode_error(message: str) -> bytes:
    """An error as TensorFlow Serving writes it: one object with the one key `error`."""
    return orjson.dumps({"error": message})


# Reading


def _rows(rows: Any, signature: Signature) -> dict[str, Any]:
    """Rows, turned into one list of values per input; regular numbers may be an array already."""
    if isinstance(rows, np.ndarray) and len(signature.inputs) == 1:
        return {next(iter(signature.inputs)): rows}
    if not isinstance(rows, list | np.ndarray):
        raise InvalidInput(f"'instances' is {described(rows)}; expected a list, one element a row")
    if not len(rows):
        raise InvalidInput("'instances' is an empty list; expected at least one row")
    names = signature.input_names
    if not is_named(rows[0]):
        if len(names) != 1:
            raise InvalidInput(
                f"'instances' holds plain values, but signature {signature.name!r} has several inputs: "
                f"expected objects with {_names(signature.inputs)}"
            )
        if dict in set(map(type, rows)):  # told apart in C: there may be millions
            for i, row in enumerate(rows):
                if is_named(row):
                    raise InvalidInput(f"'instances'[{i}] is an object; expected plain values as in 'instances'[0]")
        return {next(iter(names)): rows}
    columns = by_input(rows, names)
    if columns is None:
        _refuse_odd_row(rows, signature)
    return columns


def _refuse_odd_row(rows: list[Any] | Array, signature: Signature) -> NoReturn:
    """Raise `InvalidInput` for the first row that is no object with exactly the inputs."""
    for i, row in enumerate(rows):
        if not isinstance(row, dict):
            raise InvalidInput(
                f"'instances'[{i}] is {described(row)}; expected an object with {_names(signature.inputs)}"
            )
        signature.check_names(row, f"'instances'[{i}]: ")
    raise AssertionError("one of the rows is odd")


def _columns(value: Any, signature: Signature) -> dict[str, Any]:
    if is_named(value):
        # TensorFlow Serving ignores surplus names here; a misspelt optional input would go unnoticed.
        signature.check_names(value, "'inputs': ")
        return dict(value)
    if len(signature.inputs) != 1:
        raise InvalidInput(
            f"'inputs' is {described(value)}, but signature {signature.name!r} has several inputs: "
            f"expected an object with {_names(signature.inputs)}"
        )
    return {next(iter(signature.inputs)): value}


# Writing


def _check_rows(outputs: Arrays) -> None:
    for name, array in outputs.items():
        if not array.ndim:
            raise InvalidInput(f"output {name!r} has no rows; ask in columns, with 'inputs' instead of 'instances'")
    if len(outputs) == 1:
        return
    counts = {name: len(array) for name, array in outputs.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name!r} has {count}" for name, count in counts.items())
        raise InvalidInput(f"the outputs have different numbers of rows ({listed}); ask in columns, with 'inputs'")


def _only(outputs: Arrays, non_finite: NonFinite, raw_text: bool) -> Any:
    ((name, array),) = outputs.items()
    return _value(name, array, non_finite, raw_text)


def _row_values(name: str, array: Array, non_finite: NonFinite, raw_text: bool) -> Any:
    """The value of each row. The text of a row is made beforehand only where a number in it is not finite."""
    if array.dtype == object:
        return json_strings(name, array, raw_text)
    numbers = json_numbers(name, array)
    if numbers.dtype.kind != "f" or non_finite == "null" or is_finite(numbers):
        return numbers
    rows = list(numbers)
    for i in np.flatnonzero(~np.isfinite(numbers.reshape(len(rows), -1)).all(axis=1)):
        rows[i] = text(numbers[i, ...], non_finite)
    return rows


def _value(name: str, array: Array, non_finite: NonFinite, raw_text: bool) -> Any:
    """An array as something that orjson writes."""
    if array.dtype == object:
        return json_strings(name, array, raw_text)
    numbers = json_numbers(name, array)
    if numbers.dtype.kind == "f" and non_finite != "null" and not is_finite(numbers):
        return text(numbers, non_finite)
    return numbers if numbers.ndim else numbers[()]


def json_numbers(name: str, array: Array) -> Array:
    """An output's numbers as orjson writes them. Raises `InvalidInput` for those that JSON has no form for."""
    dtype = dtypes.from_numpy(array.dtype).name
    if dtype not in JSON_DTYPES:
        raise InvalidInput(f"output {name!r} is {dtype}, which JSON cannot carry; use gRPC")
    return np.asarray(array, np.float32 if dtype == "bfloat16" else None, order="C")


def json_strings(name: str, array: Array, raw_text: bool = False) -> Any:
    """Nested lists of text, or of {"b64": "…"}: all elements of an output alike, so that a caller knows what comes."""
    flat = array.reshape(-1).tolist()
    texts: list[Any] | None = None if name.endswith("_bytes") else _texts(flat)
    if texts is None:
        raw_text = raw_text and not name.endswith("_bytes")
        texts = [_raw_text(value) if raw_text else {"b64": base64.b64encode(value).decode()} for value in flat]
    nested = np.empty(len(texts), object)
    nested[:] = texts
    return nested.reshape(array.shape).tolist()


def _texts(strings: list[bytes]) -> list[Any] | None:
    """The strings as text; None where one of them is not UTF-8."""
    try:
        return [text.decode() for text in strings]
    except UnicodeDecodeError:
        return None


def _raw_text(value: bytes) -> orjson.Fragment:
    escaped = json.dumps(value.decode(errors="surrogateescape"), ensure_ascii=False)
    return orjson.Fragment(escaped.encode(errors="surrogateescape"))


def _names(names: Any) -> str:
    listed = [repr(str(name)[:QUOTED_CHARACTERS]) for name in list(names)[:16]]
    return ", ".join(listed) or "nothing"
