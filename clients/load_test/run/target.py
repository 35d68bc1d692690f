"""What is loaded: something that takes a payload and says later what came of it."""

from collections.abc import Callable
from typing import Any, Protocol

OK = "ok"
TIMEOUT = "timeout"
UNREACHABLE = "unreachable"
BROKEN = "connection broken"
UNFINISHED = "unfinished"

Done = Callable[[str, str], None]
"""(outcome, what the server said). The outcome is `ok`, a status such as 429 or UNAVAILABLE, or one of the above."""


class Target(Protocol):
    """A server under load. Everything runs on one event loop."""

    waited: int
    """Requests that had to wait for a connection, because --connections were in use."""

    def send(self, payload: bytes, done: Done) -> None:
        """Send a payload now; `done` is called once, later, by the event loop."""

    async def ask(self, payload: bytes) -> Any:
        """The whole answer to one request, for a look at it: a `Response`, or the bytes of gRPC's message.

        Raises `Unavailable` when there is none.
        """

    async def close(self) -> None:
        """Give up what is in flight."""
