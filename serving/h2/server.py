"""A server's side of a connection: streams are the peer's, each begins with a request.

HEADERS of a new stream ──▶ refused, malformed, or `HeadersReceived`
drain ──▶ GOAWAY, no last stream yet ──▶ the client has seen it ──▶ GOAWAY with the last stream ──▶ `Drained`
"""

from . import frames, headers
from .connection import Connection, Violation
from .events import Drained, GoAwayReceived
from .frames import MAX_31, NO_ERROR, PREFACE, PROTOCOL_ERROR, REFUSED_STREAM, STREAM_CLOSED
from .limits import Clock, Limits
from .stream import Stream

_DRAIN = b"draining"
"""The payload of the PING whose answer shows that the client has seen the first GOAWAY."""


class ServerConnection(Connection):
    """A connection with a client. Its output holds the first SETTINGS at once."""

    _greeting = PREFACE

    def __init__(self, limits: Limits, clock: Clock) -> None:
        super().__init__(limits, clock)
        self.draining = False
        self._refuses = False
        self._out.append(
            frames.settings(
                {
                    frames.MAX_CONCURRENT_STREAMS: limits.concurrent_streams,
                    frames.INITIAL_WINDOW_SIZE: limits.stream_window,
                    frames.MAX_HEADER_LIST_SIZE: limits.header_list_bytes,
                }
            )
        )
        if limits.connection_window > frames.DEFAULT_WINDOW:
            self._out.append(frames.window_update(0, limits.connection_window - frames.DEFAULT_WINDOW))

    def drain(self) -> None:
        """Tell the client to take new requests elsewhere: `Drained` comes when it knows. Requests under way are still taken."""
        if not self.draining and not self.ended:
            self.draining = True
            self._out.append(frames.go_away(MAX_31, NO_ERROR))
            self.ping(_DRAIN)

    def refuse_new(self) -> None:
        """The second step of `drain`, for a client that does not answer: new requests are refused, which it may retry."""
        if not self._refuses and not self.ended:
            self.draining = self._refuses = True
            self._out.append(frames.go_away(self._last_id, NO_ERROR))

    @property
    def refuses_new(self) -> bool:
        """Whether no more requests are taken: when the last stream has ended, the connection may close."""
        return self._refuses

    def _pinged(self, payload: bytes) -> None:
        if payload == _DRAIN and self.draining:
            self.refuse_new()
            self._events.append(Drained())
        else:
            super()._pinged(payload)

    def _headers(self, stream_id: int, block: bytes, end_stream: bool) -> None:
        if stream_id <= self._last_id or not stream_id & 1:
            self._more_headers(stream_id, block, end_stream)
            return
        request = self._decoded(block, self._heads, headers.request)
        self._last_id = stream_id
        if request.problem or self._refuses or len(self.streams) >= self.limits.concurrent_streams:
            self._send_reset(stream_id, PROTOCOL_ERROR if request.problem else REFUSED_STREAM)
            self._count_reset(
                f"malformed requests, at last {request.problem}" if request.problem else "requests beyond the limit"
            )
            return
        stream = Stream(stream_id, self._peer_window, self.limits.stream_window)
        self.streams[stream_id] = stream
        self._began(stream, request, end_stream)

    def _more_headers(self, stream_id: int, block: bytes, end_stream: bool) -> None:
        """HEADERS on a stream that has begun before."""
        stream = self.streams.get(stream_id)
        if stream is not None:
            self._trailers(stream, block, end_stream)
        elif stream_id in self._reset_ids:  # the client did not know of our reset yet
            self._decoded(block, self._tails, headers.trailers)
            self._waste("HEADERS of closed streams")
        elif not stream_id & 1:
            raise Violation(PROTOCOL_ERROR, f"HEADERS on stream {stream_id}; a client's are odd")
        else:
            raise Violation(STREAM_CLOSED, f"HEADERS on stream {stream_id}, which is closed")

    def _is_idle(self, stream_id: int) -> bool:
        return stream_id > self._last_id or not stream_id & 1

    def _went_away(self, last_stream_id: int, code: int, debug: bytes) -> None:
        self._events.append(GoAwayReceived(code, debug, []))
