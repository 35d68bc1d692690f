"""The same parts on a Ray cluster: Ray Data hands out their places, workers read, ask and write, this process records.

    places of parts ──ray.data──▶ score_part on some worker ──▶ part file, entry ──▶ manifest, in any order

A part is one task. A worker that dies takes nothing along: Ray gives the task to another one, which writes the same
bytes. Sources and OUTPUT must be where every worker can reach them; `signet` must be installed there.
"""

import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Any

from signet.clients.score.input import chunks
from signet.clients.score.input.chunks import Position
from signet.clients.score.job import KEPT, Work
from signet.clients.score.output import dead_letters, destination, manifest
from signet.clients.score.output.manifest import Manifest, PartEntry
from signet.clients.score.predictor import VersionGone
from signet.clients.score.score_progress import ScoreProgress
from signet.serving.errors import SignetError, UsageError


@dataclass(frozen=True)
class Start:
    """Where a part begins."""

    number: int
    first_row: int
    place: Position


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
            raise UsageError(f"no Ray cluster answers at {address or 'this machine'}: {error}") from error
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    ray.data.DataContext.get_current().enable_progress_bars = False  # this program has its own
    workers = max(1, int(ray.cluster_resources().get("CPU", 1)))
    if work.connection.rows_per_s:
        share = work.connection.rows_per_s / workers
        work = replace(work, connection=replace(work.connection, rows_per_s=share))
    items = [{"number": start.number, "first_row": start.first_row, **asdict(start.place)} for start in starts]
    parts = ray.data.from_items(items, override_num_blocks=len(items)).map(_Scoring(work))
    return _record(work, begun, parts.iter_rows(), progress)


def part_starts(work: Work) -> Iterator[Start]:
    """Where each part of a job begins; as the local engine, which closes a part with the chunk that fills it."""
    number = first_row = rows = 0
    start = Position()
    for before, end in _chunk_places(work):
        if rows >= work.part_rows:
            yield Start(number, first_row, start)
            number, first_row, rows, start = number + 1, first_row + rows, 0, before
        rows += end.row - before.row
    yield Start(number, first_row, start)


def score_part(work: Work, start: Start) -> PartEntry:
    """One part, read, answered and written by this process."""
    stream = _one_part(work, start.place)
    with (
        work.answering(lambda _: None) as answers,
        destination.open_part(work.target, work.plan, start.number, start.first_row, start.place, False) as part,
        closing(work.scored(answers, stream)) as results,
    ):
        for result in results:
            part.add(result)
            dead_letters.check_few(part.bad, work.max_bad, result.letters.first, KEPT)
    return part.entry


class _Scoring:
    """What a worker runs. Errors come back as values: Ray would try again, and wrap them."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        place = Position(row["file"], row["row"], row["offset"], row["line"])
        try:
            entry = score_part(self._work, Start(row["number"], row["first_row"], place))
        except SignetError as error:
            return {"number": row["number"], "entry": {}, "problem": str(error), "exit_code": error.exit_code}
        return {"number": row["number"], "entry": asdict(entry), "problem": "", "exit_code": 0}


_ERRORS: dict[int, type[UsageError]] = {
    error.exit_code: error for error in (UsageError, VersionGone, dead_letters.TooManyBadRows)
}


def _record(work: Work, begun: Manifest, results: Iterator[dict[str, Any]], progress: ScoreProgress) -> Manifest:
    """Name each part in the manifest as it comes."""
    done = begun
    for result in results:
        if result["problem"]:
            raise _ERRORS[result["exit_code"]](result["problem"])
        entry = manifest.entry(result["entry"])
        done = done.added(int(result["number"]), entry)
        manifest.save(work.target.files, work.target.folder, done)
        progress.advance(entry.rows, entry.source_bytes)
        dead_letters.check_few(done.bad, work.max_bad, f"in part {result['number']}", KEPT)
    return done


def _one_part(work: Work, place: Position) -> Iterator[chunks.Chunk]:
    rows = 0
    for chunk in work.chunks(place):
        yield chunk
        rows += chunk.rows
        if rows >= work.part_rows:
            return


def _chunk_places(work: Work) -> Iterator[tuple[Position, Position]]:
    """Beginning and end of every chunk; the files that know their rows are not read."""
    for number, source in enumerate(work.sources):
        total = chunks.count(source)
        if total is not None:
            for row in range(0, total, work.batch_rows):
                yield Position(number, row), Position(number, min(row + work.batch_rows, total))
            continue
        for chunk in chunks.read(work.sources[: number + 1], Position(number), work.batch_rows):
            yield chunk.start, chunk.end


def check_possible(work: Work) -> None:
    """Raise `UsageError` for sources that can only be read from their start."""
    for source in work.sources:
        if not source.seekable:
            what = "compressed" if source.format.compression else "a pipe"
            raise UsageError(f"{source.shown} is {what}: workers cannot begin in its midst; Parquet can do it")
