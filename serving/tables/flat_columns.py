"""Columns side by side that are one input: x_0, x_1 … or, of rows with two dimensions, x_0_0, x_0_1 …

of("x", ["id", "x_1", "x_0"])  ──▶  ("x_0", "x_1")            nested([1, 2, 3, 4], (2, 2))  ──▶  [[1, 2], [3, 4]]
"""

import itertools
import math
import re
from collections.abc import Iterable
from typing import Any

from signet.serving.errors import UsageError


def of(name: str, names: Iterable[str]) -> tuple[str, ...]:
    """The columns of an input in the order of its numbers; empty where there are none. Raises `UsageError` for gaps."""
    pattern = re.compile(re.escape(name) + r"((?:_(?:0|[1-9]\d*))+)")
    places = {
        tuple(map(int, match[1][1:].split("_"))): column
        for column in names
        if isinstance(column, str) and (match := pattern.fullmatch(column))
    }
    if not places:
        return ()
    ordered = sorted(places)
    if len({len(place) for place in ordered}) == 1:
        sizes = [size + 1 for size in ordered[-1]]
        if math.prod(sizes) == len(ordered) and ordered == list(itertools.product(*map(range, sizes))):
            return tuple(places[place] for place in ordered)
    raise UsageError(f"there are {len(places)} columns {name}_N, but not all from {name}_0 on")


def nested(cells: list[Any], inner: tuple[int | None, ...]) -> list[Any]:
    """A row's flat numbers as the lists of its shape, where that is known and has room for just so many."""
    sizes = [size for size in inner if size is not None]
    if len(sizes) < len(inner) or len(sizes) < 2 or math.prod(sizes) != len(cells):
        return cells
    for size in reversed(sizes[1:]):
        cells = [cells[start : start + size] for start in range(0, len(cells), size)]
    return cells
