"""A result as tables on a terminal, or for a pipe to read."""

import math
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from signet.clients.load_test.plan.slo import Verdict, seconds_text
from signet.clients.load_test.plan.steps import Step
from signet.clients.load_test.report.findings import findings
from signet.clients.load_test.run.percentiles import Summary
from signet.clients.load_test.run.result import Result
from signet.serving.process.terminal import console

COLUMNS = (50, 90, 99, 99.9, 100)
_WIDEST = 10_000


def show(result: Result, console: Console) -> None:
    """Print all that a person wants to know first."""
    console.print(table(headings("load"), step_rows(result)))
    if len(result.models) > 1:
        console.print(table(headings("model"), model_rows(result)))
    failed = " Failed requests count as never answered." if result.total.errors else ""
    for line in (f"Latencies are in milliseconds.{failed}", *(text for _, text in findings(result)), *_kept_up(result)):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def wide_console() -> Console:
    """A console for results: as wide as need be where it is no terminal, for who reads a pipe wants whole lines."""
    made = console()
    if not made.is_terminal:
        made.width = _WIDEST
    return made


def trial_line(step: Step, part: Summary, verdicts: list[Verdict]) -> str:
    """A sentence on how a trial of a search went."""
    mark = "kept" if all(verdict.kept for verdict in verdicts) else "not kept"
    measured = ", ".join(f"{verdict.limit} is {verdict.measured}" for verdict in verdicts)
    return f"{step}: {mark} ({measured}; {part.goodput:,.0f} good answers/s)"


def headings(first: str) -> list[str]:
    """The headings of `step_rows` and `model_rows`; latencies are in milliseconds."""
    percentiles = [f"p{percentile:g}" if percentile < 100 else "max" for percentile in COLUMNS]
    return [first, "requests", "good/s", "failed", *percentiles]


def step_rows(result: Result) -> list[list[str]]:
    """A row for each step."""
    return [[str(step), *cells(part)] for step, part in zip(result.steps, result.by_step, strict=True)]


def model_rows(result: Result) -> list[list[str]]:
    """A row for each model, over all steps."""
    return [[tested.name, *cells(part)] for tested, part in zip(result.models, result.by_model, strict=True)]


def cells(part: Summary) -> list[str]:
    """The cells of a row: requests, good answers per second, failed ones, percentiles."""
    latencies = [milliseconds(value) for value in part.latencies_s(COLUMNS)]
    return [f"{part.requests:,}", f"{part.goodput:,.1f}", f"{part.errors:.2%}", *latencies]


def milliseconds(seconds: float) -> str:
    """A time in milliseconds, with three digits or all whole ones; – for NaN, `never` where too many requests failed."""
    value = seconds * 1e3
    if math.isinf(value):
        return "never"
    return "–" if math.isnan(value) else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table for a terminal: the first column to the left, figures to the right."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for place, name in enumerate(names):
        made.add_column(name, justify="right" if place else "left", overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made


def _kept_up(result: Result) -> list[str]:
    client = result.client
    if client.limits:
        return []
    sends = f"sends at most {seconds_text(client.late_max_s)} late, " if result.arrivals != "closed" else ""
    return [f"This client kept up: {sends}{client.cpu_share:.0%} of a core."]
