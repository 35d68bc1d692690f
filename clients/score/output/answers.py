"""What the model said of a chunk's rows, and what becomes of them: the types that scoring, encoding and writing share.

rows, outputs ──Encode──▶ block: lines of JSON, CSV or TFRecords as bytes, or an Arrow table
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from signet.clients.score.input.chunk import Position
from signet.clients.score.input.rows import ParsedRows
from signet.clients.score.output.dead_letters import DeadLetters
from signet.clients.score.plan import Plan
from signet.serving.tensors.arrays import Arrays

Answers = list[tuple[list[int], Arrays]]
"""Outputs of the rows at these places in the chunk; together all rows that are written."""
Encode = Callable[[Plan, ParsedRows, Answers], Any]
"""(plan, rows, their outputs) -> block"""


@dataclass(frozen=True)
class ScoredChunk:
    """A chunk with its answers, ready to be written: every row is in the block or among the dead letters."""

    rows: int
    """Rows that were read."""
    written: int
    """Rows in the block; the others have dead letters."""
    source_bytes: int
    end: Position
    block: Any
    letters: DeadLetters
    fingerprint: bytes
    """Hash of the rows that were read, where the source is a pipe; else empty."""
