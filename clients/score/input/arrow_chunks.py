"""Chunks of Parquet, Arrow and TFRecord files, as Arrow tables or what becomes one. Memory stays bounded:

tfrecord  records         ──▶ list of bytes      serialized tf.Examples
parquet   row groups, piece by piece ──▶ table   the row groups before the start are not read
arrow     record batches  ──▶ table              of an Arrow file or stream
"""

import bisect
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from signet.clients.score.input.chunk import MAX_RECORD_BYTES, Chunk, Position, Read, check_names, skip
from signet.clients.score.input.sources import Source
from signet.serving.errors import SignetError, UsageError
from signet.serving.models import tfrecords

_ARROW_MAGIC = b"ARROW1"
_PARQUET_BUFFER_BYTES = 1 << 20
_PARQUET_ROWS = 1 << 13
"""How many rows are decoded at a time."""
_TFRECORD_FRAME_BYTES = 16


def parquet(
    source: Source, content: BinaryIO, start: Position, rows: int, columns: tuple[str, ...] | None = None
) -> Iterator[Chunk]:
    """Chunks of a Parquet file; their content is a table of the columns that are wanted."""
    try:
        file = pq.ParquetFile(_seekable(source, content), pre_buffer=False, buffer_size=_PARQUET_BUFFER_BYTES)
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error
    metadata = file.metadata
    counts = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    ends = list(itertools.accumulate(counts))
    names = file.schema_arrow.names
    check_names(source.shown, names)
    chosen = None if columns is None else _chosen(names, columns)
    if not metadata.num_rows:
        yield _empty(source, start, file.schema_arrow, columns)
        return
    first = bisect.bisect_right(ends, start.row)
    if first == len(ends):
        return
    groups, skipped = list(range(first, len(ends))), start.row - (ends[first] - counts[first])
    batches = file.iter_batches(batch_size=_PARQUET_ROWS, row_groups=groups, columns=chosen, use_threads=False)
    yield from _tables(source, start, rows, _without_first(batches, skipped), metadata.num_rows)


def arrow(
    source: Source, content: BinaryIO, start: Position, rows: int, columns: tuple[str, ...] | None = None
) -> Iterator[Chunk]:
    """Chunks of an Arrow file, whose batches are found by number, or of a stream; their content is a table."""
    file = _seekable(source, content) if source.seekable else pa.PythonFile(content, mode="r")
    is_file = source.seekable and content.read(len(_ARROW_MAGIC)) == _ARROW_MAGIC
    if source.seekable:
        content.seek(0)
    if is_file:
        opened = pa.ipc.open_file(file)
        schema = opened.schema
        batches: Iterable[Any] = (opened.get_batch(i) for i in range(opened.num_record_batches))
    else:
        stream = pa.ipc.open_stream(file)
        batches, schema = stream, stream.schema
    check_names(source.shown, schema.names)
    if columns is not None:
        batches = (batch.select(_chosen(batch.schema.names, columns)) for batch in batches)
    empty = not start.row
    for chunk in _tables(source, start, rows, _without_first(batches, start.row), None):
        empty = False
        yield chunk
    if empty:
        yield _empty(source, start, schema, columns)


def _chosen(names: list[str], columns: tuple[str, ...]) -> list[str]:
    return [name for name in names if name in columns]


def _empty(source: Source, start: Position, schema: Any, columns: tuple[str, ...] | None) -> Chunk:
    """A chunk without rows, for the columns of a file that has none."""
    table = schema.empty_table()
    return Chunk(source, start, start, table if columns is None else table.select(_chosen(schema.names, columns)), 0)


def count(source: Source, content: BinaryIO) -> int | None:
    """How many rows a Parquet or Arrow file has; None for a stream."""
    if source.format.name == "parquet":
        return int(pq.ParquetFile(_seekable(source, content)).metadata.num_rows)
    if content.read(len(_ARROW_MAGIC)) != _ARROW_MAGIC:
        return None
    opened = pa.ipc.open_file(_seekable(source, content))
    return sum(int(opened.get_batch(i).num_rows) for i in range(opened.num_record_batches))


def tfrecord(source: Source, content: BinaryIO, start: Position, rows: int, columns: Any = None) -> Iterator[Chunk]:
    """Chunks of a TFRecord file; their content is a list of serialized tf.Examples."""
    skip(source, content, start.offset)
    try:
        records = tfrecords.read(content, MAX_RECORD_BYTES)
        while chunk := list(islice(records, rows)):
            size = sum(len(record) + _TFRECORD_FRAME_BYTES for record in chunk)
            end = replace(start, row=start.row + len(chunk), offset=start.offset + size)
            yield Chunk(source, start, end, chunk, size)
            start = end
    except SignetError as error:
        raise UsageError(f"{source.shown}, after row {start.row}: {error}") from error


READERS: dict[str, Read] = {"parquet": parquet, "arrow": arrow, "tfrecord": tfrecord}


def _seekable(source: Source, content: BinaryIO) -> Any:
    """What pyarrow reads from: the file itself where it is local, which takes no copy through Python."""
    if source.is_pipe:
        raise UsageError(
            f"{source.shown} is a pipe, and {source.format.name} cannot be read from one; send jsonl or csv"
        )
    return content if "://" in source.path else pa.OSFile(source.path)


def _without_first(batches: Iterable[Any], rows: int) -> Iterator[Any]:
    for batch in batches:
        if rows < batch.num_rows:
            yield batch.slice(rows) if rows else batch
        rows = max(0, rows - batch.num_rows)


def _tables(
    source: Source, start: Position, rows: int, batches: Iterable[Any], total_rows: int | None
) -> Iterator[Chunk]:
    """Tables of so many rows, the last one of what is left."""
    row_bytes = (source.size_bytes or 0) / total_rows if total_rows else 0
    kept: list[Any] = []
    kept_rows = 0
    for batch in batches:
        at = 0
        while at < batch.num_rows:
            piece = batch.slice(at, rows - kept_rows)
            kept.append(piece)
            kept_rows += piece.num_rows
            at += piece.num_rows
            if kept_rows == rows:
                end = replace(start, row=start.row + rows)
                yield Chunk(source, start, end, pa.Table.from_batches(kept), int(row_bytes * rows))
                start, kept, kept_rows = end, [], 0
    if kept:
        end = replace(start, row=start.row + kept_rows)
        yield Chunk(source, start, end, pa.Table.from_batches(kept), int(row_bytes * kept_rows))
