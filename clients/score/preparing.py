"""What must be known before the first request: the version that answers, the plan of the rows, the size of a request.

options, sources ──pin──▶ PinnedVersion ──prepare──▶ Work, chunks from the start ──identity──▶ what tells this job
"""

import hashlib
import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from signet.clients.score import formats, service_predictor
from signet.clients.score.input import json_rows, reading
from signet.clients.score.input.chunk import Chunk, Position
from signet.clients.score.input.sources import Source
from signet.clients.score.options import ScoreOptions
from signet.clients.score.output import encoders
from signet.clients.score.output.destination import Destination
from signet.clients.score.output.manifest import Manifest
from signet.clients.score.plan import Plan, mapping
from signet.clients.score.predictor import Connection, PinnedVersion
from signet.clients.score.work import Work
from signet.serving.errors import UsageError
from signet.serving.tables.output_columns import can_be_flat
from signet.serving.tensors.signature import Signature

_SCHEMA_ROWS = 1000
"""First rows that say which keys JSON lines have, and of which type, where the result needs to know."""
_REQUEST_BYTES = 1 << 18
_FEWEST_ROWS, _ROWS_OF_TEXT, _ROWS_OF_ANY_LENGTH, _MOST_ROWS = 8, 64, 256, 1024


def pin(options: ScoreOptions, begun: Manifest | None) -> PinnedVersion:
    """The version that answers: that of the started job, else the one asked for, else the highest."""
    version = options.version
    if begun is not None and not options.overwrite and version is None and begun.job.get("model") == options.model:
        version = begun.job["version"]
    if options.in_process:
        from signet.clients.score import in_process  # noqa: PLC0415  # needs the engine

        return in_process.pin(options.in_process, options.model, version, options.signature)
    return service_predictor.pin(
        options.url, options.access, options.model, version, options.signature, options.patience_s
    )


def prepare(
    options: ScoreOptions, found: tuple[Source, ...], goal: Destination, pinned: PinnedVersion
) -> tuple[Work, Iterator[Chunk]]:
    """What every process needs to know, and the chunks from the start: a pipe can be read only once."""
    signature = pinned.signature
    _check_rows_possible(options.model, signature)
    encoders.encoder(goal.format)  # whether it can be written at all
    carry = None if options.carry is None else tuple(name for name in options.carry.split(",") if name)
    columns = mapping(options.maps, signature)
    flat = options.flat or (goal.format.name in formats.SEPARATED and can_be_flat(signature))  # CSV has no lists
    plan = Plan(signature, columns, carry, options.prefix, flat, goal.format, options.non_finite)
    batch_rows = options.batch_rows or usual_batch_rows(signature)
    chunks = reading.read(found, Position(), batch_rows)
    head = _head(chunks, _SCHEMA_ROWS if goal.format.has_schema or carry else 1)
    plan = _fitted(plan, head)
    connection = Connection(
        url=options.url,
        model=options.model,
        version=pinned.version,
        signature=signature.name,
        job="",
        concurrency=options.concurrency,
        rows_per_s=options.rows_per_s,
        patience_s=options.patience_s,
        access=options.access,
    )
    part_rows = -(-options.part_rows // batch_rows) * batch_rows
    max_bad = None if options.max_bad < 0 else options.max_bad
    work = Work(found, plan, goal, connection, options.in_process, batch_rows, part_rows, max_bad)
    named = f"score-{hashlib.sha256(json.dumps(identity(work, pinned)).encode()).hexdigest()[:16]}"
    return replace(work, connection=replace(connection, job=named)), itertools.chain(head, chunks)


def identity(work: Work, pinned: PinnedVersion) -> dict[str, Any]:
    """All that the result hangs on."""
    plan = work.plan
    return {
        "model": work.connection.model,
        "version": pinned.version,
        "digest": pinned.digest,
        "signature": pinned.signature.name,
        "sources": [source.fingerprint() for source in work.sources],
        "columns": {name: list(columns) for name, columns in plan.columns.items()},
        "carry": None if plan.carry is None else list(plan.carry),
        "prefix": plan.prefix,
        "flat": plan.flat,
        "non_finite": plan.non_finite,
        "format": plan.format.ending,
        "dialect": asdict(work.sources[0].dialect),
        "batch_rows": work.batch_rows,
        "part_rows": work.part_rows,
    }


def usual_batch_rows(signature: Signature) -> int:
    """Rows of a request when nobody says: about a quarter of a megabyte of inputs, a power of two."""
    row_bytes = 0
    for spec in signature.inputs.values():
        if spec.dtype is None or spec.dtype.is_string:
            return _ROWS_OF_TEXT  # or of pictures
        if spec.shape is None or None in spec.shape[1:]:
            return _ROWS_OF_ANY_LENGTH
        row_bytes += math.prod(size or 1 for size in spec.shape[1:]) * spec.dtype.numpy.itemsize
    rows = max(_FEWEST_ROWS, min(_MOST_ROWS, _REQUEST_BYTES // row_bytes))
    return 1 << (rows.bit_length() - 1)


def _head(chunks: Iterator[Chunk], rows: int) -> list[Chunk]:
    """The first chunks, with so many rows or all there are."""
    head: list[Chunk] = []
    while sum(chunk.rows for chunk in head) < rows and (chunk := next(chunks, None)):
        head.append(chunk)
    return head


def _fitted(plan: Plan, head: list[Chunk]) -> Plan:
    """The plan, held against the columns that the first rows have; with the schema of what is carried."""
    if not head:
        return replace(plan, schema=formats.pyarrow("writing").schema([])) if plan.format.has_schema else plan
    if head[0].source.format.name == "jsonl":
        return json_rows.fitted(head, plan)
    from signet.clients.score.input import arrow_rows  # noqa: PLC0415  # needs pyarrow

    plan = arrow_rows.fitted(head, plan)
    if plan.schema is not None:
        from signet.clients.score.output import arrow_encoders  # noqa: PLC0415  # needs pyarrow

        arrow_encoders.check_carried(plan)
    return plan


def _check_rows_possible(model: str, signature: Signature) -> None:
    for spec in (*signature.inputs.values(), *signature.outputs.values()):
        if spec.shape is not None and not spec.batched:
            raise UsageError(
                f"signature {signature.name!r} of model {model!r} has no rows in {spec}; "
                "scoring needs a free first dimension everywhere"
            )
    if not signature.inputs:
        raise UsageError(f"signature {signature.name!r} of model {model!r} has no inputs to score")
