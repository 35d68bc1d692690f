"""A result as tables on a terminal, or for a pipe to read."""

import math

from rich import box
from rich.console import Console
from rich.table import Table

from signet.clients.load_test.plan.slo import Verdict, seconds_text
from signet.clients.load_test.plan.steps import Step
from signet.clients.load_test.run.result import Result, Summary
from signet.clients.load_test.run.target import OK

COLUMNS = (50, 90, 99, 99.9, 100)
_WIDEST = 10_000


def show(result: Result, console: Console) -> None:
    """Print all that a person wants to know first."""
    console.print(_table("load", [str(step) for step in result.steps], result.by_step))
    if len(result.models) > 1:
        console.print(_table("model", [tested.name for tested in result.models], result.by_model))
    failed = " Failed requests count as never answered." if result.total.errors else ""
    for line in (f"Latencies are in milliseconds.{failed}", *_lines(result)):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def wide_console() -> Console:
    """For results: as wide as need be where nobody looks at it, for who reads a pipe wants whole lines."""
    console = Console()
    return console if console.is_terminal else Console(width=_WIDEST)


def trial_line(step: Step, part: Summary, verdicts: list[Verdict]) -> str:
    """How a trial of a search went."""
    mark = "kept" if all(verdict.kept for verdict in verdicts) else "not kept"
    measured = ", ".join(f"{verdict.limit} is {verdict.measured}" for verdict in verdicts)
    return f"{step}: {mark} ({measured}; {part.goodput:,.0f} good answers/s)"


def cells(part: Summary) -> list[str]:
    """Requests, good answers per second, failed ones, percentiles."""
    latencies = [milliseconds(value) for value in part.latencies_s(COLUMNS)]
    return [f"{part.requests:,}", f"{part.goodput:,.1f}", f"{part.errors:.2%}", *latencies]


def milliseconds(seconds: float) -> str:
    """Three digits of it, all digits of whole milliseconds; – for NaN, `never` where too many requests failed."""
    value = seconds * 1e3
    if math.isinf(value):
        return "never"
    return "–" if math.isnan(value) else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def headings(first: str) -> list[str]:
    """Of what `cells` gives, after a first column; latencies are in milliseconds."""
    percentiles = [f"p{percentile:g}" if percentile < 100 else "max" for percentile in COLUMNS]
    return [first, "requests", "good/s", "failed", *percentiles]


def _table(first: str, names: list[str], parts: list[Summary]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in headings(first):
        table.add_column(heading, justify="left" if heading == first else "right", overflow="fold")
    for name, part in zip(names, parts, strict=True):
        table.add_row(name, *cells(part))
    return table


def _lines(result: Result) -> list[str]:
    lines = [
        f"{count:,} requests: {outcome}" + (f" – {result.said[outcome]}" if result.said.get(outcome) else "")
        for outcome, count in sorted(result.total.outcomes.items())
        if outcome != OK
    ]
    if result.trials:
        found = "no rate met the limits"
        if result.found_rate is not None:
            found = f"highest rate that met the limits: {result.found_rate:,.4g}/s"
        lines.append(found)
    else:
        lines += [
            f"{'kept' if verdict.kept else 'NOT KEPT'}: {verdict.limit}; measured {verdict.measured}"
            for verdict in result.verdicts
        ]
    client = result.client
    lines += [f"This client was a bottleneck: {limit}." for limit in client.limits]
    if not client.limits:
        sends = f"sends at most {seconds_text(client.late_max_s)} late, " if result.arrivals != "closed" else ""
        lines.append(f"This client kept up: {sends}{client.cpu_share:.0%} of a core.")
    if result.interrupted:
        lines.append(f"Interrupted after {result.seconds:.0f} s.")
    return lines
