"""Tables of pandas, polars and pyarrow as inputs, and outputs as tables of the same kind.

    frame ──inputs──▶ {"pixels": …, …} ──predict──▶ {"digit": (n, 10)} ──like──▶ frame with a column "digit" of lists

None of the three is imported here: a frame brings its own package.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np

from signet.clients.client.calls import CONVERTING, CallSteps
from signet.clients.client.values import texts
from signet.serving.errors import InvalidInput, UsageError
from signet.serving.tables import flat_columns
from signet.serving.tables.columns import side_by_side
from signet.serving.tensors.arrays import Array, Arrays
from signet.serving.tensors.signature import Signature, TensorSpec

Frame = TypeVar("Frame")
"""A pandas or polars DataFrame, a pyarrow Table or RecordBatch."""

ROWS = 1024
"""Rows of a frame in one request, unless a caller says otherwise."""


def predicting(
    frame: Any, signature: Signature, rows: int, predict: Callable[[dict[str, Any]], CallSteps[Arrays]]
) -> CallSteps[Any]:
    """A frame of outputs, from as many calls as it takes with so many rows each."""
    kind(frame)
    answers = []
    for part in _parts(frame, rows):
        try:
            given = inputs(part, signature)
        except CONVERTING as error:
            raise InvalidInput(f"the frame cannot be sent: {type(error).__name__}: {error}") from error
        answers.append((yield from predict(given)))
    outputs = {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}
    for name, array in outputs.items():
        if len(array) != len(frame):
            raise InvalidInput(f"output {name!r} has {len(array)} rows for the {len(frame)} of the frame")
    return like(frame, outputs)


def check(frame: Any, rows: int) -> None:
    """Raise `InvalidInput` for what is no table, and for no number of rows."""
    kind(frame)
    if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:
        raise InvalidInput(f"rows is {rows!r}; expected how many go into a request, at least 1")


def fits(frame: Any, rows: int) -> bool:
    """Whether the frame goes into one request of so many rows."""
    kind(frame)
    return len(frame) <= rows


def kind(frame: Any) -> str:
    """The package of a frame: pandas, polars or pyarrow. Raises `InvalidInput` for anything else."""
    package = type(frame).__module__.partition(".")[0]
    if type(frame).__name__ == "LazyFrame":
        raise InvalidInput("the frame is a LazyFrame, whose rows are not there yet; expected what .collect() gives")
    if package not in ("pandas", "polars", "pyarrow") or not hasattr(frame, "columns"):
        name = f"{type(frame).__module__}.{type(frame).__name__}"
        raise InvalidInput(f"the frame is a {name}; expected a DataFrame of pandas or polars, or a Table of pyarrow")
    return package


def inputs(frame: Any, signature: Signature) -> dict[str, Any]:
    """The columns that are inputs, as `values.to_arrays` takes them. Raises `InvalidInput` for those that are missing."""
    names = list(frame.column_names if kind(frame) == "pyarrow" else frame.columns)
    found = {name: (name,) if name in names else _flat(name, names) for name in signature.inputs}
    if not all(found.values()):
        signature.check_names([*map(str, names), *(name for name, columns in found.items() if columns)])
    for name in (name for columns in found.values() for name in columns):
        if names.count(name) > 1:
            raise InvalidInput(f"the frame has two columns {name!r}; each needs a name of its own")
    return {
        name: _column(spec, _values(frame, found[name][0]))
        if found[name] == (name,)
        else side_by_side(spec, [_values(frame, column) for column in found[name]])
        for name, spec in signature.inputs.items()
    }


def like(frame: Any, outputs: Arrays) -> Any:
    """The outputs as a frame of the same kind; of pandas, with the same index."""
    columns = {name: _cells(array) for name, array in outputs.items()}
    package = kind(frame)
    if package == "pandas":
        return type(frame)(columns, index=frame.index)
    return type(frame).from_pydict(columns) if package == "pyarrow" else type(frame)(columns)


def _parts(frame: Any, rows: int) -> Iterator[Any]:
    for start in range(0, max(1, len(frame)), rows):
        if kind(frame) == "pandas":
            yield frame.iloc[start : start + rows]
        else:
            yield frame.slice(start, rows)


def _values(frame: Any, name: str) -> Any:
    """A column as an array of numbers, or as a list of what stands in its cells."""
    column = frame[name]
    package = kind(frame)
    if package == "pyarrow":
        return column.to_numpy(zero_copy_only=False) if str(column.type) in _PLAIN else column.to_pylist()
    if package == "polars":
        return column.to_numpy() if str(column.dtype).lower() in _PLAIN else column.to_list()
    return column.to_numpy() if str(column.dtype) in _PLAIN else column.tolist()


def _flat(name: str, names: list[Any]) -> tuple[str, ...]:
    try:
        return flat_columns.of(name, names)
    except UsageError as error:
        raise InvalidInput(f"the frame's columns for the input {name!r}: {error}") from error


def _column(spec: TensorSpec, cells: Any) -> Any:
    """The cells as the spec's rows: arrays of one shape are stacked."""
    if isinstance(cells, list) and cells and all(isinstance(cell, np.ndarray) for cell in cells):
        if len({cell.shape for cell in cells}) > 1:
            raise InvalidInput(f"input {spec.name!r} has rows of different lengths")
        cells = np.stack(cells)
    return cells


def _cells(array: Array) -> Any:
    """An output as a column: rows of one value as that value, others as lists; strings as text where they are UTF-8."""
    if array.dtype == object:
        array = texts(array)
    if math.prod(array.shape[1:]) != 1:
        return array.tolist()
    column = array.reshape(len(array))
    return column.tolist() if array.dtype == object else column


_PLAIN = {
    *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
    *("float", "double", "float16", "float32", "float64", "halffloat", "bool", "boolean"),
}
"""The names of the three packages for dtypes of numbers, none of which may be missing."""
