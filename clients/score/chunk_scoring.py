"""A chunk with the model's answers: what is written for it, and what could not be scored.

    chunk ──parse──▶ batch ──groups──▶ arrays ──predict──▶ outputs ──encode──▶ block
                       └─ bad rows ───────────┴─▶ letters

A request that the server refuses for what it holds is halved until the rows are found that are to blame.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from signet.clients.score import formats
from signet.clients.score.input.chunks import Chunk, Position, TextLine
from signet.clients.score.input.json_rows import JsonRows
from signet.clients.score.input.rows import ParsedRows
from signet.clients.score.output import dead_letters, encoders
from signet.clients.score.output.dead_letters import DeadLetters
from signet.clients.score.output.encoders import Answers
from signet.clients.score.plan import Plan
from signet.serving.errors import Internal, InvalidInput, UsageError
from signet.serving.tensors.arrays import Arrays

Predict = Callable[[Arrays], Arrays]


@dataclass(frozen=True)
class ScoredChunk:
    """What becomes of a chunk."""

    rows: int
    """That were read."""
    written: int
    """Of these, the ones that have answers; the others have letters."""
    source_bytes: int
    end: Position
    block: Any
    letters: DeadLetters
    fingerprint: bytes
    """Of the rows that were read, where the source is a pipe."""


def score(chunk: Chunk, plan: Plan, predict: Predict) -> ScoredChunk:
    """Do it."""
    batch = parse(chunk, plan)
    answers: Answers = []
    for places, arrays in batch.groups():
        answers += _answers(places, arrays, predict, batch)
    block = encoders.encoder(plan.format)(plan, batch, answers)
    letters = dead_letters.letters(chunk, batch)
    written = sum(len(places) for places, _ in answers)
    if written + len(letters.lines) != chunk.rows or encoders.rows(plan.format, block) not in (None, written):
        raise Internal(
            f"{chunk.source.shown}: of {chunk.rows} rows from {batch.where(0)} on, {written} have answers, "
            f"{len(letters.lines)} are bad, and {encoders.rows(plan.format, block)} were to be written"
        )
    return ScoredChunk(chunk.rows, written, chunk.size_bytes, chunk.end, block, letters, fingerprint(chunk))


def parse(chunk: Chunk, plan: Plan) -> ParsedRows:
    """The rows of a chunk, by what its format made of them."""
    if chunk.source.format.name == "jsonl":
        return JsonRows(chunk.content, plan, chunk.source.partitions)
    from signet.clients.score.input.arrow_rows import ArrowRows  # noqa: PLC0415  # needs pyarrow

    return ArrowRows(chunk, plan)


def fingerprint(chunk: Chunk) -> bytes:
    """Tells other rows from these, when they come through a pipe; empty for files, which have their own."""
    if not chunk.source.is_pipe:
        return b""
    found = hashlib.sha256()
    content = chunk.content
    if isinstance(content, list):
        for record in content:
            found.update(record.text if isinstance(record, TextLine) else record)
    elif chunk.source.format.name in formats.SEPARATED:
        for record in content.records:
            found.update(record.text.encode("utf-8", "surrogatepass"))
    else:
        found.update(repr(content.to_pydict()).encode())
    return found.digest()


def _answers(places: list[int], arrays: Arrays, predict: Predict, batch: ParsedRows) -> Answers:
    try:
        outputs = predict(arrays)
    except InvalidInput as error:
        if len(places) == 1:
            batch.bad[places[0]] = str(error)
            return []
        middle = len(places) // 2
        halves = (slice(None, middle), slice(middle, None))
        return [
            answer
            for half in halves
            for answer in _answers(places[half], {name: array[half] for name, array in arrays.items()}, predict, batch)
        ]
    for name, array in outputs.items():
        if not array.ndim or len(array) != len(places):
            raise UsageError(
                f"output {name!r} has shape {array.shape} for {len(places)} rows: the model has no rows there"
            )
    return [(places, outputs)]
