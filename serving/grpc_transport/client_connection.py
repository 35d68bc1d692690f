"""One connection of a client: calls become streams, what the server sends becomes their answers.

    send ──▶ HTTP/2 (serving/h2) ──▶ one write at the end of the loop's turn ──▶ transport
    transport ──▶ one read, many answers ──▶ HTTP/2 ──▶ ClientCall.head, data, trailers
    GOAWAY ──▶ no new calls, those in work go on ──▶ the last one has ended: closed
    lost, broken ──▶ every call in work gets UNAVAILABLE; what the server has not looked at is sent again

A peer that says nothing: what was sent must be acknowledged by its system within `_ACKNOWLEDGE_S`, and after `_QUIET_S` without
a word while calls wait it gets a PING.
"""

import asyncio
import logging
import socket
import ssl
import time
from typing import Protocol, cast

from signet.serving.grpc_transport.answer_status import of_reset
from signet.serving.grpc_transport.channels import BrokenAnswer, CallError
from signet.serving.grpc_transport.client_call import ClientCall
from signet.serving.grpc_transport.client_head import ClientHeads
from signet.serving.h2 import frames
from signet.serving.h2.client import ClientConnection
from signet.serving.h2.events import (
    ConnectionEnded,
    DataReceived,
    Event,
    GoAwayReceived,
    HeadersReceived,
    HeadersTooLarge,
    SettingsChanged,
    StreamReset,
    TrailersReceived,
)
from signet.serving.h2.limits import Limits
from signet.serving.h2.stream import Stream
from signet.serving.tls.reasons import words

log = logging.getLogger(__name__)

_LIMITS = Limits(stream_window=4 << 20, connection_window=16 << 20, header_list_bytes=64 << 10)
"""What answers may hold: a server is trusted with larger ones than a stranger is with requests."""
_FLUSH_BYTES = 1 << 16
"""Bytes of requests that do not wait for the end of the loop's turn."""
_QUIET_S = 330.0
"""Seconds without a word, while calls wait, after which the server is asked whether it is there. Servers of gRPC count
pings more often than every five minutes as strikes, and end the connection."""
_ANSWER_S = 10.0
"""Seconds that the answer to a PING may take."""
_ACKNOWLEDGE_S = 10.0
"""Seconds within which the server's system acknowledges what was sent, or the connection is lost."""


class Channel(Protocol):
    """What a connection needs of whose it is."""

    heads: ClientHeads

    def send_again(self, call: ClientCall) -> bool:
        """Send a call anew, which the server has not looked at; False if that was done often enough."""

    def gone(self, connection: "Connection") -> None:
        """The connection takes no more calls."""


