"""OUTPUT `-`: blocks as they come, into a pipe. Nothing is kept, so nothing can be resumed after a stop."""

import sys
from collections.abc import Iterator
from contextlib import closing

from signet.clients.score.input.chunk import Chunk
from signet.clients.score.output import dead_letters, parts
from signet.clients.score.score_progress import ScoreProgress
from signet.clients.score.work import Work


def write(work: Work, chunks: Iterator[Chunk], progress: ScoreProgress) -> int:
    """Score all chunks and write them. Gives the rows; raises `TooManyBadRows` at the first bad one."""
    rows = 0
    out = sys.stdout.buffer
    with work.predictor(progress.note) as predictor, closing(work.scored(predictor, chunks)) as results:
        out.write(parts.header(work.plan))
        for result in results:
            dead_letters.check_few(len(result.letters.lines), 0, result.letters.first, "")
            out.write(result.block)
            out.flush()
            rows += result.rows
            progress.advance(result.rows, result.source_bytes)
    return rows
