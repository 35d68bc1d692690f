"""A gateway without its ports: requests go in and answers come out as the HTTP server hands them over."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from signet.serving.gateway.app import Gateway
from signet.serving.gateway.settings import Settings
from signet.serving.http.server import Request, Response


class InProcess:
    """A started gateway, and the event loop it lives in."""

    def __init__(self, gateway: Gateway, runner: asyncio.Runner) -> None:
        self.gateway, self._runner = gateway, runner

    def ask(self, method: str, path: bytes, body: bytes = b"", headers: dict[bytes, bytes] | None = None) -> Response:
        return self._runner.run(self.answer(Request(method, path, headers or {}, body, "1.1", True)))

    def turn(self) -> None:
        """Let the event loop go on for a moment."""
        self._runner.run(asyncio.sleep(0.005))

    async def answer(self, request: Request) -> Response:
        return await answered(self.gateway, request)


async def answered(gateway: Gateway, request: Request) -> Response:
    """What the gateway replies."""
    reply: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
    work = gateway.handle(request, reply.set_result)
    try:
        return await reply
    except asyncio.CancelledError:
        if work:
            work.cancel()
        raise


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


class Call:
    """A call as its transport shows it; `ended` becomes its answer, or its code and details."""

    path, metadata, peer, on_cancel, key = "", (), "", None, None

    def __init__(self, left_s: float | None = 30.0) -> None:
        self._left_s = left_s
        self.ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def time_remaining(self) -> float | None:
        return self._left_s

    def answer(self, message: bytes, trailing: object = ()) -> None:
        self.ended.set_result(message)

    def refuse(self, code: str, details: str, trailing: object = ()) -> None:
        self.ended.set_result((code, details))


def header(response: Response, name: str) -> str | None:
    """The value of a header of an answer; None without it."""
    for line in response.headers.decode("latin-1").split("\r\n"):
        key, _, value = line.partition(": ")
        if key.lower() == name.lower():
            return value
    return None
