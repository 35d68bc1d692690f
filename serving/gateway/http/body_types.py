"""Which body a request brings and which it wants back, by its Content-Type and Accept; what its query asks for besides.

    text/csv; charset=latin-1              ──sent──▶    Sent(csv, "latin-1")
    text/csv;q=0.5, application/json       ──wanted──▶  json
    ?signature_name=from_text&non_finite=null ──options──▶ Options

TensorFlow Serving looks at neither header. So whatever begins with { is JSON, whatever it is called, and without an Accept
that says otherwise the answer is JSON, too.
"""

import importlib.util
import re
from functools import cache, lru_cache
from typing import NamedTuple, cast, get_args
from urllib.parse import parse_qsl

from signet.serving.errors import InvalidInput, NotAcceptable, UnknownType
from signet.serving.json_arrays.non_finite import NonFinite
from signet.serving.offload.table_bodies import ARROW, CSV, FORM, PARQUET
from signet.serving.tensors.signature import nearest_hint

JSON = "json"
NAMES = {
    JSON: "application/json",
    FORM: "multipart/form-data",
    CSV: "text/csv",
    ARROW: "application/vnd.apache.arrow.stream",
    PARQUET: "application/vnd.apache.parquet",
}
"""The types that are told."""
_OTHER_NAMES = {
    "application/csv": CSV,
    "application/parquet": PARQUET,
    "application/x-parquet": PARQUET,
}
_TYPES = {name: form for form, name in NAMES.items()} | _OTHER_NAMES
_AS_JSON = {
    "",
    "application/json",
    "application/x-www-form-urlencoded",
    "text/plain",
    "text/json",
    "application/octet-stream",
}
"""Content-Types of bodies that are read as JSON, whatever they begin with: what `curl -d` and old clients say."""

USUAL_SENT = frozenset(
    [None, b"application/json", b"application/x-www-form-urlencoded", b"application/json; charset=utf-8"]
)
USUAL_WANTED = frozenset([None, b"*/*", b"application/json", b"application/json, text/plain, */*"])
"""Headers with which nothing but JSON is meant, as most of the time."""

_CHARSET = re.compile(r';[ \t]*charset="?([A-Za-z0-9._:-]{1,40})"?[ \t]*(?:;|$)', re.IGNORECASE)
_HEADER_ABSENT = re.compile(r';[ \t]*header="?absent"?', re.IGNORECASE)
_MOST_ACCEPT, _MOST_QUERY, _MOST_FIELDS = 4096, 8192, 64


class Sent(NamedTuple):
    """What a body is."""

    form: str
    parameter: str = ""
    """The Content-Type of a form, the charset of CSV."""


class Options(NamedTuple):
    """What a query asks for; a JSON body says the same in its own keys."""

    signature_name: str = ""
    output_filter: tuple[str, ...] = ()
    named_outputs: bool = False
    non_finite: NonFinite = "bare"


def sent(content_type: bytes | None, body: bytes) -> Sent:
    """What a body is. Raises `UnknownType` for a type that is not read, or not without pyarrow."""
    header = (content_type or b"").decode("latin-1")
    name = header.partition(";")[0].strip().lower()
    if name in _AS_JSON or body.lstrip()[:1] == b"{":
        return Sent(JSON)
    form = _TYPES.get(name)
    if form is None or not _is_there(form):
        raise _unknown(name, form)
    if form == FORM:
        return Sent(FORM, header)
    if form == CSV:
        if _HEADER_ABSENT.search(header):
            raise InvalidInput(
                "the CSV body has no header, as its Content-Type says; the first line has to name the inputs"
            )
        charset = _CHARSET.search(header)
        return Sent(CSV, _encoding(charset[1]) if charset else "")
    return Sent(form)


@lru_cache(256)
def wanted(accept: bytes | None) -> str:
    """The form of the answer that is liked best; of equals JSON, then the first. Raises `NotAcceptable` where there is none."""
    if accept is None or not accept.strip():
        return JSON
    ranges = _ranges(accept[:_MOST_ACCEPT].decode("latin-1").lower())
    best, liked = "", 0.0
    for form in (JSON, *sorted((CSV, ARROW, PARQUET), key=lambda form: _place(ranges, form))):
        weight = _weight(ranges, form)
        if weight > liked and _is_there(form):
            best, liked = form, weight
    if not best:
        raise _not_acceptable(accept.decode("latin-1"), ranges)
    return best


