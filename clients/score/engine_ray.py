"""The same parts on a Ray cluster: Ray Data hands out where they start, workers read, ask and write, this process commits.

    starts of parts ──ray.data──▶ score_part on some worker ──▶ part file, entry ──▶ manifest, in any order

A part is one task. A worker that dies takes nothing along: Ray gives the task to another one, which writes the same
bytes. Sources and OUTPUT must be where every worker can reach them; `signet` must be installed there.
"""

import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from typing import Any

from signet.clients.score.input import reading
from signet.clients.score.input.chunk import Chunk, Position
from signet.clients.score.output import commit, manifest
from signet.clients.score.output.dead_letters import TooManyBadRows
from signet.clients.score.output.manifest import Manifest, PartEntry, PartStart
from signet.clients.score.predictor import VersionGone
from signet.clients.score.score_progress import ScoreProgress
from signet.clients.score.work import Work
from signet.serving.errors import NotDone, SignetError, UsageError


def run(work: Work, begun: Manifest, address: str, progress: ScoreProgress) -> Manifest:
    """Score the parts that the manifest lacks. Raises `UsageError` and `ServingError`."""
    check_possible(work)
    try:
        import ray  # noqa: PLC0415  # an extra of its own
        import ray.data  # noqa: PLC0415
    except ImportError as error:
        raise UsageError("--engine ray needs Ray: pip install 'signet-serving[ray]'") from error
    starts = [start for start in part_starts(work) if start.number not in begun.parts]
    if not starts:
        return begun
    if not ray.is_initialized():
        try:
            ray.init(
                address=address or None, include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise NotDone(f"no Ray cluster answers at {address or 'this machine'}: {error}") from error
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    ray.data.DataContext.get_current().enable_progress_bars = False  # this program has its own
    workers = max(1, int(ray.cluster_resources().get("CPU", 1)))
    if work.connection.rows_per_s:
        share = work.connection.rows_per_s / workers
        work = replace(work, connection=replace(work.connection, rows_per_s=share))
    items = [{"number": start.number, "first_row": start.first_row, **asdict(start.position)} for start in starts]
    parts = ray.data.from_items(items, override_num_blocks=len(items)).map(_Scoring(work))
    return _record(work, begun, parts.iter_rows(), progress)


def part_starts(work: Work) -> Iterator[PartStart]:
    """Where each part of a job begins: as in the local engine, a part ends with the chunk that fills it."""
    number = first_row = rows = 0
    start = Position()
    for before, end in _chunk_bounds(work):
        if rows >= work.part_rows:
            yield PartStart(number, first_row, start)
            number, first_row, rows, start = number + 1, first_row + rows, 0, before
        rows += end.row - before.row
    yield PartStart(number, first_row, start)


def score_part(work: Work, start: PartStart) -> PartEntry:
    """One part, read, answered and written by this process."""
    with (
        work.predictor(lambda _: None) as predictor,
        commit.open_part(work.destination, work.plan, start, False) as part,
        closing(work.scored(predictor, _one_part(work, start.position))) as results,
    ):
        for result in results:
            part.add(result)
            work.check_few_bad(part.bad, result.letters.first)
    return part.entry


class _Scoring:
    """What a worker runs: `score_part`, from a row to a row. Errors come back as values: Ray would retry, and wrap them."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        position = Position(row["file"], row["row"], row["offset"], row["line"])
        try:
            entry = score_part(self._work, PartStart(row["number"], row["first_row"], position))
        except SignetError as error:
            return {"number": row["number"], "entry": {}, "problem": str(error), "exit_code": error.exit_code}
        return {"number": row["number"], "entry": asdict(entry), "problem": "", "exit_code": 0}


_ERRORS: dict[int, type[UsageError]] = {
    error.exit_code: error for error in (UsageError, NotDone, VersionGone, TooManyBadRows)
}


def _record(work: Work, begun: Manifest, results: Iterator[dict[str, Any]], progress: ScoreProgress) -> Manifest:
    """Commit each part as it comes, in any order; this process alone writes the manifest."""
    done = begun
    for result in results:
        if result["problem"]:
            raise _ERRORS[result["exit_code"]](result["problem"])
        entry = manifest.entry(result["entry"])
        done = manifest.commit(work.destination, done, int(result["number"]), entry)
        progress.advance(entry.rows, entry.source_bytes)
        work.check_few_bad(done.bad, f"in part {result['number']}")
    return done


def _one_part(work: Work, start: Position) -> Iterator[Chunk]:
    rows = 0
    for chunk in work.chunks(start):
        yield chunk
        rows += chunk.rows
        if rows >= work.part_rows:
            return


def _chunk_bounds(work: Work) -> Iterator[tuple[Position, Position]]:
    """Beginning and end of every chunk; the files that know their rows are not read."""
    for number, source in enumerate(work.sources):
        total = reading.count(source)
        if total is not None:
            for row in range(0, total, work.batch_rows):
                yield Position(number, row), Position(number, min(row + work.batch_rows, total))
            continue
        for chunk in reading.read(work.sources[: number + 1], Position(number), work.batch_rows):
            yield chunk.start, chunk.end


def check_possible(work: Work) -> None:
    """Raise `UsageError` for sources that can only be read from their start."""
    for source in work.sources:
        if not source.seekable:
            what = "compressed" if source.format.compression else "a pipe"
            raise UsageError(f"{source.shown} is {what}: workers cannot begin in its midst; Parquet can do it")
