"""Which encoder writes which format.

jsonl ──▶ json_encoder.py        csv, tsv, tfrecord, parquet, arrow ──▶ arrow_encoders.py
"""

from typing import Any

from signet.clients.score import formats
from signet.clients.score.formats import Format
from signet.clients.score.output import json_encoder
from signet.clients.score.output.answers import Encode


def encoder(output: Format) -> Encode:
    """What makes blocks of a format. Raises `UsageError` when the library that it needs is not installed."""
    if output.name == "jsonl":
        return json_encoder.encode
    formats.pyarrow(f"writing {output.name}")
    from signet.clients.score.output import arrow_encoders  # noqa: PLC0415  # needs pyarrow

    return arrow_encoders.ENCODERS[output.name]


def rows(output: Format, block: Any) -> int | None:
    """Rows in a block; None where that cannot be seen without parsing it."""
    if output.name in formats.UNCOMPRESSED:
        return int(block.num_rows)
    return int(block.count(b"\n")) if output.name == "jsonl" else None
