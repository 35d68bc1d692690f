"""A result as one HTML file that opens anywhere, without a network: tables, and plots as inline SVG."""

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

from signet.clients.load_test.plan.slo import seconds_text
from signet.clients.load_test.report import tables
from signet.clients.load_test.report.findings import findings
from signet.clients.load_test.report.svg_charts import COLOURS, Axis, Series, chart, linear, logarithmic
from signet.clients.load_test.report.tables import milliseconds
from signet.clients.load_test.run.percentiles import Summary
from signet.clients.load_test.run.result import Result
from signet.serving.errors import UsageError

_CURVE = tuple(100 * (1 - 10 ** (-place / 20)) for place in range(101))
"""Percentiles from 0 to 99.999, evenly spread over the nines."""
_NINES = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999)

STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5b6675; --line: #d9dee5; --page: #fff; --box: #f5f7f9;
  --good: #18794e; --bad: #c0332b; --c0: #2563c9; --c1: #c2570c; --c2: #0f8a6a; --c3: #9333b8; --c4: #8a6d00; --c5: #c02672; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #9aa5b4; --line: #343c48; --page: #14181e;
  --box: #1c222a; --good: #4cc38a; --bad: #ff7b72; --c0: #6ba4ff; --c1: #f59a4c; --c2: #3fcfa4; --c3: #cf8cf0;
  --c4: #d9b83f; --c5: #f57fb3; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 24px; max-width: 1400px; background: var(--page); color: var(--ink);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 24px; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 28px 0 8px; } h3 { font-size: 15px; margin: 0; }
p { margin: 4px 0; } .soft { color: var(--soft); }
.notes { list-style: none; margin: 16px 0; padding: 0; }
.notes li { padding: 8px 12px; margin: 6px 0; background: var(--box); border-left: 4px solid var(--line); border-radius: 4px; }
.notes .good { border-color: var(--good); } .notes .bad { border-color: var(--bad); }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 560px), 1fr)); gap: 16px; }
figure { margin: 0; padding: 14px; background: var(--box); border-radius: 8px; }
figcaption { color: var(--soft); font-size: 13px; }
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--soft); font-size: 12px; }
svg .label { fill: var(--ink); }
svg .grid { stroke: var(--line); fill: none; } svg .axis { stroke: var(--soft); fill: none; }
svg .mark { stroke: var(--soft); stroke-dasharray: 2 4; fill: none; }
svg .line { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; } svg circle { fill: currentColor; }
.dashed { stroke-dasharray: 6 4; }
.c0 { color: var(--c0); } .c1 { color: var(--c1); } .c2 { color: var(--c2); }
.c3 { color: var(--c3); } .c4 { color: var(--c4); } .c5 { color: var(--c5); }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; font-size: 13px; min-height: 20px; }
.legend span::before { content: ""; display: inline-block; width: 18px; border-top: 3px solid currentColor;
  margin-right: 6px; vertical-align: middle; }
