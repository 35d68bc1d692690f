"""A unary call of a client on its way: it waits for a connection, is a stream, and ends once.

waiting ──send──▶ stream: headers, DATA …, trailers ──▶ waiter.set_result or set_exception
   ▲                 │                                      ▲
   └── safe to send again ──────────── deadline, connection lost, a broken answer
                                       cancel ──▶ the waiter hears nothing
"""

import asyncio
import logging
from typing import Protocol

from signet.serving.grpc_transport.answer_status import Ending, ending_of, head_of
from signet.serving.grpc_transport.calls import Metadata
from signet.serving.grpc_transport.channels import BrokenAnswer, CallError, Waiter
from signet.serving.grpc_transport.messages import IDENTITY, PREFIX_BYTES, Refused, inflated, length_of
from signet.serving.h2.headers import Headers
from signet.serving.h2.stream import Stream

log = logging.getLogger(__name__)

_MUCH_BYTES = 1 << 17
"""A compressed message from here on is inflated by a thread."""


class Way(Protocol):
    """The connection that carries a call."""

    def take_back(self, stream: Stream) -> None:
        """Reset the stream, if it is still open."""


class Owner(Protocol):
    """The channel that a call is made on."""

    most_answer_bytes: int
    """Bytes of one answer, and of all together that are not complete yet."""
    answer_bytes: int
    """Bytes of answers that are not complete yet; calls count theirs."""

    def ended(self, call: "ClientCall") -> None:
        """Forget a call, which has ended."""


