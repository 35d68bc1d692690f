"""What stands between the gateway and a real model server, and can be told to be faulty.

    gateway ──▶ Door (bytes of TCP) ──▶ Relay (calls of gRPC) ──▶ signet model-server

A door relays, swallows, or says what is no HTTP/2; a relay answers Predict late, never, with an error or with what is no answer.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable

import grpc
import numpy as np

from signet.serving.tensors.arrays import to_typed_proto
from signet.serving.tensors.protos import predict_pb2

_METHODS = {
    "PredictionService": ["Predict", "GetModelMetadata"],
    "ModelService": ["GetModelStatus"],
}


def predicted(**outputs: np.ndarray) -> bytes:
    """A PredictResponse."""
    message = predict_pb2.PredictResponse()
    for name, array in outputs.items():
        message.outputs[name].CopyFrom(to_typed_proto(array))
    return message.SerializeToString()


class Relay:
    """A gRPC server that passes calls on; `fault` decides what becomes of Predict. For one event loop."""

    def __init__(self, behind: str) -> None:
        """behind: HOST:PORT of the model server."""
        self._behind = behind
        self.delay_s = 0.0
        """Seconds by which each answer to Predict is late."""
        self.error: grpc.StatusCode | None = None
        self.answer: Callable[[bytes], bytes] | None = None
        """Makes of a good answer the one that is sent."""
        self.silent = False
        """Whether Predict is never answered."""

    async def start(self) -> int:
        """Listen; gives the port."""
        self._channel = grpc.aio.insecure_channel(self._behind, [("grpc.max_reconnect_backoff_ms", 200)])
        self._server = grpc.aio.server()
        for service, names in _METHODS.items():
            handlers = {name: self._handler(f"/tensorflow.serving.{service}/{name}") for name in names}
            self._server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(f"tensorflow.serving.{service}", handlers),)
            )
        port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        return port

    async def stop(self) -> None:
        """End at once."""
        await self._server.stop(None)
        await self._channel.close()

    def _handler(self, path: str) -> grpc.RpcMethodHandler:
        call = self._channel.unary_unary(path, None, None)
        predicts = path.endswith("/Predict")

        async def relay(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
            if predicts and self.silent:
                await asyncio.Event().wait()
            if predicts and self.error:
                await context.abort(self.error, "as the fault says")
            try:
                answer = await call(request, timeout=context.time_remaining())
            except grpc.aio.AioRpcError as error:
                await context.abort(error.code(), error.details() or "")
            if predicts and self.delay_s:
                await asyncio.sleep(self.delay_s)
            return self.answer(answer) if predicts and self.answer else answer

        return grpc.unary_unary_rpc_method_handler(relay)


class Door:
    """Relays connections of TCP until it is told otherwise. For one event loop."""

    def __init__(self, behind: int) -> None:
        """behind: the port to relay to."""
        self._behind = behind
        self.swallows = False
        """Whether bytes go nowhere, both ways, while connections stay open: a partition."""
        self.says: bytes | None = None
        """What each connection is told in the place of an answer, before it is closed."""
        self._deaf: set[asyncio.StreamWriter] = set()
        """Of connections that have become half open."""
        self._server: asyncio.Server | None = None
        self._full: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def open(self) -> None:
        """Accept connections, on the same port as before."""
        for each in self._full:
            each.close()
        self._full.clear()
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def shut(self) -> None:
        """Have connects time out: the queue of those that nobody accepts is full."""
        assert self._server is not None, "it was open"
        self._server.close()
        full = socket.socket()
        full.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        full.bind(("127.0.0.1", self.port))
        full.listen(0)
        self._full = [full]
        for _ in range(2):
            waits = socket.socket()
            waits.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waits.connect(("127.0.0.1", self.port))
            self._full.append(waits)

    def forget(self) -> None:
        """Swallow what comes by connections that there are, and relay those that come."""
        self._deaf |= self._writers
        self.swallows = False

    def cut(self) -> None:
        """Lose all connections."""
        for writer in self._writers:
            writer.transport.abort()

    async def close(self) -> None:
        """End at once."""
        if self._server:
            self._server.close()
        self.cut()
        for each in self._full:
            each.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a coroutine runs in one"
        self._tasks.add(task)
        self._writers.add(writer)
        other = None
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):  # asyncio's streams log both
                if self.says is not None:
                    writer.write(self.says)
                    await writer.drain()
                    return
                back, other = await asyncio.open_connection("127.0.0.1", self._behind)
                await asyncio.gather(self._pump(reader, other, writer), self._pump(back, writer, writer))
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            self._deaf.discard(writer)
            for each in (writer, other):
                if each:
                    each.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, accepted: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(1 << 16):
            if not self.swallows and accepted not in self._deaf:
                writer.write(data)
                await writer.drain()
        writer.close()
