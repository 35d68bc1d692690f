"""Rows that a signature takes, and the answers to them, as JSON in the form in which predict takes and gives them.

    golden.json ─────────▶ arrays, answers ─┐
    warm-up requests ────▶ arrays ──────────┼──Rows──▶ {"rows": [{"text": "…"}], "answers": [{"answer": "…"}] or null}
    card, made up, tried ▶ arrays, answers ─┘

Where a row alone is no request there is one "row", which holds whole columns. Text is text, bytes are {"b64"}.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import orjson

from signet.serving.errors import ServingError
from signet.serving.gateway.openapi import card_schemas
from signet.serving.gateway.openapi.described_model import DescribedModel, DescribedTensor, in_single_rows
from signet.serving.models import example_rows
from signet.serving.models.model_card import Card
from signet.serving.rest_dialect import json_codec
from signet.serving.rest_dialect.json_codec import Layout
from signet.serving.tensors.arrays import Array, Arrays
from signet.serving.tensors.signature import Signature

MOST_ROWS = 16
MOST_BYTES = 2 << 20
"""Of the rows as JSON; and of the answers."""

GOLDEN, WARM_UP, CARD, MADE_UP = card_schemas.SOURCES


class Rows:
    """Collects the rows of one signature, each once, as many as there may be."""

    def __init__(self, model: DescribedModel, signature: Signature) -> None:
        self._signature, self._tensors = signature, model.inputs(signature)
        self._single = in_single_rows(signature)
        self._rows: dict[bytes, bytes | None] = {}
        """Row -> answer, as JSON."""
        self._bytes = 0
        self.problem = ""
        """Why there are no rows, or not all."""

    @property
    def full(self) -> bool:
        """Whether no more are needed."""
        return len(self._rows) >= (MOST_ROWS if self._single else 1)

    def __bool__(self) -> bool:
        return bool(self._rows)

    def add(self, inputs: Arrays, outputs: Arrays | None = None) -> None:
        """Rows that fit the signature. outputs: what is answered to them, as far as that is known."""
        if not self._single:
            self._add(self._columns(inputs), _answer(outputs or {}, Layout.COLUMNS))
            return
        if not all(array.ndim for array in inputs.values()):
            return
        rows = min(map(len, inputs.values()), default=0)
        known = {name: array for name, array in (outputs or {}).items() if array.ndim and len(array) == rows}
        for i in range(rows):
            if self.full:
                return
            row = self._columns({name: array[i : i + 1] for name, array in inputs.items()}, only_row=True)
            self._add(row, _answer({name: array[i : i + 1] for name, array in known.items()}, Layout.ROWS))

    def body(self, source: str) -> bytes:
        """The answer of the route."""
        answers = list(self._rows.values())
        told = all(answers) and sum(map(len, filter(None, answers))) <= MOST_BYTES
        return orjson.dumps(
            {
                "signature": self._signature.name,
                "source": source,
                "rows": [orjson.Fragment(row) for row in self._rows],
                "answers": [orjson.Fragment(answer) for answer in answers if answer] if told and answers else None,
                "problem": self.problem,
            }
        )

    def _add(self, row: bytes | None, answer: bytes | None) -> None:
        if row is None or row in self._rows or self.full:
            return
        if self._bytes + len(row) > MOST_BYTES:
            self.problem = f"some rows are left out: together they would have more than {MOST_BYTES >> 20} MiB"
            return
        self._bytes += len(row)
        self._rows[row] = answer

    def _columns(self, inputs: Arrays, *, only_row: bool = False) -> bytes | None:
        """Inputs by name as JSON, or of their only row; None for what predict would not take back."""
        values = {}
        for tensor in self._tensors:
            array = inputs[tensor.spec.name]
            if array.dtype != object and array.dtype.kind not in "biu" and not np.isfinite(array).all():
                self.problem = "rows with numbers that are not finite are left out: strict JSON has none"
                return None
            value = _value(tensor, array)
            values[tensor.spec.name] = value[0] if only_row else value
        return orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)


def at_hand(model: DescribedModel, card: Card, signature: Signature) -> tuple[str, Rows]:
    """The rows that a version's folder holds, and where from; there may be none."""
    rows = Rows(model, signature)
    folder = card.folder
    if folder is None:
        return MADE_UP, rows
    for inputs in example_rows.golden(folder, signature):
        # Of rows that hang on each other the answers are those to all of them together.
        alone = in_single_rows(signature) and card.independent(signature.name) is False
        rows.add(inputs, None if alone else example_rows.golden_answers(folder, signature))
    if rows:
        return GOLDEN, rows
    for inputs in _until_full(rows, example_rows.requests(folder, signature)):
        rows.add(inputs)
    return WARM_UP, rows


def _until_full(rows: Rows, found: Iterator[Arrays]) -> Iterator[Arrays]:
    for inputs in found:
        yield inputs
        if rows.full:
            return


def _value(tensor: DescribedTensor, array: Array) -> Any:
    if array.dtype == object:
        return json_codec.json_strings("_bytes" if tensor.holds_bytes else "", array)
    numbers = json_codec.json_numbers(tensor.spec.name, array)
    return numbers if numbers.ndim else numbers[()]


def _answer(outputs: Mapping[str, Array], layout: Layout) -> bytes | None:
    """What predict answers, with names; None where nothing is known, or JSON cannot carry it."""
    if not outputs:
        return None
    try:
        text = json_codec.encode(dict(outputs), layout, named=True, non_finite="string")
    except ServingError:
        return None
    answer = orjson.loads(text)
    return orjson.dumps(answer["predictions"][0] if layout is Layout.ROWS else answer["outputs"])
