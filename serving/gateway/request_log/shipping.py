"""The second thread of a request log: streams become Parquet files, and go where they belong.

    .spool/*.arrows that nobody writes ──▶ Parquet, zstd ──put──▶ folder or bucket ──▶ the stream is removed

Streams of processes that were killed are found here too: at the start, and by whichever process looks next. A file is made
anew under the same name when it was not certain that it had arrived, so no row is there twice.
"""

import logging
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from signet.serving.gateway.observability.request_log_counts import LogCounts
from signet.serving.gateway.request_log import streams
from signet.serving.gateway.request_log.destination import Destination
from signet.serving.process.supervision import Backoff

log = logging.getLogger(__name__)

LOOK_S = 5.0
"""Seconds between two looks at the streams."""
_GROUP_ROWS, _GROUP_BYTES = 1 << 13, 16 << 20
"""A row group ends with the first batch beyond one of these."""


class Shipping:
    """Only its own thread uses it."""

    def __init__(self, spool: Path, destination: Destination, max_bytes: int, counts: LogCounts) -> None:
        """max_bytes: of streams that wait; the oldest go beyond it."""
        self._spool, self._destination, self._max_bytes, self._counts = spool, destination, max_bytes, counts
        self._backoff = Backoff()
        self._told = False
        """Whether the log says already that files cannot be written."""

    def step(self) -> float:
        """Make files of all streams that nobody writes; gives the seconds until the next look."""
        try:
            for path in streams.waiting(self._spool):
                self._ship(path)
        except Exception as error:  # noqa: BLE001  # each kind of store has errors of its own
            if not self._told:
                log.warning("the request log cannot write its files: %s; it tries again", error or type(error).__name__)
                self._told = True
            self._drop_oldest()
            return self._backoff.failed()
        if self._told:
            log.info("the request log writes its files again")
            self._told = False
        self._backoff.reset()
        return LOOK_S

    def _ship(self, path: Path) -> None:
        with streams.claimed(path) as ours:
            if not ours:
                return
            made = path.with_name(path.name + ".parquet")
            try:
                rows = to_parquet(path, made)
                size = made.stat().st_size if rows else 0
                if rows:
                    self._destination.put(made, streams.place_of(path))
            finally:
                made.unlink(missing_ok=True)
            path.unlink()
        self._counts.rows.inc(rows)
        self._counts.bytes.inc(size)
        self._destination.trim()

    def _drop_oldest(self) -> None:
        """Keep what waits within its bound."""
        waiting = [(path, path.stat().st_size) for path in streams.waiting(self._spool) if path.exists()]
        over = sum(size for _, size in waiting) - self._max_bytes
        for path, size in waiting:
            if over <= 0:
                return
            with streams.claimed(path) as ours:
                if not ours:
                    continue
                self._counts.dropped.labels("store").inc(sum(batch.num_rows for batch in streams.batches(path)))
                path.unlink()
            over -= size


def to_parquet(stream: Path, target: Path) -> int:
    """Write what is whole of a stream as a Parquet file; gives its rows, and without any there is no file."""
    rows, writer = 0, None
    group: list[Any] = []
    try:
        for batch in streams.batches(stream):
            if writer is None:
                texts = [field.name for field in batch.schema if pa.types.is_string(field.type)]
                writer = pq.ParquetWriter(target, batch.schema, compression="zstd", use_dictionary=texts)
            rows += batch.num_rows
            group.append(batch)
            if (
                sum(part.num_rows for part in group) >= _GROUP_ROWS
                or sum(part.nbytes for part in group) >= _GROUP_BYTES
            ):
                _write(writer, group)
                group = []
        if writer and group:
            _write(writer, group)
    finally:
        if writer:
            writer.close()
    return rows


def _write(writer: Any, group: list[Any]) -> None:
    table = pa.Table.from_batches(group).combine_chunks()
    writer.write_table(table, row_group_size=table.num_rows)
