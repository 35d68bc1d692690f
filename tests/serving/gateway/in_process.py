"""A gateway without its ports: requests go in and answers come out as the HTTP server hands them over."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from signet.serving.gateway.app import Gateway
from signet.serving.gateway.settings import Settings
from signet.serving.http.server import Request, Response


class InProcess:
    """A started gateway, and the event loop it lives in."""

    def __init__(self, gateway: Gateway, runner: asyncio.Runner) -> None:
        self.gateway, self._runner = gateway, runner

    def ask(self, method: str, path: bytes, body: bytes = b"", headers: dict[bytes, bytes] | None = None) -> Response:
        return self._runner.run(self.gateway.answer(Request(method, path, headers or {}, body, "1.1", True)))


@contextmanager
def gateway(**settings: object) -> Iterator[InProcess]:
    """With the embedded engine."""
    started = Gateway(Settings(**settings))
    with asyncio.Runner() as runner:
        runner.run(started.backend.start())
        try:
            yield InProcess(started, runner)
        finally:
            runner.run(started.stop())


def header(response: Response, name: str) -> str | None:
    """The value of a header of an answer; None without it."""
    for line in response.headers.decode("latin-1").split("\r\n"):
        key, _, value = line.partition(": ")
        if key.lower() == name.lower():
            return value
    return None
