"""A proxy in front of a gateway: notes each request, and may have faults of its own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

import httpx

from tests import servers


@dataclass
class Proxy:
    url: str = ""
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Path and headers, in lower case, of each request."""


@contextmanager
def fault_proxy(
    behind: str, busy: list[int] | None = None, answer: Callable[[BaseHTTPRequestHandler], None] | None = None
) -> Iterator[Proxy]:
    """Pass requests on to the URL `behind`.

    busy: the first POSTs get 429, with these seconds in Retry-After. answer: what answers POSTs instead.
    """
    found = Proxy()
    refusals = list(busy or [])

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.pass_on()

        def do_POST(self) -> None:
            self.pass_on()

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            found.seen.append((self.path, headers))
            if self.command == "POST" and answer:
                answer(self)
                return
            if self.command == "POST" and refusals:
                self.answer(429, b'{"error": "busy"}', {"Retry-After": str(refusals.pop(0))})
                return
            kept = {name: value for name, value in headers.items() if name not in ("host", "content-length")}
            got = httpx.request(self.command, behind + self.path, content=body, headers=kept, timeout=30)
            names = ("content-type", "x-signet-model-version", "inference-header-content-length", "retry-after")
            self.answer(
                got.status_code, got.content, {name: got.headers[name] for name in names if name in got.headers}
            )

        def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with servers.http_server(Handler) as found.url:
        yield found
