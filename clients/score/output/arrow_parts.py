"""Parquet and Arrow files, written table by table and read again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from signet.clients.score.formats import Format
from signet.clients.score.output import arrow_encoders
from signet.clients.score.plan import Plan
from signet.serving.errors import UsageError

_GROUP_ROWS = 1 << 13
"""Rows of a row group or record batch, or up to a chunk more: so many are in memory."""


class Tables:
    """Collects small tables into groups, used by one thread; where a group ends depends on the numbers of rows alone."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer
        self._waiting: list[Any] = []
        self._rows = 0

    def append(self, block: Any) -> None:
        self._waiting.append(block)
        self._rows += block.num_rows
        if self._rows >= _GROUP_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what waits as a group of its own."""
        if self._rows:
            table = pa.concat_tables(self._waiting).combine_chunks()
            sizes = {
                "row_group_size" if isinstance(self._writer, pq.ParquetWriter) else "max_chunksize": table.num_rows
            }
            try:
                self._writer.write_table(table, **sizes)
            except pa.ArrowException as error:
                raise UsageError(
                    f"a value cannot be written in this format: {error}; see --carry and --format"
                ) from error
        self._waiting, self._rows = [], 0


@contextmanager
def writer(plan: Plan, path: Path) -> Iterator[Tables]:
    """A Parquet or Arrow file that tables are appended to."""
    schema = arrow_encoders.schema(plan)
    if plan.format.name == "parquet":
        # Outputs are numbers that hardly ever repeat: looking for repetitions takes as long as all the rest.
        texts = [field.name for field in schema if pa.types.is_string(field.type)]
        opened: Any = pq.ParquetWriter(path, schema, compression="snappy", use_dictionary=texts)
    else:
        opened = pa.ipc.new_file(str(path), schema)
    with opened:
        tables = Tables(opened)
        yield tables
        tables.flush()


def tables(kind: Format, file: BinaryIO) -> Iterator[Any]:
    """The groups of a Parquet or Arrow file, one table each."""
    if kind.name == "parquet":
        parquet = pq.ParquetFile(file)
        for group in range(parquet.num_row_groups):
            yield parquet.read_row_group(group)
        return
    opened = pa.ipc.open_file(file)
    for number in range(opened.num_record_batches):
        yield pa.Table.from_batches([opened.get_batch(number)])
