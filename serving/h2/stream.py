"""One stream of a connection: what its owner may see of it, and what the connection keeps for it."""

from collections import deque
from typing import Any, NamedTuple


class Queued(NamedTuple):
    """What waits in a stream's queue: a block of headers, or DATA."""

    is_block: bool
    data: bytes | memoryview
    end_stream: bool


class Stream:
    """One request and its answer. Only the connection writes to it, but for `owner`."""

    __slots__ = (
        "closed",
        "expected_bytes",
        "got_head",
        "id",
        "local_ended",
        "owner",
        "queue",
        "queued_bytes",
        "receive_window",
        "received_bytes",
        "remote_ended",
        "send_window",
        "stalled_at",
        "unconsumed",
        "ungranted",
    )

    def __init__(self, stream_id: int, send_window: int, receive_window: int) -> None:
        self.id = stream_id
        """0 while a client's stream waits for the server to take one more."""
        self.owner: Any = None
        """Whatever who uses the connection wants to find again with the stream's events."""
        self.closed = False
        """Nothing comes any more, and nothing can be sent."""
        self.remote_ended = False
        self.local_ended = False
        """Our END_STREAM is sent or queued."""
        self.got_head = False
        self.send_window = send_window
        self.receive_window = receive_window
        """Bytes that the peer may still send."""
        self.unconsumed = 0
        """Bytes that came and are not consumed."""
        self.ungranted = 0
        """Bytes that are consumed, and not yet given back to the peer by a WINDOW_UPDATE."""
        self.expected_bytes = -1
        """What content-length says; -1 when it says nothing."""
        self.received_bytes = 0
        self.queue: deque[Queued] | None = None
        self.queued_bytes = 0
        """Bytes that wait for a window."""
        self.stalled_at = 0.0
        """The clock when the queue last moved, or began; means nothing while queued_bytes is 0."""
