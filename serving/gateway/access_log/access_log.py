"""The access log of one process: which requests get a line, and what the event loop hands over for it.

    answered ──observe──▶ chosen? failed, slow, by chance ──▶ tuple ──▶ `line_writer.py`: queue, thread ──▶ `lines.py`
                                    └── a flood of failures alike ──▶ counted ──each second──▶ one line for all

An answer that is not chosen costs three comparisons; all else is done elsewhere.
"""

import asyncio
import time
from functools import partial
from random import random

from signet.serving.errors import ServingError
from signet.serving.gateway.access_choice import AccessChoice
from signet.serving.gateway.access_log.floods import SECOND_S, Floods
from signet.serving.gateway.access_log.lines import Entry, Inferred, Refused, RefusedCall, Renderer, Summary
from signet.serving.gateway.observability.access_log_counts import AccessLogCounts
from signet.serving.gateway.observability.metrics import UNKNOWN
from signet.serving.gateway.observability.request_context import RequestContext
from signet.serving.gateway.settings import Settings
from signet.serving.http.messages import Request, Response
from signet.serving.process import line_sinks
from signet.serving.process.line_sinks import FileSink
from signet.serving.process.line_writer import LineWriter
from signet.serving.process.supervision import Failures

_MOST_ERROR = 600
"""Characters of an error's text that are kept until it is written."""

_OVER_HTTP = frozenset(("v1", "v2"))
_LEFT = 499
_PROBES = (b"/livez", b"/readyz", b"/ready", b"/live")
"""Ends of paths that say no by 503 as often as they are asked, which is no failure of a request."""


class AccessLog:
    """For the event loop, but for `close`."""

    def __init__(
        self, settings: Settings, choice: AccessChoice, counts: AccessLogCounts, failures: Failures, process: int | None
    ) -> None:
        """process: the number of this one of several. Raises `UsageError` for a file that cannot be written."""
        self._slow_s, self._share = choice
        path = settings.access_log_file
        if path:
            line_sinks.check(path)
        self._writer: LineWriter[Entry] = LineWriter(
            partial(FileSink, path) if path else line_sinks.to_stderr, Renderer(settings.log_format, process), failures
        )
        counts.watch(self._writer)
        self._counts = counts
        self._floods = Floods()
        self._telling: asyncio.TimerHandle | None = None
        self._put = self._writer.put

    def observe(self, context: RequestContext, code: str, seconds: float, response_bytes: int) -> None:
        """Write a line of an inference, if it gets one. An `Observer`."""
        error = context.error
        if code == "OK":
            if seconds < self._slow_s and (not self._share or random() >= self._share):  # noqa: S311  # no secret
                return
            status = 200 if context.protocol in _OVER_HTTP else 0
        else:
            if not self._has_line(context.protocol, context.model, code, context.started + seconds):
                return
            status = (error.http_status if error else _LEFT) if context.protocol in _OVER_HTTP else 0
        self._put(
            Inferred(
                time.time(),
                context.request_id,
                context.trace,
                context.key,
                context.address(),
                context.protocol,
                context.model,
                context.version,
                context.signature,
                code,
                status,
                str(error)[:_MOST_ERROR] if error else "",
                context.rows,
                context.bytes,
                response_bytes,
                seconds,
                context.parse_s,
                context.decode_s,
                context.queue_s,
                context.run_s,
                context.encode_s,
            )
        )

    def refused(self, request: Request, response: Response, key: str) -> None:
        """Write a line of another request over HTTP, which failed. key: the name of what it has shown."""
        path = request.path.partition(b"?")[0]
        if response.status == 503 and path.endswith(_PROBES):
            return
        if self._has_line("http", UNKNOWN, str(response.status), time.perf_counter()):
            status, size = response.status, len(response.body)
            self._put(Refused(time.time(), request.id, key, request.address, request.method, path, status, size))

    def refused_call(self, request_id: str, address: str, key: str, path: str, error: ServingError) -> None:
        """Write a line of another call over gRPC, which failed. key: as of `refused`."""
        code = error.grpc_code
        if self._has_line("grpc", UNKNOWN, code, time.perf_counter()):
            self._put(RefusedCall(time.time(), request_id, key, address, path, code, str(error)[:_MOST_ERROR]))

    def close(self) -> None:
        """Write what waits. Not for the event loop."""
        self._sum_up()
        self._writer.close()

    def _has_line(self, protocol: str, model: str, code: str, now: float) -> bool:
        floods = self._floods
        if floods.has_line(protocol, model, code, now):
            return True
        self._counts.summarized += 1
        if self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(SECOND_S, self._sum_up)
        return False

    def _sum_up(self) -> None:
        self._telling = None
        for kind, more in self._floods.sums():
            self._put(Summary(time.time(), kind, more))
