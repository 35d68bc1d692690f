"""One connection of HTTP/2 without I/O, the part that both sides share; `server.py` and `client.py` complete it.

    bytes ──▶ receive ──▶ frames ──▶ streams, windows, limits ──▶ events
    send_… , reset, consumed, … ──▶ frames, or a stream's queue until windows allow ──▶ take_output ──▶ bytes

Everything is for one thread at a time, such as an event loop. How to drive it:

- after each `receive`, and after each turn in which something was sent, write `take_output()`: one write for many answers;
- `receive` nothing while the transport's buffer of writes is full: what a peer does not read must not make us read on;
- call `consumed` when received bytes have found their place: until then they count as `held_bytes`, and hold back the peer;
- look at `settings_received`, `held_bytes`, `unsent_bytes`, `Stream.stalled_at` now and then, and `close` what is too slow.
"""

from collections import deque
from collections.abc import Callable

from . import frames, hpack
from . import headers as headers_module
from .events import (
    ConnectionEnded,
    DataReceived,
    Event,
    HeadersReceived,
    HeadersTooLarge,
    PingAcknowledged,
    SettingsChanged,
    StreamReset,
    TrailersReceived,
    Writable,
)
from .frames import (
    ACK,
    COMPRESSION_ERROR,
    CONTINUATION,
    DATA,
    DEFAULT_FRAME_BYTES,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_HEAD,
    FRAME_HEAD_BYTES,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HAS_PRIORITY,
    HEADERS,
    MAX_31,
    NO_ERROR,
    PADDED,
    PING,
    PRIORITY,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    STREAM_CLOSED,
    WINDOW_UPDATE,
    uint32_at,
)
from .headers import Headers
from .limits import Bucket, Clock, Limits
from .stream import Queued, Stream

_REMEMBERED_BLOCKS = 64
_REMEMBERED_BLOCK_BYTES = 1024
_REMEMBERED_HEADER_BYTES = 2048
"""Of each kind, heads and trailers: at most some 500 KB a connection, and some 50 where a peer is no attacker."""
_REMEMBERED_RESETS = 1024
_FRAMES_UNDER_WAY = 4
"""Frames that may come for each stream that we reset, as the peer does not know it yet."""
_UPDATES_OF_A_FRAME = 4
"""WINDOW_UPDATEs that may come for each stream or frame of DATA that we have sent."""
_WASTE_BYTES = 1024
"""DATA of streams that we have reset counts as empty below this size: larger frames cost the peer as much as us."""

_head = FRAME_HEAD.pack
_head_at = FRAME_HEAD.unpack_from


