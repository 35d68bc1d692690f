"""Answers as lines of JSON: what is carried along, then the outputs.

{"id": 7}, digit: float32 (10,) ──encode──▶ b'{"id":7,"digit":[0.1, …]}\\n'
"""

import numpy as np

from signet.clients.client import values
from signet.clients.score.input.rows import ParsedRows
from signet.clients.score.output.answers import Answers
from signet.clients.score.plan import Plan
from signet.serving.tensors.arrays import Array


def encode(plan: Plan, rows: ParsedRows, answers: Answers) -> bytes:
    """The `Encode` of JSONL."""
    places = sorted(place for some, _ in answers for place in some)
    lines = dict(zip(places, ({**row} for row in rows.carried(places)), strict=True))
    for some, outputs in answers:
        for column in plan.output_columns:
            array = _as_json_has_it(column.of(outputs[column.output]))
            for place, value in zip(some, values.to_json_rows(column.output, array, plan.non_finite), strict=True):
                lines[place][column.name] = value
    return b"".join(values.dumps(line) + b"\n" for line in lines.values())


def _as_json_has_it(array: Array) -> Array:
    """Numbers of two bytes in a type that JSON has room for."""
    if array.dtype.name in ("float16", "bfloat16"):
        return array.astype(np.float32)
    return array.astype(np.int32) if array.dtype == np.uint16 else array
