"""A channel on grpcio's client, `grpc.aio`: the way back from the transport of our own. A task a call."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import grpc

from signet.serving.grpc_transport.calls import Metadata
from signet.serving.grpc_transport.channels import CallError, CallHandle, Waiter, nobody

if TYPE_CHECKING:  # gRPC's classes are generic to type checkers alone
    BytesMethod = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
else:
    BytesMethod = grpc.aio.UnaryUnaryMultiCallable

_OPTIONS = [
    ("grpc.max_receive_message_length", -1),  # the 4 MiB default is the client's, not the server's
    ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # Servers count pings more often than every 5 minutes as strikes and end the connection: GOAWAY too_many_pings. A
    # host that is gone is noticed sooner all the same: what was sent must be acknowledged within the ping's timeout.
    ("grpc.keepalive_time_ms", 330_000),
    ("grpc.keepalive_timeout_ms", 10_000),
]


class GrpcioChannel:
    """The way to one server. For one event loop: `_tasks` are the calls in work."""

    def __init__(self, target: str, credentials: grpc.ChannelCredentials | None = None, server_name: str = "") -> None:
        """target: HOST:PORT or unix:PATH. credentials: turn TLS on. server_name: whom to expect there, if not HOST."""
        if credentials:
            names = [("grpc.ssl_target_name_override", server_name)] if server_name else []
            self._channel = grpc.aio.secure_channel(target, credentials, [*_OPTIONS, *names])
        else:
            self._channel = grpc.aio.insecure_channel(target, _OPTIONS)
        self._methods: dict[str, BytesMethod] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.on_change: Callable[[], None] = nobody
        self._watch: asyncio.Task[None] | None = None
        """Follows the state of the connection, from the first call on."""

    def call(self, path: str, message: bytes, timeout_s: float, waiter: Waiter, metadata: Metadata = ()) -> CallHandle:
        """See `Channel.call`."""
        if self._watch is None:
            self._watch = asyncio.get_running_loop().create_task(self._follow())
        method = self._methods.get(path)
        if method is None:
            # Bytes both ways: gRPC logs a traceback for every answer that it cannot read, and gives None.
            method = self._methods[path] = self._channel.unary_unary(path, None, None)
        task = asyncio.get_running_loop().create_task(_run(method, message, timeout_s, waiter, metadata))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return _Handle(task)

    async def close(self, grace_s: float | None = None) -> None:
        """See `Channel.close`."""
        if self._watch:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        await self._channel.close(grace_s)

    async def _follow(self) -> None:
        while True:
            state = self._channel.get_state()
            await self._channel.wait_for_state_change(state)
            self.on_change()


class _Handle:
    """The task of a call. Which connection carries it, gRPC does not tell."""

    sent_again = True

    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task

    def cancel(self) -> None:
        self._task.cancel()


async def _run(method: BytesMethod, message: bytes, timeout_s: float, waiter: Waiter, metadata: Metadata) -> None:
    try:
        answer = await method(message, timeout=timeout_s, metadata=tuple(metadata))
    except grpc.aio.AioRpcError as error:
        trailing = list(cast(Metadata, error.trailing_metadata()))
        waiter.set_exception(CallError(error.code().name, error.details() or "", trailing))
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task and task.cancelling():
            raise  # taken back
        waiter.set_exception(CallError("UNAVAILABLE", "the channel has been closed"))
    else:
        waiter.set_result(answer)
