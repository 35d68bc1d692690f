"""`signet load`: from what the user asked for to a result, its table, JSON and HTML."""

import asyncio
import random
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import uvloop
from rich.console import Console

from clients.calls import Version
from clients.gateway_client import Client as HttpClient
from clients.load_test import bodies, client_limits, find, mix, progress, report, result, slo, steps, tables
from clients.load_test.client_limits import Clock
from clients.load_test.dialects import DIALECTS, GrpcDialect, HttpDialect
from clients.load_test.http_target import HttpTarget
from clients.load_test.mix import Entry
from clients.load_test.recording import WARM_UP
from clients.load_test.result import Asked, Result
from clients.load_test.run import Runner, Share
from clients.load_test.slo import Limit
from clients.load_test.steps import Step
from clients.load_test.target import OK, Target
from serving.errors import Unavailable, UsageError
from serving.tensors import Arrays

ARRIVALS = ("poisson", "fixed")
DEFAULT_RATE = "10"
_MOST_PAYLOAD_BYTES = 64 << 20
_INTERRUPTED = 130
_TRIES = 3
"""Of a rate at which the limits broke while this client could not keep up."""


@dataclass(frozen=True)
class Order:
    """What is to be done; the fields are the options of `signet load`."""

    models: Sequence[str]
    url: str
    protocol: str = "v1"
    rate: str | None = None
    closed: str | None = None
    seconds: float = 10.0
    arrivals: str = "poisson"
    warmup_s: float = 1.0
    bodies: str = bodies.AUTO
    rows: int = 1
    size: int = 16
    models_dir: Path = Path("models")
    version: int | None = None
    slo: str = ""
    find: bool = False
    timeout_s: float = 30.0
    connections: int = 1000
    seed: int = 0
    json: Path | None = None
    html: Path | None = None


@dataclass(frozen=True)
class Load:
    """What is sent: the models with what their requests are, and the requests."""

    asked: list[Asked]
    shares: list[Share]


def default_url(protocol: str) -> str:
    """Where a gateway answers in that protocol."""
    return "localhost:8081" if isinstance(DIALECTS.get(protocol), GrpcDialect) else "http://localhost:8080"


def load(order: Order, console: Console, progress_console: Console) -> int:
    """Do it, and print what came of it. Gives the exit code: 0, 1 when a limit was not kept, 130 after Ctrl-C."""
    entries, planned, limits = mix.parse(order.models), _steps(order), slo.parse(order.slo)
    _check(order, limits)
    dialect = DIALECTS[order.protocol]
    ready = _prepared(order, entries, dialect)
    run = _finding if order.find else _measuring
    measured = uvloop.run(run(order, ready, dialect, planned, limits, progress_console))
    tables.show(measured, console)
    if order.json:
        result.write(measured, order.json)
    if order.html:
        report.write(measured, order.html)
    if measured.interrupted:
        return _INTERRUPTED
    return 0 if measured.kept else 1


def _steps(order: Order) -> list[Step]:
    if order.closed and (order.rate or order.find):
        raise UsageError("--closed is another kind of load than --rate and --find; give one of them")
    if order.closed:
        return steps.closed_steps(order.closed, order.seconds)
    planned = steps.open_steps(order.rate or DEFAULT_RATE, order.seconds)
    if order.find and (len(planned) > 1 or planned[0].from_rate != planned[0].to_rate):
        raise UsageError(f"--find starts at one rate; --rate {order.rate} has several")
    return planned


def _check(order: Order, limits: list[Limit]) -> None:
    if order.protocol not in DIALECTS:
        raise UsageError(f"--protocol {order.protocol}: expected {', '.join(DIALECTS)}")
    if order.arrivals not in ARRIVALS:
        raise UsageError(f"--arrivals {order.arrivals}: expected {' or '.join(ARRIVALS)}")
    if order.find and not limits:
        raise UsageError("--find needs the limits to meet: --slo, such as p99=50ms,errors=0.1%")
    for path in (order.json, order.html):
        if path and not path.parent.is_dir():
            raise UsageError(f"the folder {path.parent} does not exist, so {path} cannot be written")


def _prepared(order: Order, entries: list[Entry], dialect: HttpDialect | GrpcDialect) -> Load:
    """Asks the server what the models take, and makes the requests."""
    chance = random.Random(order.seed)  # noqa: S311  # no secret
    asked, shares = [], []
    for entry, described in zip(entries, _described(order, entries, dialect), strict=True):
        source, arrays = bodies.read(
            entry, described, order.bodies, order.models_dir, rows=order.rows, size=order.size, chance=chance
        )
        payloads = _payloads(order, entry, dialect, arrays)
        mean_bytes = round(sum(map(len, payloads)) / len(payloads))
        asked.append(Asked(str(entry), described.number, entry.weight, order.rows, source, mean_bytes))
        shares.append(Share(entry.weight, payloads))
    return Load(asked, shares)


