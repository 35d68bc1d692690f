"""The parts of a job one after the other, in this process.

chunks ──Work.scored──▶ answers in order ──open_part──▶ part file ──manifest.commit──▶ the next part
"""

from collections.abc import Iterator
from contextlib import closing

from signet.clients.score.input.chunk import Chunk
from signet.clients.score.output import commit, manifest
from signet.clients.score.output.manifest import Manifest
from signet.clients.score.score_progress import ScoreProgress
from signet.clients.score.work import Work


def run(work: Work, chunks: Iterator[Chunk], begun: Manifest, progress: ScoreProgress) -> Manifest:
    """Score the parts after those of the manifest. chunks: begin where these end."""
    done, start = begun, begun.next_part
    with work.predictor(progress.note) as predictor, closing(work.scored(predictor, chunks)) as results:
        result = next(results, None)
        while result is not None or not start.number:  # without rows there is one part, for the columns
            with commit.open_part(work.destination, work.plan, start, work.has_pipe) as part:
                while result is not None:
                    part.add(result)
                    progress.advance(result.rows, result.source_bytes)
                    work.check_few_bad(done.bad + part.bad, result.letters.first)
                    if part.rows >= work.part_rows:
                        break
                    result = next(results, None)
            done = manifest.commit(work.destination, done, start.number, part.entry)
            start = done.next_part
            result = next(results, None) if result is not None else None
    return done
