"""Scoring files: each row with the model's outputs, in the order of the rows, none lost and none twice.

    sources ─read─▶ chunks ─▶ requests, several at a time ─▶ answers in order ─▶ part files ─▶ manifest ─▶ result
                                                  └─ bad rows ─▶ dead letters

The whole of a job hangs on its inputs, the pinned version and a few options, which the manifest keeps: the same command
goes on where the last one was stopped, whatever stopped it, and gives the same bytes. Anything else is refused.
"""

import hashlib
import itertools
import json
import math
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from signet.clients.client.connecting import NOTHING, Access
from signet.clients.score import chunk_scoring, formats, predictor, storage
from signet.clients.score.chunk_scoring import ScoredChunk
from signet.clients.score.input import chunks, json_rows, sources
from signet.clients.score.input.chunks import Chunk, Position
from signet.clients.score.input.csv_dialect import UNKNOWN, Dialect
from signet.clients.score.input.csv_records import CsvRecords
from signet.clients.score.input.sources import Source
from signet.clients.score.output import dead_letters, destination, encoders, manifest, parts
from signet.clients.score.output.destination import Destination
from signet.clients.score.output.manifest import Manifest
from signet.clients.score.output_columns import can_be_flat
from signet.clients.score.plan import Plan, check_carried, check_outputs, find, mapping
from signet.clients.score.predictor import Connection, PinnedVersion, Predictor, ServicePredictor
from signet.clients.score.score_progress import ScoreProgress
from signet.serving.errors import Internal, UsageError
from signet.serving.tensors.signature import DEFAULT, Signature

STDOUT = "-"
LOCAL, RAY = "local", "ray"
NON_FINITE = ("bare", "null", "string")
_SCHEMA_ROWS = 1000
"""First rows that say which keys JSON lines have, and of which type, where the result needs to know."""
_REQUEST_BYTES = 1 << 18
_FEWEST_ROWS, _ROWS_OF_TEXT, _ROWS_OF_ANY_LENGTH, _MOST_ROWS = 8, 64, 256, 1024
KEPT = "What was scored is kept: with a larger --max-bad the same command goes on"
"""Said when there are too many bad rows."""


class ReaderGone(UsageError):
    """Who read standard output has closed it, as `head` does; the exit code is that of a program that SIGPIPE ends."""

    exit_code = 141


@dataclass(frozen=True)
class ScoreOptions:
    """What is to be scored, and how."""

    model: str
    inputs: list[str]
    output: str
    url: str
    signature: str = DEFAULT
    version: int | None = None
    """None: the highest at the start."""
    input_format: str = ""
    dialect: Dialect = UNKNOWN
    """Of CSV files, as far as the user says."""
    format: str = ""
    maps: tuple[str, ...] = ()
    carry: str | None = None
    """Names separated by commas; None: all columns that are no inputs."""
    prefix: str = ""
    flat: bool = False
    non_finite: str = "bare"
    """NaN and infinity in lines of JSON: the `bare` words, `null` or a `string`."""
    batch_rows: int | None = None
    """Rows of a request; None: by the size of a row."""
    part_rows: int = 65_536
    """Rows of a part file, or up to a request more."""
    concurrency: int = 4
    """Requests in flight."""
    rows_per_s: float | None = None
    max_bad: int | None = 0
    """Rows that may be bad; None: any number."""
    overwrite: bool = False
    verify: bool = False
    """Read every part again at the end."""
    patience_s: float = 60.0
    """Seconds to go on asking a server that is away."""
    access: Access = NOTHING
    """What is shown to the server."""
    engine: str = LOCAL
    """`local`, or `ray`."""
    ray_address: str = ""
    in_process: Path | None = None
    """The folder of models to load from, instead of asking a server."""