def _described(order: Order, entries: list[Entry], dialect: HttpDialect | GrpcDialect) -> list[Version]:
    if isinstance(dialect, HttpDialect):
        with HttpClient(order.url, timeout_s=order.timeout_s) as client:
            return [client.describe(entry.model, version=order.version) for entry in entries]
    from clients.grpc_client import GrpcClient  # noqa: PLC0415  # gRPC is only imported where it is used

    with GrpcClient(order.url, timeout_s=order.timeout_s) as client:
        return [client.describe(entry.model, version=order.version) for entry in entries]


def _payloads(order: Order, entry: Entry, dialect: HttpDialect | GrpcDialect, requests: list[Arrays]) -> list[bytes]:
    """As many as fit in memory, at least one."""
    payloads: list[bytes] = []
    taken_bytes = 0
    for arrays in requests:
        if isinstance(dialect, HttpDialect):
            payload = dialect.payload(order.url, entry, order.version, arrays)
        else:
            payload = dialect.build(entry, order.version, arrays)
        taken_bytes += len(payload)
        if payloads and taken_bytes > _MOST_PAYLOAD_BYTES:
            break
        payloads.append(payload)
    return payloads


def _target(order: Order, dialect: HttpDialect | GrpcDialect) -> Target:
    if isinstance(dialect, HttpDialect):
        return HttpTarget(order.url, timeout_s=order.timeout_s, connections=order.connections)
    from clients.load_test.grpc_target import GrpcTarget  # noqa: PLC0415  # as above

    return GrpcTarget(order.url, dialect.method, timeout_s=order.timeout_s)


async def _measuring(
    order: Order,
    ready: Load,
    dialect: HttpDialect | GrpcDialect,
    planned: list[Step],
    limits: list[Limit],
    console: Console,
) -> Result:
    """The steps as they were planned."""
    async with _Session(order, ready, dialect, console) as session:
        await session.warm_up(planned[0])
        clock = Clock()
        await session.runner.run(planned)
        cpu_share = clock.cpu_share()
        await session.runner.settle(order.timeout_s + 1)
        measured = session.result(planned, cpu_share)
        return replace(measured, verdicts=slo.judge(limits, measured.total.measured()))


async def _finding(
    order: Order,
    ready: Load,
    dialect: HttpDialect | GrpcDialect,
    planned: list[Step],
    limits: list[Limit],
    console: Console,
) -> Result:
    """A search for the highest rate within the limits, from the planned one."""
    search = find.Search(planned[0].from_rate)
    done: list[Step] = []
    trials: list[bool] = []
    verdicts: list[slo.Verdict] = []
    busiest, tries = 0.0, 0
    async with _Session(order, ready, dialect, console) as session:
        await session.warm_up(planned[0])
        while (rate := search.next_rate()) is not None and len(done) < find.MOST_TRIALS:
            number, step = len(done), Step(order.seconds, rate, rate)
            clock = Clock()
            await session.runner.run([step], first=number)
            cpu_share = clock.cpu_share()
            await session.runner.settle(order.timeout_s + 1)
            if session.runner.interrupted:
                break
            busiest = max(busiest, cpu_share)
            part = session.summary(number, step)
            judged = slo.judge(limits, part.measured())
            kept = all(verdict.kept for verdict in judged)
            done.append(step)
            trials.append(kept)
            verdicts = judged if kept else verdicts
            console.print(tables.trial_line(step, part, judged), highlight=False, markup=False, soft_wrap=True)
            tries += 1
            if kept or not session.client([number], cpu_share).overworked:
                search.judged(rate, kept)
                tries = 0
            elif tries == _TRIES:
                break  # it is this client that breaks the limits
        measured = session.result(done, busiest)
        return replace(measured, trials=trials, verdicts=verdicts, found_rate=search.kept)


class _Session:
    """A target with a runner on it, and the progress shown, until the end."""

    def __init__(self, order: Order, ready: Load, dialect: HttpDialect | GrpcDialect, console: Console) -> None:
        self._order, self._ready = order, ready
        self._target = _target(order, dialect)
        self.runner = Runner(self._target, ready.shares, poisson=order.arrivals == "poisson", seed=order.seed)
        self._console = console
        self._started = datetime.now(UTC)
        self._shown: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "_Session":
        await self._try_out()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._interrupt)
        what = ", ".join(asked.name for asked in self._ready.asked)
        self._shown = loop.create_task(progress.show(self.runner, self._console, what))
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
            url=order.url,
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
        )

    async def _try_out(self) -> None:
        """Send one request of each model; raises what the server says when it does not take it."""
        for asked, share in zip(self._ready.asked, self._ready.shares, strict=True):
            answered: asyncio.Future[tuple[str, str]] = asyncio.get_running_loop().create_future()
            self._target.send(share.payloads[0], _answering(answered))
            outcome, said = await answered
            if outcome != OK:
                await self._target.close()
                hint = "; take --bodies golden or a file" if asked.bodies == bodies.SIGNATURE else ""
                raise Unavailable(f"{asked.name}: the first request fails with {outcome}: {said}{hint}")

    def _interrupt(self) -> None:
        """End with a report; the next Ctrl-C ends at once."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        self.runner.interrupt()


def _answering(answered: "asyncio.Future[tuple[str, str]]") -> Callable[[str, str], None]:
    return lambda outcome, said: answered.set_result((outcome, said))
