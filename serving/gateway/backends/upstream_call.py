"""A call on the model servers, from the first attempt to its end, as callbacks: the plain case costs one future.

    start ──▶ pick a server ──▶ channel.call ──▶ set_result ──▶ read the answer ──▶ the future's result
                  ▲                         └──▶ set_exception ─┐
                  └── UNAVAILABLE, once; NOT_FOUND, any time ───┴── all else, or no server left ──▶ the future's error

The deadline is one for all attempts. The future's cancellation takes the attempt back, which its server is told.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from signet.serving.errors import BadGateway, DeadlineExceeded, NotFound, ServingError, Unavailable, from_code
from signet.serving.gateway.backends.model_server import ModelServer
from signet.serving.grpc_transport.channels import CallError, CallHandle
from signet.serving.offload.pool import LARGE_BYTES

GONE = "Servable not found"
"""How TensorFlow Serving's message starts when a version is not loaded; a model's own NOT_FOUND says something else."""

T = TypeVar("T")

ReadAnswer = Callable[[bytes], T]
"""Makes of an answer's bytes what the caller wants. Raises `BadGateway` for an answer that is none."""


class Balancer(Protocol):
    """What a call needs of all that know the model servers. `model` is whom the call is about."""

    def pick(self, model: str, version: int | None, tried: set[ModelServer]) -> ModelServer | None:
        """The best server that has not been tried; None when there is none."""

    def may_retry(self, model: str, tried: set[ModelServer]) -> bool:
        """Whether a call that has failed may be tried again on another server; if so, that is counted."""

    def failed(self, server: ModelServer, problem: ServingError) -> bool:
        """Note that a server has failed; True when that ejects it and it was in before."""

    def count_error(self, model: str, problem: ServingError) -> None:
        """Count an attempt that has failed."""

    def read_large(self, response: bytes, read: ReadAnswer[T]) -> Awaitable[T]:
        """What `read` makes of an answer that is much work, beside the event loop."""


class UpstreamCall(asyncio.Future[T], Generic[T]):
    """What the answer of a model server means, once it is here. For the event loop alone.

    Raises the server's `ServingError`; `BadGateway` for an answer that is none, `Unavailable` when no server answers.
    """

    def __init__(
        self,
        balancer: Balancer,
        path: str,
        model: str,
        version: int | None,
        request: bytes,
        timeout_s: float,
        read: ReadAnswer[T],
        *,
        recorded: bool = True,
        on_success: Callable[[float], None] | None = None,
    ) -> None:
        """version: None when any will do. recorded: whether it is counted, and may be retried.

        on_success(seconds): told how long it took to the answer.
        """
        super().__init__(loop=asyncio.get_running_loop())
        self._balancer, self._path, self._model, self._version = balancer, path, model, version
        self._request, self._read, self._recorded, self._on_success = request, read, recorded, on_success
        self._began = time.monotonic()
        self._deadline = self._began + timeout_s
        self._tried: set[ModelServer] = set()
        self._retried = False
        self._attempt: _Attempt[T] | None = None
        """The one that is in work."""
        self._reading: asyncio.Task[None] | None = None
        """Reads a large answer."""

    def start(self) -> "UpstreamCall[T]":
        """Make the first attempt."""
        self._try(Unavailable("there is no model server"))
        return self

    def cancel(self, msg: object = None) -> bool:
        """Take the call back."""
        if not self.done():
            if self._attempt:
                self._attempt.cancel()
            if self._reading:
                self._reading.cancel()
        return super().cancel(msg)

    def _try(self, problem: ServingError) -> None:
        """Make an attempt. problem: what the call ends with if there is no server that has not been tried."""
        server = self._balancer.pick(self._model, self._version, self._tried)
        if server is None:
            self.set_exception(problem)
            return
        self._tried.add(server)
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            self._failed(server, DeadlineExceeded("the deadline passed before the model server was called"))
            return
        if self._recorded:
            server.sent.inc()
        attempt = self._attempt = _Attempt(self, server)
        server.calls.add(attempt)
        attempt.handle = server.channel.call(self._path, self._request, left_s, attempt)

    def answered(self, server: ModelServer, response: bytes) -> None:
        """The attempt in work has an answer."""
        self._attempt = None
        if len(response) < LARGE_BYTES:
            try:
                answer = self._read(response)
            except Exception as error:  # noqa: BLE001  # of a bug, too, whoever waits is told
                self._unread(server, error)
            else:
                self._succeeded(server, answer)
        else:
            self._reading = self.get_loop().create_task(self._read_beside(server, response))

    def refused(self, server: ModelServer, error: CallError) -> None:
        """The attempt in work has failed."""
        self._attempt = None
        problem = translated(error)
        problem.__cause__ = error
        if isinstance(problem, Unavailable):
            self._balancer.failed(server, problem)
        self._failed(server, problem)

    def given_up(self, server: ModelServer) -> None:
        """The attempt in work is not waited for any longer."""
        self._attempt = None
        self._failed(server, Unavailable(f"model server {server} stopped answering"))

    async def _read_beside(self, server: ModelServer, response: bytes) -> None:
        try:
            answer = await self._balancer.read_large(response, self._read)
        except Exception as error:  # noqa: BLE001  # as above
            self._unread(server, error)
        else:
            self._succeeded(server, answer)

    def _succeeded(self, server: ModelServer, answer: T) -> None:
        now = time.monotonic()
        server.ejection.succeeded(now)
        if not self.done():
            if self._on_success:
                self._on_success(now - self._began)
            self.set_result(answer)

    def _unread(self, server: ModelServer, error: Exception) -> None:
        if isinstance(error, BadGateway):
            self._balancer.failed(server, error)
            problem = BadGateway(f"model server {server}: {error}")
            problem.__cause__ = error
            self._failed(server, problem)
        elif isinstance(error, ServingError):
            self._failed(server, error)
        elif not self.done():
            self.set_exception(error)

    def _failed(self, server: ModelServer, problem: ServingError) -> None:
        if self.done():
            return
        if not self._recorded:
            self.set_exception(problem)
            return
        self._balancer.count_error(self._model, problem)
        if self._version is not None and isinstance(problem, NotFound) and str(problem).startswith(GONE):
            server.forget(self._model, self._version)
            self._try(problem)
        elif (
            isinstance(problem, Unavailable)
            and not self._retried
            and self._balancer.may_retry(self._model, self._tried)
        ):
            self._retried = True
            self._try(problem)
        else:
            self.set_exception(problem)


class _Attempt(Generic[T]):
    """One call on one server, in the server's `calls` until it ends."""

    __slots__ = ("_call", "_server", "handle")

    handle: CallHandle

    def __init__(self, call: UpstreamCall[T], server: ModelServer) -> None:
        self._call, self._server = call, server

    def set_result(self, response: bytes) -> None:
        self._server.calls.discard(self)
        self._call.answered(self._server, response)

    def set_exception(self, error: CallError) -> None:
        self._server.calls.discard(self)
        self._call.refused(self._server, error)

    def cancel(self) -> None:
        self._server.calls.discard(self)
        self.handle.cancel()

    def give_up(self) -> None:
        self.cancel()
        self._call.given_up(self._server)


def translated(error: CallError) -> ServingError:
    """What an error of a call on a model server means here."""
    message = error.details or error.code
    if error.code == "CANCELLED":  # not by this side: the server is stopping
        return Unavailable(f"the model server cancelled the call: {message}")
    return from_code(error.code, message)
