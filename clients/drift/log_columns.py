"""The rows of a request log as features: file by file, piece by piece, so that memory stays bounded.

Parquet ──pieces since a time──▶ columns of tensors ──rows of one shape──▶ distribution.features ──▶ name, values
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from signet.clients.request_log.files import LogFile
from signet.clients.score import storage
from signet.serving.errors import UsageError
from signet.serving.models import distribution
from signet.serving.models.request_columns import OUTPUT, REQUEST
from signet.serving.tables.arrow_cells import whole_column
from signet.serving.tensors import dtypes
from signet.serving.tensors.arrays import Array
from signet.serving.tensors.signature import Signature, TensorSpec

_PIECE_ROWS = 1 << 13
_TIME = f"{REQUEST}time"
_NAMES = {row.name: row for row in dtypes.ROWS}
_OTHER = {"halffloat": "half", "binary": "string", "large_binary": "string", "large_string": "string"}


@dataclass(frozen=True)
class Piece:
    """Some rows of one tensor: its features."""

    tensor: str
    """The column: `pixels`, `output.digit`."""
    features: dict[str, Array]


def pieces(
    log: LogFile, since: datetime | None, until: datetime | None, pad: float, share: float = 1.0, seed: int = 0
) -> Iterator[tuple[int, list[Piece]]]:
    """How many rows came in that time, and their features, some rows at a time. Raises `UsageError`.

    since, until: a time in UTC, the latter left out. share: of the rows, chosen by chance.
    """
    chance = np.random.default_rng(seed)
    try:
        with storage.of(log.path).open(log.path) as file:
            parquet = pq.ParquetFile(file)
            specs = specs_of(parquet.schema_arrow)
            groups = [group for group in range(parquet.num_row_groups) if _may_hold(parquet, group, since, until)]
            for batch in parquet.iter_batches(_PIECE_ROWS, row_groups=groups, columns=[*specs, _TIME]):
                table = _in_time(pa.Table.from_batches([batch]), since, until)
                if share < 1:
                    table = table.filter(pa.array(chance.random(table.num_rows) < share))
                if table.num_rows:
                    yield (
                        table.num_rows,
                        [
                            Piece(name, found)
                            for name, spec in specs.items()
                            for found in _features(name, spec, table[name].combine_chunks(), pad)
                        ],
                    )
    except (OSError, pa.ArrowException) as error:
        raise UsageError(f"{storage.shown(log.path)} cannot be read as Parquet: {error}") from error


def rows_of(logs: Sequence[LogFile]) -> int:
    """The rows of all files, as they say themselves."""
    total = 0
    for log in logs:
        with storage.of(log.path).open(log.path) as file:
            total += pq.ParquetFile(file).metadata.num_rows
    return total


def specs_of(schema: Any) -> dict[str, TensorSpec]:
    """Column -> the tensor that it holds, by the types of the columns: an empty one has none."""
    found = {}
    for field in schema:
        if field.name.startswith(REQUEST) or pa.types.is_null(field.type):
            continue
        shape: list[int | None] = [None]
        kind = field.type
        while pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
            shape.append(kind.list_size if pa.types.is_fixed_size_list(kind) else None)
            kind = kind.value_type
        if (dtype := _NAMES.get(_OTHER.get(str(kind), str(kind)))) is not None:
            found[field.name] = TensorSpec(field.name, dtype, tuple(shape), "")
    return found


def _features(name: str, spec: TensorSpec, column: Any, pad: float) -> Iterator[dict[str, Array]]:
    """Of the rows that hold the tensor; once for each of their shapes."""
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    column = column.drop_null()
    if not len(column):
        return
    is_output = name.startswith(OUTPUT)
    bare = name.removeprefix(OUTPUT) if is_output else name
    specs = {bare: TensorSpec(bare, spec.dtype, spec.shape, "")}
    signature = Signature("", {} if is_output else specs, specs if is_output else {})
    for array in _arrays(column, spec):
        yield distribution.features(signature, *(({}, {bare: array}) if is_output else ({bare: array}, {})), pad)


def _arrays(column: Any, spec: TensorSpec) -> Iterator[Array]:
    whole = whole_column(column, spec)
    if whole is not None:
        yield whole
        return
    assert spec.dtype is not None
    by_shape: dict[tuple[int, ...], list[Array]] = {}
    for row in column.to_pylist():
        array = np.array(row, spec.dtype.numpy)
        by_shape.setdefault(array.shape, []).append(array)
    for arrays in by_shape.values():
        yield np.stack(arrays)


def _in_time(table: Any, since: datetime | None, until: datetime | None) -> Any:
    times = table[_TIME]
    if since is not None:
        table = table.filter(pc.greater_equal(times, pa.scalar(since, times.type)))
        times = table[_TIME]
    if until is not None:
        table = table.filter(pc.less(times, pa.scalar(until, times.type)))
    return table


def _may_hold(parquet: Any, group: int, since: datetime | None, until: datetime | None) -> bool:
    """Whether a row group may hold rows of that time, as its statistics say."""
    place = parquet.schema_arrow.names.index(_TIME)
    metadata = parquet.metadata.row_group(group)
    column = next(metadata.column(i) for i in range(metadata.num_columns) if metadata.column(i).path_in_schema == _TIME)
    statistics = column.statistics
    if place < 0 or statistics is None or not statistics.has_min_max:
        return True
    return (since is None or statistics.max >= since) and (until is None or statistics.min < until)
