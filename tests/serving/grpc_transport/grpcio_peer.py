"""A server of grpcio as the peer of a channel: its methods do what their names say, or what the request asks for."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from signet.serving.grpc_transport.calls import Metadata
from signet.serving.grpc_transport.channels import CallError, Channel, ask

ECHO, HANG, REFUSE, SEEN, LARGE = (f"/peer.Peer/{name}" for name in ("Echo", "Hang", "Refuse", "Seen", "Large"))


@dataclass
class Peer:
    """What the server has seen."""

    address: str
    begun: asyncio.Queue[float | None] = field(default_factory=asyncio.Queue)
    """Of each call of Hang: the seconds that it had left."""
    cancelled: asyncio.Queue[None] = field(default_factory=asyncio.Queue)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    """Lets calls of Hang be answered."""
    server: Any = None


@asynccontextmanager
async def peer(
    address: str = "127.0.0.1:0",
    credentials: grpc.ServerCredentials | None = None,
    options: Sequence[tuple[str, Any]] = (),
    compression: grpc.Compression | None = None,
) -> AsyncIterator[Peer]:
    """The server, from its start to its end."""
    seen = Peer(address)

    async def echo(request: bytes, _: Any) -> bytes:
        return request

    async def hang(request: bytes, context: Any) -> bytes:
        seen.begun.put_nowait(context.time_remaining())
        try:
            await seen.go_on.wait()
        except asyncio.CancelledError:
            seen.cancelled.put_nowait(None)
            raise
        return request

    async def refuse(request: bytes, context: Any) -> bytes:
        code, details = json.loads(request)
        await context.abort(grpc.StatusCode[code], details, (("id", "1"), ("id", "2"), ("trace-bin", b"\x00\xff")))
        raise AssertionError("abort raises")

    async def tell(_: bytes, context: Any) -> bytes:
        return repr([(key, value) for key, value in context.invocation_metadata() if key != "user-agent"]).encode()

    async def large(request: bytes, _: Any) -> bytes:
        return bytes(int(request))

    methods = {"Echo": echo, "Hang": hang, "Refuse": refuse, "Seen": tell, "Large": large}
    handlers = {name: grpc.unary_unary_rpc_method_handler(method) for name, method in methods.items()}
    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = seen.server = grpc.aio.server(options=[*unlimited, *options], compression=compression)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("peer.Peer", handlers),))
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    if not address.startswith("unix:"):
        seen.address = f"{address.rpartition(':')[0]}:{port}"
    await server.start()
    try:
        yield seen
    finally:
        await server.stop(None)


Outcome = bytes | tuple[str, str, Metadata]


async def outcome(
    channel: Channel, path: str, message: bytes, timeout_s: float = 30, metadata: Metadata = ()
) -> Outcome:
    """The answer, or the code, details and trailing metadata of the error."""
    try:
        return await ask(channel, path, message, timeout_s, metadata)
    except CallError as error:
        return error.code, error.details, list(error.trailing)


async def _serve(address: str) -> None:
    async with peer(address):
        print("serving", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    asyncio.run(_serve(sys.argv[1]))
