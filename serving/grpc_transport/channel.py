"""A channel to one gRPC server by HTTP/2 frames of our own: one connection for all calls, made when there is a call.

    idle ──call──▶ connecting ──SETTINGS──▶ connected ──lost, GOAWAY──▶ idle
                       │  ▲                                          calls wait while it connects for the first time
                       ▼  │ 0.1 s, 0.16 s … 2 s
                     failing: calls end with UNAVAILABLE at once

One timer watches the deadlines of all calls.
"""

import asyncio
import contextlib
import logging
import os
import random
import socket
import ssl
import time
from collections.abc import Callable

from signet.serving.grpc_transport import metadata as metadata_fields
from signet.serving.grpc_transport import target as targets
from signet.serving.grpc_transport.calls import Metadata
from signet.serving.grpc_transport.channels import CallError, CallHandle, Waiter, nobody
from signet.serving.grpc_transport.client_call import ClientCall
from signet.serving.grpc_transport.client_connection import Connection
from signet.serving.grpc_transport.client_head import ClientHeads
from signet.serving.process.deadlines import Deadlines
from signet.serving.tls.reasons import words

log = logging.getLogger(__name__)

MOST_ANSWER_BYTES = (1 << 31) - 1
"""Bytes of an answer at most: more than that no message of protobuf has."""
_CONNECT_S = 20.0
"""Seconds from an attempt's beginning to the server's SETTINGS."""
_FIRST_BACKOFF_S, _LONGEST_BACKOFF_S, _GROWTH, _JITTER = 0.1, 2.0, 1.6, 0.2
"""Seconds between the beginnings of two attempts: growing by that factor, each longer or shorter by up to that share."""
_PAUSES_S = (0.0, 0.005, 0.025, 0.125)
"""Seconds before a call that a server has not looked at is sent anew: the first time, the second time …"""
_GOODBYE_S = 0.2
"""Seconds that the end of a connection may take."""


