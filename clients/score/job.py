"""Scoring files: each row with the model's outputs, in the order of the rows, exactly once.

sources ─read─▶ chunks ─▶ requests, several at a time ─▶ answers in order ─▶ part files ─▶ manifest ─▶ result
                                              └─ bad rows ─▶ dead letters

what can be done    preparing.py      who predicts     service_predictor.py, in_process.py
who does it         engine_local.py, engine_ray.py     exactly once     output/commit.py
how it goes on      resume.py         how fast         throttle.py
"""

import time
from collections.abc import Iterator
from dataclasses import replace

from rich.console import Console

from signet.clients.request_log import files
from signet.clients.score import engine_local, preparing, resume, standard_output
from signet.clients.score.input import sources
from signet.clients.score.input.chunk import Chunk
from signet.clients.score.input.sources import Source
from signet.clients.score.options import LOCAL, RAY, STDOUT, ScoreOptions, ScoreSummary
from signet.clients.score.output import commit, destination
from signet.clients.score.output.destination import Destination
from signet.clients.score.output.manifest import Manifest
from signet.clients.score.score_progress import ScoreProgress
from signet.clients.score.work import Work, announced
from signet.serving.errors import NotDone, UsageError
from signet.serving.exit_codes import ExitCode


class ReaderGone(UsageError):
    """Who read standard output has closed it, as `head` does; the exit code is that of a program that SIGPIPE ends."""

    exit_code = ExitCode.READER_GONE


def score(options: ScoreOptions, console: Console) -> ScoreSummary:
    """Do the job, or what is left of it. Raises `UsageError` and `ServingError`; the same job can then be resumed."""
    began = time.monotonic()
    options.check()
    found = _of_model(sources.expand(options.inputs, options.input_format, options.dialect), options, console)
    write = _to_stdout if options.output == STDOUT else _to_files
    try:
        summary = write(options, found, console)
    except BrokenPipeError as error:
        raise ReaderGone("nobody reads the rows any more") from error
    except OSError as error:
        raise NotDone(f"{error.filename or options.output}: {error.strerror or error}") from error
    return replace(summary, seconds=time.monotonic() - began)


def _of_model(found: tuple[Source, ...], options: ScoreOptions, console: Console) -> tuple[Source, ...]:
    """The sources without what a request log has of other models and signatures."""
    others = files.others([source.path for source in found], options.model, options.signature)
    if others:
        console.print(f"{len(others)} files are of other models or signatures, and left out", highlight=False)
    return tuple(source for source in found if source.path not in others)


def _to_stdout(options: ScoreOptions, found: tuple[Source, ...], console: Console) -> ScoreSummary:
    goal = Destination("", False, destination.of_stdout(options.format))
    pinned = preparing.pin(options, None)
    work, chunks = preparing.prepare(options, found, goal, pinned)
    with ScoreProgress(console, options.model, None) as progress:
        rows = standard_output.write(work, announced(chunks, console), progress)
    sources.check_unchanged(found)
    return ScoreSummary(pinned.version, rows, rows, 0, 0.0, "")


def _to_files(options: ScoreOptions, found: tuple[Source, ...], console: Console) -> ScoreSummary:
    goal = destination.of(options.output, options.format)
    sources.check_apart(options.inputs, goal.path, goal.format.ending)
    pinned = preparing.pin(options, resume.existing(goal, found, options.overwrite))
    work, chunks = preparing.prepare(options, found, goal, pinned)
    with resume.started(goal, preparing.identity(work, pinned), options.overwrite) as committed:
        # The local engine scores all that follows a gap in one go.
        begun = committed.leading() if options.engine == LOCAL else committed
        done = begun if begun.complete else _rest(options, work, chunks, begun, console)
        resume.check_whole(work, done)
        sources.check_unchanged(found)
        if options.verify:
            commit.verify(goal, done)
        commit.finish(goal, work.plan, done)
    good = done.rows - done.bad
    return ScoreSummary(pinned.version, good, good - (begun.rows - begun.bad), done.bad, 0.0, goal.letters)


def _rest(options: ScoreOptions, work: Work, chunks: Iterator[Chunk], begun: Manifest, console: Console) -> Manifest:
    """Score what the manifest lacks, by the engine that was chosen."""
    sizes = [source.size_bytes for source in work.sources]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    with ScoreProgress(console, options.model, total) as progress:
        if begun.parts:
            progress.resume(begun.rows, sum(part.source_bytes for part in begun.parts.values()))
        if options.engine == RAY:
            from signet.clients.score import engine_ray  # noqa: PLC0415  # an extra of its own

            next(announced(chunks, console), None)
            return engine_ray.run(work, begun, options.ray_address, progress)
        return engine_local.run(work, announced(resume.remaining(work, chunks, begun), console), begun, progress)
