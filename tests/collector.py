"""A collector of traces as far as its clients notice: an OTLP/HTTP port that keeps the spans of the messages that come."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Received(NamedTuple):
    """A span, and which program it is of."""

    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    links: list[tuple[str, str]]
    """Trace and span."""
    failed: bool
    state: str


class Collector:
    """What has come. `status` and `release` may be changed meanwhile; handlers' threads write the rest under `_changed`."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.release = threading.Event()
        """Requests are answered while it is set."""
        self.release.set()
        self.spans: list[Received] = []
        self.headers: list[dict[str, str]] = []
        self.asked = 0
        self._changed = threading.Condition()

    def wait(self, number: int, timeout_s: float = 20.0) -> list[Received]:
        """The spans, once there are so many."""
        until = time.monotonic() + timeout_s
        with self._changed:
            while len(self.spans) < number:
                left_s = until - time.monotonic()
                assert left_s > 0, f"{len(self.spans)} of {number} spans: {[span.name for span in self.spans]}"
                self._changed.wait(left_s)
            return list(self.spans)

    def wait_asked(self, number: int, timeout_s: float = 20.0) -> None:
        """Until so many messages have come, taken or not."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.asked >= number, timeout_s)

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """The status for a message."""
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        with self._changed:
            self.asked += 1
            self.headers.append(headers)
            self._changed.notify_all()
        self.release.wait(30)
        if self.status != 200:
            return self.status
        assert path == "/v1/traces"
        assert headers["content-type"] == "application/x-protobuf"
        message = ExportTraceServiceRequest.FromString(body)
        with self._changed:
            for of_program in message.resource_spans:
                service = _values(of_program.resource.attributes)["service.name"]
                self.spans += [_received(service, span) for scope in of_program.scope_spans for span in scope.spans]
            self._changed.notify_all()
        return 200


def _values(attributes: Any) -> dict[str, Any]:
    return {entry.key: getattr(entry.value, entry.value.WhichOneof("value")) for entry in attributes}


def _received(service: str, span: Any) -> Received:
    return Received(
        service,
        span.name,
        span.kind,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        _values(span.attributes),
        [(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        span.status.code == 2,
        span.trace_state,
    )


@contextmanager
def collector() -> Iterator[Collector]:
    """One on a free port."""
    one = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.send_response(one.answer(self.path, headers, body))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *request: Any) -> None:
            if not isinstance(sys.exception(), ConnectionError):  # a program was killed that had a connection
                super().handle_error(*request)

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    one.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield one
    finally:
        one.release.set()
        server.shutdown()
        server.server_close()
