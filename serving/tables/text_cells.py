"""Texts as the values of an input: cells of CSV, parts of a form.

pixels: float    "0.5" ".5" "NaN"      ──▶ numbers         "[1, 2]"  ──▶ a list, as JSON has it
ok: bool         "true" "False" "1"    ──▶ truths
text: string     "Where?"              ──▶ the text        '{"b64": "/w=="}' ──▶ bytes
words: string of lists of texts        ──▶ JSON: '["to", "be"]'
"""

import re
from typing import Any

import numpy as np

from signet.serving.errors import InvalidInput
from signet.serving.json_arrays import parsing
from signet.serving.json_arrays.values import QUOTED_CHARACTERS, is_base64, unbase64
from signet.serving.tensors.arrays import Array
from signet.serving.tensors.dtypes import DType
from signet.serving.tensors.signature import TensorSpec

_TRUTHS = {"true": True, "false": False, "1": True, "0": False}
_WHOLE = re.compile(r"[+-]?\d{1,40}")
_DECIMAL = re.compile(
    r"[+-]?(?:\d{1,400}\.?\d{0,400}|\.\d{1,400})(?:[eE][+-]?\d{1,9})?|[+-]?(?:nan|inf|infinity)", re.IGNORECASE
)
_NOT_PLAIN = re.compile(r'[\[\]{}"]')


def column(spec: TensorSpec, cells: list[str], *, single: bool, where: str) -> Array | list[Any]:
    """The values of texts, one a row. single: whether a single value can be a row; else it is a list in JSON.

    where: where the texts stand, such as `column 'age'`. Raises `InvalidInput`, which names row and text.
    """
    one_by_one = spec.dtype is None or spec.dtype.name == "bool" or (spec.dtype.is_string and single)
    joined = "" if one_by_one else ",".join(cells)
    if joined and not _NOT_PLAIN.search(joined) and joined.count(",") == len(cells) - 1:
        try:
            values = parsing.loads(f"[{joined}]".encode(), trailing=False)
        except InvalidInput:
            pass
        else:
            if len(values) == len(cells):
                return _as_array(spec, values)
    return _as_array(spec, [cell(spec, text, single=single, where=where, row=i) for i, text in enumerate(cells)])


def cell(spec: TensorSpec, text: str, *, single: bool, where: str, row: int) -> Any:
    """The value of one text; raises as `column` does. row: counted from 0."""
    dtype = spec.dtype
    if dtype is not None and dtype.is_string and single:
        return _string(spec, text, where, row)
    stripped = text.strip()
    if not stripped:
        raise InvalidInput(f"input {spec.name!r} has no value in row {row + 1}: {where} is empty there")
    if stripped[0] in "[{" or (dtype is not None and dtype.is_string):
        try:
            return parsing.loads(stripped.encode(), trailing=False)
        except InvalidInput as error:
            raise InvalidInput(f"input {spec.name!r}, row {row + 1} of {where}: {error}") from error
    value = None if dtype is None else _number(dtype, stripped)
    if value is None:
        takes = dtype.name if dtype else "a type that cannot be sent"
        raise InvalidInput(
            f"input {spec.name!r} is the text {_quoted(text)} in row {row + 1} of {where}; the model takes {takes}"
        )
    return value


def _as_array(spec: TensorSpec, values: list[Any]) -> Array | list[Any]:
    """Plain numbers of the kind that is wanted as an array, with which all that follows is quick."""
    if spec.dtype is not None and set(map(type, values)) <= {int, float}:
        array: Array = np.array(values)
        if array.dtype.kind in ("fiu" if spec.dtype.is_float else "iu"):
            return array
    return values


def _string(spec: TensorSpec, text: str, where: str, row: int) -> Any:
    if text.startswith('{"b64"'):
        try:
            value = parsing.loads(text.encode(), trailing=False)
            if is_base64(value):
                return unbase64(value["b64"])
        except InvalidInput:
            return text  # no more than a text that begins so
        except ValueError as error:
            raise InvalidInput(
                f"input {spec.name!r}, row {row + 1} of {where}: {_quoted(text)} is no base64"
            ) from error
    return text


def _number(dtype: DType, text: str) -> Any:
    """A number or truth as people write it, beyond what JSON allows; None: it is none."""
    if dtype.name == "bool":
        return _TRUTHS.get(text.lower())
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if dtype.is_float and _DECIMAL.fullmatch(text) else None


def _quoted(text: str) -> str:
    return repr(text if len(text) <= QUOTED_CHARACTERS else text[:QUOTED_CHARACTERS] + "…")
