"""The columns of a table as the inputs of a signature.

    names of columns ──of_inputs──▶ {"id": ("id",), "pixels": ("pixels_0", …, "pixels_63")}    one, or several side by side
    values by column ──arrays─────▶ {"id": (n, 1), "pixels": (n, 64)}                           as JSON's rows would give them

A row of the table is a row of each input. Where an input has no rows, being a scalar, the table has one row: the request.
The values are those of JSON – numbers, truths, texts in lists, arrays of them – and bytes; the rules are JSON's too.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from signet.serving.errors import InvalidInput, UsageError
from signet.serving.json_arrays.inputs import to_input
from signet.serving.tables import flat_columns
from signet.serving.tensors.arrays import Array, Arrays
from signet.serving.tensors.padding import PaddingRule
from signet.serving.tensors.signature import Signature, TensorSpec

Column = Array | list[Any]
"""The values of a column, one a row."""

_INDEX = {"", "Unnamed: 0", "__index_level_0__", "index", "level_0"}
"""What pandas calls the index of a frame where it writes it as a column."""
_WITHOUT_INDEX = ". Is it the index of a data frame? Write it without: index=False"


def have_rows(specs: Iterable[TensorSpec]) -> bool:
    """Whether each of the tensors has rows, and there are not two fixed numbers of them."""
    shapes = [spec.shape for spec in specs]
    counts = {shape[0] for shape in shapes if shape}
    return () not in shapes and len(counts - {None}) <= 1


def of_inputs(signature: Signature, names: Sequence[str], what: str) -> dict[str, tuple[str, ...]]:
    """The columns of each input: the one of its name, or `x_0`, `x_1` … side by side.

    what: what the columns are of, for messages, such as `the CSV body`. Raises `InvalidInput` for columns that are
    missing, unknown or there twice.
    """
    twice = next((name for name, times in Counter(names).items() if times > 1), None)
    if twice is not None:
        raise InvalidInput(f"{what} has two columns {twice[:100]!r}; each needs a name of its own")
    there = set(names)
    found = {name: (name,) if name in there else _flat(name, names, what) for name in signature.inputs}
    used = {column for columns in found.values() for column in columns}
    unknown = [name for name in names if name not in used]
    if unknown or not all(found.values()):
        try:
            signature.check_names([*unknown, *(name for name, columns in found.items() if columns)], f"{what}: ")
        except InvalidInput as error:
            raise InvalidInput(f"{error}{_WITHOUT_INDEX if _INDEX.intersection(unknown) else ''}") from None
    return found


def arrays(
    found: Mapping[str, tuple[str, ...]],
    column: Callable[[TensorSpec, str, bool], Column],
    signature: Signature,
    fill: PaddingRule | None,
) -> Arrays:
    """The inputs. found: what `of_inputs` gave. column(spec, name, alone) gives a column's values.

    fill: where given, rows of different lengths are filled up to the longest. Raises `InvalidInput`.
    """
    in_rows = have_rows(signature.inputs.values())
    made: Arrays = {}
    for name, spec in signature.inputs.items():
        rows = spec if in_rows else with_rows(spec)
        values = [column(rows, each, len(found[name]) == 1) for each in found[name]]
        value: Any = values[0] if len(values) == 1 else side_by_side(rows, values)
        if isinstance(value, np.ndarray):
            value = shaped(value, rows.shape)
        made[name] = _to_array(spec, value if in_rows else _only(value, spec), fill)
    if len(made) > 1:
        signature.check_rows(made)
    return made


def shaped(array: Array, shape: tuple[int | None, ...] | None) -> Array:
    """Rows of flat numbers in the input's shape, when that is known and has room for just so many."""
    if shape is None or array.shape[1:] == shape[1:] or None in shape[1:]:
        return array
    inner = tuple(size for size in shape[1:] if size is not None)
    flat = sum(size != 1 for size in array.shape[1:]) <= 1
    return array.reshape(len(array), *inner) if flat and math.prod(array.shape[1:]) == math.prod(inner) else array


def side_by_side(spec: TensorSpec, columns: list[Any]) -> Any:
    """Columns of single values as the spec's rows."""
    if all(isinstance(cells, np.ndarray) and cells.ndim == 1 for cells in columns):
        found = np.stack(columns, axis=1)
        inner = spec.shape[1:] if spec.shape else ()
        fits = None not in inner and math.prod(size or 1 for size in inner) == len(columns)
        return found.reshape(len(found), *inner) if fits else found
    lists = [cells.tolist() if isinstance(cells, np.ndarray) else cells for cells in columns]
    rows = [list(cells) for cells in zip(*lists, strict=True)]
    return [flat_columns.nested(cells, spec.shape[1:]) for cells in rows] if spec.shape else rows


def takes_single(spec: TensorSpec, rows: int) -> bool:
    """Whether a single value, such as a text, can be a row of the input."""
    return spec.fits(spec.fitted((rows,)))


def with_rows(spec: TensorSpec) -> TensorSpec:
    """The spec of a table's column for a tensor that has no rows: a row is the whole of it."""
    return replace(spec, shape=None if spec.shape is None else (None, *spec.shape))


def rows_out(outputs: Arrays, specs: Mapping[str, TensorSpec]) -> tuple[Arrays, Mapping[str, TensorSpec]]:
    """The outputs with the rows that a table has, and their specs; where they have no rows, one for all of the answer.

    Raises `InvalidInput` where they differ in the number of rows.
    """
    if not have_rows([specs[name] for name in outputs]):
        arrays = {name: array[np.newaxis, ...] for name, array in outputs.items()}
        return arrays, {name: with_rows(specs[name]) for name in outputs}
    counts = {name: len(array) for name, array in outputs.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name!r} has {count}" for name, count in counts.items())
        raise InvalidInput(
            f"the outputs have different numbers of rows ({listed}), which no table can hold; ask for JSON"
        )
    return outputs, specs


def _flat(name: str, names: Sequence[str], what: str) -> tuple[str, ...]:
    try:
        return flat_columns.of(name, names)
    except UsageError as error:
        raise InvalidInput(f"{what}, columns of the input {name!r}: {error}") from error


def _to_array(spec: TensorSpec, value: Any, fill: PaddingRule | None) -> Array:
    """One input's value as its tensor. Raises `InvalidInput`."""
    if isinstance(value, np.ndarray):
        if spec.dtype is not None and spec.dtype.numpy.kind == "c":
            return spec.check(_complex(spec, value))
        if value.dtype == object:
            return spec.check(value)
    return spec.in_shape(to_input(spec, value, has_booleans=not isinstance(value, np.ndarray), fill=fill))


def _only(rows: Any, spec: TensorSpec) -> Any:
    """The one row of a request whose inputs have none."""
    if len(rows) != 1:
        raise InvalidInput(
            f"input {spec.name!r} has {len(rows)} rows; the signature takes no rows: send one for all of it"
        )
    return rows[0, ...] if isinstance(rows, np.ndarray) else rows[0]


def _complex(spec: TensorSpec, pairs: Array) -> Array:
    assert spec.dtype is not None, "the caller has looked"
    if pairs.dtype.kind not in "fiu" or not pairs.ndim or pairs.shape[-1] != 2:
        raise InvalidInput(
            f"input {spec.name!r} is {spec.dtype.name}: expected lists of two numbers, real and imaginary"
        )
    parts = np.ascontiguousarray(pairs, np.float32 if spec.dtype.name == "complex64" else np.float64)
    return parts.view(spec.dtype.numpy)[..., 0]