class OwnChannel:
    """The way to one server; see `Channel`. All fields belong to the event loop."""

    def __init__(
        self,
        target: str,
        tls: Callable[[], ssl.SSLContext] | None = None,
        server_name: str = "",
        most_answer_bytes: int = MOST_ANSWER_BYTES,
    ) -> None:
        """target: HOST:PORT or unix:PATH. tls: gives the context of each connection, and turns TLS on. server_name:
        whom to expect there then, if not HOST.

        most_answer_bytes: of one answer, and of all together that are not complete yet; more ends a call with
        RESOURCE_EXHAUSTED.
        """
        self._name, self._target = target, targets.parse(target)
        self._tls, self._server_name = tls, server_name if tls else ""
        authority = self._server_name or self._target.authority
        self.heads = ClientHeads("https" if tls else "http", authority)
        self.most_answer_bytes, self.answer_bytes = most_answer_bytes, 0
        self._deadlines: Deadlines[ClientCall] = Deadlines(ClientCall.expire)
        self._calls: set[ClientCall] = set()
        """Those in work."""
        self._waiting: dict[ClientCall, None] = {}
        """Those of them that wait for a connection."""
        self._connection: Connection | None = None
        """The one that takes calls."""
        self._connections: set[Connection] = set()
        """All that are open: those that go away still have calls."""
        self._connecting: asyncio.Task[None] | None = None
        self._problem = ""
        """Why the last attempt to connect has failed; empty after one that has not."""
        self._is_closed = False
        self.on_change: Callable[[], None] = nobody
        self._emptied: asyncio.Future[None] | None = None
        """Done when no call is in work; there is one while the channel closes."""

    def call(self, path: str, message: bytes, timeout_s: float, waiter: Waiter, metadata: Metadata = ()) -> CallHandle:
        """See `Channel.call`."""
        if metadata:
            metadata_fields.to_fields(metadata)  # raises what it would raise later, too
        call = ClientCall(self, path, message, time.perf_counter() + timeout_s, waiter, metadata)
        self._calls.add(call)
        self._deadlines.add(call, call.deadline)
        self._dispatch(call)
        return call

    async def close(self, grace_s: float | None = None) -> None:
        """See `Channel.close`."""
        self._is_closed = True
        try:
            if grace_s and self._calls:
                self._emptied = asyncio.get_running_loop().create_future()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._emptied, grace_s)
        finally:
            if self._connecting:
                self._connecting.cancel()
            for call in list(self._calls):
                call.fail(CallError("UNAVAILABLE", "the channel has been closed"))
            connections = list(self._connections)
            for connection in connections:
                connection.close()
        if self._connecting:
            await asyncio.wait([self._connecting])
        if connections:
            await asyncio.wait([connection.closed for connection in connections], timeout=_GOODBYE_S)
            for connection in connections:
                connection.abort()

    # Calls and connections tell

    def ended(self, call: ClientCall) -> None:
        """Forget a call, which has ended."""
        self._calls.discard(call)
        self._deadlines.discard(call)
        self._waiting.pop(call, None)
        if not self._calls and self._emptied and not self._emptied.done():
            self._emptied.set_result(None)

    def send_again(self, call: ClientCall) -> bool:
        """Send a call anew, which the server has not looked at; False if that was done often enough.

        Once is not enough: a server that takes few calls at once may count an answered one still when the next comes, and
        servers that end their connections may do so several times in a row.
        """
        if call.refusals == len(_PAUSES_S):
            return False
        pause_s = _PAUSES_S[call.refusals]
        call.again()
        if pause_s:
            asyncio.get_running_loop().call_later(pause_s, self._dispatch, call)
        else:
            self._dispatch(call)
        return True

    def gone(self, connection: Connection) -> None:
        """A connection takes no more calls."""
        if self._connection is connection:
            self._connection = None
            self.on_change()

    # Inside

    def _dispatch(self, call: ClientCall) -> None:
        if call.over:
            return  # while it paused
        connection = self._connection
        if connection and connection.takes_calls:
            connection.send(call)
            return
        if self._is_closed:
            self._fail_soon(call, "the channel has been closed")
        elif self._problem:
            self._fail_soon(call, self._problem)
        else:
            self._waiting[call] = None
            if connection:
                connection.leave()  # it has no numbers for streams left, or too many wait
            if not self._connecting:
                self._connecting = asyncio.get_running_loop().create_task(self._connect())

    def _fail_soon(self, call: ClientCall, problem: str) -> None:
        """In a later turn: whoever makes the call does not have its handle yet."""
        asyncio.get_running_loop().call_soon(call.fail, CallError("UNAVAILABLE", problem))

    async def _connect(self) -> None:
        """Connect, again and again until that succeeds."""
        pause_s = _FIRST_BACKOFF_S
        while True:
            next_at = time.monotonic() + pause_s * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311  # not a secret
            try:
                connection = await self._connected()
            except (OSError, ValueError) as error:  # TLS's errors of certificates are of both kinds
                self._failed(f"cannot connect to {self._name}: {_reason(error)}")
            except Exception as error:
                log.exception("connecting to %s failed", self._name)
                self._failed(f"cannot connect to {self._name}: {error}")
            else:
                self._succeeded(connection)
                return
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))
            pause_s = min(_LONGEST_BACKOFF_S, pause_s * _GROWTH)

    async def _connected(self) -> Connection:
        ends_at = time.monotonic() + _CONNECT_S
        connection = await self._target.connect(
            lambda: Connection(self, self._name, tls=self._tls is not None),
            self._tls() if self._tls else None,
            self._server_name,
            _CONNECT_S,
        )
        try:
            async with asyncio.timeout(ends_at - time.monotonic()):
                await asyncio.shield(connection.ready)
        except TimeoutError:
            raise TimeoutError("no SETTINGS of HTTP/2 have come") from None
        finally:
            if not connection.ready.done() or connection.ready.cancelled() or connection.ready.exception():
                connection.abort()
        if not connection.takes_calls:
            connection.abort()
            raise ConnectionError("the server ends the connection at once")
        return connection

    def _failed(self, problem: str) -> None:
        self._problem = problem
        for call in list(self._waiting):
            call.fail(CallError("UNAVAILABLE", problem))

    def _succeeded(self, connection: Connection) -> None:
        self._problem, self._connecting = "", None
        self._connection = connection
        self._connections.add(connection)
        connection.closed.add_done_callback(lambda _: self._connections.discard(connection))
        self.on_change()
        waiting, self._waiting = self._waiting, {}
        for call in waiting:
            self._dispatch(call)


def _reason(error: Exception) -> str:
    """In words, whichever event loop has put the error together."""
    if isinstance(error, ssl.SSLError):
        return words(error)
    if isinstance(error, OSError) and error.errno and not isinstance(error, socket.gaierror):
        return os.strerror(error.errno)
    return str(error) or type(error).__name__
