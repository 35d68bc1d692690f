"""Loads a gateway as `signet load` does, by its generator, and notes each request by itself.

    Stream (payload, rate, address) ──LoadGenerator──▶ Noting ──▶ HttpTarget ──▶ the gateway
                                                          └── Sent, for `figures.tally`

The generator's latencies are those of good answers; here refusals have theirs, too, and callers addresses of their own.
"""

import asyncio
import gc
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from signet.clients.load_test.plan.steps import Step
from signet.clients.load_test.run import client_limits
from signet.clients.load_test.run.http_target import HttpTarget
from signet.clients.load_test.run.load_generator import LoadGenerator, Share
from signet.clients.load_test.run.recording import WARM_UP
from signet.clients.load_test.run.target import Done
from tests.bench import processor
from tests.bench.overload.figures import Health, Sent

CONNECTIONS = 3000
"""Of each stream; a request beyond waits in the client for one, and a step with such requests does not count."""
_PATIENCE = 1.5
"""Callers hang up after so many times their deadline."""
WARM_UP_S = 0.5


@dataclass(frozen=True)
class Stream:
    """Requests of one caller for one model."""

    url: str
    model: str
    deadline_s: float
    """Which the server is told."""
    rate: float = 0.0
    """Requests a second, at random times; 0 where callers of a closed loop ask."""
    address: str = "127.0.0.1"
    """From which it comes."""

    @property
    def payload(self) -> bytes:
        """The whole request, head and body."""
        body = json.dumps({"instances": [[0.1, 0.2, 0.3, 0.4]]}).encode()
        head = (
            f"POST /v1/models/{self.model}:predict HTTP/1.1\r\nHost: {urlsplit(self.url).netloc}\r\n"
            f"X-Request-Timeout: {self.deadline_s:g}\r\nUser-Agent: {self.address}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


class Noting:
    """A `Target` that notes what came of each request. The event loop alone uses it."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        self.sent: list[Sent] = []
        self.began = time.perf_counter()
        self._streams = {stream.payload: number for number, stream in enumerate(streams)}
        self._targets = [
            HttpTarget(
                stream.url,
                timeout_s=_PATIENCE * stream.deadline_s,
                connections=CONNECTIONS,
                local_address=stream.address,
            )
            for stream in streams
        ]

    @property
    def waited(self) -> int:
        return sum(target.waited for target in self._targets)

    def begin(self) -> list[Sent]:
        """Forget what was noted; gives the list of what is sent from now on."""
        self.sent, self.began = [], time.perf_counter()
        return self.sent

    def send(self, payload: bytes, done: Done) -> None:
        stream = self._streams[payload]
        note = partial(self._note, self.sent, stream, time.perf_counter(), self.began, done)
        self._targets[stream].send(payload, note)

    async def ask(self, payload: bytes) -> Any:
        return await self._targets[self._streams[payload]].ask(payload)

    async def close(self) -> None:
        for target in self._targets:
            await target.close()

    @staticmethod
    def _note(sent: list[Sent], stream: int, at: float, began: float, done: Done, outcome: str, said: str) -> None:
        sent.append(Sent(stream, at - began, outcome, time.perf_counter() - at))
        done(outcome, said)


@dataclass(frozen=True)
class Loaded:
    """What a step gave."""

    requests: list[Sent]
    health: Health
    server_s: float
    """Processor seconds of the server."""

    def of(self, stream: int) -> list[Sent]:
        return [request for request in self.requests if request.stream == stream]


class Loading:
    """Streams that are sent step by step, for as long as the context lasts."""

    def __init__(self, streams: Sequence[Stream], server_pid: int, seed: int) -> None:
        self._target = Noting(streams)
        self._pid = server_pid
        self._steps = 0
        rates = [stream.rate or 1.0 for stream in streams]
        self.rate = sum(rates)
        shares = [Share(rate, [stream.payload]) for stream, rate in zip(streams, rates, strict=True)]
        self._generator = LoadGenerator(self._target, shares, poisson=True, seed=seed)

    async def step(self, step: Step) -> Callable[[], Loaded]:
        """Run a step. Gives what makes its result, to be called when all is answered (`settle`): a step may follow at once."""
        number, self._steps = self._steps, self._steps + 1
        requests = self._target.begin()
        clock, server_s, machine = client_limits.CpuClock(), processor.tree_s(self._pid), processor.machine()
        own_s, began, waited = time.process_time(), time.perf_counter(), self._target.waited
        await self._generator.run([step], number)
        seconds, cores = time.perf_counter() - began, clock.cpu_share()
        server_s = processor.tree_s(self._pid) - server_s
        now = processor.machine()
        used_s = (
            now.busy_s - machine.busy_s - (time.process_time() - own_s) - server_s + now.stolen_s - machine.stolen_s
        )
        recorder = self._generator.recorder
        sent = recorder.late[number].get_total_count() if number in recorder.late else 0
        late_s, lag_s = (
            histograms[number].get_value_at_percentile(99) / 1e6 if number in histograms else 0.0
            for histograms in (recorder.late, recorder.lag)
        )
        due = 0.0 if step.in_flight else step.planned
        waited = self._target.waited - waited
        health = Health(due, sent, late_s, lag_s, round(cores, 3), round(max(0.0, used_s) / seconds, 3), waited)
        return lambda: Loaded(requests, health, server_s)

    async def warm_up(self) -> None:
        """Load that is not counted, at the rate of the streams."""
        await self._generator.run([Step(WARM_UP_S, self.rate, self.rate)], WARM_UP)

    async def settle(self) -> None:
        """Wait until all is answered, or given up."""
        await self._generator.settle(10.0)

    async def close(self) -> None:
        await self._target.close()


@asynccontextmanager
async def loading(streams: Sequence[Stream], server_pid: int, seed: int = 0) -> Any:
    """Streams to be sent; garbage is not collected meanwhile, which would stop the client now and then."""
    with _uncollected():
        found = Loading(streams, server_pid, seed)
        try:
            yield found
        finally:
            await found.close()
            await asyncio.sleep(0)


@contextmanager
def _uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
