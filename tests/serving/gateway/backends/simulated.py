"""Model servers in a simulated time: an event loop whose clock jumps, and channels whose answers are scripted."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from signet.serving.gateway.backends import model_server
from signet.serving.grpc_transport.channels import CallError, nobody
from tests.serving.gateway.other_program import metadata, status

GOOD = b"good"


class Said(NamedTuple):
    """What a server does with a call."""

    after_s: float
    """Seconds until it says so."""
    answer: bytes | str
    """An answer, or the code of an error."""


class Loop(asyncio.SelectorEventLoop):
    """Its time passes when nothing is left to do, at once."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 1000.0
        self.problems: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _, context: self.problems.append(context))
        select = self._selector.select

        def jump(timeout: float | None = None) -> Any:
            if timeout:
                self._now += timeout
            return select(0)

        self._selector.select = jump

    def time(self) -> float:
        return self._now


def run(monkeypatch: Any, work: Callable[[Loop], Coroutine[Any, Any, Any]]) -> Any:
    """Run it to its end in simulated time; fails when a callback has raised."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, Loop)
        with monkeypatch.context() as patched:
            patched.setattr(time, "monotonic", loop.time)
            result = runner.run(work(loop))
        assert not loop.problems, loop.problems
        return result


class Channel:
    """A channel to a server that does with each Predict what `predict` says, and offers model `m`, version 1."""

    def __init__(self, predict: Callable[[], Said]) -> None:
        self.on_change: Callable[[], None] = nobody
        self.predict = predict
        self.predicts = self.cancelled = 0
        self.in_work: set[Handle] = set()
        self.metadata = metadata("serving_default")
        self.frozen = self.closed = False

    def call(self, path: str, message: bytes, timeout_s: float, waiter: Any, metadata: object = ()) -> "Handle":
        if path == model_server.METADATA:
            said = Said(0.001, self.metadata)
        elif path == model_server.STATUS:
            said = Said(0.001, status(1))
        else:
            self.predicts += 1
            said = self.predict()
        return Handle(self, waiter, said, timeout_s)

    def reconnect(self) -> None:
        """The connection is lost and there is another one: calls in work fail."""
        for handle in list(self.in_work):
            handle.end("UNAVAILABLE")
        self.on_change()

    async def close(self, grace_s: float | None = None) -> None:
        self.closed = True
        for handle in list(self.in_work):
            handle.end("UNAVAILABLE")


class Handle:
    """A call in work."""

    sent_again = False

    def __init__(self, channel: Channel, waiter: Any, said: Said, timeout_s: float) -> None:
        self._channel, self._waiter = channel, waiter
        channel.in_work.add(self)
        loop = asyncio.get_running_loop()
        late = channel.frozen or said.after_s >= timeout_s
        answer = "DEADLINE_EXCEEDED" if late else said.answer
        self._timer = loop.call_later(timeout_s if late else said.after_s, self.end, answer)

    def end(self, answer: bytes | str) -> None:
        self._channel.in_work.discard(self)
        self._timer.cancel()
        if isinstance(answer, bytes):
            self._waiter.set_result(answer)
        else:
            self._waiter.set_exception(CallError(answer, "as scripted"))

    def cancel(self) -> None:
        if self in self._channel.in_work:
            self._channel.in_work.discard(self)
            self._channel.cancelled += 1
            self._timer.cancel()