class Violation(Exception):
    """The peer has done what ends the connection."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Connection:
    """What both sides of a connection have in common."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self.limits = limits
        self.streams: dict[int, Stream] = {}
        """Those that are open, by their number."""
        self.settings_received = False
        """Whether the peer's first SETTINGS have come. Without them in time: `close(SETTINGS_TIMEOUT)`."""
        self.settings_acknowledged = False
        """Whether the peer has acknowledged ours."""
        self.ended = False
        """After `close` or `ConnectionEnded`: nothing is received or sent any more, but for the output there is."""

        self._clock = clock
        self._events: list[Event] = []
        self._greeted = False
        self._rest = b""  # of a frame that has not come whole
        self._out: list[bytes | memoryview] = []

        self._decoder = hpack.Decoder()
        self._heads: dict[bytes, Headers] = {}  # by their blocks, while the table is the same
        self._tails: dict[bytes, Headers] = {}
        self._block: list[bytes] | None = None  # of HEADERS, while CONTINUATION may come
        self._block_stream = self._block_flags = self._block_bytes = 0
        self._block_prefix = b""  # before the next block that we send

        self._receive_window = limits.connection_window
        self._ungranted = 0
        self._unconsumed = 0
        self._send_window = DEFAULT_WINDOW
        self._peer_window = DEFAULT_WINDOW  # of a new stream
        self._peer_frame = DEFAULT_FRAME_BYTES
        self._queued_bytes = 0
        self._ready: dict[Stream, None] = {}  # streams with a queue and a window, in their turns

        self._last_id = 0  # the peer's highest stream
        self._reset_ids: dict[int, None] = {}  # that we have reset lately
        self._resets_sent = 0
        self._pings_out = 0
        self._seen_at_ping = (0, 0)
        self._data_frames = 0  # sent from queues
        self._begun = 0  # streams whose head has come
        self._finished = 0  # streams that ended as they should
        self._resets = Bucket(limits.resets, clock)
        self._ping_bucket = Bucket(limits.pings, clock)
        self._settings_bucket = Bucket(limits.settings, clock)
        self._empties = Bucket(limits.empty_frames, clock)
        self._window_updates = Bucket(limits.window_updates, clock)

    # To look at

    @property
    def held_bytes(self) -> int:
        """Bytes that came and are kept here or by the owner: unconsumed DATA, frames and blocks that are not complete."""
        return self._unconsumed + len(self._rest) + self._block_bytes

    @property
    def queued_bytes(self) -> int:
        """Bytes of DATA that wait for the peer to open its windows."""
        return self._queued_bytes

    @property
    def unsent_bytes(self) -> int:
        """Bytes that wait to be sent: those that windows hold back, and the output that nobody has taken."""
        return self._queued_bytes + sum(map(len, self._out))

    @property
    def has_output(self) -> bool:
        return bool(self._out)

    def take_output(self) -> bytes:
        """All that is to be written now, as one piece."""
        out = self._out
        if not out:
            return b""
        self._out = []
        return b"".join(out)

    # Receiving

    def receive(self, data: bytes) -> list[Event]:
        """What these bytes of the peer mean, in order. Nothing is raised: what the peer does wrong becomes events and frames."""
        if not self.ended:
            try:
                self._read(self._rest + data if self._rest else data)
            except Violation as violation:
                self._end(violation.code, violation.reason)
        events = self._events
        self._events = []
        return events

    def _read(self, data: bytes) -> None:  # noqa: PLR0912, PLR0915 - the hot path: a call costs as much as a frame
        at = 0
        if not self._greeted:
            self._greeted = self._greet(data)
            if not self._greeted:
                self._rest = data
                return
            at = len(self._greeting)
        end = len(data)
        streams = self.streams
        events = self._events
        while end - at >= FRAME_HEAD_BYTES:
            high, low, kind, flags, stream_id = _head_at(data, at)
            size = high << 16 | low
            if size > DEFAULT_FRAME_BYTES:
                raise Violation(FRAME_SIZE_ERROR, f"a frame of {size} bytes; {DEFAULT_FRAME_BYTES} are allowed")
            start = at + FRAME_HEAD_BYTES
            stop = start + size
            if stop > end:
                break
            at = stop
            stream_id &= MAX_31
            if self._block is not None:
                self._continue(kind, flags, stream_id, data[start:stop])
            elif kind == DATA:
                self._receive_window -= size
                if self._receive_window < 0:
                    raise Violation(FLOW_CONTROL_ERROR, "DATA beyond the connection's window")
                stream = streams.get(stream_id)
                if stream is None or stream.remote_ended or not stream.got_head:
                    self._stray_data(stream_id, stream, size)
                    continue
                stream.receive_window -= size
                stream.unconsumed += size
                self._unconsumed += size
                if stream.receive_window < 0:
                    self._fail(stream, FLOW_CONTROL_ERROR, "DATA beyond the stream's window")
                    continue
                if flags & PADDED:
                    start, stop = self._unpadded(data, start, stop)
                    self.consumed(stream, size - (stop - start))
                if (stream.expected_bytes >= 0 or start == stop) and not self._fits(stream, stop - start, flags):
                    continue
                if flags & END_STREAM:
                    stream.remote_ended = True
                    events.append(DataReceived(stream, data[start:stop], True))
                    if stream.local_ended and stream.queue is None:
                        self._finish(stream)
                else:
                    events.append(DataReceived(stream, data[start:stop], False))
            elif kind == HEADERS:
                if not self.settings_received:
                    raise Violation(PROTOCOL_ERROR, "HEADERS before the first SETTINGS")
                if flags & (PADDED | HAS_PRIORITY):
                    start, stop = self._bare_block(data, start, stop, flags, stream_id)
                if flags & END_HEADERS:
                    self._headers(stream_id, data[start:stop], flags & END_STREAM != 0)
                else:
                    self._block = [data[start:stop]]
                    self._block_stream, self._block_flags, self._block_bytes = stream_id, flags, stop - start
            else:
                self._control(kind, flags, stream_id, data[start:stop])
        self._rest = data[at:] if at else data

    # What a side does in its own way

    _greeting = b""
    """What the peer sends before its first frame."""

    def _headers(self, stream_id: int, block: bytes, end_stream: bool) -> None:
        raise NotImplementedError

    def _is_idle(self, stream_id: int) -> bool:
        """Whether a stream that is not open has never been."""
        raise NotImplementedError

    def _went_away(self, last_stream_id: int, code: int, debug: bytes) -> None:
        raise NotImplementedError

    def _forget(self, stream: Stream) -> None:
        """What goes with a stream that has closed."""
        self.streams.pop(stream.id, None)

    # Frames

    def _greet(self, data: bytes) -> bool:
        greeting = self._greeting
        if not data.startswith(greeting[: len(data)]):
            raise Violation(PROTOCOL_ERROR, f"the connection begins with {data[:24]!r}, not as HTTP/2 does")
        return len(data) >= len(greeting)

    def _unpadded(self, data: bytes, start: int, stop: int) -> tuple[int, int]:
        """Where a padded frame's payload is between its length of padding and the padding."""
        if start == stop or data[start] > stop - start - 1:
            raise Violation(PROTOCOL_ERROR, "padding longer than its frame")
        return start + 1, stop - data[start]

    def _bare_block(self, data: bytes, start: int, stop: int, flags: int, stream_id: int) -> tuple[int, int]:
        """Where the block of HEADERS is between padding and priority."""
        if flags & PADDED:
            start, stop = self._unpadded(data, start, stop)
        if flags & HAS_PRIORITY:
            if stop - start < 5:
                raise Violation(FRAME_SIZE_ERROR, "HEADERS too short for their priority")
            if uint32_at(data, start)[0] & MAX_31 == stream_id:
                raise Violation(PROTOCOL_ERROR, f"stream {stream_id} depends on itself")
            start += 5
        return start, stop

    def _continue(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        block = self._block
        assert block is not None
        if kind != CONTINUATION or stream_id != self._block_stream:
            raise Violation(
                PROTOCOL_ERROR, f"a block of headers of stream {self._block_stream} is not followed by its CONTINUATION"
            )
        block.append(payload)
        self._block_bytes += len(payload)
        if len(block) - 1 > self.limits.continuations or self._block_bytes > self.limits.header_block_bytes:
            raise Violation(ENHANCE_YOUR_CALM, f"a block of headers in {len(block)} frames, {self._block_bytes} bytes")
        if flags & END_HEADERS:
            self._block = None
            self._block_bytes = 0
            self._headers(stream_id, b"".join(block), self._block_flags & END_STREAM != 0)

    def _fits(self, stream: Stream, size: int, flags: int) -> bool:
        """Whether DATA is as its content-length says; empty frames are counted on the way."""
        stream.received_bytes += size
        ends = flags & END_STREAM
        if not size and not ends:
            self._waste("empty DATA")
        expected = stream.expected_bytes
        got = stream.received_bytes
        if expected >= 0 and (got > expected or (ends and got < expected)):
            self._fail(stream, PROTOCOL_ERROR, f"content-length {expected}, but {got} bytes of DATA")
            return False
        return True

    def _stray_data(self, stream_id: int, stream: Stream | None, size: int) -> None:
        """DATA that has no place: its bytes go back to the connection's window."""
        self._unconsumed += size
        self._release(size)
        if stream is not None:
            if stream.remote_ended:
                self._fail(stream, STREAM_CLOSED, "DATA after the end of the stream")
            else:
                self._fail(stream, PROTOCOL_ERROR, "DATA before HEADERS")
            return
        if self._is_idle(stream_id):
            raise Violation(PROTOCOL_ERROR, f"DATA on stream {stream_id}, which is idle")
        if size < _WASTE_BYTES:
            self._waste("DATA of closed streams")
        if stream_id not in self._reset_ids:
            self._out.append(frames.rst_stream(stream_id, STREAM_CLOSED))

    def _waste(self, what: str) -> None:
        if not self._empties.take(self._resets_sent * _FRAMES_UNDER_WAY):
            raise Violation(ENHANCE_YOUR_CALM, f"too many frames that bring nothing, at last {what}")

    def _control(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """All frames but DATA and HEADERS."""
        if not self.settings_received and (kind != SETTINGS or flags & ACK):
            raise Violation(PROTOCOL_ERROR, f"a frame of kind {kind} before the first SETTINGS")
        if kind == WINDOW_UPDATE:
            self._window_update(stream_id, payload)
        elif kind == RST_STREAM:
            self._rst_stream(stream_id, payload)
        elif kind == PING:
            self._ping(flags, stream_id, payload)
        elif kind == SETTINGS:
            self._settings(flags, stream_id, payload)
        elif kind == GOAWAY:
            if stream_id or len(payload) < 8:
                raise Violation(
                    PROTOCOL_ERROR if stream_id else FRAME_SIZE_ERROR,
                    f"GOAWAY of {len(payload)} bytes on stream {stream_id}",
                )
            self._waste("GOAWAY")
            self._went_away(uint32_at(payload)[0] & MAX_31, uint32_at(payload, 4)[0], payload[8:])
        elif kind == PRIORITY:
            self._priority(stream_id, payload)
        elif kind in (PUSH_PROMISE, CONTINUATION):
            raise Violation(PROTOCOL_ERROR, f"a frame of kind {kind} on stream {stream_id} where none may be")
        else:
            self._waste(f"a frame of the unknown kind {kind}")

    def _priority(self, stream_id: int, payload: bytes) -> None:
        self._waste("PRIORITY")
        if not stream_id:
            raise Violation(PROTOCOL_ERROR, "PRIORITY on stream 0")
        if len(payload) != 5:
            raise Violation(FRAME_SIZE_ERROR, f"PRIORITY of {len(payload)} bytes")
        if uint32_at(payload)[0] & MAX_31 == stream_id:
            raise Violation(PROTOCOL_ERROR, f"stream {stream_id} depends on itself")

    def _rst_stream(self, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Violation(FRAME_SIZE_ERROR, f"RST_STREAM of {len(payload)} bytes")
        stream = self.streams.get(stream_id)
        if stream is None and self._is_idle(stream_id):
            raise Violation(PROTOCOL_ERROR, f"RST_STREAM on stream {stream_id}, which is idle")
        self._count_reset("resets")
        if stream is not None:
            self._drop(stream)
            self._events.append(StreamReset(stream, uint32_at(payload)[0], True, ""))

    def _count_reset(self, what: str) -> None:
        if not self._resets.take(self._finished):
            raise Violation(ENHANCE_YOUR_CALM, f"too many {what}")

    def _ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 8:
            raise Violation(FRAME_SIZE_ERROR, f"PING of {len(payload)} bytes")
        if stream_id:
            raise Violation(PROTOCOL_ERROR, f"PING on stream {stream_id}")
        if flags & ACK and self._pings_out:
            self._pings_out -= 1
            self._pinged(payload)
            return
        seen = self._receive_window, self._last_id
        if seen != self._seen_at_ping:
            self._seen_at_ping = seen
            self._ping_bucket.fill()
        if not self._ping_bucket.take():
            raise Violation(ENHANCE_YOUR_CALM, "too many PINGs")
        if not flags & ACK:
            self._out.append(frames.frame(PING, ACK, 0, payload))

    def _pinged(self, payload: bytes) -> None:
        self._events.append(PingAcknowledged(payload))

    def _settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise Violation(PROTOCOL_ERROR, f"SETTINGS on stream {stream_id}")
        if len(payload) % 6 or (flags & ACK and payload):
            raise Violation(FRAME_SIZE_ERROR, f"SETTINGS of {len(payload)} bytes")
        if flags & ACK and not self.settings_acknowledged:
            self.settings_acknowledged = True
            return
        if not self._settings_bucket.take():
            raise Violation(ENHANCE_YOUR_CALM, "too many SETTINGS")
        if flags & ACK:
            return
        pairs = frames.settings_of(payload)
        for key, value in pairs:
            self._check_setting(key, value)
        settings = dict(pairs)
        self._out.append(frames.frame(SETTINGS, ACK, 0))
        self._apply(settings)
        self.settings_received = True
        self._events.append(SettingsChanged(settings))

    def _check_setting(self, key: int, value: int) -> None:
        if key == frames.INITIAL_WINDOW_SIZE and value > MAX_31:
            raise Violation(FLOW_CONTROL_ERROR, f"INITIAL_WINDOW_SIZE {value}; at most {MAX_31}")
        if key == frames.MAX_FRAME_SIZE and not DEFAULT_FRAME_BYTES <= value <= frames.LARGEST_FRAME_BYTES:
            raise Violation(
                PROTOCOL_ERROR, f"MAX_FRAME_SIZE {value}; {DEFAULT_FRAME_BYTES} to {frames.LARGEST_FRAME_BYTES}"
            )
        if key == frames.ENABLE_PUSH and value > 1:
            raise Violation(PROTOCOL_ERROR, f"ENABLE_PUSH {value}; 0 or 1")

    def _apply(self, settings: dict[int, int]) -> None:
        """Only the last value of each setting counts, so that many in one frame cost no more than one."""
        frame_bytes = settings.get(frames.MAX_FRAME_SIZE)
        if frame_bytes is not None:
            self._peer_frame = min(frame_bytes, self.limits.sent_frame_bytes)
        if settings.get(frames.HEADER_TABLE_SIZE, hpack.DEFAULT_TABLE_BYTES) < hpack.DEFAULT_TABLE_BYTES:
            self._block_prefix = hpack.SHRINK_TABLE  # asked of the next block (RFC 7541, 4.2)
        window = settings.get(frames.INITIAL_WINDOW_SIZE)
        if window is None or window == self._peer_window:
            return
        more = window - self._peer_window
        self._peer_window = window
        for stream in list(self.streams.values()):
            self._widen(stream, more)
            if stream.send_window > MAX_31:
                raise Violation(FLOW_CONTROL_ERROR, f"INITIAL_WINDOW_SIZE {window} takes a window beyond {MAX_31}")
        self._pump()

    def _widen(self, stream: Stream, more: int) -> None:
        stream.send_window += more
        if stream.queue is not None:
            if stream.send_window > 0:
                self._ready[stream] = None
            else:
                self._ready.pop(stream, None)

    def _window_update(self, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Violation(FRAME_SIZE_ERROR, f"WINDOW_UPDATE of {len(payload)} bytes")
        if not self._window_updates.take((self._begun + self._data_frames) * _UPDATES_OF_A_FRAME):
            raise Violation(ENHANCE_YOUR_CALM, "too many WINDOW_UPDATEs")
        more = uint32_at(payload)[0] & MAX_31
        if not stream_id:
            self._send_window += more
            if not more or self._send_window > MAX_31:
                raise Violation(
                    FLOW_CONTROL_ERROR if more else PROTOCOL_ERROR, f"WINDOW_UPDATE of {more} for the connection"
                )
            self._pump()
            return
        stream = self.streams.get(stream_id)
        if stream is None:
            if self._is_idle(stream_id):
                raise Violation(PROTOCOL_ERROR, f"WINDOW_UPDATE on stream {stream_id}, which is idle")
        elif not more or stream.send_window + more > MAX_31:
            self._fail(stream, FLOW_CONTROL_ERROR if more else PROTOCOL_ERROR, f"WINDOW_UPDATE of {more}")
        else:
            self._widen(stream, more)
            self._pump()

    # Headers

    def _decoded(
        self, block: bytes, remembered: dict[bytes, Headers], check: Callable[[list[hpack.Field], int], Headers]
    ) -> Headers:
        """What a block says. One that changes no table means the same as long as nothing else does, so it is read once."""
        headers = remembered.get(block)
        if headers is not None:
            return headers
        limits = self.limits
        try:
            fields, size = self._decoder.decode(block, limits.header_list_bytes, limits.decoded_header_bytes)
        except hpack.BlockTooLarge as error:
            raise Violation(ENHANCE_YOUR_CALM, str(error)) from error
        except hpack.BadBlock as error:
            raise Violation(COMPRESSION_ERROR, str(error)) from error
        headers = check(fields, size)
        if size > limits.header_list_bytes:
            headers.fields = []
            headers.problem = ""  # that it is too large is what its stream fails of
        if self._decoder.changed:
            self._heads.clear()
            self._tails.clear()
        elif len(block) <= _REMEMBERED_BLOCK_BYTES and size <= _REMEMBERED_HEADER_BYTES:
            if len(remembered) == _REMEMBERED_BLOCKS:
                remembered.clear()
            remembered[block] = headers
        return headers

    def _trailers(self, stream: Stream, block: bytes, end_stream: bool) -> None:
        trailers = self._decoded(block, self._tails, headers_module.trailers)
        if stream.remote_ended:
            self._fail(stream, STREAM_CLOSED, "HEADERS after the end of the stream")
        elif not end_stream:
            self._fail(stream, PROTOCOL_ERROR, "trailers without END_STREAM")
        elif trailers.problem:
            self._fail(stream, PROTOCOL_ERROR, trailers.problem)
        elif self._fits(stream, 0, END_STREAM):
            stream.remote_ended = True
            if trailers.size > self.limits.header_list_bytes:
                self._count_reset("headers that are too large")
                self._events.append(HeadersTooLarge(stream, trailers, True))
            else:
                self._events.append(TrailersReceived(stream, trailers))
            if stream.local_ended and stream.queue is None:
                self._finish(stream)

    def _began(self, stream: Stream, headers: Headers, end_stream: bool) -> None:
        """The head of a stream has come, and is in order."""
        stream.got_head = True
        self._begun += 1
        if headers.content_length >= 0:
            stream.expected_bytes = headers.content_length
            if end_stream and not self._fits(stream, 0, END_STREAM):
                return
        if headers.size > self.limits.header_list_bytes:
            self._count_reset("headers that are too large")
            self._events.append(HeadersTooLarge(stream, headers, end_stream))
        else:
            self._events.append(HeadersReceived(stream, headers, end_stream))
        if end_stream:
            stream.remote_ended = True
            if stream.local_ended and stream.queue is None:
                self._finish(stream)

    # The ends of streams

    def _finish(self, stream: Stream) -> None:
        """Both sides have said all."""
        stream.closed = True
        self._finished += 1
        self._forget(stream)

    def _drop(self, stream: Stream) -> None:
        """The stream is over before its time."""
        stream.closed = stream.local_ended = stream.remote_ended = True
        if stream.queue is not None:
            stream.queue = None
            self._queued_bytes -= stream.queued_bytes
            stream.queued_bytes = 0
            self._ready.pop(stream, None)
        unconsumed = stream.unconsumed
        stream.unconsumed = 0
        self._release(unconsumed)
        self._forget(stream)

    def _fail(self, stream: Stream, code: int, reason: str) -> None:
        """A stream error: the peer's fault, which is counted, as answering faults costs us more than it costs the peer."""
        self.reset(stream, code)
        self._events.append(StreamReset(stream, code, False, reason))
        self._count_reset(f"faults of streams, at last {reason}")

    def _send_reset(self, stream_id: int, code: int) -> None:
        self._out.append(frames.rst_stream(stream_id, code))
        self._resets_sent += 1
        remembered = self._reset_ids
        remembered[stream_id] = None
        if len(remembered) > _REMEMBERED_RESETS:
            del remembered[next(iter(remembered))]

    def _end(self, code: int, reason: str) -> None:
        """The connection is over by the peer's fault."""
        self._out.append(frames.go_away(self._last_id, code, reason))
        self._events.append(ConnectionEnded(code, reason, self.lost()))

    # Sending

    def send_headers(self, stream: Stream, block: bytes, end_stream: bool = False) -> None:
        """Send a block (`hpack.encode`): the head of an answer, or trailers. It waits behind DATA that waits."""
        if stream.local_ended:
            return
        stream.local_ended = end_stream
        if stream.queue is not None:
            self._enqueue(stream, Queued(True, block, end_stream))
            return
        self._write_block(stream, block, end_stream)
        if end_stream and stream.remote_ended:
            self._finish_by_sending(stream)

    def send_data(self, stream: Stream, data: bytes | memoryview, end_stream: bool = False) -> bool:
        """Send DATA; False when part of it waits for the peer's windows: `Writable` follows when nothing waits any more."""
        if stream.local_ended:
            return True
        stream.local_ended = end_stream
        if stream.queue is None:
            rest = self._write_data(stream, data, end_stream)
            if rest is None:
                if end_stream and stream.remote_ended:
                    self._finish_by_sending(stream)
                return True
            data = rest
        self._enqueue(stream, Queued(False, data, end_stream))
        return False

    def send_response(self, stream: Stream, head: bytes, prefix: bytes, body: bytes, trailers: bytes) -> bool:
        """Send a whole answer, DATA being prefix + body, and end our side; False as for `send_data`. The quick way."""
        size = len(prefix) + len(body)
        if (
            stream.local_ended
            or not stream.remote_ended
            or stream.queue is not None
            or size > stream.send_window
            or size > self._send_window
            or size > DEFAULT_FRAME_BYTES
            or self._block_prefix
            or len(head) + len(trailers) > DEFAULT_FRAME_BYTES
        ):
            return self._send_response_slowly(stream, head, prefix, body, trailers)
        self._send_window -= size
        stream_id = stream.id
        self._out += (
            _head(0, len(head), HEADERS, END_HEADERS, stream_id),
            head,
            _head(0, size, DATA, 0, stream_id),
            prefix,
            body,
            _head(0, len(trailers), HEADERS, END_HEADERS | END_STREAM, stream_id),
            trailers,
        )
        stream.local_ended = True
        self._finish_by_sending(stream)
        return True

    def _send_response_slowly(self, stream: Stream, head: bytes, prefix: bytes, body: bytes, trailers: bytes) -> bool:
        self.send_headers(stream, head)
        sent = self.send_message(stream, prefix, body)
        self.send_headers(stream, trailers, end_stream=True)
        return sent

    def send_message(self, stream: Stream, prefix: bytes, body: bytes, end_stream: bool = False) -> bool:
        """`send_data` of prefix + body, without a copy of a large body."""
        first = self._peer_frame - len(prefix)
        if len(body) <= first:
            return self.send_data(stream, prefix + body, end_stream)
        self.send_data(stream, prefix + body[:first])
        return self.send_data(stream, memoryview(body)[first:], end_stream)

    def reset(self, stream: Stream, code: int = frames.CANCEL) -> None:
        """End a stream at once, both ways: what is queued is dropped, what was held unconsumed is given back to the peer."""
        if stream.closed:
            return
        if stream.id:
            self._send_reset(stream.id, code)
        self._drop(stream)

    def consumed(self, stream: Stream, size: int) -> None:
        """Bytes of a stream's DATA are held by the connection no more: the peer may send as many again. Also for ended streams.

        What a stream has not consumed is given back when our side of it ends after the peer's, and when it is reset.
        """
        size = min(size, stream.unconsumed)
        stream.unconsumed -= size
        if not stream.remote_ended:
            stream.ungranted += size
            if stream.ungranted * 2 >= self.limits.stream_window:
                self._out.append(frames.window_update(stream.id, stream.ungranted))
                stream.receive_window += stream.ungranted
                stream.ungranted = 0
        self._release(size)

    def ping(self, payload: bytes) -> None:
        """Send a PING of 8 bytes; `PingAcknowledged` brings them back."""
        self._pings_out += 1
        self._out.append(frames.frame(PING, 0, 0, payload))

    def close(self, code: int = NO_ERROR, reason: str = "") -> list[Stream]:
        """Send GOAWAY and end the connection: write the output, then close the transport. Gives the streams that were open."""
        if self.ended:
            return []
        self._out.append(frames.go_away(self._last_id, code, reason))
        return self.lost()

    def lost(self) -> list[Stream]:
        """The transport is gone: nothing more is received or sent. Gives the streams that were open, which are closed now."""
        self.ended = True
        streams = list(self.streams.values())
        self.streams.clear()
        for stream in streams:
            stream.closed = stream.local_ended = stream.remote_ended = True
            stream.queue = None
            stream.queued_bytes = stream.unconsumed = 0
        self._ready.clear()
        self._heads.clear()
        self._tails.clear()
        self._queued_bytes = self._unconsumed = self._block_bytes = 0
        self._block = None
        self._rest = b""
        return streams

    # Writing

    def _release(self, size: int) -> None:
        """Give bytes back to the connection's window."""
        self._unconsumed -= size
        self._ungranted += size
        if self._ungranted * 2 >= self.limits.connection_window:
            self._out.append(frames.window_update(0, self._ungranted))
            self._receive_window += self._ungranted
            self._ungranted = 0

    def _finish_by_sending(self, stream: Stream) -> None:
        if stream.unconsumed:
            self._release(stream.unconsumed)
            stream.unconsumed = 0
        self._finish(stream)

    def _write_block(self, stream: Stream, block: bytes | memoryview, end_stream: bool) -> None:
        self._out.append(frames.headers(stream.id, self._block_prefix + block, end_stream, self._peer_frame))
        self._block_prefix = b""

    def _write_data(self, stream: Stream, data: bytes | memoryview, end_stream: bool) -> bytes | memoryview | None:
        """Write what the windows allow, and give the rest; None when it is all."""
        size = len(data)
        most = min(size, stream.send_window, self._send_window)
        if most == size <= self._peer_frame:
            self._data_frame(stream, data, end_stream)
            return None
        view = memoryview(data)
        at = 0
        while at < most:
            piece = view[at : min(at + self._peer_frame, most)]
            at += len(piece)
            self._data_frame(stream, piece, end_stream and at == size)
        return view[at:] if at < size else None

    def _data_frame(self, stream: Stream, data: bytes | memoryview, end_stream: bool) -> None:
        size = len(data)
        stream.send_window -= size
        self._send_window -= size
        self._data_frames += 1
        self._out.append(_head(size >> 16, size & 0xFFFF, DATA, END_STREAM if end_stream else 0, stream.id))
        if size:
            self._out.append(data)

    def _enqueue(self, stream: Stream, item: Queued) -> None:
        if stream.queue is None:
            stream.queue = deque()
            stream.stalled_at = self._clock()
            if stream.id and stream.send_window > 0:  # without a number it has another line to wait in
                self._ready[stream] = None
        stream.queue.append(item)
        size = len(item.data)
        stream.queued_bytes += size
        self._queued_bytes += size

    def _pump(self) -> None:
        """Write what queues hold and windows allow, a frame of each stream in turn.

        The first of a queue is always DATA, as blocks need no window; a stream whose own window is shut is not among the ready.
        """
        ready = self._ready
        now = None
        while ready and self._send_window > 0:
            stream = next(iter(ready))
            del ready[stream]
            queue = stream.queue
            assert queue is not None
            data, ends = queue[0].data, queue[0].end_stream
            size = min(len(data), stream.send_window, self._send_window, self._peer_frame)
            if size < len(data):
                queue[0] = Queued(False, memoryview(data)[size:], ends)
                self._data_frame(stream, memoryview(data)[:size], False)
            else:
                queue.popleft()
                self._data_frame(stream, data, ends)
            now = now or self._clock()
            stream.stalled_at = now
            stream.queued_bytes -= size
            self._queued_bytes -= size
            self._write_free(stream, queue)

    def _write_free(self, stream: Stream, queue: deque[Queued]) -> None:
        """Write what needs no window, up to the next DATA, which then waits for its turn."""
        while queue and (queue[0].is_block or not queue[0].data):
            item = queue.popleft()
            size = len(item.data)
            stream.queued_bytes -= size
            self._queued_bytes -= size
            if item.is_block:
                self._write_block(stream, item.data, item.end_stream)
            else:
                self._data_frame(stream, item.data, item.end_stream)
        if queue:
            if stream.send_window > 0:
                self._ready[stream] = None
            return
        stream.queue = None
        if not stream.local_ended:
            self._events.append(Writable(stream))
        elif stream.remote_ended:
            self._finish_by_sending(stream)
