"""Requests over gRPC: prepared messages, as bytes, over a few connections; answers are not taken apart.

Python's gRPC costs some 150 µs a call: beyond a few thousand a second this side is the limit, and the report says so.
"""

import asyncio
import itertools

import grpc

from signet.clients.client.connecting import NOTHING, Access
from signet.clients.client.grpc_client import CHANNEL_OPTIONS, credentials, without_proxy
from signet.clients.load_test.run.target import OK, Done
from signet.serving.errors import Unavailable, UsageError

_CONNECTIONS = 4
"""A connection carries many calls at once, but a server may allow only 100 of them."""


class GrpcTarget:
    """A method of a server at HOST:PORT, as a `Target`. Everything runs on one event loop."""

    def __init__(self, address: str, method: str, *, timeout_s: float, access: Access = NOTHING) -> None:
        """method: such as /tensorflow.serving.PredictionService/Predict."""
        if "/" in address or ":" not in address:
            raise UsageError(f"the address is {address!r}; expected HOST:PORT, of a gRPC port")
        self.waited = 0
        self._timeout_s = timeout_s
        options = [*CHANNEL_OPTIONS, *without_proxy(address), ("grpc.use_local_subchannel_pool", 1)]
        self._channels = [
            grpc.aio.secure_channel(address, credentials(access), options=options)
            if access.has_tls
            else grpc.aio.insecure_channel(address, options=options)
            for _ in range(_CONNECTIONS)
        ]
        self._metadata = tuple((name.lower(), value) for name, value in access.headers)
        self._calls = itertools.cycle([channel.unary_unary(method, bytes, bytes) for channel in self._channels])
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, payload: bytes, done: Done) -> None:
        """Send a request, a serialized message; `done` is called once with its outcome."""
        task = asyncio.get_running_loop().create_task(self._send(payload, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def ask(self, payload: bytes) -> bytes:
        """The answer to one request, for a look at it. Raises `Unavailable`."""
        try:
            answer: bytes = await next(self._calls)(payload, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise Unavailable(f"{error.code().name}: {error.details() or ''}") from error
        return answer

    async def close(self) -> None:
        """Give up what is in flight and close the channels."""
        for task in list(self._tasks):
            task.cancel()
        for channel in self._channels:
            await channel.close(None)

    async def _send(self, payload: bytes, done: Done) -> None:
        try:
            await next(self._calls)(payload, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            done(error.code().name, error.details() or "")
        else:
            done(OK, "")
