"""A call of a stream method in work, on our own server: a task that asks the method for answers, as fast as they are read.

    DATA ──▶ messages ──queue──▶ method(requests, context) ──▶ answers ──▶ frames
      ▲                 │                                        │
      └── no window while messages wait                          └── waits while the caller does not read, and lets
                                                                     others run after a millisecond

Backpressure in both directions: messages that nobody has asked for keep the caller's window shut, and answers that the
caller does not take keep the method waiting.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, cast

from signet.serving.errors import ServingError
from signet.serving.grpc_transport import answer_blocks
from signet.serving.grpc_transport.carrier import Carrier
from signet.serving.grpc_transport.messages import MessageReader, Refused
from signet.serving.grpc_transport.own_call import OwnCall
from signet.serving.grpc_transport.request_head import RequestHead
from signet.serving.h2.stream import Stream

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

log = logging.getLogger(__name__)

_TURN_S = 0.001
"""Seconds that a method may give answers without others having their turn."""


class StreamCall(OwnCall):
    """Ends once, by whatever comes first. Everything here runs in the event loop, which alone writes the fields."""

    def __init__(self, connection: Carrier, stream: Stream, head: RequestHead, now: float) -> None:
        super().__init__(connection, stream, head, now)
        self.in_work = True
        """As soon as it has begun: its method asks for the requests."""
        self._reader = MessageReader(connection.message_bytes, head.encoding)
        self._messages: deque[bytes] = deque()
        """Requests that the method has not asked for."""
        self._messages_bytes = 0
        self._requests_end = False
        self._refused: Refused | None = None
        """What is wrong with the bytes behind those messages."""
        self._arrival: asyncio.Future[None] | None = None
        """Done when another request, or their end, is here."""
        self._room: asyncio.Future[None] | None = None
        """Done when the caller has taken the answers that there are."""
        self._answered = False
        self._task = asyncio.get_running_loop().create_task(self._run())

    # What its connection sees

    @property
    def pending_bytes(self) -> int:
        """Bytes held of requests, beyond those that are unconsumed: nobody has asked for the complete ones yet."""
        return self._reader.pending_bytes + max(0, self._messages_bytes - self.stream.unconsumed)

    @property
    def expected_bytes(self) -> int:
        """Bytes of the message that comes, as far as that is known."""
        return self._reader.expected_bytes

    @property
    def incomplete(self) -> bool:
        """Whether more must come of a request that has begun."""
        return self._reader.pending_bytes > 0 and not (self.ended or self._refused)

    def takes_whole(self, _: bytes) -> bool:
        """Never: its messages wait until they are asked for."""
        return False

    def feed(self, data: bytes, ends: bool, room_bytes: int) -> None:
        """Take what has come of the requests."""
        if not self._refused:
            began = self._reader.pending_bytes
            try:
                messages = self._reader.feed(data, room_bytes)
            except Refused as error:
                self._refused = error
            else:
                self._messages += messages
                self._messages_bytes += sum(map(len, messages))
                if messages or not began:
                    self.begun_at = time.perf_counter()
        self._requests_end |= ends
        if self._requests_end and self._reader.pending_bytes and not self._refused:
            self._refused = Refused("INTERNAL", "the requests end within a message")
        if not self._messages:  # what has come of a message must not keep the window shut that the rest needs
            self._connection.consumed(self.stream, self.stream.unconsumed)
        _wake(self._arrival)

    def room(self) -> None:
        """The caller may have taken the answers."""
        _wake(self._room)

    def end_by_us(self, code: str, details: str) -> None:
        """End the call whatever its method does."""
        if not self.ended:
            self._refuse(code, details)
            self._task.cancel()

    def lost(self) -> None:
        """The stream is closed: nobody can be answered any more."""
        if not self.ended:
            self._connection.forget(self)
            self._task.cancel()

    # The task

    async def _run(self) -> None:
        method = self._head.method.stream
        assert method is not None
        answers = method(self._requests(), self)
        try:
            await self._send_all(answers)
        except Refused as error:
            self._refuse(error.code, error.details)
        except ServingError as error:
            self._refuse(error.grpc_code, str(error))
        except asyncio.CancelledError:
            if not self.ended:
                self._refuse("CANCELLED", "the method was cancelled")
        except Exception as error:  # its caller is told of a bug too
            log.exception("a stream failed")
            self._refuse("UNKNOWN", f"Unexpected {type(error)}: {error}")
        else:
            if not self.ended:
                self._connection.end_stream(self, answer_blocks.trailers() if self._answered else answer_blocks.NOTHING)
        finally:
            if hasattr(answers, "aclose"):
                await cast("AsyncGenerator[bytes, None]", answers).aclose()

    async def _send_all(self, answers: AsyncIterator[bytes]) -> None:
        turn = time.perf_counter()
        async for message in answers:
            if self.ended:
                return
            first, self._answered = not self._answered, True
            sent = self._connection.send_message(self, message, first)
            if not sent or self._connection.paused:
                while not self.ended and (self.stream.queued_bytes or self._connection.paused):
                    self._room = asyncio.get_running_loop().create_future()
                    await self._room
                turn = time.perf_counter()
            elif time.perf_counter() - turn > _TURN_S:
                self._connection.flush()
                await asyncio.sleep(0)
                turn = time.perf_counter()

    async def _requests(self) -> AsyncIterator[bytes]:
        """The messages of the caller, one by one; raises `Refused` where they go wrong."""
        while True:
            while self._messages:
                message = self._messages.popleft()
                self._messages_bytes -= len(message)
                if not self._messages:
                    self._connection.consumed(self.stream, self.stream.unconsumed)
                    self._connection.held(self)
                yield message
            if self._refused:
                raise self._refused
            if self._requests_end:
                return
            self._arrival = asyncio.get_running_loop().create_future()
            await self._arrival

    def _refuse(self, code: str, details: str) -> None:
        if not self.ended:
            written = answer_blocks.failed_trailers if self._answered else answer_blocks.refusal
            self._connection.end_stream(self, written(code, details))


def _wake(future: "asyncio.Future[None] | None") -> None:
    if future and not future.done():
        future.set_result(None)
