"""A chunk's answers in the form in which they are written: lines of JSON here, all that needs Arrow in `arrow_encoders.py`.

rows, outputs ──encoder──▶ b'{"id":7,"digit":[0.1, …]}\\n…'  │  CSV or TFRecords as bytes  │  an Arrow table
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from signet.clients.client import values
from signet.clients.score import formats
from signet.clients.score.formats import Format
from signet.clients.score.input.rows import ParsedRows
from signet.clients.score.plan import Plan
from signet.serving.tensors.arrays import Array, Arrays

Answers = list[tuple[list[int], Arrays]]
"""Outputs of the rows at these places; together all rows that are written."""
Encode = Callable[[Plan, ParsedRows, Answers], Any]
"""(plan, rows, their outputs) -> bytes or a table"""


def has_schema(output: Format) -> bool:
    """Whether all rows have the same columns, with types."""
    return output.name != "jsonl"


def no_columns() -> Any:
    """The Arrow schema of nothing."""
    return formats.pyarrow("writing").schema([])


def encoder(output: Format) -> Encode:
    """What makes blocks of a format."""
    if output.name == "jsonl":
        return jsonl
    formats.pyarrow(f"writing {output.name}")
    from signet.clients.score.output import arrow_encoders  # noqa: PLC0415  # needs pyarrow

    return arrow_encoders.ENCODERS[output.name]


def rows(output: Format, block: Any) -> int | None:
    """Rows in a block; None where that cannot be seen without parsing it."""
    if output.name in formats.UNCOMPRESSED:
        return int(block.num_rows)
    return int(block.count(b"\n")) if output.name == "jsonl" else None


def jsonl(plan: Plan, batch: ParsedRows, answers: Answers) -> bytes:
    """Lines of JSON."""
    places = sorted(place for some, _ in answers for place in some)
    rows = dict(zip(places, ({**row} for row in batch.carried(places)), strict=True))
    for some, outputs in answers:
        for column in plan.output_columns:
            array = _as_json_has_it(column.of(outputs[column.output]))
            for place, value in zip(some, values.to_json_rows(column.output, array, plan.non_finite), strict=True):
                rows[place][column.name] = value
    return b"".join(values.dumps(row) + b"\n" for row in rows.values())


def _as_json_has_it(array: Array) -> Array:
    """Numbers of two bytes in a type that JSON has room for."""
    if array.dtype.name in ("float16", "bfloat16"):
        return array.astype(np.float32)
    return array.astype(np.int32) if array.dtype == np.uint16 else array