class Connection(asyncio.Protocol):
    """Everything here is for the event loop; only the methods here write the fields."""

    def __init__(self, channel: Channel, target: str, *, tls: bool) -> None:
        """target: names the server in messages. tls: whether the protocol must have been agreed on as h2."""
        self._channel, self._target, self._tls = channel, target, tls
        self._loop = asyncio.get_running_loop()
        self._h2 = ClientConnection(_LIMITS, time.monotonic)
        self._transport: asyncio.Transport | None = None
        self.ready: asyncio.Future[None] = self._loop.create_future()
        """Done when the server speaks HTTP/2; OSError when it does not, or has gone before."""
        self.closed: asyncio.Future[None] = self._loop.create_future()
        """Done when the connection is gone."""
        self._flush_due = self._paused = self._leaving = False
        self._unflushed_bytes = 0
        self._problem = ""
        """Why the connection ends, where that is known before it is lost."""
        self._heard = False
        """Whether the server has said anything since the last look."""
        self._watch: asyncio.TimerHandle | None = None

    # Calls

    @property
    def takes_calls(self) -> bool:
        """Whether `send` carries one more."""
        return self._transport is not None and not self._leaving and self._h2.can_open

    def send(self, call: ClientCall) -> None:
        """Carry a call, if `takes_calls`."""
        block = self._channel.heads.block(call.path, call.deadline - time.perf_counter(), call.metadata)
        message = call.message
        stream = self._h2.send_request(block, b"\0" + len(message).to_bytes(4, "big"), message)
        stream.owner = call
        call.way, call.stream = self, stream
        self._unflushed_bytes += len(message)
        if self._unflushed_bytes >= _FLUSH_BYTES:
            self._flush()
        else:
            self._flush_soon()
        if not self._watch:
            self._heard = False
            self._watch = self._loop.call_later(_QUIET_S, self._look)

    def take_back(self, stream: Stream) -> None:
        """Reset a stream that is still open: nobody waits for its answer."""
        stream.owner = None
        if not stream.closed:
            self._h2.reset(stream, frames.CANCEL)
            self._flush_soon()
        self._close_if_done()

    # The end

    def leave(self) -> None:
        """Take no more calls, and close when the last one has ended."""
        self._leaving = True
        self._channel.gone(self)
        self._close_if_done()

    def close(self) -> None:
        """End the connection; calls in work are lost."""
        if self._transport:
            self._problem = self._problem or "the channel has been closed"
            streams = self._h2.close()
            self._flush()
            self._drop(streams)
            self._transport.close()

    def abort(self) -> None:
        """End the connection without waiting for what was written."""
        if self._transport:
            self._transport.abort()

    # The transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        tls = transport.get_extra_info("ssl_object")
        if self._tls and (tls is None or tls.selected_alpn_protocol() != "h2"):
            self._lose("the server does not agree on h2 by ALPN")
            return
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
            milliseconds = int(_ACKNOWLEDGE_S * 1000)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._heard = True
        for event in self._h2.receive(data):
            call: ClientCall | None
            if isinstance(event, DataReceived):
                stream = event.stream
                self._h2.consumed(stream, len(event.data))
                call = stream.owner
                if call is not None:
                    call.data(event.data, ends=event.end_stream)
            elif isinstance(event, HeadersReceived):
                call = event.stream.owner
                if call is not None:
                    call.head(event.headers, alone=event.end_stream)
            elif isinstance(event, TrailersReceived):
                call = event.stream.owner
                if call is not None:
                    call.trailers(event.headers)
            else:
                self._rare(event)
        if self._h2.has_output:
            self._flush_soon()
        self._close_if_done()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        problem = self._problem or _said(error)
        self._transport = None
        if self._watch:
            self._watch.cancel()
            self._watch = None
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(problem))
            self.ready.exception()  # nobody may be waiting any more
        self._channel.gone(self)
        self._problem = problem
        self._drop(self._h2.lost())
        self.closed.set_result(None)

    # Inside

    def _rare(self, event: Event) -> None:
        if isinstance(event, StreamReset):
            call: ClientCall | None = event.stream.owner
            if call is None:
                return
            if not (event.by_peer and event.code == frames.REFUSED_STREAM and self._channel.send_again(call)):
                call.fail(of_reset(event.code, event.reason))
        elif isinstance(event, HeadersTooLarge):
            if event.stream.owner is not None:
                most = _LIMITS.header_list_bytes
                event.stream.owner.fail(
                    BrokenAnswer("RESOURCE_EXHAUSTED", f"the answer has headers of more than {most} bytes")
                )
        elif isinstance(event, SettingsChanged):
            if not self.ready.done():
                self.ready.set_result(None)
        elif isinstance(event, GoAwayReceived):
            if event.code != frames.NO_ERROR:
                log.warning("%s ends the connection with code %d: %s", self._target, event.code, event.debug[:200])
            self.leave()
            self._resend(event.unprocessed)
        elif isinstance(event, ConnectionEnded):
            self._problem = f"it breaks HTTP/2: {event.reason}"
            self._channel.gone(self)
            self._flush()
            self._drop(event.streams)
            if self._transport:
                self._transport.close()

    def _resend(self, streams: list[Stream]) -> None:
        for stream in streams:
            call: ClientCall | None = stream.owner
            if call is not None and not self._channel.send_again(call):
                call.fail(CallError("UNAVAILABLE", f"{self._target} takes no calls: it is going away"))

    def _drop(self, streams: list[Stream]) -> None:
        """Streams of a connection that is no more. Those without a number have never been sent."""
        self._resend([stream for stream in streams if not stream.id])
        for stream in streams:
            call: ClientCall | None = stream.owner
            if call is not None:
                call.fail(CallError("UNAVAILABLE", f"the connection to {self._target} is lost: {self._problem}"))

    def _lose(self, problem: str) -> None:
        self._problem = problem
        self._channel.gone(self)
        self.abort()

    def _close_if_done(self) -> None:
        """The last stream's end is that of a connection that leaves."""
        if self._leaving and not self._h2.streams and self._transport:
            self._flush()
            self._transport.close()

    def _flush_soon(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        if self._transport and not self._paused:
            self._unflushed_bytes = 0
            if output := self._h2.take_output():
                self._transport.write(output)

    def _look(self) -> None:
        """Some time has passed: has the server said anything?"""
        self._watch = None
        if not self._h2.streams:
            return  # the next call begins to watch again
        if self._heard:
            self._heard = False
            self._watch = self._loop.call_later(_QUIET_S, self._look)
            return
        self._h2.ping(b"are you?")
        self._flush()
        self._watch = self._loop.call_later(_ANSWER_S, self._give_up)

    def _give_up(self) -> None:
        self._watch = None
        if self._heard:
            self._look()
        else:
            self._lose(f"no answer to a PING within {_ANSWER_S:g} s")


def _said(error: Exception | None) -> str:
    if isinstance(error, ssl.SSLError):
        return words(error)
    return str(error) if error else "the server has closed it"
