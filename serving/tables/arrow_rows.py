"""Arrow and Parquet of strangers as the rows that they hold, in JSON: for who cannot read either, such as a browser.

    id: int64, pixels: list<float>, when: timestamp ──▶ {"columns": ["id", "pixels", "when"],
                                                         "rows": [{"id": 7, "pixels": [0.5, 1], "when": "2026-11-29 …"}],
                                                         "left_out": ["address"]}    what is no number, text, time or list

No signature is asked: whoever gets the rows knows what they are for. NaN and infinity are words, bytes {"b64"}, what is missing
null. The bytes come from anybody, as in `arrow_bodies.py`: a process that may die reads them, and all of them is validated.
"""

import base64
import decimal
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from signet.serving.errors import InvalidInput, TooLarge
from signet.serving.json_arrays import non_finite
from signet.serving.json_arrays.values import MAX_DEPTH
from signet.serving.tables import arrow_bodies, arrow_cells
from signet.serving.tables.arrow_bodies import LISTS, MALFORMED, NAMES, NUMBERS, TEXTS, VIEWS, storage
from signet.serving.tensors.arrays import Array

_MOST_COLUMNS = 10_000
_MOST_BATCHES = 10_000
_MOST_ELEMENTS = 1 << 21
"""Numbers and texts in all: a bit may become a value of 30 bytes."""
_FILE = b"ARROW1"
_TIMES = (pa.types.is_timestamp, pa.types.is_date, pa.types.is_time, pa.types.is_duration)
_MOST_SAID = 200


def read(body: bytes, form: str, most_rows: int, most_bytes: int) -> bytes:
    """The rows. form: a key of `NAMES`; an Arrow file is read as a stream is. most_bytes: of the columns, decoded; of the JSON.

    Raises `InvalidInput`, `TooLarge` and MemoryError.
    """
    what = NAMES[form]
    pa.set_cpu_count(1)
    try:
        schema, batches = _file(body, what) if body.startswith(_FILE) else arrow_bodies.opened(body, form, most_rows)
        names = schema.names
        if len(set(names)) < len(names) or len(names) > _MOST_COLUMNS:
            raise InvalidInput(
                f"{what} has {len(names)} columns, {len(set(names))} names; at most {_MOST_COLUMNS}, all different"
            )
        kept = [name for name in names if _is_readable(schema.field(name).type)]
        rows = b",".join(_rows(batches, kept, what, most_rows, most_bytes))
    except MemoryError:
        raise
    except MALFORMED as error:
        raise InvalidInput(f"{what} is malformed: {str(error)[:_MOST_SAID]}") from error
    if not rows:
        raise InvalidInput(f"{what} has no rows; expected at least one")
    left_out = [name for name in names if name not in set(kept)]
    return orjson.dumps({"columns": kept, "rows": orjson.Fragment(b"[%b]" % rows), "left_out": left_out})


def _file(body: bytes, what: str) -> tuple[Any, Iterator[Any]]:
    file = pa.ipc.open_file(pa.BufferReader(body), options=pa.ipc.IpcReadOptions(use_threads=False))
    if file.num_record_batches > _MOST_BATCHES:
        raise TooLarge(f"{what} has {file.num_record_batches} batches; here it may have {_MOST_BATCHES}")
    return file.schema, (file.get_batch(place) for place in range(file.num_record_batches))


def _is_readable(kind: Any) -> bool:
    """Whether JSON has a word for values of the type: numbers, texts, times, and lists of the first two."""
    leaf = storage(kind)
    if any(is_time(leaf) for is_time in _TIMES) or pa.types.is_null(leaf):
        return True
    for _ in range(MAX_DEPTH):
        if not any(is_list(leaf) for is_list in LISTS):
            break
        leaf = storage(leaf.value_type)
    if pa.types.is_dictionary(leaf):
        leaf = leaf.value_type
    return any(check(leaf) for check in (*NUMBERS, *TEXTS, *VIEWS))


def _rows(batches: Iterator[Any], names: list[str], what: str, most_rows: int, most_bytes: int) -> Iterator[bytes]:
    """The rows as JSON, each alone. Raises `TooLarge`."""
    rows, nbytes, elements, written = 0, 0, 0, 0
    for place, batch in enumerate(batches):
        batch.validate(full=True)
        columns = {name: batch.column(name) for name in names}
        rows += batch.num_rows
        nbytes += sum(arrow_bodies.decoded_bytes(column) for column in batch.columns)
        # Each column counts as one: a file may name one batch of thousands of empty columns thousands of times.
        elements += batch.num_columns + sum(_elements(column) for column in columns.values())
        for much, count, most in (
            ("rows", rows, most_rows),
            ("bytes", nbytes, most_bytes),
            ("values", elements, _MOST_ELEMENTS),
        ):
            if count > most:
                raise TooLarge(f"{what} has more than {most:,} {much}")
        if place > _MOST_BATCHES:
            raise TooLarge(f"{what} has more than {_MOST_BATCHES:,} batches")
        if batch.num_rows:
            values = [_values(column) for column in columns.values()]
            lines = zip(*values, strict=True) if values else [()] * batch.num_rows
            for line in lines:
                row = orjson.dumps(dict(zip(names, line, strict=True)))
                # A name stands in each row, and a byte may become six: a file of a kilobyte would fill the memory of who asks.
                written += len(row) + 1
                if written > most_bytes:
                    raise TooLarge(f"the rows of {what} have more than {most_bytes:,} bytes as JSON")
                yield row


def _elements(column: Any) -> int:
    """The values of a column, those within its lists, too."""
    leaf = _storage_of(column)
    count = len(leaf)
    while any(is_list(leaf.type) for is_list in LISTS):
        leaf = _storage_of(leaf.flatten())
        count += len(leaf)
    return count


def _storage_of(column: Any) -> Any:
    """The column without its extension type."""
    return column.storage if isinstance(column.type, pa.BaseExtensionType) else column


def _values(column: Any) -> list[Any]:
    """What orjson writes for each row."""
    if any(is_time(storage(column.type)) for is_time in _TIMES):
        return _times(_storage_of(column))
    column = arrow_bodies.plain(column)
    array = None if pa.types.is_null(column.type) else arrow_cells.regular(column)
    if array is not None and array.dtype.kind in "fiub":
        return [_numbers(array[place, ...]) for place in range(len(array))]
    return [_value(value) for value in column.to_pylist()]


def _times(column: Any) -> list[Any]:
    kind = column.type
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp(kind.unit))  # in UTC: what zones there are, this machine need not know
    elif pa.types.is_duration(kind):
        column = column.cast(pa.int64())
    texts: list[Any] = pc.cast(column, pa.string()).to_pylist()
    return texts


def _numbers(row: Array) -> orjson.Fragment:
    if row.dtype.kind == "f":
        return non_finite.text(row, "string")
    return orjson.Fragment(
        orjson.dumps(np.ascontiguousarray(row) if row.ndim else row[()], option=orjson.OPT_SERIALIZE_NUMPY)
    )


def _value(value: Any) -> Any:
    """A value of Python as JSON has it."""
    if isinstance(value, list):
        return [_value(each) for each in value]
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)
