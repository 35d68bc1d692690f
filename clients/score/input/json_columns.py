"""The carried keys of JSON lines as Arrow columns, for outputs that have a schema.

The first rows say what a key holds; a later value that does not fit is that row's own mistake. In CSV, which has no
lists and objects, these are their JSON text.
"""

import json
from typing import Any

import pyarrow as pa

from signet.clients.score import formats
from signet.clients.score.formats import Format
from signet.serving.errors import UsageError

Documents = dict[int, dict[str, Any]]
"""The objects of rows, by their place in the chunk."""
_MISFITS = (pa.ArrowException, OverflowError, TypeError, ValueError)
"""The errors of Arrow for values that are not of a type; half surrogate pairs are a ValueError."""
_AS_JSON = {b"signet": b"json"}


def schema(documents: list[dict[str, Any]], names: list[str], output: Format) -> Any:
    """The schema of the keys, by the values of the first rows; whole numbers are int64, others double."""
    return pa.schema([_field(name, [document.get(name) for document in documents], output) for name in names])


def table(documents: Documents, rows: int, wanted: Any) -> tuple[Any, dict[int, str]]:
    """A table of all rows, null where there is no document, and by place what does not fit."""
    misfits: dict[int, str] = {}
    columns = [_column(documents, rows, field, misfits) for field in wanted]
    return pa.table(columns, schema=wanted) if columns else _of_nothing(rows), misfits


def taken(columns: Any, places: list[int]) -> Any:
    """The rows of a table at these places."""
    return columns.take(pa.array(places, pa.int64()))


def _field(name: str, found: list[Any], output: Format) -> Any:
    if output.name in formats.SEPARATED and any(isinstance(value, dict | list) for value in found):
        return pa.field(name, pa.string(), metadata=_AS_JSON)
    try:
        kind = pa.array([value for value in found if _is_text(value)]).type
    except _MISFITS as error:
        raise UsageError(
            f"the key {name!r} of the first rows has no one type: {error}; leave it out by --carry, or write jsonl"
        ) from error
    if output.name == "parquet" and _has_empty_struct(kind):
        raise UsageError(
            f"the key {name!r} holds empty objects, for which Parquet has no column; leave it out by --carry, or "
            "write jsonl"
        )
    return pa.field(name, pa.string() if pa.types.is_null(kind) else kind)


def _column(documents: Documents, rows: int, field: Any, misfits: dict[int, str]) -> Any:
    found: list[Any] = [None] * rows
    for place, document in documents.items():
        value = document.get(field.name)
        found[place] = json.dumps(value, ensure_ascii=False) if field.metadata and value is not None else value
    nested = pa.types.is_nested(field.type)
    try:
        if not nested or not any(_dropped(value, field.type) for value in found):
            return pa.array(found, field.type)
    except _MISFITS:
        pass
    for place, value in enumerate(found):
        try:
            pa.array([value], field.type)
            dropped = _dropped(value, field.type)
            problem = f"it has a key {dropped!r} there" if dropped else ""
        except _MISFITS as error:
            problem = str(error)
        if problem:
            misfits.setdefault(place, f"its key {field.name!r} is not {field.type}, as in the first rows: {problem}")
            found[place] = None
    return pa.array(found, field.type)


def _is_text(value: Any) -> bool:
    """Whether all of it can be written as UTF-8; half a surrogate pair cannot."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _has_empty_struct(kind: Any) -> bool:
    if pa.types.is_struct(kind):
        return not kind.num_fields or any(_has_empty_struct(field.type) for field in kind)
    return pa.types.is_list(kind) and _has_empty_struct(kind.value_type)


def _dropped(value: Any, kind: Any) -> str:
    """A key within a value that its type has no field for: Arrow would leave it out without a word."""
    if pa.types.is_struct(kind) and isinstance(value, dict):
        fields = {field.name: field.type for field in kind}
        extra = value.keys() - fields.keys()
        return min(extra) if extra else next(filter(None, (_dropped(v, fields[k]) for k, v in value.items())), "")
    if pa.types.is_list(kind) and isinstance(value, list):
        return next(filter(None, (_dropped(element, kind.value_type) for element in value)), "")
    return ""


def _of_nothing(rows: int) -> Any:
    """A table without columns that still has rows."""
    return pa.table({"": pa.nulls(rows)}).select([])
