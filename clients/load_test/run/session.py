"""One run from the first request to the result: a target, the runner on it, the progress shown, Ctrl-C."""

import asyncio
import signal
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus

from rich.console import Console

from signet.clients.client import connecting
from signet.clients.load_test.plan import bodies, first_answer
from signet.clients.load_test.plan.dialects import HttpDialect
from signet.clients.load_test.plan.load_plan import LoadPlan
from signet.clients.load_test.plan.steps import Step
from signet.clients.load_test.run import client_limits, http_target, load_progress, percentiles, result
from signet.clients.load_test.run.http_target import HttpTarget
from signet.clients.load_test.run.load_generator import LoadGenerator
from signet.clients.load_test.run.prepared import PreparedLoad
from signet.clients.load_test.run.recording import WARM_UP
from signet.clients.load_test.run.result import Result
from signet.clients.load_test.run.target import Target
from signet.serving.errors import ServingError, Unavailable
from signet.serving.tensors.signature import Signature


class LoadSession:
    """A target with a load generator on it, and the progress shown, until the end; use it as a context."""

    def __init__(self, plan: LoadPlan, ready: PreparedLoad, console: Console) -> None:
        self._plan, self._ready = plan, ready
        self._target = _target(plan)
        self.generator = LoadGenerator(self._target, ready.shares, poisson=plan.arrivals == "poisson", seed=plan.seed)
        self._console = console
        self._started = datetime.now(UTC)
        self.signal = 0
        """The signal that ended the run; 0: none did."""
        self._shown: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "LoadSession":
        await self._try_out()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._interrupt, number)
        what = ", ".join(tested.name for tested in self._ready.tested)
        self._shown = loop.create_task(load_progress.show(self.generator, self._console, what))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._shown:
            self._shown.cancel()
            with suppress(asyncio.CancelledError):
                await self._shown
        await self._target.close()

    async def warm_up(self, first: Step) -> None:
        """Run the warm-up: load as in the first step, which does not count."""
        if self._plan.warmup_s:
            rate = first.from_rate or first.to_rate
            await self.generator.run(
                [replace(first, seconds=self._plan.warmup_s, from_rate=rate, to_rate=rate)], WARM_UP
            )

    async def run(self, steps: list[Step], first: int = 0) -> float:
        """Run the steps and wait for their answers. Gives the share of a core that it took; the first has this number."""
        clock = client_limits.CpuClock()
        await self.generator.run(steps, first)
        cpu_share = clock.cpu_share()
        await self.generator.settle(self._plan.timeout_s + 1)
        return cpu_share

    def client(self, numbers: list[int], cpu_share: float) -> result.ClientHealth:
        """What this process did to these steps."""
        recorder = self.generator.recorder
        total = percentiles.summary((part for part in recorder.slices if part.step in numbers), 1.0)
        return client_limits.assess(
            [recorder.late[number] for number in numbers if number in recorder.late],
            [recorder.lag[number] for number in numbers if number in recorder.lag],
            cpu_share=cpu_share,
            waited=self._target.waited,
            requests=total.requests,
            p99_s=total.latency_s(99),
        )

    def summary(self, number: int, step: Step) -> percentiles.Summary:
        """The summary of a step."""
        return percentiles.summary(
            (part for part in self.generator.recorder.slices if part.step == number), step.seconds
        )

    def result(self, done: list[Step], cpu_share: float) -> Result:
        """The result of the steps that were done."""
        plan, recorder = self._plan, self.generator.recorder
        return Result(
            url=connecting.without_password(plan.url),
            protocol=plan.protocol,
            arrivals="closed" if plan.closed else plan.arrivals,
            started=self._started.isoformat(timespec="seconds"),
            seed=plan.seed,
            models=self._ready.tested,
            steps=done,
            slices=sorted(
                (part for part in recorder.slices if part.step < len(done)),
                key=lambda part: (part.step, part.second, part.model),
            ),
            client=self.client(list(range(len(done))), cpu_share),
            said=recorder.said,
            interrupted=self.generator.interrupted,
            signal=self.signal,
        )

    async def _try_out(self) -> None:
        """Send one request of each model. Raises what the server says to it, and `Internal` for what is no prediction."""
        ready = self._ready
        try:
            for tested, share, signature in zip(ready.tested, ready.shares, ready.signatures, strict=True):
                try:
                    await _check_first(self._target, self._plan, share.payloads[0], signature)
                except Unavailable as error:
                    hint = "; take --bodies golden or a file" if tested.bodies == bodies.SIGNATURE else ""
                    raise Unavailable(f"{tested.name}: the first request fails with {error}{hint}") from error
                except ServingError as error:
                    raise type(error)(f"{tested.name}: the first answer is no prediction: {error}") from error
        except ServingError:
            await self._target.close()
            raise

    def _interrupt(self, number: int) -> None:
        """End with a report at a signal; the next Ctrl-C ends at once."""
        loop = asyncio.get_running_loop()
        for signal_ in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(signal_)
        self.generator.interrupt()
        self.signal = number


async def _check_first(target: Target, plan: LoadPlan, payload: bytes, signature: Signature) -> None:
    dialect = plan.dialect
    answer = await target.ask(payload)
    if isinstance(dialect, HttpDialect) and answer.status != HTTPStatus.OK:
        raise Unavailable(f"{answer.status}: {http_target.words(answer.body)}")
    first_answer.check(dialect.shapes(answer, signature), signature, plan.rows)


def _target(plan: LoadPlan) -> Target:
    dialect = plan.dialect
    if isinstance(dialect, HttpDialect):
        return HttpTarget(plan.url, timeout_s=plan.timeout_s, connections=plan.connections, access=plan.access)
    from signet.clients.load_test.run.grpc_target import GrpcTarget  # noqa: PLC0415  # gRPC is only imported where it is used

    return GrpcTarget(plan.url, dialect.method, timeout_s=plan.timeout_s, access=plan.access)
