"""A client's side of TLS that can end what it sends by itself, as asyncio's own cannot: a reader, and what writes."""

import asyncio
import contextlib
import ssl


class TlsStreams(asyncio.Protocol):
    """Like the two of `asyncio.open_connection`; `transport` is the socket's, below TLS."""

    def __init__(self, context: ssl.SSLContext, name: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        self.reader = asyncio.StreamReader(1 << 26)
        self.shaken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self._shake_hands()

    def connection_lost(self, error: Exception | None) -> None:
        self._failed(error or ConnectionError("the server has ended it"))
        if error:
            self.reader.set_exception(error)
        else:
            self.reader.feed_eof()

    def data_received(self, data: bytes) -> None:
        self._incoming.write(data)
        if not self.shaken.done():
            self._shake_hands()
        if not self.shaken.done():
            return
        try:
            while part := self.tls.read(1 << 14):
                self.reader.feed_data(part)
        except ssl.SSLWantReadError:
            return
        except ssl.SSLZeroReturnError:  # as an empty part, when this side has ended too
            pass
        self.reader.feed_eof()

    def eof_received(self) -> bool:
        self.reader.feed_eof()
        return True

    def write(self, data: bytes) -> None:
        self.tls.write(data)
        self._send()

    def write_eof(self) -> None:
        """Nothing follows, in TLS's words; the socket stays as it is."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self._send()

    def close(self) -> None:
        self.transport.close()

    def _shake_hands(self) -> None:
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self._failed(error)
        else:
            self.shaken.set_result(None)
        self._send()

    def _send(self) -> None:
        self.transport.write(self._outgoing.read())

    def _failed(self, error: Exception) -> None:
        if not self.shaken.done():
            self.shaken.set_exception(error)


async def open_tls(port: int, context: ssl.SSLContext) -> tuple[asyncio.StreamReader, TlsStreams]:
    """Connected to 127.0.0.1, hands shaken."""
    loop = asyncio.get_running_loop()
    _, streams = await loop.create_connection(lambda: TlsStreams(context, "localhost"), "127.0.0.1", port)
    await streams.shaken
    return streams.reader, streams
