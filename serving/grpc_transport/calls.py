"""What a method of gRPC is, whichever transport carries its calls.

    request bytes, Call ──▶ handler ──▶ call.answer(bytes)  or  call.refuse(code, details)     once, at once or later

A unary handler is a function that is called in the event loop and returns at once, so that a call costs no task. Messages are
bytes here: who owns a method reads and writes them.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

REQUEST_ID = "x-request-id"
"""Key of the metadata that names a call, both ways."""

Metadata = Sequence[tuple[str, str | bytes]]
"""Keys in lower case and their values, in order; those of keys that end in `-bin` are bytes, without base64."""


class Head(Protocol):
    """What is known of a call before its request is read. Calls whose heads are the same may share it."""

    key: Any
    """The key that the caller has shown, noted by whoever asks for one; the transport knows nothing of it."""

    @property
    def path(self) -> str:
        """Of the method, such as `/tensorflow.serving.PredictionService/Predict`."""

    @property
    def metadata(self) -> Metadata:
        """What the caller sent, without what is gRPC's own."""


class StreamContext(Head, Protocol):
    """What the handler of a stream may know of its call."""

    @property
    def peer(self) -> str:
        """Where the caller is, such as `ipv4:127.0.0.1:4711`."""

    def time_remaining(self) -> float | None:
        """Seconds until the caller's deadline; None when it has set none."""


class Call(StreamContext, Protocol):
    """A unary call in work. It ends once: by `answer`, by `refuse`, or because its caller has left or its time is over.

    After its end the other two do nothing. Everything here is for the event loop.
    """

    on_cancel: Callable[[], object] | None
    """Called once when the call ends without an answer of its handler, who sets this."""
    request_id: str
    """What the call is called, in ASCII: trailing metadata under `REQUEST_ID`, however it ends. Its handler may set this."""

    def answer(self, message: bytes, trailing: Metadata = ()) -> None:
        """End the call with OK and this message."""

    def refuse(self, code: str, details: str, trailing: Metadata = ()) -> None:
        """End the call with an error. code: the name of gRPC's status, such as `INVALID_ARGUMENT`."""


UnaryHandler = Callable[[bytes, Call], None]
"""handler(request, call) sees to it that the call ends. It raises nothing."""

StreamHandler = Callable[[AsyncIterator[bytes], StreamContext], AsyncIterator[bytes]]
"""handler(requests, context) gives answers; `ServingError`s that it raises become the status. Serves one or many requests."""


class Refusal(NamedTuple):
    """The status of a call that is refused before its request is read."""

    code: str
    details: str
    trailing: Metadata = ()


Door = Callable[[Head, str], Refusal | None]
"""door(head, peer) gives the status of a call that is refused by its head alone; None: it is not. peer: as a `StreamContext` has
it; empty where the transport does not know it yet."""


def _open(_: Head, __: str) -> Refusal | None:
    """Nobody is refused."""
    return None


class Method(NamedTuple):
    """How a method is answered: by one of the first two."""

    unary: UnaryHandler | None = None
    stream: StreamHandler | None = None
    door: Door = _open
    """Asked before the request is read."""


Services = Mapping[str, Method]
"""The methods of a server by their paths, such as `/tensorflow.serving.PredictionService/Predict`."""
