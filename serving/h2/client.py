"""A client's side of a connection: streams are ours, each begins with a request; what the server does not take yet waits.

open, send_request ──▶ a number and HEADERS; or, while the server takes no more at once, a place in line
GOAWAY ──▶ what the server has not looked at, to be sent again elsewhere; the rest goes on
"""

from . import frames, headers
from .connection import Connection, Violation
from .events import GoAwayReceived
from .frames import (
    DATA,
    DEFAULT_FRAME_BYTES,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FRAME_HEAD,
    HEADERS,
    MAX_31,
    PREFACE,
    PROTOCOL_ERROR,
)
from .headers import Headers
from .limits import Clock, Limits
from .stream import Queued, Stream

_FIRST_STREAMS = 100
"""Streams at once until the server has said how many it takes: fewer than any server should allow (RFC 9113, 6.5.2)."""

_head = FRAME_HEAD.pack


class CannotOpen(Exception):
    """This connection takes no more streams: it is ending, has no numbers left, or too many wait."""


class ClientConnection(Connection):
    """A connection with a server. Its output holds the preface and the first SETTINGS at once."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        super().__init__(limits, clock)
        self.going_away = False
        """Whether the server has sent GOAWAY: open streams go on, no more can be opened."""
        self._next_id = 1
        self._most_streams = _FIRST_STREAMS
        self._waiting: dict[Stream, None] = {}
        self._out.append(
            PREFACE
            + frames.settings(
                {
                    frames.ENABLE_PUSH: 0,
                    frames.INITIAL_WINDOW_SIZE: limits.stream_window,
                    frames.MAX_HEADER_LIST_SIZE: limits.header_list_bytes,
                }
            )
        )
        if limits.connection_window > frames.DEFAULT_WINDOW:
            self._out.append(frames.window_update(0, limits.connection_window - frames.DEFAULT_WINDOW))

    @property
    def can_open(self) -> bool:
        """Whether `open` takes one more."""
        return (
            not (self.ended or self.going_away)
            and self._next_id + 2 * len(self._waiting) <= MAX_31
            and len(self._waiting) < self.limits.queued_streams
        )

    @property
    def waiting_streams(self) -> int:
        """Streams that the server does not take yet."""
        return len(self._waiting)

    def open(self, block: bytes, end_stream: bool = False) -> Stream:
        """Begin a request with its block of headers (`hpack.encode`). Raises `CannotOpen`."""
        stream = self._new_stream()
        stream.local_ended = end_stream
        if self._is_full():
            self._waiting[stream] = None
            self._enqueue(stream, Queued(True, block, end_stream))
        else:
            self._number(stream)
            self._write_block(stream, block, end_stream)
        return stream

    def send_request(self, block: bytes, prefix: bytes, body: bytes) -> Stream:
        """Send a whole request, DATA being prefix + body, the quick way. Raises `CannotOpen`."""
        size = len(prefix) + len(body)
        if (
            size > self._peer_window
            or size > self._send_window
            or size > DEFAULT_FRAME_BYTES
            or len(block) > DEFAULT_FRAME_BYTES
            or self._block_prefix
            or self._is_full()
        ):
            stream = self.open(block)
            self.send_message(stream, prefix, body, end_stream=True)
            return stream
        stream = self._new_stream()
        self._number(stream)
        self._send_window -= size
        self._data_frames += 1
        stream.local_ended = True
        self._out += (
            _head(0, len(block), HEADERS, END_HEADERS, stream.id),
            block,
            _head(0, size, DATA, END_STREAM, stream.id),
            prefix,
            body,
        )
        return stream

    def lost(self) -> list[Stream]:
        waiting = list(self._waiting)
        self._waiting.clear()
        for stream in waiting:
            self._drop(stream)
        return super().lost() + waiting

    def _new_stream(self) -> Stream:
        if not self.can_open:
            raise CannotOpen("the connection takes no more streams")
        return Stream(0, self._peer_window, self.limits.stream_window)

    def _is_full(self) -> bool:
        return len(self.streams) >= self._most_streams or bool(self._waiting)

    def _number(self, stream: Stream) -> None:
        stream.id = self._next_id
        self._next_id += 2
        self.streams[stream.id] = stream

    def _open_waiting(self) -> None:
        while self._waiting and len(self.streams) < self._most_streams and not self.ended:
            stream = next(iter(self._waiting))
            del self._waiting[stream]
            stream.send_window = self._peer_window
            self._number(stream)
            queue = stream.queue
            assert queue is not None
            self._write_free(stream, queue)
            self._pump()

    def _forget(self, stream: Stream) -> None:
        if stream.id:
            super()._forget(stream)
            self._open_waiting()
        else:
            self._waiting.pop(stream, None)

    def _apply(self, settings: dict[int, int]) -> None:
        super()._apply(settings)
        if frames.MAX_CONCURRENT_STREAMS in settings:
            self._most_streams = settings[frames.MAX_CONCURRENT_STREAMS]
        elif not self.settings_received:
            self._most_streams = MAX_31
        self._open_waiting()

    def _count_reset(self, what: str) -> None:
        """A server resets only what we have opened: each stream brings what its end may cost."""
        if not self._resets.take(self._next_id):
            raise Violation(ENHANCE_YOUR_CALM, f"too many {what}")

    def _check_setting(self, key: int, value: int) -> None:
        if key == frames.ENABLE_PUSH and value:
            raise Violation(PROTOCOL_ERROR, f"ENABLE_PUSH {value} of a server")
        super()._check_setting(key, value)

    def _headers(self, stream_id: int, block: bytes, end_stream: bool) -> None:
        stream = self.streams.get(stream_id)
        if stream is None:
            if self._is_idle(stream_id):
                raise Violation(PROTOCOL_ERROR, f"HEADERS on stream {stream_id}, which is idle")
            self._decoded(block, self._tails, headers.trailers)
            self._waste("HEADERS of closed streams")
        elif stream.got_head:
            self._trailers(stream, block, end_stream)
        else:
            self._answer(stream, self._decoded(block, self._heads, headers.response), end_stream)

    def _answer(self, stream: Stream, answer: Headers, end_stream: bool) -> None:
        if answer.problem:
            self._fail(stream, PROTOCOL_ERROR, answer.problem)
        elif answer.status[:1] != b"1":
            self._began(stream, answer, end_stream)
        elif end_stream:
            self._fail(stream, PROTOCOL_ERROR, f"an informational answer {answer.status.decode()} ends the stream")
        else:
            self._waste("an informational answer")

    def _is_idle(self, stream_id: int) -> bool:
        return stream_id >= self._next_id or not stream_id & 1

    def _went_away(self, last_stream_id: int, code: int, debug: bytes) -> None:
        self.going_away = True
        unprocessed = [stream for stream_id, stream in self.streams.items() if stream_id > last_stream_id]
        unprocessed += self._waiting
        self._waiting.clear()
        for stream in unprocessed:
            self._drop(stream)
        self._events.append(GoAwayReceived(code, debug, unprocessed))