class ClientCall:
    """Everything here is for the event loop. `way` and `stream` are written by the connection that carries the call."""

    __slots__ = (
        "_answer",
        "_compressed",
        "_encoding",
        "_inflating",
        "_needed",
        "_owner",
        "_pieces",
        "_size",
        "_waiter",
        "deadline",
        "message",
        "metadata",
        "over",
        "path",
        "refusals",
        "stream",
        "way",
    )

    def __init__(
        self, owner: Owner, path: str, message: bytes, deadline: float, waiter: Waiter, metadata: Metadata
    ) -> None:
        """deadline: by `time.perf_counter`."""
        self._owner = owner
        self._waiter: Waiter | None = waiter
        self.path, self.message, self.deadline, self.metadata = path, message, deadline, metadata
        self.over = False
        self.refusals = 0
        """How often a server has said, or its connection's end has shown, that it has not looked at the call."""
        self.way: Way | None = None
        self.stream: Stream | None = None
        self._inflating: asyncio.Future[bytes] | None = None
        self._clear()

    def _clear(self) -> None:
        self._encoding = IDENTITY
        self._answer: bytes | None = None
        """The message, once it is here."""
        self._compressed = False
        self._pieces: list[bytes] | None = None
        """What has come of a message that is not complete: `_size` bytes of `_needed`, which is -1 before it is known."""
        self._size, self._needed = 0, -1

    # Who made the call

    @property
    def sent_again(self) -> bool:
        """See `CallHandle.sent_again`."""
        return self.refusals > 0

    def cancel(self) -> None:
        """Take the call back: its waiter hears nothing any more."""
        if not self.over:
            self._end()

    # The connection and the channel

    def again(self) -> None:
        """The call will be sent anew, as the server has not looked at it."""
        self.refusals += 1
        if self.stream:
            self.stream.owner = None
        self.way = self.stream = None
        self._release()
        self._clear()

    def expire(self) -> None:
        """The deadline has passed."""
        self.fail(CallError("DEADLINE_EXCEEDED", "Deadline Exceeded"))

    def fail(self, error: CallError) -> None:
        """End the call with an error."""
        waiter = self._waiter
        if self._end() and waiter:
            try:
                waiter.set_exception(error)
            except Exception:  # one waiter's bug is no other call's
                log.exception("the error of a call could not be told")

    def head(self, headers: Headers, *, alone: bool) -> None:
        """The headers of the answer. alone: they end it."""
        head = head_of(headers, alone=alone)
        self._encoding = head.encoding
        if head.ending:
            self._ended(head.ending)

    def data(self, data: bytes, *, ends: bool) -> None:
        """Some of the answer's bytes. ends: there will be no trailers."""
        try:
            self._take(data)
        except Refused as refused:
            self.fail(_broken(refused))
        else:
            if ends:
                self.fail(BrokenAnswer("UNKNOWN", "the server has ended the answer without trailers"))

    def trailers(self, headers: Headers) -> None:
        """The end of the answer."""
        self._ended(ending_of(headers))

    # The answer

    def _take(self, data: bytes) -> None:
        size = len(data)
        if self._answer is not None:
            if size:
                raise Refused("INTERNAL", "the answer has bytes behind its message")
            return
        if self._pieces is None:
            if (
                size > PREFIX_BYTES
                and not data[0]
                and size - PREFIX_BYTES == int.from_bytes(data[1:PREFIX_BYTES], "big")
            ):
                self._answer = data[PREFIX_BYTES:]  # the usual: a message in a frame
                return
            self._pieces = []
        self._pieces.append(data)
        self._size += size
        owner = self._owner
        owner.answer_bytes += size
        if owner.answer_bytes > owner.most_answer_bytes + PREFIX_BYTES:
            raise Refused(
                "RESOURCE_EXHAUSTED", f"answers of more than {owner.most_answer_bytes} bytes are on their way"
            )
        if self._needed < 0:
            if self._size < PREFIX_BYTES:
                return
            first = b"".join(self._pieces)
            self._needed = PREFIX_BYTES + length_of(first, 0, owner.most_answer_bytes)
            self._compressed = bool(first[0])
            self._pieces = [first[PREFIX_BYTES:]]
        if self._size > self._needed:
            raise Refused("INTERNAL", "the answer has bytes behind its message")
        if self._size == self._needed:
            self._answer = b"".join(self._pieces)
            self._pieces = []

    def _ended(self, ending: Ending) -> None:
        if ending.code != "OK":
            self.fail(ending.error())
        elif self._answer is None:
            what = "cut its message off" if self._pieces else "sent no message"
            self.fail(BrokenAnswer("INTERNAL", f"the server has {what}"))
        elif not self._compressed:
            self._succeed(self._answer)
        elif len(self._answer) < _MUCH_BYTES:
            try:
                self._succeed(self._inflated(self._answer))
            except Refused as refused:
                self.fail(_broken(refused))
        else:
            loop = asyncio.get_running_loop()
            self._inflating = loop.run_in_executor(None, self._inflated, self._answer)
            self._inflating.add_done_callback(self._after_inflating)

    def _inflated(self, message: bytes) -> bytes:
        return inflated(message, self._encoding, self._owner.most_answer_bytes)

    def _after_inflating(self, inflating: "asyncio.Future[bytes]") -> None:
        if inflating.cancelled():
            return
        error = inflating.exception()
        if error is None:
            self._succeed(inflating.result())
        elif isinstance(error, Refused):
            self.fail(_broken(error))
        else:
            self.fail(BrokenAnswer("INTERNAL", f"a compressed message cannot be read: {error}"))

    def _succeed(self, answer: bytes) -> None:
        waiter = self._waiter
        if self._end() and waiter:
            try:
                waiter.set_result(answer)
            except Exception:  # as above
                log.exception("the answer of a call could not be told")

    def _end(self) -> bool:
        """Let go of everything; False when the call was over before."""
        if self.over:
            return False
        self.over = True
        if self.way and self.stream:
            self.way.take_back(self.stream)
        if self._inflating:
            self._inflating.cancel()
        self._release()
        self._owner.ended(self)
        self._waiter = self.way = self.stream = self._pieces = self._answer = self._inflating = None
        return True

    def _release(self) -> None:
        self._owner.answer_bytes -= self._size
        self._size = 0


def _broken(refused: Refused) -> CallError:
    """What a message that cannot be taken means; one that is too large for us says nothing against the server."""
    kind = CallError if refused.code == "RESOURCE_EXHAUSTED" else BrokenAnswer
    return kind(refused.code, refused.details)
