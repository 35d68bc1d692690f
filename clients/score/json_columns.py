"""The carried keys of JSON lines as Arrow columns, for outputs that have a schema.

The first rows say what a key holds; a later value that does not fit is that row's own mistake.
"""

from typing import Any

import pyarrow as pa

from serving.errors import UsageError

Documents = dict[int, dict[str, Any]]
"""Rows by place."""


def schema(documents: list[dict[str, Any]], names: list[str]) -> Any:
    """The schema of the keys, by the values of the first rows; whole numbers are int64, others double."""
    fields = []
    for name in names:
        found = [document.get(name) for document in documents]
        try:
            kind = pa.array(found).type
        except (pa.ArrowException, OverflowError) as error:
            raise UsageError(
                f"the key {name!r} of the first rows has no one type: {error}; leave it out by --carry, or write jsonl"
            ) from error
        fields.append(pa.field(name, pa.string() if pa.types.is_null(kind) else kind))
    return pa.schema(fields)


def table(documents: Documents, rows: int, wanted: Any) -> tuple[Any, dict[int, str]]:
    """A table of all rows, null where there is no document, and by place what does not fit."""
    misfits: dict[int, str] = {}
    columns = [_column(documents, rows, field, misfits) for field in wanted]
    return pa.table(columns, schema=wanted) if columns else _of_nothing(rows), misfits


def taken(columns: Any, places: list[int]) -> Any:
    """The rows of a table at these places."""
    return columns.take(pa.array(places, pa.int64()))


def _column(documents: Documents, rows: int, field: Any, misfits: dict[int, str]) -> Any:
    found: list[Any] = [None] * rows
    for place, document in documents.items():
        found[place] = document.get(field.name)
    try:
        return pa.array(found, field.type)
    except (pa.ArrowException, OverflowError):
        pass
    for place, value in enumerate(found):
        try:
            pa.array([value], field.type)
        except (pa.ArrowException, OverflowError) as error:
            misfits.setdefault(place, f"its key {field.name!r} is not {field.type}, as in the first rows: {error}")
            found[place] = None
    return pa.array(found, field.type)


def _of_nothing(rows: int) -> Any:
    """A table without columns that still has rows."""
    return pa.table({"": pa.nulls(rows)}).select([])
