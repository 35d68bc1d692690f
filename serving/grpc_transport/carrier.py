"""What a call on our own server needs of the connection that carries it."""

from typing import Any, Protocol

from signet.serving.h2.stream import Stream


class Carrier(Protocol):
    """A `ServerConnection`. call: a `UnaryCall` or a `StreamCall`."""

    message_bytes: int
    """Most bytes of a message."""
    peer: str
    """Where the client is, such as `ipv4:127.0.0.1:4711`."""
    paused: bool
    """Whether answers wait because the client does not read."""

    def answer(self, call: Any, message: bytes, trailers: bytes) -> None:
        """Send the whole answer of a call that ends by it."""

    def end_stream(self, call: Any, block: bytes) -> None:
        """Send the last block of a call, which ends by it."""

    def send_message(self, call: Any, message: bytes, first: bool) -> bool:
        """Send one of many answers; False when it waits for windows."""

    def forget(self, call: Any) -> None:
        """Count a call no more: it has ended."""

    def held(self, call: Any) -> None:
        """Count what a call holds of requests that are not complete or not asked for."""

    def consumed(self, stream: Stream, size: int) -> None:
        """Let the client send as many bytes again."""

    def flush(self) -> None:
        """Write what there is."""
