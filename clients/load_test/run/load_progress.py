"""The progress of a load test: a line that changes each second on a terminal, now and then a line elsewhere."""

import asyncio
import time
from collections import Counter

from rich.console import Console

from signet.clients.load_test.plan.slo import seconds_text
from signet.clients.load_test.run.load_generator import LoadGenerator
from signet.clients.load_test.run.percentiles import Summary
from signet.clients.load_test.run.recording import WARM_UP, Interval, new_histogram
from signet.clients.load_test.run.target import OK

LINE_EVERY_S = 5.0
"""Seconds between two lines where there is no terminal."""


async def show(generator: LoadGenerator, console: Console, what: str) -> None:
    """Show how the load test goes until cancelled. what: stands before each line."""
    spoken = time.monotonic()
    with console.status(f"{what}: warming up") as status:
        while True:
            await asyncio.sleep(1.0)
            line = f"{what}: {_line(generator)}"
            status.update(line)
            if not console.is_terminal and time.monotonic() - spoken >= LINE_EVERY_S:
                spoken = time.monotonic()
                console.print(line, highlight=False, markup=False, soft_wrap=True)


def _line(generator: LoadGenerator) -> str:
    recorder = generator.recorder
    if generator.at_step == WARM_UP or recorder.latest is None:
        return "warming up"
    latest = _summary(recorder.latest)
    failed = recorder.totals.total() - recorder.totals[OK]
    p50_s, p99_s = latest.latencies_s((50, 99))
    latency = f"p50 {seconds_text(p50_s)}, p99 {seconds_text(p99_s)}" if latest.good else "no good answer"
    return (
        f"{time.perf_counter() - generator.begun:.0f} s, {latest.requests:,} requests/s, {latency}, "
        f"{recorder.pending:,} in flight, {failed:,} of {recorder.totals.total():,} failed"
    )


def _summary(interval: Interval) -> Summary:
    histogram = new_histogram()
    for some in interval.histograms:
        if some:
            histogram.add(some)
    return Summary(sum(interval.outcomes, start=Counter()), histogram, sum(interval.answered), 1.0)
