"""Frames of HTTP/2 as bytes (RFC 9113, 4 and 6): their kinds, flags, error codes and settings, and how one is written.

length (3 bytes) · kind (1) · flags (1) · stream (4) · payload
"""

from struct import Struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client sends first (RFC 9113, 3.4)."""

FRAME_HEAD = Struct(">BHBBI")
"""The upper byte and the lower two of a frame's length, its kind, its flags, its stream with the reserved bit."""
FRAME_HEAD_BYTES = 9

MAX_31 = (1 << 31) - 1
"""The largest stream, and the largest window."""
DEFAULT_WINDOW = 65_535
DEFAULT_FRAME_BYTES = 16_384
LARGEST_FRAME_BYTES = (1 << 24) - 1

# Kinds
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)

# Flags
ACK = END_STREAM = 0x1
END_HEADERS = 0x4
PADDED = 0x8
HAS_PRIORITY = 0x20

# Settings
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = (
    range(1, 7)
)

# Error codes
NO_ERROR = 0x0
PROTOCOL_ERROR = 0x1
INTERNAL_ERROR = 0x2
FLOW_CONTROL_ERROR = 0x3
SETTINGS_TIMEOUT = 0x4
STREAM_CLOSED = 0x5
FRAME_SIZE_ERROR = 0x6
REFUSED_STREAM = 0x7
CANCEL = 0x8
COMPRESSION_ERROR = 0x9
CONNECT_ERROR = 0xA
ENHANCE_YOUR_CALM = 0xB
INADEQUATE_SECURITY = 0xC
HTTP_1_1_REQUIRED = 0xD

_SETTING = Struct(">HI")
_GO_AWAY = Struct(">II")
uint32 = Struct(">I").pack
"""A number of 32 bits, as it goes into a frame."""
uint32_at = Struct(">I").unpack_from


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """A whole frame."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + uint32(stream_id) + payload


def settings(values: dict[int, int]) -> bytes:
    """A SETTINGS frame that is no acknowledgement."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(key, value) for key, value in values.items()))


def settings_of(payload: bytes) -> list[tuple[int, int]]:
    """Settings in the order in which they stand; the payload's length is a multiple of six."""
    return list(_SETTING.iter_unpack(payload))


def go_away(last_stream_id: int, code: int, reason: str = "") -> bytes:
    """A GOAWAY frame. reason: for the log of who gets it; at most 200 bytes go out."""
    return frame(GOAWAY, 0, 0, _GO_AWAY.pack(last_stream_id, code) + reason.encode()[:200])


def rst_stream(stream_id: int, code: int) -> bytes:
    """A frame that ends a stream at once."""
    return frame(RST_STREAM, 0, stream_id, uint32(code))


def window_update(stream_id: int, more: int) -> bytes:
    """A frame that lets the peer send so many more bytes of DATA, on a stream or, with 0, on all."""
    return frame(WINDOW_UPDATE, 0, stream_id, uint32(more))


def headers(stream_id: int, block: bytes, end_stream: bool, most_bytes: int) -> bytes:
    """HEADERS with the block, and CONTINUATION frames where it does not fit into most_bytes."""
    ends = END_STREAM if end_stream else 0
    if len(block) <= most_bytes:
        return frame(HEADERS, ends | END_HEADERS, stream_id, block)
    parts = [block[start : start + most_bytes] for start in range(0, len(block), most_bytes)]
    written = [frame(HEADERS, ends, stream_id, parts[0])]
    written += [frame(CONTINUATION, 0, stream_id, part) for part in parts[1:-1]]
    written.append(frame(CONTINUATION, END_HEADERS, stream_id, parts[-1]))
    return b"".join(written)
