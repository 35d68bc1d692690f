"""A call on the model servers, from the first attempt to its end, as callbacks: the plain case costs one future.

    start ──▶ pick a server ──▶ channel.call ──▶ set_result ──▶ does it hold the lease's signatures? ──▶ read ──▶ result
       │          ▲                         └──▶ set_exception ─┐       └── not known: it is asked; others: the next holder
       │          ├── UNAVAILABLE, RESOURCE_EXHAUSTED: once ────┤
       │          ├── NOT_FOUND: any time ──────────────────────┴── all else, or no server left ──▶ the future's error
       └── no answer after the hedging delay: a second attempt beside the first, whose answers race; the other is taken back

The deadline is one for all attempts. The future's cancellation takes them back, which their servers are told.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from signet.serving.errors import (
    BadGateway,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidInput,
    NotFound,
    Overloaded,
    ServingError,
    Unavailable,
    from_code,
)
from signet.serving.gateway.backends.model_server import ModelServer
from signet.serving.gateway.backends.remote_version import RemoteVersion
from signet.serving.gateway.core.backend import SignatureChanged
from signet.serving.gateway.observability.call_trace import CallTrace
from signet.serving.grpc_transport.channels import BrokenAnswer, CallError, CallHandle
from signet.serving.offload.pool import LARGE_BYTES

GONE = "Servable not found"
"""How TensorFlow Serving's message starts when a version is not loaded; a model's own NOT_FOUND says something else."""

T = TypeVar("T")

ReadAnswer = Callable[[bytes], T]
"""Makes of an answer's bytes what the caller wants. Raises `BadGateway` for an answer that is none."""


class Balancer(Protocol):
    """What a call needs of all that know the model servers. `model` is whom the call is about."""

    def pick(
        self, model: str, version: int | None, tried: set[ModelServer], lease: RemoteVersion | None
    ) -> ModelServer | None:
        """The best server that has not been tried; None when there is none. lease: not one that holds others."""

    def may_retry(self, model: str, tried: set[ModelServer], problem: ServingError) -> bool:
        """Whether a call that has failed may be tried again on another server; if so, that is counted."""

    def hedge_delay_s(self, model: str) -> float | None:
        """Seconds after which a call may be made a second time; None: never."""

    def hedge(self, model: str, version: int, tried: set[ModelServer], lease: RemoteVersion) -> ModelServer | None:
        """The server for a second attempt, which is counted then; None when there is none, or no budget."""

    def answered(self, server: ModelServer, model: str, seconds: float) -> None:
        """Note that a server has answered a call."""

    def lags(self, server: ModelServer, model: str, seconds: float) -> None:
        """Note that a server has had a call for so long and has not answered it; nobody waits for it any more."""

    def call_failed(self, server: ModelServer, model: str, version: int | None, problem: ServingError) -> None:
        """Note that a server has failed or refused a call."""

    def count_error(self, model: str, problem: ServingError) -> None:
        """Count an attempt that has failed."""

    def doubts(self, server: ModelServer, lease: RemoteVersion) -> bool:
        """Whether an error that would fit other signatures is reason to ask the server what it holds."""

    async def confirm(self, server: ModelServer, lease: RemoteVersion) -> bool:
        """Whether the server, which is asked now, holds the lease's signatures. Raises `ServingError`."""

    def read_large(self, response: bytes, read: ReadAnswer[T]) -> Awaitable[T]:
        """What `read` makes of an answer that is much work, beside the event loop."""


