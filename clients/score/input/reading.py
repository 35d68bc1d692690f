"""The rows of all sources, cut into chunks, each format by its own reader.

    sources ──read(…, start, rows)──▶ Chunk(file 0, rows 0 to 63), Chunk(rows 64 to 127), …, Chunk(file 1, rows 0 to 63)

    jsonl ──▶ lines.py    csv, tsv ──▶ csv_records.py    parquet, arrow, tfrecord ──▶ arrow_chunks.py

Reading is quick and in order; parsing is left to whoever scores the chunk.
"""

from collections.abc import Iterator

from signet.clients.score import formats
from signet.clients.score.input import lines
from signet.clients.score.input.chunk import Chunk, Position, Read
from signet.clients.score.input.sources import Source
from signet.serving.errors import UsageError


def read(
    sources: tuple[Source, ...], start: Position, rows: int, columns: tuple[str, ...] | None = None
) -> Iterator[Chunk]:
    """Chunks of at most so many rows from a position on. Raises `UsageError` for files that cannot be read."""
    for number in range(start.file, len(sources)):
        source = sources[number]
        begin = start if number == start.file else Position(number)
        try:
            with source.open() as content:
                yield from _reader(source)(source, content, begin, rows, columns)
        except (OSError, EOFError, ValueError) as error:
            raise UsageError(f"{source.shown} cannot be read as {source.format.ending}: {error}") from error


def count(source: Source) -> int | None:
    """The rows of a file that knows them without being read; None for others."""
    if source.format.name not in formats.UNCOMPRESSED or source.is_pipe:
        return None
    from signet.clients.score.input import arrow_chunks  # noqa: PLC0415  # needs pyarrow

    with source.open() as content:
        return arrow_chunks.count(source, content)


def _reader(source: Source) -> Read:
    if source.format.name == "jsonl":
        return lines.read
    formats.pyarrow(f"{source.shown}, which is {source.format.ending},")
    if source.format.name in formats.SEPARATED:
        from signet.clients.score.input import csv_records  # noqa: PLC0415  # its cells need pyarrow

        return csv_records.read
    from signet.clients.score.input import arrow_chunks  # noqa: PLC0415  # needs pyarrow

    return arrow_chunks.READERS[source.format.name]
