"""A call of a unary method in work, on our own server.

DATA ──▶ whole message ──▶ handler(request, call) ──▶ answer or refuse ──▶ frames
                                 ▲
  left, reset, expired, shut down ──▶ on_cancel
"""

import logging
from collections.abc import Callable

from signet.serving.grpc_transport import answer_blocks
from signet.serving.grpc_transport.calls import Metadata
from signet.serving.grpc_transport.carrier import Carrier
from signet.serving.grpc_transport.messages import PREFIX_BYTES, MessageReader, Refused
from signet.serving.grpc_transport.own_call import OwnCall
from signet.serving.grpc_transport.request_head import RequestHead
from signet.serving.h2.stream import Stream

log = logging.getLogger(__name__)

_TOO_MANY = Refused("UNIMPLEMENTED", "a unary call has one message, but more came")
_NONE = Refused("UNIMPLEMENTED", "a unary call has one message, but none came")
_INCOMPLETE = Refused("INTERNAL", "the request ends within its message")


class UnaryCall(OwnCall):
    """Ends once, by whatever comes first. Everything here runs in the event loop, which alone writes the fields."""

    __slots__ = ("_message", "_reader", "on_cancel", "request_id")

    def __init__(self, connection: Carrier, stream: Stream, head: RequestHead, now: float) -> None:
        super().__init__(connection, stream, head, now)
        self.on_cancel: Callable[[], object] | None = None
        self.request_id = ""
        self.in_work = False
        """Whether its request has come whole: the handler has been called."""
        self._reader: MessageReader | None = None
        self._message: bytes | None = None
        """The message, until the request ends."""

    # What its handler sees

    def answer(self, message: bytes, trailing: Metadata = ()) -> None:
        if not self.ended:
            self._connection.answer(
                self, message, answer_blocks.trailers(trailing) + answer_blocks.named(self.request_id)
            )

    def refuse(self, code: str, details: str, trailing: Metadata = ()) -> None:
        if not self.ended:
            refusal = answer_blocks.refusal(code, details, trailing) + answer_blocks.named(self.request_id)
            self._connection.end_stream(self, refusal)

    # What its connection sees

    @property
    def pending_bytes(self) -> int:
        """Bytes held of a request that is not complete."""
        if self._message is not None:
            return len(self._message)
        return self._reader.pending_bytes if self._reader else 0

    @property
    def expected_bytes(self) -> int:
        """Bytes of the request, as far as that is known."""
        return self._reader.expected_bytes if self._reader else 0

    @property
    def incomplete(self) -> bool:
        """Whether more of its request must come."""
        return not (self.in_work or self.ended)

    def takes_whole(self, data: bytes) -> bool:
        """Whether these bytes, behind which the request ends, are all of it, so that they need no reader."""
        size = len(data) - PREFIX_BYTES
        return (
            self._reader is None
            and data[:1] == b"\0"
            and int.from_bytes(data[1:PREFIX_BYTES], "big") == size
            and size <= self._connection.message_bytes
        )

    def feed(self, data: bytes, ends: bool, room_bytes: int) -> None:
        """Take what has come of the request; when it is all, the handler gets it."""
        self._connection.consumed(self.stream, len(data))
        try:
            message = self._whole(data, ends, room_bytes)
        except Refused as error:
            self.refuse(error.code, error.details)
            return
        if message is not None:
            self.handle(message)

    def handle(self, message: bytes) -> None:
        """Hand the request to the handler."""
        self.in_work = True
        self._reader = self._message = None
        handler = self._head.method.unary
        assert handler is not None
        try:
            handler(message, self)
        except Exception as error:  # its caller is told of a bug too
            log.exception("a call failed")
            self.end_by_us("UNKNOWN", f"Unexpected {type(error)}: {error}")

    def cancel(self) -> None:
        """The call has ended without an answer of its handler."""
        on_cancel, self.on_cancel = self.on_cancel, None
        if on_cancel:
            on_cancel()

    def end_by_us(self, code: str, details: str) -> None:
        """End the call whatever its handler does."""
        if not self.ended:
            self.refuse(code, details)
            self.cancel()

    def room(self) -> None:
        """The caller may have taken the answer."""

    def lost(self) -> None:
        """The stream is closed: nobody can be answered any more."""
        if not self.ended:
            self._connection.forget(self)
            self.cancel()

    def _whole(self, data: bytes, ends: bool, room_bytes: int) -> bytes | None:
        """The message when the request has come whole."""
        if data:
            if self._reader is None:
                self._reader = MessageReader(self._connection.message_bytes, self._head.encoding)
            for message in self._reader.feed(data, room_bytes):
                if self._message is not None:
                    raise _TOO_MANY
                self._message = message
        if not ends:
            return None
        if self._reader is not None and self._reader.pending_bytes:
            raise _INCOMPLETE if self._message is None else _TOO_MANY
        if self._message is None:
            raise _NONE
        return self._message