class UpstreamCall(asyncio.Future[T], Generic[T]):
    """What the answer of a model server means, once it is here. For the event loop alone.

    Raises the server's `ServingError`; `BadGateway` for an answer that is none, `Unavailable` when no server answers,
    `SignatureChanged` when the servers that answer hold other signatures than the lease has.
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
        lease: RemoteVersion | None = None,
        recorded: bool = True,
        on_success: Callable[[float], None] | None = None,
        trace: CallTrace | None = None,
    ) -> None:
        """version: None when any will do. lease: what the server must hold; None: whatever. recorded: whether it is counted, and
        may be retried. on_success(seconds): told how long it took to the answer. trace: which servers are told.
        """
        super().__init__(loop=asyncio.get_running_loop())
        self._balancer, self._path, self._model, self._version = balancer, path, model, version
        self._request, self._read, self._recorded, self._on_success = request, read, recorded, on_success
        self.lease, self._trace = lease, trace
        self._began = time.monotonic()
        self._deadline = self._began + timeout_s
        self._tried: set[ModelServer] = set()
        self._retried = False
        self._attempts: list[_Attempt[T]] = []
        """Those in work: one, or two when the call is hedged."""
        self._hedge: asyncio.TimerHandle | None = None

    def start(self) -> "UpstreamCall[T]":
        """Make the first attempt."""
        self._try(Unavailable("there is no model server"))
        if self.lease and self._recorded and not self.done():
            delay_s = self._balancer.hedge_delay_s(self._model)
            if delay_s is not None and delay_s < self._deadline - self._began:
                self._hedge = self.get_loop().call_later(delay_s, self._hedge_due)
        return self

    def cancel(self, msg: object = None) -> bool:
        """Take the call back."""
        if not self.done():
            self._let_go()
        return super().cancel(msg)

    # Attempts tell

    def answered(self, attempt: "_Attempt[T]", response: bytes) -> None:
        """An attempt has an answer."""
        if not attempt.counts():
            self._confirm(attempt, partial(self._take, attempt, response))
        else:
            self._take(attempt, response)

    def refused(self, attempt: "_Attempt[T]", error: CallError) -> None:
        """An attempt has failed."""
        problem = translated(error, attempt.server)
        problem.__cause__ = error
        if isinstance(problem, (Unavailable, Overloaded)):
            self._balancer.call_failed(attempt.server, self._model, self._version, problem)
            self._failed(attempt, problem)
        elif isinstance(problem, (DeadlineExceeded, NotFound)):
            if isinstance(problem, DeadlineExceeded) and self._recorded:
                self._balancer.lags(attempt.server, self._model, time.monotonic() - attempt.began)
            self._failed(attempt, problem)
        elif not attempt.counts() or self._may_be_of_others(attempt, problem):
            self._confirm(attempt, partial(self._failed, attempt, problem))
        else:
            self._failed(attempt, problem)

    def given_up(self, attempt: "_Attempt[T]") -> None:
        """An attempt is not waited for any longer."""
        self._failed(attempt, Unavailable(f"model server {attempt.server} stopped answering"))

    # Inside

    def _try(self, problem: ServingError) -> None:
        """Make an attempt. problem: what the call ends with if there is no server that has not been tried."""
        server = self._balancer.pick(self._model, self._version, self._tried, self.lease)
        if server is None:
            self._end(problem)
        else:
            self._send(server)

    def _send(self, server: ModelServer) -> None:
        self._tried.add(server)
        now = time.monotonic()
        attempt: _Attempt[T] = _Attempt(self, server, now)
        self._attempts.append(attempt)
        left_s = self._deadline - now
        if left_s <= 0:
            self._failed(attempt, DeadlineExceeded("the deadline passed before the model server was called"))
            return
        if self._recorded:
            server.sent.inc()
        server.calls.add(attempt)
        trace = self._trace
        if trace is None:
            attempt.handle = server.channel.call(self._path, self._request, left_s, attempt)
        else:
            trace.sent(str(server))
            attempt.handle = server.channel.call(self._path, self._request, left_s, attempt, trace.metadata)
        attempt.confirmed = self.lease is None or server in self.lease.holders

    def _hedge_due(self) -> None:
        """The first attempt takes long: make another beside it."""
        self._hedge = None
        if self.done() or len(self._attempts) != 1 or self._retried or self.lease is None or self._version is None:
            return
        server = self._balancer.hedge(self._model, self._version, self._tried, self.lease)
        if server:
            self._send(server)

    def _take(self, attempt: "_Attempt[T]", response: bytes) -> None:
        if len(response) < LARGE_BYTES:
            try:
                answer = self._read(response)
            except Exception as error:  # noqa: BLE001  # of a bug, too, whoever waits is told
                self._unread(attempt, error)
            else:
                self._succeeded(attempt, answer)
        else:
            self._beside(attempt, self._read_beside(attempt, response))

    async def _read_beside(self, attempt: "_Attempt[T]", response: bytes) -> None:
        try:
            answer = await self._balancer.read_large(response, self._read)
        except Exception as error:  # noqa: BLE001  # as above
            self._unread(attempt, error)
        else:
            self._succeeded(attempt, answer)

    def _succeeded(self, attempt: "_Attempt[T]", answer: T) -> None:
        now = time.monotonic()
        self._balancer.answered(attempt.server, self._model, now - attempt.began)
        if self.done():
            return
        if attempt in self._attempts:
            self._attempts.remove(attempt)
        for other in self._attempts:  # it has taken so long by now, which its server is known by
            self._balancer.lags(other.server, self._model, now - other.began)
        self._let_go()
        if self._trace:
            self._trace.server = str(attempt.server)
        if self._on_success:
            self._on_success(now - self._began)
        self.set_result(answer)

    def _unread(self, attempt: "_Attempt[T]", error: Exception) -> None:
        if isinstance(error, BadGateway):
            problem = BadGateway(f"model server {attempt.server}: {error}")
            problem.__cause__ = error
            if self._may_be_of_others(attempt, problem):
                self._confirm(attempt, partial(self._misfit, attempt, problem))
            else:
                self._misfit(attempt, problem)
        elif isinstance(error, ServingError):
            self._failed(attempt, error)
        else:
            self._end(error)

    def _misfit(self, attempt: "_Attempt[T]", problem: BadGateway) -> None:
        """The answer is none of the lease's signatures, which the server holds."""
        self._balancer.call_failed(attempt.server, self._model, self._version, problem)
        self._failed(attempt, problem)

    def _may_be_of_others(self, attempt: "_Attempt[T]", problem: ServingError) -> bool:
        """Whether an error could come from other signatures than the lease's: the server is to be asked, now and then."""
        return (
            self.lease is not None
            and self._recorded
            and isinstance(problem, (InvalidInput, FailedPrecondition, BadGateway))
            and self._balancer.doubts(attempt.server, self.lease)
        )

    def _confirm(self, attempt: "_Attempt[T]", proceed: Callable[[], None]) -> None:
        """Go on if the server holds the lease's signatures; it is asked first."""
        self._beside(attempt, self._confirmed(attempt, proceed))

    async def _confirmed(self, attempt: "_Attempt[T]", proceed: Callable[[], None]) -> None:
        server, lease = attempt.server, self.lease
        assert lease is not None, "there is nothing to confirm else"
        try:
            holds = await self._balancer.confirm(server, lease)
        except ServingError as error:
            problem = Unavailable(f"model server {server} does not say which signatures it has: {error}")
            problem.__cause__ = error
            self._failed(attempt, problem)
        except Exception as error:  # noqa: BLE001  # as above
            self._end(error)
        else:
            if holds:
                proceed()
            else:
                what = f"model {lease.name!r}, version {lease.version}"
                self._failed(attempt, SignatureChanged(f"the signatures of {what} have just changed; try again"))

    def _beside(self, attempt: "_Attempt[T]", work: Coroutine[Any, Any, None]) -> None:
        attempt.work = self.get_loop().create_task(work)

    def _failed(self, attempt: "_Attempt[T]", problem: ServingError) -> None:
        if self.done():
            return
        if attempt in self._attempts:
            self._attempts.remove(attempt)
        if not self._recorded:
            self._end(problem)
            return
        self._balancer.count_error(self._model, problem)
        server = attempt.server
        gone = self._version is not None and isinstance(problem, NotFound) and str(problem).startswith(GONE)
        if gone and self._version is not None:
            server.forget(self._model, self._version)
        if self._attempts:
            return  # another is in work, which answers or fails
        if gone or isinstance(problem, SignatureChanged):
            self._try(problem)
        elif (
            isinstance(problem, (Unavailable, Overloaded))
            and not self._retried
            and self._balancer.may_retry(self._model, self._tried, problem)
        ):
            self._retried = True
            self._try(problem)
        else:
            self._end(problem)

    def _end(self, error: Exception) -> None:
        if not self.done():
            self._let_go()
            self.set_exception(error)

    def _let_go(self) -> None:
        """Take back what is in work."""
        if self._hedge:
            self._hedge.cancel()
            self._hedge = None
        attempts, self._attempts = self._attempts, []
        for attempt in attempts:
            attempt.cancel()


