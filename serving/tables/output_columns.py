"""The columns that a model's outputs become.

digit: float (None, 10)   nested ▶ `digit`, a list of ten       flat ▶ `digit_0` … `digit_9`
age: float (None, 1)      nested ▶ `age`, a list of one         flat ▶ `age`
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any

from signet.serving.errors import UsageError
from signet.serving.tensors.arrays import Array
from signet.serving.tensors.signature import Signature, TensorSpec, shape_text

_MOST_FLAT = 10_000


@dataclass(frozen=True)
class OutputColumn:
    """A column, and where it comes from."""

    name: str
    output: str
    spec: TensorSpec
    place: tuple[int, ...] | None
    """The place of the element within a row of the output; None: the column holds the whole row."""

    def of(self, array: Array) -> Array:
        """The column's values, out of those of the output: rows first."""
        if self.place is None:
            return array
        element: Any = (slice(None), *self.place)
        column: Array = array[element]
        return column


def output_columns(signature: Signature, prefix: str, flat: bool) -> tuple[OutputColumn, ...]:
    """The columns, in the order of the outputs. Raises `UsageError` when an output of unknown size is to be flat."""
    if not flat:
        return tuple(OutputColumn(prefix + name, name, spec, None) for name, spec in signature.outputs.items())
    return tuple(column for name, spec in signature.outputs.items() for column in _flat(prefix, name, spec))


def can_be_flat(signature: Signature) -> bool:
    """Whether every output has a fixed number of elements in a row."""
    return all(spec.shape is not None and None not in spec.shape[1:] for spec in signature.outputs.values())


def names_of(name: str, spec: TensorSpec) -> list[str] | None:
    """The names of the flat columns of an output; None where their number is not fixed, or very large.

    A lone column is one of single values only where the input that is called so would take them: for (None, 1), not (None, 1, 1).
    """
    inner = spec.shape[1:] if spec.shape else () if spec.shape == () else None
    sizes = [size for size in inner or () if size is not None]
    if (
        inner is None
        or len(sizes) < len(inner)
        or math.prod(sizes) > _MOST_FLAT
        or (len(sizes) > 1 and math.prod(sizes) == 1)
    ):
        return None
    return [column.name for column in _flat("", name, spec)]


def _flat(prefix: str, name: str, spec: TensorSpec) -> list[OutputColumn]:
    inner = None if spec.shape is None else spec.shape[1:]
    if inner is None or None in inner:
        raise UsageError(
            f"output {name!r} of shape {shape_text(spec.shape)} has no fixed number of columns; leave it nested"
        )
    sizes = [size for size in inner if size is not None]
    if math.prod(sizes) > _MOST_FLAT:
        raise UsageError(
            f"output {name!r} would become {math.prod(sizes)} columns, the most is {_MOST_FLAT}; leave it nested"
        )
    places = list(itertools.product(*map(range, sizes)))
    if len(places) == 1:
        return [OutputColumn(prefix + name, name, spec, places[0])]
    return [OutputColumn("_".join([prefix + name, *map(str, place)]), name, spec, place) for place in places]
