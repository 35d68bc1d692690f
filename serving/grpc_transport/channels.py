"""Calls to a gRPC server, whichever transport carries them: the client's side of `calls.py`.

    channel.call(path, request bytes, timeout_s, waiter) ──▶ waiter.set_result(answer bytes)  or  waiter.set_exception(CallError)
              └──▶ handle.cancel(): the waiter hears nothing then            once, in a later turn than the call was made

The callback form costs no task, timer or future a call; `ask` is the coroutine form on top of it.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from signet.serving.grpc_transport.calls import Metadata


class CallError(Exception):
    """A call that has ended with another status than OK, be it the server's or found here."""

    def __init__(self, code: str, details: str, trailing: Metadata = ()) -> None:
        """code: the name of gRPC's status, such as `UNAVAILABLE`. trailing: the metadata that came with it."""
        super().__init__(f"{code}: {details}")
        self.code, self.details, self.trailing = code, details, trailing


class BrokenAnswer(CallError):
    """A call whose answer is none of gRPC's: what has sent it is another program, a proxy or broken."""


class Waiter(Protocol):
    """Who waits for an answer: an `asyncio.Future`, or an object that goes on from these calls at once. Neither raises."""

    def set_result(self, message: bytes, /) -> None:
        """The answer."""

    def set_exception(self, error: CallError, /) -> None:
        """Why there is none."""


class CallHandle(Protocol):
    """A call in work."""

    @property
    def sent_again(self) -> bool:
        """Whether another connection may carry it than the one that there was when it was made."""

    def cancel(self) -> object:
        """Take the call back, which the server is told; its waiter hears nothing any more. After its end: nothing."""


class Channel(Protocol):
    """The way to one server. Connects when there is a call; all methods are for the event loop."""

    on_change: Callable[[], None]
    """Called, in the event loop, when a connection takes calls from now on, or takes no more: another program may be there then.
    It must not raise."""

    def call(self, path: str, message: bytes, timeout_s: float, waiter: Waiter, metadata: Metadata = ()) -> CallHandle:
        """Make a unary call.

        path: such as `/tensorflow.serving.PredictionService/Predict`. timeout_s: after it the call ends with
        DEADLINE_EXCEEDED; the server is told too. A call waits for a connection that is being made, unless the last attempt
        has failed: then it ends with UNAVAILABLE at once. Raises `ValueError` for metadata that cannot be sent.
        """

    async def close(self, grace_s: float | None = None) -> None:
        """Take no more calls, and end once those in work have: after so many seconds they get UNAVAILABLE; None: at once."""


def nobody() -> None:
    """Whoever has to be told of a channel's connections, before there is anybody."""


class _Answer(asyncio.Future[bytes]):
    """A future whose cancellation takes the call back, so that nothing comes for it afterwards."""

    handle: CallHandle

    def cancel(self, msg: object = None) -> bool:
        if not self.done():
            self.handle.cancel()
        return super().cancel(msg)


async def ask(channel: Channel, path: str, message: bytes, timeout_s: float, metadata: Metadata = ()) -> bytes:
    """The answer of a unary call; see `Channel.call`. Raises `CallError`. Cancelling this takes the call back."""
    answer = _Answer(loop=asyncio.get_running_loop())
    answer.handle = channel.call(path, message, timeout_s, answer, metadata)
    return await answer
