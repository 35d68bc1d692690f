"""What calls of both kinds have in common on our own server: who asks, by when, and what its connection knows of it."""

import time
from abc import ABC, abstractmethod
from math import inf
from typing import Any

from signet.serving.grpc_transport.calls import Metadata
from signet.serving.grpc_transport.carrier import Carrier
from signet.serving.grpc_transport.request_head import RequestHead
from signet.serving.h2.stream import Stream


class OwnCall(ABC):
    """A call in work. Everything here runs in the event loop, which alone writes the fields."""

    __slots__ = ("_connection", "_head", "begun_at", "deadline", "ended", "held_bytes", "in_work", "stream")

    in_work: bool
    """Whether the handler or method has been called."""

    def __init__(self, connection: Carrier, stream: Stream, head: RequestHead, now: float) -> None:
        """now: by `time.perf_counter`."""
        self.stream, self.begun_at = stream, now
        """begun_at: when the message that comes began, or the last one ended."""
        self.deadline = inf if head.timeout_s is None else now + head.timeout_s
        self.ended = False
        self.held_bytes = 0
        """What the connection has counted of `pending_bytes`; written by it."""
        self._connection, self._head = connection, head

    # What its handler or method sees

    @property
    def metadata(self) -> Metadata:
        return self._head.metadata

    @property
    def path(self) -> str:
        return self._head.path

    @property
    def key(self) -> Any:
        """The key that its caller has shown."""
        return self._head.key

    @key.setter
    def key(self, key: Any) -> None:
        self._head.key = key

    @property
    def peer(self) -> str:
        return self._connection.peer

    def time_remaining(self) -> float | None:
        return None if self.deadline == inf else max(0.0, self.deadline - time.perf_counter())

    # What its connection sees

    def expire(self) -> None:
        """The deadline has passed."""
        self.end_by_us("DEADLINE_EXCEEDED", "Deadline Exceeded")

    @abstractmethod
    def end_by_us(self, code: str, details: str) -> None:
        """End the call whatever its handler or method does."""
