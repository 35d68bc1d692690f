"""How an event of a log is written: as text, or as JSON, one object a line. Each line says when, in UTC.

    2026-11-29T11:38:18.123Z INFO loaded m        {"time":"2026-11-29T11:38:18.123Z","level":"INFO","message":"loaded m"}

No name from outside begins a line of its own.
"""

import json
import logging
import re
import time
from typing import Any, Literal

import orjson

Form = Literal["text", "json"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def one_line(text: str) -> str:
    """The text with escapes for line ends and whatever else moves a terminal's cursor."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def timestamp(seconds: float) -> str:
    """A time since 1970 as ISO 8601 in UTC, to the millisecond."""
    whole, milliseconds = divmod(int(seconds * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{milliseconds:03d}Z"


def json_text(value: Any) -> str:
    """A value as JSON in one line, without control characters."""
    try:
        text = orjson.dumps(value).decode()
    except orjson.JSONEncodeError:  # half of a surrogate pair
        text = json.dumps(value, ensure_ascii=True)
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


class TextFormatter(logging.Formatter):
    """Writes an event's message as one line; the lines of a traceback stand indented below it."""

    def __init__(self, form: str) -> None:
        """form: as `logging.Formatter` takes it; `%(asctime)s` is the time."""
        super().__init__(form)

    def formatTime(self, record: logging.LogRecord, _: str | None = None) -> str:  # noqa: N802  # logging's name
        return timestamp(record.created)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        record.message = one_line(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return "\n".join(f"  {one_line(line)}" for line in super().formatException(ei).split("\n"))


class JsonFormatter(logging.Formatter):
    """Writes an event as one object, a traceback among its values."""

    def __init__(self, process: int | None) -> None:
        """process: the number of this one of several."""
        super().__init__()
        self._own = {} if process is None else {"process": process}

    def format(self, record: logging.LogRecord) -> str:
        values: dict[str, Any] = {
            "time": timestamp(record.created),
            "level": record.levelname,
            **self._own,
            "message": record.getMessage(),
        }
        if record.exc_info:
            values["exception"] = self.formatException(record.exc_info)
        return json_text(values)


def form(name: str) -> Form:
    """The form of that name; text for any other."""
    return "json" if name == "json" else "text"


def formatter(form: Form, process: int | None = None) -> logging.Formatter:
    """What writes the events of a server. process: its number where there are several."""
    if form == "json":
        return JsonFormatter(process)
    who = "" if process is None else f"process {process}: "
    return TextFormatter(f"%(asctime)s %(levelname)s {who}%(message)s")
