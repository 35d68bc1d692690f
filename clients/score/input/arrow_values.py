"""The values of Arrow columns as JSON has them, and columns in the plain types that all else here knows.

timestamp[ns]  ──json_values──▶  "2026-11-28T12:00:00.123456789"      string_view  ──plain──▶  string
"""

import base64
import datetime
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from signet.clients.client import values
from signet.serving.errors import UsageError

_AS_IT_IS = (bool, str, datetime.date, datetime.time, uuid.UUID, orjson.Fragment, type(None))
_MOST, _LEAST = 2**64 - 1, -(2**63)
"""Whole numbers that `values.dumps` writes."""


def plain(table: Any) -> Any:
    """The table without views and run-end encoding, which few kernels and formats take. Nothing is copied without need."""
    for i, field in enumerate(table.schema):
        kind = _plain_type(field.type)
        column = table.column(i)
        if _is_uncastable(field.type):
            column = pa.chunked_array([pa.array(column.to_pylist(), kind)], kind)
        elif kind != field.type:
            column = column.cast(kind)
        else:
            continue
        table = table.set_column(i, field.with_type(kind), column)
    return table


def json_values(column: Any, name: str, non_finite: str = "bare") -> list[Any]:
    """The values of a column as `values.dumps` writes them. Raises `UsageError` for times that no calendar has."""
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_boolean(kind):
        return list(column.to_pylist())
    try:
        if _has_nanoseconds(kind):
            return _with_nanoseconds(column)
        found = column.to_pylist()
    except (OverflowError, ValueError, pa.ArrowException) as error:
        raise UsageError(
            f"the column {name!r} is {kind} and holds a time that cannot be written in JSON: {error}; leave it out by "
            "--carry, or write parquet"
        ) from error
    leaf = kind
    while pa.types.is_list(leaf) or pa.types.is_large_list(leaf) or pa.types.is_fixed_size_list(leaf):
        leaf = leaf.value_type
    short = np.float32 if pa.types.is_float32(leaf) else None
    return [json_value(value, short, non_finite) for value in found]


def json_value(value: Any, short: Callable[[float], Any] | None, non_finite: str) -> Any:
    """One value as JSON has it. short: the type whose floats are written with as few digits as tell them apart."""
    if isinstance(value, float):
        made = values.in_json(float(value), non_finite)
        return float(str(short(value))) if short and made == value else made
    if isinstance(value, int) and not isinstance(value, bool):
        return value if _LEAST <= value <= _MOST else orjson.Fragment(str(value))
    if isinstance(value, _AS_IT_IS):
        return value
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, list | tuple):
        return [json_value(element, short, non_finite) for element in value]
    if isinstance(value, dict):
        return {str(key): json_value(element, None, non_finite) for key, element in value.items()}
    return str(value)  # decimals, durations


def _is_uncastable(kind: Any) -> bool:
    """Whether Arrow's own cast makes no plain type of it, or a broken one."""
    checks = (pa.types.is_run_end_encoded, pa.types.is_list_view, pa.types.is_large_list_view)
    return any(check(kind) for check in checks) or any(
        _is_uncastable(kind.field(i).type) for i in range(kind.num_fields)
    )


def _has_nanoseconds(kind: Any) -> bool:
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind) or pa.types.is_time(kind):
        return str(kind).split("[", maxsplit=1)[1].startswith("ns")
    return any(_has_nanoseconds(kind.field(i).type) for i in range(kind.num_fields))


def _with_nanoseconds(column: Any) -> list[Any]:
    """Times as text with all their digits: Python's end at microseconds, the rest is written behind them."""
    kind = column.type
    if pa.types.is_nested(kind):
        return [json_value(value, None, "bare") for value in column.cast(_in_microseconds(kind)).to_pylist()]
    numbers = column.cast(pa.int64()).to_pylist()
    whole = pa.array([None if number is None else number // 1000 for number in numbers], pa.int64())
    times = whole.cast(_in_microseconds(kind)).to_pylist()
    return [
        None if time is None else _text_of_time(time, number % 1000)
        for time, number in zip(times, numbers, strict=True)
    ]


def _text_of_time(time: Any, nanoseconds: int) -> str:
    if isinstance(time, datetime.timedelta):
        text = str(time)
        return f"{text if '.' in text else text + '.000000'}{nanoseconds:03}" if nanoseconds else text
    if not nanoseconds:
        return str(time.isoformat())
    text = time.isoformat(timespec="microseconds")
    end = text.index(".") + 7
    return f"{text[:end]}{nanoseconds:03}{text[end:]}"


def _in_microseconds(kind: Any) -> Any:
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz) if kind.unit == "ns" else kind
    if pa.types.is_duration(kind):
        return pa.duration("us") if kind.unit == "ns" else kind
    if pa.types.is_time64(kind):
        return pa.time64("us")
    return _rebuilt(kind, _in_microseconds)


def _plain_type(kind: Any) -> Any:
    if pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_run_end_encoded(kind):
        return _plain_type(kind.value_type)
    if pa.types.is_list_view(kind):
        return pa.list_(_plain_type(kind.value_type))
    if pa.types.is_large_list_view(kind):
        return pa.large_list(_plain_type(kind.value_type))
    return _rebuilt(kind, _plain_type)


def _rebuilt(kind: Any, change: Callable[[Any], Any]) -> Any:
    """A nested type with other types in it; the same object where nothing changes."""
    if not pa.types.is_nested(kind) or pa.types.is_union(kind):
        return kind
    fields = [kind.field(i) for i in range(kind.num_fields)]
    changed = [field.with_type(change(field.type)) for field in fields]
    if changed == fields:
        return kind
    if pa.types.is_struct(kind):
        return pa.struct(changed)
    if pa.types.is_map(kind):
        return pa.map_(change(kind.key_type), change(kind.item_type))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(changed[0], kind.list_size)
    return pa.large_list(changed[0]) if pa.types.is_large_list(kind) else pa.list_(changed[0])
