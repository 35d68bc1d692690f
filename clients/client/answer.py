"""What a model answers: arrays by the names of its outputs, which a terminal shows short and a notebook as a table."""

import numpy as np

from signet.serving.tensors.arrays import Array, Arrays
from signet.serving.tensors.html_table import table

_MOST_ROWS, _MOST_VALUES, _MOST_CHARACTERS = 10, 4, 60
"""Rows of a table in a notebook; values of one cell; characters of one text."""
_THRESHOLD, _EDGES, _DIGITS = 16, 2, 4
"""Values of an array that a terminal shows whole; of a longer one at each end; digits behind the point."""


class Answer(dict[str, Array]):
    """Outputs by name. A dictionary of arrays, and equal to one, that knows who has answered."""

    def __init__(self, outputs: Arrays, model: str = "", version: int | None = None) -> None:
        """version: the one of the model that has answered; None where the server does not say."""
        super().__init__(outputs)
        self.model, self.version = model, version

    def __repr__(self) -> str:
        with np.printoptions(threshold=_THRESHOLD, edgeitems=_EDGES, precision=_DIGITS):
            return super().__repr__()

    def __reduce__(self) -> tuple[type["Answer"], tuple[Arrays, str, int | None]]:
        return Answer, (dict(self), self.model, self.version)

    def _repr_html_(self) -> str:
        version = "" if self.version is None else f", version {self.version}"
        caption = f"{self.model}{version}"
        rows = {len(array) if array.ndim else None for array in self.values()}
        if len(rows) != 1 or None in rows:  # a model without rows
            cells = [(name, _kind(array), _cell(array)) for name, array in self.items()]
            return table(("output", "", "value"), cells, caption)
        count = len(next(iter(self.values())))
        lines = [[str(i), *(_cell(array[i]) for array in self.values())] for i in range(min(count, _MOST_ROWS))]
        if count > _MOST_ROWS:
            lines.append(["…"] * (len(self) + 1))
            caption += f": {count} rows"
        return table(("", *(f"{name}: {_kind(array)}" for name, array in self.items())), lines, caption)


def _kind(array: Array) -> str:
    return f"{'text' if array.dtype == object else array.dtype} {array.shape}"


def _cell(value: Array) -> str:
    """A row of one output, cut to what a cell can hold."""
    values = np.asarray(value).reshape(-1)
    texts = [_text(one) for one in values[:_MOST_VALUES]]
    return ", ".join(texts) + (f", … ({values.size})" if values.size > _MOST_VALUES else "")


def _text(value: object) -> str:
    text = f"{value:.{_DIGITS}g}" if isinstance(value, float | np.floating) else str(value)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 1]}…"
