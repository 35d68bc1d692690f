"""`make bench-overload`: goodput of a gateway at 0.5 to 10 times its capacity, and of a model or caller beside a hot one.

    python -m tests.bench.overload [--out FOLDER] [--quick] [--seconds 5]
    python -m tests.bench.overload --page [FOLDER/results.json]

    models, gateway ──▶ capacity (closed loop) ──▶ open loop at 0.5, 1, 2, 5, 10 times ──▶ pairs ──▶ results.json ──▶ page

The gateway is on all cores but the last, which the client has. Ctrl-C ends it; what has been measured until then is written.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from signet.clients.load_test.plan.steps import Step
from tests import servers
from tests.bench import environment
from tests.bench.overload import figures, load, models, report
from tests.bench.overload.figures import Curve, Overload, Pair, Point, tally
from tests.bench.overload.load import Stream, loading

PAGE = servers.ROOT / "docs" / "overload.md"
KEPT = PAGE.with_suffix("")
"""Folder of the results that the page is made of, and of its picture."""
COMMAND = "python -m tests.bench.overload --page"
INTERRUPTED = 130

TIMES = (0.5, 1.0, 2.0, 5.0, 10.0)
DEADLINES_S = {"sleeping": 0.5, "computing": 0.1}
CALLERS = 16
"""Of the closed loop that measures the capacity."""
_PATIENT_S = 30.0
"""How long each of them waits."""
AFTER_S, AFTER_TIMES = 2, 0.7
"""The step after an overload: seconds, and times the capacity."""
SHARE = 0.5
"""Of the capacity, of each of two models or callers."""
OTHER = 0.8
"""Of its share, what the one that is not hot asks for."""
HOT_MODEL, HOT_CALLER = 10.0, 12.0


@dataclass(frozen=True)
class Gateway:
    """What is measured."""

    url: str
    pid: int

    def stream(self, model: str, rate: float = 0.0, address: str = "127.0.0.1") -> Stream:
        return Stream(self.url, model, DEADLINES_S[model], rate, address)


def main() -> int:
    options = arguments()
    if options.page is not None:
        keep(Path(options.page))
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    found = Overload(
        started=datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        seconds=options.seconds,
        environment=environment.look(),
        pinned=len(os.sched_getaffinity(0)) > 1,
    )
    code = 0
    with tempfile.TemporaryDirectory() as text:
        folder = options.models or Path(text)
        if not (folder / "computing" / "1").exists():
            models.models(folder)
        try:
            with gateway(folder) as running:
                uvloop.run(measure(found, running, options.times, options.pairs, options.out))
        except KeyboardInterrupt:
            say("interrupted: writing what has been measured")
            code = INTERRUPTED
    publish(found, options.out)
    print((options.out / "results.md").read_text())
    return code


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench-overload", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=servers.ROOT / ".bench" / "overload", help="folder for results")
    parser.add_argument("--quick", action="store_true", help="short steps: a minute")
    parser.add_argument("--seconds", type=float, help="length of a step; default 5, quick 1.5")
    parser.add_argument("--times", type=float, nargs="*", default=TIMES, help="times the capacity")
    parser.add_argument("--no-pairs", dest="pairs", action="store_false", help="without hot models and callers")
    parser.add_argument("--models", type=Path, help="folder of the exported models: made where it lacks them, and kept")
    parser.add_argument(
        "--page",
        nargs="?",
        const=KEPT / figures.FILE,
        help=f"measure nothing: write {PAGE.name} from such results; default: from those that it was made of",
    )
    options = parser.parse_args(given)
    options.seconds = options.seconds or (1.5 if options.quick else 5.0)
    return options


@contextmanager
def gateway(folder: Path) -> Iterator[Gateway]:
    """A gateway with the models on all cores but the last, and this process on that one, before others where it may.

    A client that waits for its turn on the core beside other programs would measure these.
    """
    cores = os.sched_getaffinity(0)
    mine = {max(cores)}
    try:
        os.sched_setaffinity(0, cores - mine or cores)  # what the gateway inherits
        with servers.gateway("--models-dir", folder, "--batch-max-rows", "1") as (url, program):
            os.sched_setaffinity(0, mine)
            with suppress(PermissionError):
                os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
            yield Gateway(url, program.process.pid)
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.sched_setaffinity(0, cores)


async def measure(found: Overload, running: Gateway, times: tuple[float, ...], pairs: bool, out: Path) -> None:
    """Fill the results; they are written after each part."""
    for model in DEADLINES_S:
        curve = await capacity(running, model, found.seconds)
        say(f"{model}: {curve.capacity:,.0f} answers/s, {curve.call_s * 1e3:.2f} ms a call")
        found.curves.append(curve)
        for each in times:
            curve.points.append(await point(running, curve, each, found.seconds))
            say("    " + report.line(curve, curve.points[-1]))
            figures.write(found, out / figures.FILE)
    if not pairs:
        return
    sleeping, computing = found.curves
    for kind, hot, other in (
        ("models", sleeping, computing),
        ("models", computing, sleeping),
        ("callers", sleeping, sleeping),
        ("callers", computing, computing),
    ):
        found.pairs.append(await pair(running, kind, hot, other, found.seconds))
        say("    " + report.pair_line(found.pairs[-1]))
        figures.write(found, out / figures.FILE)


async def capacity(running: Gateway, model: str, seconds: float) -> Curve:
    """The most answers a second, by a closed loop, and the time of a call by one caller."""
    stream = replace(running.stream(model), deadline_s=_PATIENT_S)
    async with loading([stream], running.pid) as client:
        await client.step(Step(load.WARM_UP_S, in_flight=1))
        alone = await client.step(Step(load.WARM_UP_S, in_flight=1))
        all_of_it = await client.step(Step(seconds, in_flight=CALLERS))
        await client.settle()
    calls, load_of_all = tally(alone().requests, _PATIENT_S), all_of_it()
    told = tally(load_of_all.requests, _PATIENT_S)
    if not told.in_time or calls.p50_s is None or told.failed or told.refused:
        raise RuntimeError(f"{model}: the gateway does not answer {CALLERS} callers: {told}")
    answers_a_s = told.in_time / seconds
    return Curve(model, DEADLINES_S[model], answers_a_s, load_of_all.server_s / told.in_time, calls.p50_s)


async def point(running: Gateway, curve: Curve, times: float, seconds: float) -> Point:
    """A step at so many times the capacity, and what comes after it."""
    rate, calm = times * curve.capacity, AFTER_TIMES * curve.capacity
    async with loading([running.stream(curve.model, rate)], running.pid, seed=int(times * 10)) as client:
        await client.warm_up()
        loaded = await client.step(Step(seconds, rate, rate))
        after = await client.step(Step(AFTER_S, calm, calm))
        await client.settle()
    found, later = loaded(), after().requests
    shares = [
        tally([one for one in later if second <= one.at_s < second + 1], curve.deadline_s).share
        for second in range(AFTER_S)
    ]
    told = tally(found.requests, curve.deadline_s)
    return Point(times, rate, seconds, told, shares, found.health, found.server_s)


async def pair(running: Gateway, kind: str, hot: Curve, other: Curve, seconds: float) -> Pair:
    """One that asks for its share, alone, and beside one that asks for many times that."""
    other_rate = OTHER * SHARE * other.capacity
    times = HOT_MODEL if kind == "models" else HOT_CALLER
    hot_rate = times * (SHARE * hot.capacity if kind == "models" else other_rate)
    stream = running.stream(other.model, other_rate)
    async with loading([stream], running.pid, seed=1) as client:
        await client.warm_up()
        alone = await client.step(Step(seconds, other_rate, other_rate))
        await client.settle()
    address = "127.0.0.2" if kind == "callers" else stream.address
    streams = [running.stream(hot.model, hot_rate, address), stream]
    async with loading(streams, running.pid, seed=2) as client:
        await client.warm_up()
        beside = await client.step(Step(seconds, client.rate, client.rate))
        await client.settle()
    both = beside()
    return Pair(
        kind,
        hot.model,
        other.model,
        times,
        hot_rate,
        other_rate,
        other.deadline_s,
        hot.call_s,
        tally(alone().requests, other.deadline_s),
        tally(both.of(1), other.deadline_s),
        tally(both.of(0), hot.deadline_s),
        both.health,
    )


def publish(found: Overload, out: Path) -> None:
    """results.json, results.md and the picture."""
    from tests.bench.overload import plots

    figures.write(found, out / figures.FILE)
    (out / "results.md").write_text(report.page(found, plots.draw(found, out), "make bench-overload"))


def keep(file: Path) -> None:
    """Make docs/overload.md of a file of results, and keep them beside its picture."""
    from tests.bench.overload import plots

    KEPT.mkdir(exist_ok=True)
    if file.resolve() != (KEPT / figures.FILE).resolve():
        shutil.copyfile(file, KEPT / figures.FILE)
    plots.draw(figures.read(KEPT / figures.FILE), KEPT)
    PAGE.write_text(kept_page())


def kept_page() -> str:
    """The text of docs/overload.md, of the results and the picture that are kept."""
    found = figures.read(KEPT / figures.FILE)
    return report.page(found, [f"{KEPT.name}/{name}" for name in report.PICTURES if (KEPT / name).exists()], COMMAND)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
