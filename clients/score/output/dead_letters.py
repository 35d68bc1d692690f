"""Rows that could not be scored, a line of JSON each: where they stood, why, and what they held.

{"source": "rows.jsonl", "at": "line 3", "reason": "input 'x' has shape (2,); …", "row": {"id": 7, "x": [1, 2]}}
"""

from dataclasses import dataclass

from signet.clients.client import values
from signet.clients.score.input.chunks import Chunk
from signet.clients.score.input.rows import ParsedRows
from signet.serving.errors import UsageError


class TooManyBadRows(UsageError):
    """More rows than `--max-bad` cannot be scored."""

    exit_code = 4


@dataclass(frozen=True)
class DeadLetters:
    """The bad rows of a chunk."""

    lines: tuple[bytes, ...] = ()
    first: str = ""
    """Where the first one stood and why it is bad, for people."""


def letters(chunk: Chunk, batch: ParsedRows) -> DeadLetters:
    """Those of the rows that the batch holds to be bad, in their order."""
    lines = []
    for place, reason in sorted(batch.bad.items()):
        letter = {
            "source": chunk.source.shown,
            "at": batch.where(place),
            "reason": reason,
            "row": batch.original(place),
        }
        lines.append(values.dumps(letter) + b"\n")
    if not lines:
        return DeadLetters()
    place = min(batch.bad)
    return DeadLetters(tuple(lines), f"{chunk.source.shown} {batch.where(place)}: {batch.bad[place]}")


def check_few(bad: int, most: int | None, first: str, where: str) -> None:
    """Raise `TooManyBadRows` when there are more than allowed. most: None for any number."""
    if most is None or bad <= most:
        return
    if most == 0:
        raise TooManyBadRows(first)
    raise TooManyBadRows(f"{bad} rows cannot be scored, --max-bad is {most}; the last was {first}. {where}")
