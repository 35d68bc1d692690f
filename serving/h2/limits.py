"""What a peer may cost a connection: bounds of sizes, and buckets for what costs us more than it brings."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from .frames import DEFAULT_WINDOW, MAX_31

Clock = Callable[[], float]
"""Seconds that never go back, such as `time.monotonic`."""


class Rate(NamedTuple):
    """So many at once, and then so many a second."""

    burst: int
    per_s: float


@dataclass(frozen=True)
class Limits:
    """The bounds of what the peer of one connection controls. Beyond them the connection ends, unless it says otherwise."""

    concurrent_streams: int = 1024
    """Streams that the peer may have open at once, as MAX_CONCURRENT_STREAMS; one more is refused (REFUSED_STREAM)."""
    queued_streams: int = 65_536
    """Of a client: streams that wait because the server takes no more at once; one more cannot be opened."""
    stream_window: int = 1 << 20
    """Bytes of DATA that one stream may hold unconsumed (INITIAL_WINDOW_SIZE); at least 65,535, which HTTP/2 begins with."""
    connection_window: int = 4 << 20
    """Bytes of DATA that all streams of the connection may hold unconsumed together; at least 65,535."""
    header_list_bytes: int = 16_384
    """Bytes of decoded headers, each name and value with 32 more, as MAX_HEADER_LIST_SIZE. What is larger fails its stream
    alone, by `HeadersTooLarge`."""
    header_block_bytes: int = 128 << 10
    """Bytes of a block of headers as it comes."""
    decoded_header_bytes: int = 1 << 20
    """Bytes of decoded headers, counted as above, that are not even read through."""
    continuations: int = 8
    """CONTINUATION frames of one block."""
    sent_frame_bytes: int = 1 << 20
    """Largest payload of a frame that is sent, where the peer takes larger ones."""
    resets: Rate = field(default=Rate(1000, 33))
    """Streams that the peer resets, or gives cause to reset, refuse or fail, beyond one for each that ends as it should."""
    pings: Rate = field(default=Rate(200, 10))
    """PINGs since the last DATA or HEADERS."""
    settings: Rate = field(default=Rate(50, 1))
    """SETTINGS frames."""
    empty_frames: Rate = field(default=Rate(1000, 50))
    """Frames that bring nothing: empty DATA, what comes for closed streams, PRIORITY, GOAWAY, unknown kinds, answers 1xx."""
    window_updates: Rate = field(default=Rate(1000, 50))
    """WINDOW_UPDATEs beyond four for each stream that begins and each DATA frame sent; gRPC sends one with a request."""

    def __post_init__(self) -> None:
        for name in ("stream_window", "connection_window"):
            if not DEFAULT_WINDOW <= getattr(self, name) <= MAX_31:
                raise ValueError(f"{name} is {getattr(self, name)}; from {DEFAULT_WINDOW} to {MAX_31}")


_SAVED = 10
"""Bursts that a peer's good deeds may save up: a thousand calls that are taken back at once have a few frames each under way."""


class Bucket:
    """Tokens of a rate: they come back with time."""

    __slots__ = ("_at", "_clock", "_earned", "_rate", "left")

    def __init__(self, rate: Rate, clock: Clock) -> None:
        self._rate = rate
        self._clock = clock
        self._at = clock()
        self._earned = 0
        self.left = float(rate.burst)

    def take(self, earned: int = 0) -> bool:
        """Take a token; False when there is none. The clock is read only then.

        earned: tokens that the peer's good deeds have brought so far, all together.
        """
        self.left -= 1
        if self.left >= 0:
            return True
        now = self._clock()
        most = self._rate.burst
        rested = min(most, self.left + (now - self._at) * self._rate.per_s)
        self.left = min(most * _SAVED, rested + earned - self._earned)
        self._at = now
        self._earned = earned
        return self.left >= 0

    def fill(self) -> None:
        self.left = self._rate.burst
