"""Dead letters: rows that could not be scored, a line of JSON each, with where they stood, why, and what they held.

{"source": "rows.jsonl", "at": "line 3", "reason": "input 'x' has shape (2,); …", "row": {"id": 7, "x": [1, 2]}}
"""

from dataclasses import dataclass

from signet.clients.client import values
from signet.clients.score.input.chunk import Chunk
from signet.clients.score.input.rows import ParsedRows
from signet.serving.errors import UsageError
from signet.serving.exit_codes import ExitCode


class TooManyBadRows(UsageError):
    """More rows than `--max-bad` cannot be scored."""

    exit_code = ExitCode.TOO_MANY_BAD_ROWS


@dataclass(frozen=True)
class DeadLetters:
    """The bad rows of a chunk."""

    lines: tuple[bytes, ...] = ()
    first: str = ""
    """Where the first bad row stood and why it is bad, for people."""


def letters(chunk: Chunk, rows: ParsedRows) -> DeadLetters:
    """Dead letters of the rows that cannot be scored, in their order."""
    source = chunk.source.shown
    bad = sorted(rows.bad.items())
    lines = [
        {"source": source, "at": rows.where(place), "reason": reason, "row": rows.original(place)}
        for place, reason in bad
    ]
    first = next((f"{source} {rows.where(place)}: {reason}" for place, reason in bad), "")
    return DeadLetters(tuple(values.dumps(line) + b"\n" for line in lines), first)


def check_few(bad: int, most: int | None, first: str, where: str) -> None:
    """Raise `TooManyBadRows` when there are more than allowed. most: None for any number."""
    if most is None or bad <= most:
        return
    if most == 0:
        raise TooManyBadRows(first)
    raise TooManyBadRows(f"{bad} rows cannot be scored, --max-bad is {most}; the last was {first}. {where}")