.legend .dashed::before { border-top-style: dashed; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 14px 5px 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; color: var(--soft); } th:first-child, td:first-child { text-align: left; }
.facts td { text-align: left; white-space: normal; } .facts td:first-child { color: var(--soft); overflow-wrap: anywhere; }
"""


def write(result: Result, path: Path) -> None:
    """Write the report. Raises `UsageError` when the path cannot be written."""
    names = ", ".join(tested.name for tested in result.models)
    sections = [
        f"<h1>Load on {escape(names)}</h1>",
        f'<p class="soft">{escape(_subtitle(result))}</p>',
        notes(findings(result)),
        f'<div class="plots">{"".join(plots(result))}</div>',
        '<h2>Steps</h2><p class="soft">Latencies are in milliseconds.</p>',
        table(tables.headings("load"), tables.step_rows(result)),
        '<h2>Models</h2><p class="soft">The same over all steps.</p>',
        table(tables.headings("model"), tables.model_rows(result)),
        "<h2>How it was measured</h2>",
        _facts(result),
    ]
    save(path, f"Load on {names}", sections)


def save(path: Path, title: str, sections: Sequence[str]) -> None:
    """Write a page with the sections. Raises `UsageError` when the path cannot be written."""
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style><body>{''.join(sections)}</body></html>\n"
    )
    try:
        path.write_text(page)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


def notes(lines: Sequence[tuple[str, str]]) -> str:
    """Sentences, each with a class: good, bad or nothing."""
    items = "".join(f'<li class="{kind}">{escape(line)}</li>' for kind, line in lines)
    return f'<ul class="notes">{items}</ul>'


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of texts."""
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def percentile_curve(named: Sequence[tuple[str, Summary]], title: str, note: str) -> str:
    """Latency against percentile, the nines evenly spaced."""
    lines = []
    for number, (name, part) in enumerate(named):
        highest = 100 * (1 - 1 / max(2, part.requests))  # beyond, there is no request to tell by
        shown = [percentile for percentile in _CURVE if percentile <= highest]
        latencies = part.latencies_s(shown)
        points = [(_nines(p), value * 1e3) for p, value in zip(shown, latencies, strict=True) if math.isfinite(value)]
        lines.append(Series(name, points, number % COLOURS, dots=False))
    last = max((x for line in lines for x, _ in line.points), default=1.0) or 1.0
    ticks = [_nines(percentile) for percentile in _NINES if _nines(percentile) <= last]
    x = Axis("percentile of all requests", 0.0, last, text=_percentile_text, ticks=ticks)
    y = logarithmic("latency, ms", [value for line in lines for _, value in line.points])
    return chart(title, note, lines, x, y)


def plots(result: Result) -> list[str]:
    """Latency and requests over time, percentiles, goodput against offered load."""
    if not result.slices:
        return []
    drawn = [_latency_over_time(result), _requests_over_time(result), _percentiles(result)]
    if len(result.steps) > 1 or any(step.from_rate != step.to_rate for step in result.steps):
        drawn.append(_against_callers(result) if result.arrivals == "closed" else _against_offered(result))
    return drawn


def _latency_over_time(result: Result) -> str:
    times = _times(result)
    columns = list(zip(*(part.latencies_s((50, 99, 100)) for _, _, part in result.by_second), strict=True))
    lines = [
        Series(name, [(at, value * 1e3) for at, value in zip(times, column, strict=True)], colour)
        for name, column, colour in zip(("p50", "p99", "max"), columns, (0, 1, 5), strict=True)
    ]
    y = logarithmic("latency, ms", [value for line in lines for _, value in line.points])
    note = "By the second in which a request was to start; a gap where so many failed that there is no such answer."
    return chart("Latency over time", note, lines, _time_axis(result), y, _step_marks(result))


def _requests_over_time(result: Result) -> str:
    times, parts = _times(result), [part for _, _, part in result.by_second]
    lines = [
        Series("good answers", [(at, part.goodput) for at, part in zip(times, parts, strict=True)], 2),
        Series("started", [(at, part.requests / part.seconds) for at, part in zip(times, parts, strict=True)], 0, True),
    ]
    if result.total.errors:
        failed = [(at, (part.requests - part.good) / part.seconds) for at, part in zip(times, parts, strict=True)]
        lines.append(Series("failed", failed, 5))
    y = linear("requests per second", [value for line in lines for _, value in line.points])
    note = "Good answers by when they came, the others by when they were to start."
    return chart("Requests over time", note, lines, _time_axis(result), y, _step_marks(result))


def _percentiles(result: Result) -> str:
    named = [(str(step), part) for step, part in zip(result.steps, result.by_step, strict=True) if part.good]
    if len(named) > COLOURS:
        places = sorted({round(place * (len(named) - 1) / (COLOURS - 1)) for place in range(COLOURS)})
        named = [named[place] for place in places]
    note = "From when a request was to start to its answer. Right of 99.9 % are the slowest one in a thousand. "
    note += "A line ends where failed requests begin: they were never answered."
    return percentile_curve(named, "Percentiles", note)


