"""Parsed rows: what a chunk is to the scoring, whatever file it comes from.

ParsedRows ──groups──▶ [([0, 2], {"x": (2, 5)}), ([1], {"x": (1, 7)})]      arrays, together where the shapes agree
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from signet.serving.tensors.arrays import Array, Arrays
from signet.serving.tensors.signature import TensorSpec

Group = tuple[list[int], Arrays]
"""Rows of equal shapes: their places in the chunk, and their inputs."""


class ParsedRows(Protocol):
    """The rows of one chunk, parsed. What is wrong with a row is found by `groups` at the latest."""

    bad: dict[int, str]
    """Why a row cannot be scored, by its place in the chunk. `groups` adds to it, and then whoever asks the model."""

    def groups(self) -> list[Group]:
        """The inputs of the rows that are not bad; it adds to `bad` those that do not fit."""

    def carried(self, places: list[int]) -> list[dict[str, Any]]:
        """The columns that are written beside the outputs, with values that `values.dumps` writes."""

    def carried_table(self, places: list[int]) -> Any:
        """The columns that are written beside the outputs, as an Arrow table with the plan's schema."""

    def original(self, place: int) -> Any:
        """A row as it came, for `values.dumps`: it goes to the dead letters."""

    def where(self, place: int) -> str:
        """Where a row stands in its file, such as `line 3`, for messages."""


def of_row(spec: TensorSpec) -> TensorSpec:
    """The spec that one row of an input has to fit."""
    return replace(spec, shape=None if spec.shape is None else spec.shape[1:])


def by_shape(rows: Mapping[int, Arrays]) -> list[Group]:
    """Rows by place, stacked where their shapes agree; groups in the order of their first rows."""
    groups: dict[tuple[tuple[int, ...], ...], list[int]] = {}
    for place, arrays in rows.items():
        groups.setdefault(tuple(array.shape for array in arrays.values()), []).append(place)
    return [(places, _stacked([rows[place] for place in places])) for places in groups.values()]


def _stacked(rows: list[Arrays]) -> Arrays:
    return {name: _stack([row[name] for row in rows]) for name in rows[0]}


def _stack(arrays: list[Array]) -> Array:
    return np.stack(arrays)
