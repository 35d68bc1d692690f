"""The first thread of a request log: records that wait become batches of rows, appended to streams.

    queue ──all that is there──▶ by plan and shapes ──tables.batch──▶ the stream of that plan and schema
                                                                       └─ large or old enough ──▶ closed, for shipping

Concatenated first: a batch of a hundred requests costs little more than that of one.
"""

import logging
import secrets
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from signet.serving.gateway.observability.request_log_counts import LogCounts
from signet.serving.gateway.request_log import tables
from signet.serving.gateway.request_log.record import Record
from signet.serving.gateway.request_log.streams import Stream
from signet.serving.models.request_columns import Logged

log = logging.getLogger(__name__)

_MOST_STREAMS = 64
"""Streams that are written side by side; for another one the oldest is closed."""
_MOST_BINARY = 1024


class Writing:
    """Only its own thread uses it."""

    def __init__(
        self,
        spool: Path,
        file_bytes: int,
        file_s: float,
        counts: LogCounts,
        closed: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """file_bytes, file_s: when a stream is closed. closed: told when one was."""
        self._spool, self._file_bytes, self._file_s = spool, file_bytes, file_s
        self._counts, self._closed, self._clock = counts, closed, clock
        self._streams: dict[tuple[Logged, Any], Stream] = {}
        self._binary: set[tuple[Logged, str]] = set()
        """Columns of strings that have held what is no text."""
        self._process, self._number = secrets.token_hex(4), 0
        self._told = False
        """Whether the log says already that the disk fails."""

    def write(self, groups: Iterable[list[Record]]) -> None:
        """Append rows to their streams; what cannot be is counted, and told once."""
        for group in groups:
            self._write_group(group)
        now = self._clock()
        for key, stream in list(self._streams.items()):
            if now - stream.opened_s >= self._file_s or stream.nbytes >= self._file_bytes:
                self._close(key)

    def close(self) -> None:
        """Close all streams."""
        for key in list(self._streams):
            self._close(key)

    def _write_group(self, group: list[Record]) -> None:
        logged = group[0].plan.logged
        rows = sum(record.rows for record in group)
        try:
            batch = self._batch(group)
        except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
            self._counts.dropped.labels("values").inc(rows)
            log.debug("the request log has no columns for a request to %s: %s", logged.model, error)
            return
        key = (logged, batch.schema.to_string())
        try:
            stream = self._streams.get(key) or self._open(key, batch.schema)
            stream.append(batch)
        except OSError as error:
            self._counts.dropped.labels("disk").inc(rows)
            if not self._told:
                log.warning("the request log cannot write to %s: %s; it tries again", self._spool, error)
                self._told = True
            self._close(key)  # who knows what stands at its end
            return
        if self._told:
            log.info("the request log is written again")
            self._told = False

    def _batch(self, group: list[Record]) -> Any:
        logged = group[0].plan.logged
        while True:
            try:
                return tables.batch(group, frozenset(column for known, column in self._binary if known == logged))
            except tables.NoText as error:
                if len(self._binary) >= _MOST_BINARY:
                    raise
                self._binary.add((logged, error.column))

    def _open(self, key: tuple[Logged, Any], schema: Any) -> Stream:
        if len(self._streams) >= _MOST_STREAMS:
            self._close(min(self._streams, key=lambda key: self._streams[key].opened_s))
        self._number += 1
        logged = key[0]
        now = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        name = f"{_named(logged.signature)}-{now}-{self._process}-{self._number:06d}.parquet"
        place = f"{_named(logged.model)}/{logged.version}/{name}"
        stream = self._streams[key] = Stream(self._spool, place, schema, self._clock())
        return stream

    def _close(self, key: tuple[Logged, Any]) -> None:
        if stream := self._streams.pop(key, None):
            stream.close()
            self._closed()


def _named(text: str) -> str:
    """A name as a file's: whoever reads folders of rows leaves hidden ones out."""
    quoted = quote(text, safe="")
    return f"%{ord(quoted[0]):02X}{quoted[1:]}" if quoted[:1] in (".", "_") else quoted