def _against_offered(result: Result) -> str:
    """Goodput by what was offered in each step; a ramp gives a point for each second."""
    points = []
    for step, second, part in result.by_second:
        ramp = result.steps[step].from_rate != result.steps[step].to_rate
        if ramp:
            points.append((part.requests / part.seconds, part.goodput))
        elif second == 0:
            points.append((result.by_step[step].requests / result.steps[step].seconds, result.by_step[step].goodput))
    points.sort()
    offered = [x for x, _ in points]
    lines = [
        Series("as offered", [(0.0, 0.0), (max(offered), max(offered))], 4, dashed=True, dots=False),
        Series("good answers", points, 2),
    ]
    note = "Where the line leaves the dashed one, the server no longer keeps up with what it is offered."
    return chart(
        "Goodput against offered load",
        note,
        lines,
        linear("requests offered per second", offered),
        linear("good answers per second", [value for line in lines for _, value in line.points]),
    )


def _against_callers(result: Result) -> str:
    points = sorted(
        (float(step.in_flight), part.goodput) for step, part in zip(result.steps, result.by_step, strict=True)
    )
    return chart(
        "Throughput against requests in flight",
        "Where the line turns flat, more callers only wait longer.",
        [Series("good answers", points, 2)],
        linear("requests in flight", [x for x, _ in points]),
        linear("good answers per second", [value for _, value in points]),
    )


def _times(result: Result) -> list[float]:
    """The middle of each second of `by_second`, since the first step began."""
    starts = _starts(result)
    return [starts[step] + second + part.seconds / 2 for step, second, part in result.by_second]


def _starts(result: Result) -> list[float]:
    starts, at = [], 0.0
    for step in result.steps:
        starts.append(at)
        at += step.seconds
    return starts


def _step_marks(result: Result) -> list[float]:
    return _starts(result)[1:]


def _time_axis(result: Result) -> Axis:
    return Axis("seconds since the first step began", 0.0, max(0.1, sum(step.seconds for step in result.steps)))


def _nines(percentile: float) -> float:
    return -math.log10(1 - percentile / 100)


def _percentile_text(nines: float) -> str:
    return f"{100 * (1 - 10**-nines):.7g} %"


def _subtitle(result: Result) -> str:
    total = result.total
    return (
        f"{result.url}, protocol {result.protocol}, {result.started}: {total.requests:,} requests in "
        f"{result.seconds:,.0f} s, {total.errors:.2%} failed"
    )


def _facts(result: Result) -> str:
    client = result.client
    loop = {
        "closed": "closed: each caller asks again when it is answered, so a stall stops the load too and hides its length",
        "poisson": "open, Poisson arrivals; latency counts from when a request was to start",
        "fixed": "open, evenly spaced arrivals; latency counts from when a request was to start",
    }
    rows = [("load", f"{loop[result.arrivals]}; seed {result.seed}")]
    for tested in result.models:
        rows.append(
            (
                f"requests of {tested.name}",
                f"version {tested.version}, weight {tested.weight:g}, rows: {tested.rows}, {tested.payload_bytes:,} bytes, "
                f"from {tested.bodies}",
            )
        )
    if result.arrivals != "closed":
        rows.append(
            (
                "sent late",
                f"p50 {milliseconds(client.late_p50_s)} ms, p99 {milliseconds(client.late_p99_s)} ms, "
                f"at most {seconds_text(client.late_max_s)}; the latencies include it",
            )
        )
    rows.append(
        (
            "this client",
            f"{client.cpu_share:.0%} of a core, event loop at most {seconds_text(client.lag_max_s)} behind, "
            f"{client.waited:,} requests waited for a connection",
        )
    )
    body = "".join(f"<tr><td>{escape(name)}</td><td>{escape(text)}</td></tr>" for name, text in rows)
    return f'<table class="facts"><tbody>{body}</tbody></table>'