@dataclass(frozen=True)
class ScoreSummary:
    """What was done."""

    version: int
    rows: int
    """Scored, in all."""
    new_rows: int
    """Of these, by this run."""
    bad: int
    seconds: float
    letters: str
    """The file of the bad rows."""

    def sentence(self, model: str, output: str) -> str:
        """For people."""
        rate = self.new_rows / max(self.seconds, 1e-9)
        before = f", {self.rows - self.new_rows:,} of them before" if self.new_rows < self.rows else ""
        bad = f"; {self.bad:,} bad rows: {self.letters}" if self.bad else ""
        return (
            f"{self.rows:,} rows scored by version {self.version} of {model!r} in {self.seconds:.1f} s "
            f"({rate:,.0f} rows/s{before}): {output}{bad}"
        )


@dataclass(frozen=True)
class Work:
    """Everything that any process needs to score a part of a job."""

    sources: tuple[Source, ...]
    plan: Plan
    target: Destination
    connection: Connection
    in_process: Path | None
    batch_rows: int
    part_rows: int
    max_bad: int | None

    def chunks(self, start: Position) -> Iterator[Chunk]:
        """From a place on."""
        return chunks.read(self.sources, start, self.batch_rows, self.plan.wanted)

    @contextmanager
    def answering(self, note: Callable[[str], None]) -> Iterator[Predictor]:
        """What answers."""
        if self.in_process:
            from signet.clients.score.in_process import InProcessPredictor  # noqa: PLC0415  # needs the engine

            answers: Predictor = InProcessPredictor(self.in_process, self.connection)
        else:
            answers = ServicePredictor(self.connection, note)
        try:
            yield answers
        finally:
            answers.close()

    def scored(self, answers: Predictor, found: Iterable[Chunk]) -> Generator[ScoredChunk, None, None]:
        """The chunks with their answers, in order; several are in work, and as many again wait for a slow one."""
        work = partial(chunk_scoring.score, plan=self.plan, predict=answers.predict)
        with ThreadPoolExecutor(self.connection.concurrency) as pool:
            try:
                yield from in_order(pool, work, found, 2 * self.connection.concurrency)
            finally:
                answers.stop()
                pool.shutdown(cancel_futures=True)


def score(job: ScoreOptions, console: Console) -> ScoreSummary:
    """Do the job, or what is left of it. Raises `UsageError` and `ServingError`; the same job can then go on."""
    started = time.monotonic()
    if job.engine not in (LOCAL, RAY):
        raise UsageError(f"--engine is {job.engine!r}; expected {LOCAL} or {RAY}")
    if job.non_finite not in NON_FINITE:
        raise UsageError(f"--non-finite is {job.non_finite!r}; expected {', '.join(NON_FINITE)}")
    found = sources.expand(job.inputs, job.input_format, job.dialect)
    try:
        if job.output == STDOUT:
            pinned, rows = _to_stdout(job, found, console)
            return ScoreSummary(pinned.version, rows, rows, 0, time.monotonic() - started, "")
        goal = destination.of(job.output, job.format)
        sources.check_apart(job.inputs, goal.path, goal.format.ending)
        begun = _begun(job, goal, found)
        pinned = _pin(job, begun)
        work, stream = prepare(job, found, goal, pinned)
        with _started(work, identity(work, pinned), job.overwrite) as found_there:
            # Here all that follows a gap is scored in one go.
            begun = found_there.leading() if job.engine == LOCAL else found_there
            done = begun if begun.complete else _rest(job, work, stream, begun, console)
            _check_whole(work, done)
            _check_unchanged(found)
            if job.verify:
                destination.verify(goal, done)
            destination.finish(goal, work.plan, done)
    except BrokenPipeError as error:
        raise ReaderGone("nobody reads the rows any more") from error
    except OSError as error:
        raise UsageError(f"{error.filename or job.output}: {error.strerror or error}") from error
    good = done.rows - done.bad
    seconds = time.monotonic() - started
    return ScoreSummary(pinned.version, good, good - (begun.rows - begun.bad), done.bad, seconds, goal.letters)


