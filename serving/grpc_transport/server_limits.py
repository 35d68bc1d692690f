"""What a stranger may cost our gRPC server: sizes, counts, and seconds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ServerLimits:
    """The bounds of the gRPC server. HTTP/2's own, such as how many pings are too many, are in `serving/h2/limits.py`."""

    message_bytes: int
    """Most bytes of a message, before and after decompression; a longer one gets RESOURCE_EXHAUSTED."""
    metadata_bytes: int = 16_384
    """Most bytes of a call's headers, each name and value with 32 more; more gets RESOURCE_EXHAUSTED."""
    calls: int | None = None
    """Calls at once, of all connections; one more gets RESOURCE_EXHAUSTED."""
    connection_calls: int = 1024
    """Calls at once of one connection, as its client is told; it waits with further ones."""
    connections: int | None = None
    """Connections at once; one more takes the place of the longest idle one."""
    address_connections: int | None = None
    """Connections at once of one address; of IPv6, of the 64 bits that one customer gets."""
    handshake_s: float = 10.0
    """Seconds from accepting a connection to the first frame of HTTP/2, with TLS's handshake."""
    request_s: float | None = None
    """Seconds from the begin of a call to the last byte of its request; of a stream, of each message in it."""
    unread_s: float = 30.0
    """Seconds in which a caller takes something of what waits for it; one that does not is cut off."""
    room_s: float = 5.0
    """Seconds that requests wait, unread, for room in the budget of bytes; then they get RESOURCE_EXHAUSTED."""
    idle_s: float | None = None
    """Seconds without a call after which a connection is closed."""
    age_s: float | None = None
    """Seconds after which a connection takes no more calls; its client makes another one."""
    age_grace_s: float | None = None
    """Seconds that calls have to finish on a connection that is too old; None: as long as they take."""
    keepalive_s: float = 60.0
    """Seconds without a byte after which a connection's client is asked whether it is there still."""
    keepalive_answer_s: float = 20.0
    """Seconds that the answer to that may take."""
