"""TLS between a transport of the event loop and a connection that knows nothing of it: as a transport to that one.

    socket ──bytes──▶ TlsLayer ──handshake, in `handshake_s`──▶ decrypted ──▶ connection
       ◀──one write──          ◀──────────── encrypted ────────────────────── answers

The connection is made, and counted, when it is accepted: event loops tell nobody of one before its handshake, which a stranger
need not begin. Its limits hold as without TLS: what is unread is what the socket has not taken, and each side may end what it
sends by itself, so that an answer reaches who has closed its half, and a refusal who has not read it yet.
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable
from typing import Any

from signet.serving.tls.reasons import words

log = logging.getLogger(__name__)

HANDSHAKE_S = 10.0
"""Seconds from a connection's beginning to the end of its handshake."""

_RECORD_BYTES = 1 << 14
"""What a record of TLS holds at most."""
_PIECE_BYTES = 1 << 20
"""Bytes that are encrypted at once: of so many there are three copies for a moment."""
_HANDSHAKE = 0x16
"""The first byte of who speaks TLS."""

Contexts = Callable[[], ssl.SSLContext]
"""Gives the context of a new connection."""


class TlsLayer(asyncio.Protocol, asyncio.Transport):
    """One connection of a server. Everything here runs in the event loop, which alone writes the fields."""

    def __init__(
        self,
        connection: asyncio.Protocol,
        context: ssl.SSLContext,
        protocol: str = "",
        handshake_s: float = HANDSHAKE_S,
        plain: bytes = b"",
    ) -> None:
        """protocol: has to be agreed on by ALPN, such as h2; empty: none has to be. plain: the answer to who speaks no TLS."""
        super().__init__()
        self._connection, self._protocol, self._handshake_s, self._plain = connection, protocol, handshake_s, plain
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._socket: Any = None
        """The event loop's transport."""
        self._timer: asyncio.TimerHandle | None = None
        """Ends a handshake that takes too long."""
        self._begun = self._shaken = False
        """Whether the first byte has come; whether the handshake is over."""
        self._early: list[bytes] = []
        """What is to be sent after the handshake."""
        self._heard_end = self._said_end = False

    # To the event loop: a protocol

    def connection_made(self, transport: Any) -> None:
        self._socket = transport
        self._timer = asyncio.get_running_loop().call_later(self._handshake_s, self._too_late)
        self._connection.connection_made(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._stop_timer()
        self._early.clear()
        self._connection.connection_lost(error)

    def data_received(self, data: bytes) -> None:
        if self._said_end or self._socket.is_closing():
            return  # read all the same: a socket that is closed with bytes unread takes back what it said last
        if not self._begun:
            self._begun = True
            if data[0] != _HANDSHAKE:
                self._refuse_plain()
                return
        self._incoming.write(data)
        if self._shaken or self._shake_hands():
            self._decrypt()

    def eof_received(self) -> bool:
        if not self._shaken:
            return False
        self._end_heard()
        return True

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()

    # To the connection: a transport

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As any transport; also `ssl_object`, and `held`: whether a part of a record waits for the rest."""
        if name == "ssl_object":
            return self._tls
        if name == "held":
            return self._incoming.pending > 0
        return self._socket.get_extra_info(name, default)

    def is_closing(self) -> bool:
        return bool(self._socket.is_closing())

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._said_end or self._socket.is_closing():
            return
        if not self._shaken:
            self._early.append(bytes(data))
            return
        try:
            if len(data) <= _PIECE_BYTES:
                self._tls.write(data)
                self._socket.write(self._outgoing.read())
                return
            pieces = []
            with memoryview(data) as whole:
                for begin in range(0, len(whole), _PIECE_BYTES):
                    self._tls.write(whole[begin : begin + _PIECE_BYTES])
                    pieces.append(self._outgoing.read())
            self._socket.writelines(
                pieces
            )  # at once: the connection is told to pause when all of it is there to be counted
        except ssl.SSLError as error:  # the other side has ended it with an alert
            log.debug("%s is lost: %s", self._peer(), words(error))
            self._socket.abort()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._say_end()
        self._socket.write_eof()

    def close(self) -> None:
        self._say_end()
        self._socket.close()

    def abort(self) -> None:
        self._socket.abort()

    def pause_reading(self) -> None:
        self._socket.pause_reading()

    def resume_reading(self) -> None:
        self._socket.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._socket.set_write_buffer_limits(high=high, low=low)

    def get_write_buffer_size(self) -> int:
        return int(self._socket.get_write_buffer_size())

    # Inside

    def _shake_hands(self) -> bool:
        """Whether the handshake is over."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._send()
            return False
        except ssl.SSLError as error:
            self._refuse(words(error))
            return False
        self._stop_timer()
        if self._protocol and self._tls.selected_alpn_protocol() != self._protocol:
            self._refuse(f"it does not agree on {self._protocol} by ALPN")
            return False
        self._shaken = True
        self._send()
        early, self._early = self._early, []
        for data in early:
            self.write(data)
        return True

    def _decrypt(self) -> None:
        """Hand over what has come, in one piece."""
        parts: list[bytes] = []
        ended, problem = False, ""
        try:
            while True:
                part = self._tls.read(_RECORD_BYTES)
                if not part:
                    ended = True
                    break
                parts.append(part)
                if not self._incoming.pending and not self._tls.pending():
                    break
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            ended = True
        except ssl.SSLError as error:
            problem = words(error)
        if self._outgoing.pending:
            self._send()
        if parts:
            self._connection.data_received(parts[0] if len(parts) == 1 else b"".join(parts))
        if problem:
            log.debug("%s is lost: %s", self._peer(), problem)
            self._socket.close()
        elif ended:
            self._end_heard()

    def _end_heard(self) -> None:
        if not self._heard_end:
            self._heard_end = True
            if not self._connection.eof_received():
                self.close()

    def _say_end(self) -> None:
        """Say that nothing follows; the other side's word for it is not awaited."""
        if self._shaken and not self._said_end and not self._socket.is_closing():
            self._said_end = True
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()
            self._send()

    def _send(self) -> None:
        if self._outgoing.pending:
            self._socket.write(self._outgoing.read())

    def _refuse_plain(self) -> None:
        log.debug("%s speaks no TLS", self._peer())
        self._stop_timer()
        if self._plain:
            self._socket.write(self._plain)
        self._socket.close()

    def _refuse(self, reason: str) -> None:
        log.debug("%s shook no hands: %s", self._peer(), reason)
        self._stop_timer()
        self._send()  # the alert
        self._socket.close()

    def _too_late(self) -> None:
        self._timer = None
        log.debug("%s shook no hands within %g s", self._peer(), self._handshake_s)
        self._socket.abort()

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _peer(self) -> object:
        return self._socket.get_extra_info("peername") or "a UNIX socket"