def prepare(
    job: ScoreOptions, found: tuple[Source, ...], goal: Destination, pinned: PinnedVersion
) -> tuple[Work, Iterator[Chunk]]:
    """What every process needs to know, and the chunks from the start: a pipe can be read only once."""
    _check_rows_possible(job.model, pinned.signature)
    encoders.encoder(goal.format)  # whether it can be written at all
    carry = None if job.carry is None else tuple(name for name in job.carry.split(",") if name)
    columns = mapping(job.maps, pinned.signature)
    flat = job.flat or (goal.format.name in formats.SEPARATED and can_be_flat(pinned.signature))  # CSV has no lists
    plan = Plan(pinned.signature, columns, carry, job.prefix, flat, goal.format, job.non_finite)
    batch_rows = job.batch_rows or usual_batch_rows(pinned.signature)
    stream = chunks.read(found, Position(), batch_rows)
    head = _head(stream, _SCHEMA_ROWS if encoders.has_schema(goal.format) or carry else 1)
    plan = _fitted(plan, head)
    connection = Connection(
        url=job.url,
        model=job.model,
        version=pinned.version,
        signature=pinned.signature.name,
        job="",
        concurrency=job.concurrency,
        rows_per_s=job.rows_per_s,
        patience_s=job.patience_s,
        access=job.access,
    )
    part_rows = -(-job.part_rows // batch_rows) * batch_rows
    work = Work(found, plan, goal, connection, job.in_process, batch_rows, part_rows, job.max_bad)
    named = f"score-{hashlib.sha256(json.dumps(identity(work, pinned)).encode()).hexdigest()[:16]}"
    return replace(work, connection=replace(connection, job=named)), itertools.chain(head, stream)


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


def in_order(
    pool: ThreadPoolExecutor, work: Callable[[Chunk], ScoredChunk], found: Iterable[Chunk], ahead: int
) -> Iterator[ScoredChunk]:
    """What `work` makes of each chunk, as they come; at most so many are taken ahead of a slow one."""
    waiting: deque[Future[ScoredChunk]] = deque()
    for chunk in found:
        waiting.append(pool.submit(work, chunk))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _rest(job: ScoreOptions, work: Work, stream: Iterator[Chunk], begun: Manifest, console: Console) -> Manifest:
    """Score what the manifest lacks, by the engine that was chosen."""
    sizes = [source.size_bytes for source in work.sources]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    with ScoreProgress(console, job.model, total) as progress:
        if begun.parts:
            progress.resume(begun.rows, sum(part.source_bytes for part in begun.parts.values()))
        if job.engine == RAY:
            from signet.clients.score import engine_ray  # noqa: PLC0415  # an extra of its own

            next(_telling(stream, console), None)
            return engine_ray.run(work, begun, job.ray_address, progress)
        if any(source.is_pipe for source in work.sources):
            stream = _after_pipe(stream, begun)
        else:
            stream = work.chunks(destination.first_gap(begun)[2])
        return _locally(work, _telling(stream, console), begun, progress)


def _locally(work: Work, stream: Iterator[Chunk], begun: Manifest, progress: ScoreProgress) -> Manifest:
    """Part after part."""
    done = begun
    number, first_row, place = destination.first_gap(begun)
    hashes_rows = any(source.is_pipe for source in work.sources)
    with work.answering(progress.note) as answers, closing(work.scored(answers, stream)) as results:
        result = next(results, None)
        while result is not None or not number:
            with destination.open_part(work.target, work.plan, number, first_row, place, hashes_rows) as part:
                while result is not None:
                    part.add(result)
                    progress.advance(result.rows, result.source_bytes)
                    dead_letters.check_few(done.bad + part.bad, work.max_bad, result.letters.first, KEPT)
                    if part.rows >= work.part_rows:
                        break
                    result = next(results, None)
            done = done.added(number, part.entry)
            manifest.save(work.target.files, work.target.folder, done)
            number, first_row, place = number + 1, first_row + part.rows, part.end
            result = next(results, None) if result is not None else None
    return done


def _telling(stream: Iterator[Chunk], console: Console) -> Iterator[Chunk]:
    """The chunks; of each CSV file is told in which way it is read, unless that is the usual one."""
    told = ""
    for chunk in stream:
        content, path = chunk.content, chunk.source.shown
        if isinstance(content, CsvRecords) and content.told and path != told:
            text = f"{path} is read with {content.told}; --delimiter, --encoding and --quoting say otherwise"
            console.print(text, highlight=False, markup=False, soft_wrap=True)
            told = path
        yield chunk


def _check_unchanged(found: tuple[Source, ...]) -> None:
    for source in found:
        source.check_unchanged()


def _check_whole(work: Work, done: Manifest) -> None:
    """Raise `Internal` unless every row of every file is among the scored ones or the dead letters."""
    tallies: dict[int, list[int]] = {number: [0, 0, 0] for number in range(len(work.sources))}
    for part in done.parts.values():
        for number, *counts in part.files:
            tallies[number] = [before + more for before, more in zip(tallies[number], counts, strict=True)]
    for number, (rows, scored_rows, bad) in tallies.items():
        source = work.sources[number]
        held = chunks.count(source)
        if rows != scored_rows + bad or held not in (None, rows):
            raise Internal(
                f"{source.shown} has {rows if held is None else held} rows, of which {rows} were read, {scored_rows} "
                f"scored and {bad} are bad: the result is not complete"
            )


def _to_stdout(job: ScoreOptions, found: tuple[Source, ...], console: Console) -> tuple[PinnedVersion, int]:
    """Blocks as they come, for a pipe: nothing is kept, so nothing can go on after a stop."""
    goal = Destination("", False, destination.of_stdout(job.format))
    if job.max_bad != 0:
        raise UsageError("with OUTPUT - there is no place for bad rows: leave --max-bad out")
    if job.engine != LOCAL:
        raise UsageError("with OUTPUT - the rows are scored here: leave --engine out")
    pinned = _pin(job, None)
    work, stream = prepare(job, found, goal, pinned)
    rows = 0
    out = sys.stdout.buffer
    with (
        ScoreProgress(console, job.model, None) as progress,
        work.answering(progress.note) as answers,
        closing(work.scored(answers, _telling(stream, console))) as results,
    ):
        out.write(parts.header(work.plan))
        for result in results:
            dead_letters.check_few(len(result.letters.lines), 0, result.letters.first, "")
            out.write(result.block)
            out.flush()
            rows += result.rows
            progress.advance(result.rows, result.source_bytes)
    _check_unchanged(found)
    return pinned, rows


def _begun(job: ScoreOptions, goal: Destination, found: tuple[Source, ...]) -> Manifest | None:
    """The job that the target holds already. Raises `UsageError` for a target that cannot be written."""
    files = goal.files
    info = files.info(goal.path)
    parent = goal.path.rpartition("/")[0]
    if isinstance(files, storage.Local) and parent and files.info(parent) is None:
        raise UsageError(f"the folder {parent} does not exist, so {goal.shown} cannot be written")
    begun = manifest.load(files, goal.folder)
    if info is None:
        return begun
    if goal.is_file:
        if info.is_folder or not info.is_regular:
            raise UsageError(f"{goal.shown} is not a file; the result would replace it")
        if any(files.same(goal.path, source.path) for source in found):
            raise UsageError(f"{goal.shown} is the source itself; choose another name for the result")
        if not job.overwrite and not (begun and begun.complete):
            raise UsageError(f"{goal.shown} exists; choose another name, or replace it with --overwrite")
    elif not info.is_folder:
        raise UsageError(f"{goal.shown} is a file; for a folder of parts choose another name")
    elif begun is None and any(not name.startswith(".") for name in files.names(goal.path)):
        raise UsageError(f"the folder {goal.shown} is not empty and holds no scoring job; choose another name")
    return begun


def _pin(job: ScoreOptions, begun: Manifest | None) -> PinnedVersion:
    """The version that answers: that of the started job, else the one asked for, else the highest."""
    version = job.version
    if begun is not None and not job.overwrite and version is None and begun.job.get("model") == job.model:
        version = begun.job["version"]
    if job.in_process:
        from signet.clients.score import in_process  # noqa: PLC0415  # needs the engine

        return in_process.pin(job.in_process, job.model, version, job.signature)
    return predictor.pin(job.url, job.access, job.model, version, job.signature, job.patience_s)


@contextmanager
def _started(work: Work, job: dict[str, Any], overwrite: bool) -> Iterator[Manifest]:
    """The manifest of this job, begun before or now; nobody else works on it meanwhile. One without parts is taken back."""
    goal, files = work.target, work.target.files
    was_there = files.info(goal.folder) is not None
    files.make_folder(goal.folder)
    with files.locked(goal.folder):
        begun = manifest.load(files, goal.folder)
        if begun is not None:
            other = manifest.difference(begun.job, job)
            if other and not overwrite:
                raise UsageError(
                    f"{goal.shown} holds a job that was begun otherwise: {other}. "
                    "Finish that one, choose another OUTPUT, or start anew with --overwrite"
                )
            begun = None if other or (overwrite and begun.complete) else destination.intact(goal, begun)
        if begun is None:
            destination.clear(goal)
            begun = Manifest(job)
            manifest.save(files, goal.folder, begun)
        try:
            yield begun
        except BaseException:
            kept = manifest.load(files, goal.folder)
            if kept is not None and not kept.parts:
                destination.clear(goal)
                if not was_there:
                    files.remove(goal.folder)
            raise


def _head(stream: Iterator[Chunk], rows: int) -> list[Chunk]:
    """The first chunks, with so many rows or all there are."""
    head: list[Chunk] = []
    while sum(chunk.rows for chunk in head) < rows and (chunk := next(stream, None)):
        head.append(chunk)
    return head


def _fitted(plan: Plan, head: list[Chunk]) -> Plan:
    """The plan, held against the columns that the first rows have; with the schema of what is carried."""
    with_schema = encoders.has_schema(plan.format)
    if not head:
        return replace(plan, schema=encoders.no_columns() if with_schema else None)
    source = head[0].source
    if source.format.name == "jsonl":
        check_outputs(plan, plan.carry or (), source.shown)
        plan = json_rows.with_flat_columns(head, plan)
        json_rows.check_carried(head, plan)
        return replace(plan, schema=json_rows.schema(head, plan)) if with_schema else plan
    from signet.clients.score.input import arrow_rows  # noqa: PLC0415  # needs pyarrow

    names = arrow_rows.header(head)
    plan = replace(plan, columns=find(plan.columns, names, source.shown))
    check_carried(plan.carry or (), names, source.shown)
    check_outputs(plan, names, source.shown)
    if not with_schema:
        return plan
    from signet.clients.score.output import arrow_encoders  # noqa: PLC0415  # needs pyarrow

    plan = replace(plan, schema=arrow_rows.schema(head, plan))
    arrow_encoders.check_carried(plan)
    return plan


def _after_pipe(stream: Iterator[Chunk], begun: Manifest) -> Iterator[Chunk]:
    """What comes after the parts that are there. Raises `UsageError` when other rows come than came for them."""
    for number in range(len(begun.parts)):
        part = begun.parts[number]
        read, rows = hashlib.sha256(), 0
        while rows < part.rows and (chunk := next(stream, None)):
            read.update(chunk_scoring.fingerprint(chunk))
            rows += chunk.rows
        if read.hexdigest() != part.read_sha256:
            last = part.first_row + part.rows
            raise UsageError(
                f"rows {part.first_row + 1:,} to {last:,} that come through the pipe are not those that this job was "
                "begun with; start anew with --overwrite"
            )
    return stream


def _check_rows_possible(model: str, signature: Signature) -> None:
    for spec in (*signature.inputs.values(), *signature.outputs.values()):
        if spec.shape is not None and not spec.batched:
            raise UsageError(
                f"signature {signature.name!r} of model {model!r} has no rows in {spec}; "
                "scoring needs a free first dimension everywhere"
            )
    if not signature.inputs:
        raise UsageError(f"signature {signature.name!r} of model {model!r} has no inputs to score")
