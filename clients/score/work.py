"""Everything that any process needs to score a part of a job: it is handed to the workers of a cluster as it is.

chunks(start) ──▶ chunks ──scored──▶ ScoredChunks in order      several requests at a time, to what `predictor` gives
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from signet.clients.score import chunk_scoring
from signet.clients.score.input import reading
from signet.clients.score.input.chunk import Chunk, Position
from signet.clients.score.input.csv_records import CsvRecords
from signet.clients.score.input.sources import Source
from signet.clients.score.output import dead_letters
from signet.clients.score.output.answers import ScoredChunk
from signet.clients.score.output.destination import Destination
from signet.clients.score.plan import Plan
from signet.clients.score.predictor import Connection, Predictor
from signet.clients.score.service_predictor import ServicePredictor

_KEPT = "What was scored is kept: with a larger --max-bad the same command goes on"


@dataclass(frozen=True)
class Work:
    """What is scored, how, and where the result goes."""

    sources: tuple[Source, ...]
    plan: Plan
    destination: Destination
    connection: Connection
    in_process: Path | None
    batch_rows: int
    part_rows: int
    max_bad: int | None

    @property
    def has_pipe(self) -> bool:
        """Whether some rows can be read once only."""
        return any(source.is_pipe for source in self.sources)

    def chunks(self, start: Position) -> Iterator[Chunk]:
        """The chunks from a position on."""
        return reading.read(self.sources, start, self.batch_rows, self.plan.wanted)

    @contextmanager
    def predictor(self, note: Callable[[str], None]) -> Iterator[Predictor]:
        """What predicts: the service, or the model loaded into this process. note: is told why there is a wait."""
        if self.in_process:
            from signet.clients.score.in_process import InProcessPredictor  # noqa: PLC0415  # needs the engine

            predictor: Predictor = InProcessPredictor(self.in_process, self.connection)
        else:
            predictor = ServicePredictor(self.connection, note)
        try:
            yield predictor
        finally:
            predictor.close()

    def scored(self, predictor: Predictor, chunks: Iterable[Chunk]) -> Generator[ScoredChunk, None, None]:
        """The chunks with their answers, in order; several are in work, and as many again wait for a slow one."""
        score = partial(chunk_scoring.score, plan=self.plan, predict=predictor.predict)
        with ThreadPoolExecutor(self.connection.concurrency) as pool:
            try:
                yield from in_order(pool, score, chunks, 2 * self.connection.concurrency)
            finally:
                predictor.stop()
                pool.shutdown(cancel_futures=True)

    def check_few_bad(self, bad: int, last: str) -> None:
        """Raise `TooManyBadRows` when so many are more than allowed. last: where the last one stood and why it is bad."""
        dead_letters.check_few(bad, self.max_bad, last, _KEPT)


def in_order(
    pool: ThreadPoolExecutor, score: Callable[[Chunk], ScoredChunk], chunks: Iterable[Chunk], ahead: int
) -> Iterator[ScoredChunk]:
    """What `score` makes of each chunk, in order. Backpressure: at most so many are taken ahead of a slow one."""
    waiting: deque[Future[ScoredChunk]] = deque()
    for chunk in chunks:
        waiting.append(pool.submit(score, chunk))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def announced(chunks: Iterable[Chunk], console: Console) -> Iterator[Chunk]:
    """The chunks; for each CSV file the user is told how it is read, unless that is the usual way."""
    last = ""
    for chunk in chunks:
        content, path = chunk.content, chunk.source.shown
        if isinstance(content, CsvRecords) and content.guesses and path != last:
            text = f"{path} is read with {content.guesses}; --delimiter, --encoding and --quoting say otherwise"
            console.print(text, highlight=False, markup=False, soft_wrap=True)
            last = path
        yield chunk
