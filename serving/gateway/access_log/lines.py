"""A line of the access log, as text or as JSON: what is rendered of what the event loop has handed over.

    2026-11-29T11:38:18.123Z INFO request id=5f3a-1 protocol=v1 model=m version=1 … code=OK status=200 … total_ms=1.234 …
    {"time":"2026-11-29T11:38:18.123Z","level":"INFO","message":"request","id":"5f3a-1","protocol":"v1","model":"m",…}

Both have the same names, in one order; what is not known is left out.
"""

import json
import re
from functools import lru_cache
from typing import NamedTuple

from signet.serving.gateway.access_log import error_text
from signet.serving.gateway.access_log.floods import Kind
from signet.serving.process.log_lines import Form, json_text, one_line, timestamp
from signet.serving.tracing.trace_context import TraceContext

_PLAIN = re.compile(r"[A-Za-z0-9_./:+*@%~-]+")


class Inferred(NamedTuple):
    """An inference that has been answered."""

    at_s: float
    """Seconds since 1970."""
    id: str
    trace: TraceContext | None
    key: str
    caller: str
    protocol: str
    model: str
    version: str
    signature: str
    code: str
    http_status: int
    error: str
    rows: int
    request_bytes: int
    response_bytes: int
    seconds: float
    parse_s: float | None
    decode_s: float | None
    queue_s: float | None
    run_s: float | None
    encode_s: float | None


class Refused(NamedTuple):
    """A request over HTTP that asked for no inference, or for none that there is, and failed."""

    at_s: float
    id: str
    key: str
    caller: str
    method: str
    path: bytes
    """Without the query."""
    http_status: int
    response_bytes: int


class RefusedCall(NamedTuple):
    """A call over gRPC that asked for no inference, and failed."""

    at_s: float
    id: str
    key: str
    caller: str
    path: str
    code: str
    error: str


class Summary(NamedTuple):
    """Failures that have no lines of their own."""

    at_s: float
    kind: Kind
    more: int


Entry = Inferred | Refused | RefusedCall | Summary


_NUMBERS = ("rows", "request_bytes", "response_bytes")
_STAGES = ("parse_ms", "decode_ms", "queue_ms", "run_ms", "encode_ms")


class Renderer:
    """Makes a line, with its end, of an entry. For one thread: it keeps what many lines have in common."""

    def __init__(self, form: Form, process: int | None) -> None:
        """process: the number of this one of several."""
        self._pair, numbers = (_json_pair, ',"%s":%s') if form == "json" else (_text_pair, " %s=%s")
        self._json = form == "json"
        self._process = process
        self._end = "}\n" if self._json else "\n"
        self._counts = "".join(numbers % (name, "%d") for name in _NUMBERS) + numbers % ("total_ms", "%.3f")
        self._each_stage = [numbers % (name, "%.3f") for name in _STAGES]
        self._second = 0
        self._time = ""
        self._id = ',"id":"%s"' if self._json else " id=%s"  # of characters that need no quotes
        self._form = lru_cache(1024)(self._form_of)

    def __call__(self, entry: Entry) -> bytes:
        """The line."""
        if isinstance(entry, Inferred):
            middle = self._of_inference(entry)
        elif isinstance(entry, Refused):
            middle = self._of_refusal(entry)
        elif isinstance(entry, RefusedCall):
            middle = self._of_call(entry)
        else:
            middle = self._of_summary(entry)
        return f"{self._beginning(entry.at_s)}{middle}{self._end}".encode("utf-8", "backslashreplace")

    def _beginning(self, at_s: float) -> str:
        second = int(at_s)
        if second != self._second:
            self._second, self._time = second, timestamp(second)[:-4]
        milliseconds = int((at_s - second) * 1000)
        if self._json:
            process = "" if self._process is None else f',"process":{self._process}'
            return f'{{"time":"{self._time}{milliseconds:03d}Z","level":"INFO"{process}'
        who = "" if self._process is None else f"process {self._process}: "
        return f"{self._time}{milliseconds:03d}Z INFO {who}"

    def _message(self, text: str) -> str:
        return self._pair("message", text) if self._json else text

    def _pairs(self, *pairs: tuple[str, str | int | None]) -> str:
        """What is known of these, in their order."""
        return "".join([self._pair(name, value) for name, value in pairs if value])

    def _form_of(
        self, key: str, caller: str, protocol: str, model: str, version: str, signature: str, code: str, status: int
    ) -> tuple[str, str]:
        """What all lines of such requests have in common, with places for the rest: without stages, and with all of them."""
        common = self._pairs(
            *(("key", key), ("caller", caller), ("protocol", protocol), ("model", model), ("version", version)),
            *(("signature", signature), ("code", code), ("status", status)),
        )
        form = f"{self._message('request')}{self._id}%s{common.replace('%', '%%')}{self._counts}"
        return form, form + "".join(self._each_stage)

    def _of_inference(self, entry: Inferred) -> str:
        form, whole = self._form(*entry[3:11])
        trace = self._pair("trace_id", entry.trace.trace_id) if entry.trace else ""
        facts = (entry.id, trace, entry.rows, entry.request_bytes, entry.response_bytes, entry.seconds * 1000)
        parse_s, decode_s, queue_s, run_s, encode_s = stages_s = entry[16:]
        try:
            stages = (parse_s * 1000, decode_s * 1000, queue_s * 1000, run_s * 1000, encode_s * 1000)  # type: ignore[operator]
            line = whole % (*facts, *stages)
        except TypeError:  # it did not reach all of them
            known = zip(self._each_stage, stages_s, strict=True)
            line = form % facts + "".join([each % (seconds * 1000) for each, seconds in known if seconds is not None])
        return line + self._pair("error", error_text.for_log(entry.error, entry.code)) if entry.error else line

    def _of_refusal(self, entry: Refused) -> str:
        return self._message("request") + self._pairs(
            ("id", entry.id),
            ("key", entry.key),
            ("caller", entry.caller),
            ("protocol", "http"),
            ("method", entry.method),
            ("path", entry.path[:200].decode("latin-1")),
            ("status", entry.http_status),
            ("response_bytes", entry.response_bytes),
        )

    def _of_call(self, entry: RefusedCall) -> str:
        return self._message("request") + self._pairs(
            ("id", entry.id),
            ("key", entry.key),
            ("caller", entry.caller),
            ("protocol", "grpc"),
            ("path", entry.path[:200]),
            ("code", entry.code),
            ("error", error_text.for_log(entry.error, entry.code)),
        )

    def _of_summary(self, entry: Summary) -> str:
        kind, more = entry.kind, entry.more
        what = self._pairs(("protocol", kind.protocol), ("model", kind.model), ("code", kind.code), ("more", more))
        return self._message(f"and {more:,} more like it") + what


def _json_pair(name: str, value: str | int) -> str:
    return f',"{name}":{json_text(value)}'


def _text_pair(name: str, value: str | int) -> str:
    """A value that has no blank in it, or stands in quotes."""
    text = str(value)
    return f" {name}={text if _PLAIN.fullmatch(text) else one_line(json.dumps(text, ensure_ascii=False))}"
