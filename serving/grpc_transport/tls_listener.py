"""Accepts connections that begin with TLS: they count, and their time runs, from here on, not from their handshake.

    socket ──accept──▶ ServerConnection ──counted──▶ handshake, in `handshake_s` ──▶ calls
                                        └─ too many: the oldest without a call goes, which may be one that shakes no hands

The servers of event loops tell nobody of a connection before its handshake, which a stranger need not begin.
"""

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable

from signet.serving.grpc_transport.server_connection import ServerConnection

log = logging.getLogger(__name__)

_ACCEPTS = 64
"""Connections that are accepted in one turn of the event loop."""
_PAUSE_S = 1.0
"""Seconds until the next try, where the system has no more files or memory for connections."""
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class TlsListener:
    """On one bound socket, TCP or UNIX. For one event loop, which alone touches it."""

    def __init__(
        self, listener: socket.socket, tls: ssl.SSLContext, connection: Callable[[], ServerConnection], backlog: int
    ) -> None:
        self._socket, self._tls, self._connection = listener, tls, connection
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        listener.setblocking(False)
        listener.listen(backlog)
        self._go_on()

    def close(self) -> None:
        """Accept no more. Those that were accepted are their server's."""
        if self._pause:
            self._pause.cancel()
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()

    def _go_on(self) -> None:
        self._pause = None
        self._loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        for _ in range(_ACCEPTS):
            try:
                accepted, _ = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                log.warning("no connections for a second: %s", error.strerror)
                self._loop.remove_reader(self._socket)
                self._pause = self._loop.call_later(_PAUSE_S, self._go_on)
                return
            accepted.setblocking(False)
            self._connection().shake_hands(accepted, self._tls)