def options(path: bytes) -> Options:
    """What the query of a path asks for. Raises `InvalidInput` for what it cannot."""
    query = path.partition(b"?")[2]
    if not query:
        return Options()
    if len(query) > _MOST_QUERY:
        raise InvalidInput(f"the query has {len(query)} bytes; at most {_MOST_QUERY} are read")
    try:
        fields = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise InvalidInput(f"the query has more than {_MOST_FIELDS} parameters") from None
    filtered = tuple(name for key, value in fields if key == "output_filter" for name in value.split(",") if name)
    single: dict[str, str] = {}
    for key, value in fields:
        if key not in Options._fields:
            hint, known = nearest_hint(key, Options._fields), ", ".join(Options._fields)
            raise InvalidInput(f"the query has an unknown parameter {key[:100]!r}{hint}; known: {known}")
        if key in single and key != "output_filter":
            raise InvalidInput(f"the query has {key!r} twice")
        single[key] = value
    return Options(
        single.get("signature_name", ""),
        filtered,
        _chosen("named_outputs", single.get("named_outputs", "false"), ("false", "true")) == "true",
        cast(NonFinite, _chosen("non_finite", single.get("non_finite", "bare"), get_args(NonFinite))),
    )


def _chosen(key: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise InvalidInput(f"the query's {key!r} is {value[:40]!r}; expected one of {', '.join(known)}")
    return value


def _encoding(name: str) -> str:
    from signet.serving.tables import csv_dialect  # noqa: PLC0415  # few requests are CSV

    try:
        return csv_dialect.encoding(name)
    except LookupError:
        raise InvalidInput(
            f"the charset is {name!r}; expected utf-8, utf-16, cp1252, latin-1 or another of one byte a character"
        ) from None


@cache
def _is_there(form: str) -> bool:
    """Whether what the form takes is installed."""
    return form not in (ARROW, PARQUET) or importlib.util.find_spec("pyarrow") is not None


def _readable() -> str:
    return ", ".join(name for form, name in NAMES.items() if _is_there(form))


def _unknown(name: str, form: str | None) -> UnknownType:
    if form is not None:
        error = UnknownType(
            f"{name} needs pyarrow: pip install 'signet-serving[tables]'; this server reads {_readable()}"
        )
    else:
        hint = nearest_hint(name, _TYPES)
        error = UnknownType(f"Content-Type {name[:100]!r} is not read{hint}; expected one of {_readable()}")
    error.readable = _readable()
    return error


def _not_acceptable(accept: str, ranges: dict[str, tuple[int, float]]) -> NotAcceptable:
    missing = [form for form in (ARROW, PARQUET) if not _is_there(form) and _weight(ranges, form) > 0]
    needs = f" ({NAMES[missing[0]]} needs pyarrow: pip install 'signet-serving[tables]')" if missing else ""
    written = ", ".join(name for form, name in NAMES.items() if form != FORM and _is_there(form))
    return NotAcceptable(f"Accept is {accept[:100]!r}; answers are {written}{needs}")


def _ranges(accept: str) -> dict[str, tuple[int, float]]:
    """Media ranges with their places and weights. Source: RFC 9110, 12.5.1."""
    found: dict[str, tuple[int, float]] = {}
    for place, item in enumerate(accept.split(",")):
        name, *parameters = [part.strip() for part in item.split(";")]
        weight = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                try:
                    weight = min(1.0, max(0.0, float(value)))
                except ValueError:
                    weight = 0.0
        if name:
            found.setdefault(name, (place, weight))
    return found


def _names(form: str) -> list[str]:
    return [NAMES[form], *(other for other, its in _OTHER_NAMES.items() if its == form)]


def _weight(ranges: dict[str, tuple[int, float]], form: str) -> float:
    """By the most specific range that names the form."""
    named = [ranges[name][1] for name in _names(form) if name in ranges]
    if named:
        return max(named)
    for name in (f"{NAMES[form].partition('/')[0]}/*", "*/*"):
        if name in ranges:
            return ranges[name][1]
    return 0.0


def _place(ranges: dict[str, tuple[int, float]], form: str) -> int:
    return min((ranges[name][0] for name in _names(form) if name in ranges), default=len(ranges))
