"""What has happened on a connection, as `Connection.receive` tells it, in the order of the frames.

    HeadersReceived ──▶ DataReceived … ──▶ TrailersReceived        end_stream with the last of them; or StreamReset at any time

All frames of a read are looked at before its events are given out, so an event's stream may be closed already: nothing needs to
be begun for it then (`stream.closed`), its `StreamReset` comes in the same list. Sending on it does nothing.
"""

from typing import NamedTuple

from .headers import Headers
from .stream import Stream


class HeadersReceived(NamedTuple):
    """A request (at a server, the stream is new) or the final answer's head (at a client). What is malformed never comes here."""

    stream: Stream
    headers: Headers
    end_stream: bool


class HeadersTooLarge(NamedTuple):
    """Headers or trailers beyond `Limits.header_list_bytes`; the stream is still open, for an answer or a reset.

    `headers` holds the pseudo-headers alone, as far as they came before the limit.
    """

    stream: Stream
    headers: Headers
    end_stream: bool


class DataReceived(NamedTuple):
    """Bytes of a body, without padding. They count as held until `Connection.consumed`, or our end of the stream."""

    stream: Stream
    data: bytes
    end_stream: bool


class TrailersReceived(NamedTuple):
    """Trailers: they always end the stream. `headers` has no pseudo-headers."""

    stream: Stream
    headers: Headers


class StreamReset(NamedTuple):
    """The stream is over before its time: reset by the peer, or by us because of what the peer sent (then reason says what).

    code REFUSED_STREAM by the peer: it has not been processed, and may be sent again.
    """

    stream: Stream
    code: int
    by_peer: bool
    reason: str


class Writable(NamedTuple):
    """All that was queued for the stream because of windows is in the output now."""

    stream: Stream


class SettingsChanged(NamedTuple):
    """The peer's SETTINGS have come, and are acknowledged."""

    settings: dict[int, int]


class PingAcknowledged(NamedTuple):
    """The answer to `Connection.ping`: 8 bytes."""

    payload: bytes


class GoAwayReceived(NamedTuple):
    """The peer takes no more streams. Those of `unprocessed` are closed and may be sent again elsewhere; others go on."""

    code: int
    debug: bytes
    unprocessed: list[Stream]


class Drained(NamedTuple):
    """After `drain`: the peer knows that no more streams are taken. The connection may close when the last stream has ended."""


class ConnectionEnded(NamedTuple):
    """The peer broke the protocol or a limit: the last event. The output holds a GOAWAY; after that, close.

    `streams` are those that were open; they are closed now, without events of their own. A client's whose id is 0 have never been
    sent, and may be sent elsewhere.
    """

    code: int
    reason: str
    streams: list[Stream]


Event = (
    HeadersReceived
    | HeadersTooLarge
    | DataReceived
    | TrailersReceived
    | StreamReset
    | Writable
    | SettingsChanged
    | PingAcknowledged
    | GoAwayReceived
    | Drained
    | ConnectionEnded
)