class _Attempt(Generic[T]):
    """One call on one server, in the server's `calls` until it is answered."""

    __slots__ = ("_call", "began", "confirmed", "handle", "server", "work")

    def __init__(self, call: UpstreamCall[T], server: ModelServer, began: float) -> None:
        self._call, self.server, self.began = call, server, began
        self.handle: CallHandle | None = None
        self.confirmed = False
        """Whether it was sent by a connection whose server is known to hold the lease's signatures."""
        self.work: asyncio.Task[None] | None = None
        """Reads a large answer, or asks the server what it holds."""

    def counts(self) -> bool:
        """Whether what the server says is said by the lease's signatures, as far as is known."""
        lease = self._call.lease
        if lease is None or self.server in lease.holders:
            return True
        return self.confirmed and self.handle is not None and not self.handle.sent_again

    def set_result(self, response: bytes) -> None:
        self.server.calls.discard(self)
        self._call.answered(self, response)

    def set_exception(self, error: CallError) -> None:
        self.server.calls.discard(self)
        self._call.refused(self, error)

    def cancel(self) -> None:
        self.server.calls.discard(self)
        if self.handle:
            self.handle.cancel()
        if self.work:
            self.work.cancel()

    def give_up(self) -> None:
        self.cancel()
        self._call.given_up(self)


def translated(error: CallError, server: ModelServer) -> ServingError:
    """What an error of a call on a model server means here."""
    message = error.details or error.code
    if isinstance(error, BrokenAnswer):
        return BadGateway(f"model server {server}: {message}")
    if error.code == "CANCELLED":  # not by this side: the server is stopping
        return Unavailable(f"the model server cancelled the call: {message}")
    return from_code(error.code, message)
