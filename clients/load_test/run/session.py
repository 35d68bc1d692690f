"""One run from the first request to the result: a target, the runner on it, the progress shown, Ctrl-C."""

import asyncio
import signal
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus

from rich.console import Console

from signet.clients.client import connecting
from signet.clients.load_test.plan import bodies
from signet.clients.load_test.plan.dialects import GrpcDialect, HttpDialect
from signet.clients.load_test.plan.load_plan import Order
from signet.clients.load_test.plan.steps import Step
from signet.clients.load_test.run import client_limits, http_target, load_progress, result
from signet.clients.load_test.run.http_target import HttpTarget
from signet.clients.load_test.run.load_generator import Runner
from signet.clients.load_test.run.prepared import Load
from signet.clients.load_test.run.recording import WARM_UP
from signet.clients.load_test.run.result import Result
from signet.clients.load_test.run.target import Target
from signet.serving.errors import ServingError, Unavailable
from signet.serving.tensors.signature import Signature


class Session:
    """A target with a runner on it, and the progress shown, until the end."""

    def __init__(self, order: Order, ready: Load, console: Console) -> None:
        self._order, self._ready = order, ready
        self._target = _target(order)
        self.runner = Runner(self._target, ready.shares, poisson=order.arrivals == "poisson", seed=order.seed)
        self._console = console
        self._started = datetime.now(UTC)
        self.signal = 0
        """The one that ended the run."""
        self._shown: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Session":
        await self._try_out()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._interrupt, number)
        what = ", ".join(asked.name for asked in self._ready.asked)
        self._shown = loop.create_task(load_progress.show(self.runner, self._console, what))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._shown:
            self._shown.cancel()
            with suppress(asyncio.CancelledError):
                await self._shown
        await self._target.close()

    async def warm_up(self, first: Step) -> None:
        """Load as in the first step, which does not count."""
        if self._order.warmup_s:
            rate = first.from_rate or first.to_rate
            await self.runner.run([replace(first, seconds=self._order.warmup_s, from_rate=rate, to_rate=rate)], WARM_UP)

    def client(self, numbers: list[int], cpu_share: float) -> result.Client:
        """What this process did to these steps."""
        recorder = self.runner.recorder
        total = result.summary((part for part in recorder.slices if part.step in numbers), 1.0)
        return client_limits.assess(
            [recorder.late[number] for number in numbers if number in recorder.late],
            [recorder.lag[number] for number in numbers if number in recorder.lag],
            cpu_share=cpu_share,
            waited=self._target.waited,
            requests=total.requests,
            p99_s=total.latency_s(99),
        )

    def summary(self, number: int, step: Step) -> result.Summary:
        """What was measured in a step."""
        return result.summary((part for part in self.runner.recorder.slices if part.step == number), step.seconds)

    def result(self, done: list[Step], cpu_share: float) -> Result:
        """Of the steps that were done."""
        order, recorder = self._order, self.runner.recorder
        return Result(
            url=connecting.without_password(order.url),
            protocol=order.protocol,
            arrivals="closed" if order.closed else order.arrivals,
            started=self._started.isoformat(timespec="seconds"),
            seed=order.seed,
            models=self._ready.asked,
            steps=done,
            slices=sorted(
                (part for part in recorder.slices if part.step < len(done)),
                key=lambda part: (part.step, part.second, part.model),
            ),
            client=self.client(list(range(len(done))), cpu_share),
            said=recorder.said,
            interrupted=self.runner.interrupted,
            signal=self.signal,
        )

    async def _try_out(self) -> None:
        """Send one request of each model. Raises what the server says to it, and `Internal` for what is no prediction."""
        ready = self._ready
        try:
            for asked, share, signature in zip(ready.asked, ready.shares, ready.signatures, strict=True):
                try:
                    await _check_first(self._target, self._order, share.payloads[0], signature)
                except Unavailable as error:
                    hint = "; take --bodies golden or a file" if asked.bodies == bodies.SIGNATURE else ""
                    raise Unavailable(f"{asked.name}: the first request fails with {error}{hint}") from error
                except ServingError as error:
                    raise type(error)(f"{asked.name}: the first answer is no prediction: {error}") from error
        except ServingError:
            await self._target.close()
            raise

    def _interrupt(self, number: int) -> None:
        """End with a report; the next Ctrl-C ends at once."""
        loop = asyncio.get_running_loop()
        for signal_ in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(signal_)
        self.runner.interrupt()
        self.signal = number


async def _check_first(target: Target, order: Order, payload: bytes, signature: Signature) -> None:
    dialect = order.dialect
    if isinstance(dialect, GrpcDialect):
        dialect.check(await target.ask(payload), signature, order.rows)
        return
    response = await target.ask(payload)
    if response.status != HTTPStatus.OK:
        raise Unavailable(f"{response.status}: {http_target.words(response.body)}")
    dialect.check(response, signature, order.rows)


def _target(order: Order) -> Target:
    dialect = order.dialect
    if isinstance(dialect, HttpDialect):
        return HttpTarget(order.url, timeout_s=order.timeout_s, connections=order.connections, access=order.access)
    from signet.clients.load_test.run.grpc_target import GrpcTarget  # noqa: PLC0415  # gRPC is only imported where it is used

    return GrpcTarget(order.url, dialect.method, timeout_s=order.timeout_s, access=order.access)
