"""A client by hand: frames to a server, and what it answers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import hpack
from hyperframe import frame as others

from signet.serving.grpc_transport.calls import Services
from signet.serving.grpc_transport.own_server import OwnServer
from signet.serving.grpc_transport.server_limits import ServerLimits
from signet.serving.process.ports import listen
from tests.serving.grpc_transport import methods
from tests.serving.h2 import wire

HEADERS = (("te", "trailers"), ("content-type", "application/grpc"))


@asynccontextmanager
async def serving(
    services: Services = methods.SERVICES, message_bytes: int = 1 << 20, grace_s: float = 0.0, **limits: Any
) -> AsyncIterator[tuple[OwnServer, int]]:
    """A server in this event loop, and its port. `server` names what goes to `OwnServer` itself."""
    server = OwnServer(services, ServerLimits(message_bytes, **limits.pop("server_limits", {})), **limits)
    listener = listen("127.0.0.1", 0, "--port")
    await server.listen(listener)
    try:
        yield server, listener.getsockname()[1]
    finally:
        await server.stop(grace_s)


class RawClient:
    """One connection. Frames are kept in `frames` as they come."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.frames: list[Any] = []
        self._reader, self.writer = reader, writer
        self._decoder = hpack.Decoder()
        self.headers: dict[int, list[dict[str, str]]] = {}
        """The blocks of each stream, in their order."""

    def send(self, *pieces: bytes) -> None:
        self.writer.write(b"".join(pieces))

    def call(self, stream_id: int, name: str, *more: tuple[str, str], end: bool = False, **replaced: str) -> bytes:
        """HEADERS of a call of a method of the tests. replaced: pseudo-headers and content_type."""
        pseudo = {"method": "POST", "scheme": "http", "path": f"/test.Test/{name}", "authority": "x"}
        fields = [(f":{key}", replaced.pop(key, value)) for key, value in pseudo.items()]
        others = {"te": "trailers", "content_type": "application/grpc", **replaced}
        given = [(key.replace("_", "-"), value) for key, value in others.items() if value]
        return wire.request(stream_id, *given, *more, end=end, fields=tuple(fields))

    async def next(self) -> Any:
        """The next frame; EOFError when there is none any more."""
        try:
            head = await self._reader.readexactly(9)
            one, length = others.Frame.parse_frame_header(memoryview(head))
            one.parse_body(memoryview(await self._reader.readexactly(length)))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise EOFError from error
        self.frames.append(one)
        if isinstance(one, others.HeadersFrame):
            self.headers.setdefault(one.stream_id, []).append(dict(self._decoder.decode(one.data)))
        return one

    async def until(self, wanted: Callable[[Any], object], timeout_s: float = 20) -> Any:
        """The first frame for which `wanted` is true."""
        async with asyncio.timeout(timeout_s):
            while True:
                one = await self.next()
                if wanted(one):
                    return one

    async def status(self, stream_id: int) -> tuple[str, str]:
        """Of a stream, when it has ended: grpc-status and grpc-message."""
        if not any(frame.stream_id == stream_id and "END_STREAM" in frame.flags for frame in self.frames):
            await self.until(lambda frame: frame.stream_id == stream_id and "END_STREAM" in frame.flags)
        last = self.headers[stream_id][-1]
        return last["grpc-status"], last.get("grpc-message", "")

    async def reset(self, stream_id: int) -> int:
        """The code with which a stream is reset."""
        frame = await self.until(lambda frame: frame.type == wire.RST and frame.stream_id == stream_id)
        code: int = frame.error_code
        return code

    async def end(self, timeout_s: float = 20) -> int | None:
        """When the connection is closed: the code of the last GOAWAY."""
        async with asyncio.timeout(timeout_s):
            try:
                while True:
                    await self.next()
            except EOFError:
                codes = [frame.error_code for frame in self.frames if frame.type == wire.GOAWAY]
                return codes[-1] if codes else None


@asynccontextmanager
async def connected(port: int, *, greet: bool = True, window: int | None = None) -> AsyncIterator[RawClient]:
    """A connection to a server. window: INITIAL_WINDOW_SIZE."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    client = RawClient(reader, writer)
    if greet:
        first = wire.settings() if window is None else wire.settings(_4=window)
        client.send(wire.PREFACE, first, wire.frame(wire.SETTINGS, 1, 0))
    try:
        yield client
    finally:
        writer.close()


def message(payload: bytes, *, compressed: bool = False) -> bytes:
    """A message as it is in DATA."""
    return bytes((compressed,)) + len(payload).to_bytes(4, "big") + payload


async def settled(condition: Callable[[], object]) -> None:
    """Let the event loop turn until the condition is true."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # what it looks at has no events
            await asyncio.sleep(0)
