"""One chunk, scored: its rows' answers as they are written, and the rows that could not be scored.

    chunk ──parse──▶ rows ───groups──▶ arrays ──predict──▶ outputs ──encode──▶ block
                       └─ bad rows ───────────┴─▶ letters

A request that the server refuses for what it holds is halved until the rows are found that are to blame.
"""

import hashlib
from collections.abc import Callable

from signet.clients.score import formats
from signet.clients.score.input.chunk import Chunk
from signet.clients.score.input.json_rows import JsonRows
from signet.clients.score.input.lines import TextLine
from signet.clients.score.input.rows import ParsedRows
from signet.clients.score.output import dead_letters, encoders
from signet.clients.score.output.answers import Answers, ScoredChunk
from signet.clients.score.plan import Plan
from signet.serving.errors import Internal, InvalidInput, UsageError
from signet.serving.tensors.arrays import Arrays

Predict = Callable[[Arrays], Arrays]


def score(chunk: Chunk, plan: Plan, predict: Predict) -> ScoredChunk:
    """Ask for the answers of a chunk's rows and encode them. Raises `Internal` when a row would be lost or come twice."""
    rows = parse(chunk, plan)
    answers: Answers = []
    for places, arrays in rows.groups():
        answers += _answers(places, arrays, predict, rows)
    block = encoders.encoder(plan.format)(plan, rows, answers)
    letters = dead_letters.letters(chunk, rows)
    written = sum(len(places) for places, _ in answers)
    if written + len(letters.lines) != chunk.rows or encoders.rows(plan.format, block) not in (None, written):
        raise Internal(
            f"{chunk.source.shown}: of {chunk.rows} rows from {rows.where(0)} on, {written} have answers, "
            f"{len(letters.lines)} are bad, and {encoders.rows(plan.format, block)} were to be written"
        )
    return ScoredChunk(chunk.rows, written, chunk.size_bytes, chunk.end, block, letters, fingerprint(chunk))


def parse(chunk: Chunk, plan: Plan) -> ParsedRows:
    """The rows of a chunk, by what its format's reader made of them."""
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


def _answers(places: list[int], arrays: Arrays, predict: Predict, rows: ParsedRows) -> Answers:
    """The answers of a group of rows; those that the server refuses become bad ones."""
    try:
        outputs = predict(arrays)
    except InvalidInput as error:
        if len(places) == 1:
            rows.bad[places[0]] = str(error)
            return []
        middle = len(places) // 2
        halves = (slice(None, middle), slice(middle, None))
        return [
            answer
            for half in halves
            for answer in _answers(places[half], {name: array[half] for name, array in arrays.items()}, predict, rows)
        ]
    for name, array in outputs.items():
        if not array.ndim or len(array) != len(places):
            raise UsageError(
                f"output {name!r} has shape {array.shape} for {len(places)} rows: the model has no rows there"
            )
    return [(places, outputs)]
