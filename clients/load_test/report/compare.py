"""Two runs side by side: what changed, and whether that is more than the runs' own ups and downs.

    before.json, after.json ──read──▶ results ──compare──▶ changes, each with the range it is in with 95 % confidence

The range comes from drawing the seconds of each run again at random, with repetition, a few hundred times: a change
that is smaller than what such draws differ by tells nothing. Runs of fewer than ten seconds are too short for it.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from hdrh.histogram import HdrHistogram
from rich.console import Console

from signet.clients.load_test.report import html_report, tables
from signet.clients.load_test.run import result
from signet.clients.load_test.run.result import Result
from signet.serving.errors import UsageError
from signet.serving.exit_codes import ExitCode
from signet.serving.tensors.arrays import Array

_DRAWS = 400
_FEWEST_SECONDS = 10
_PERCENTILES = (50, 90, 99, 99.9)
BETTER, WORSE, SAME, UNKNOWN = "better", "worse", "no clear change", "too short to tell"


@dataclass(frozen=True)
class Change:
    """How one figure changed from the first run to the second."""

    name: str
    before: str
    after: str
    change: float
    """The change as a share of the first: 0.1 is a tenth more. NaN without a first value."""
    low: float
    """The least that the change may be with 95 % confidence; NaN when the runs are too short."""
    high: float
    verdict: str


def run(
    before: Path, after: Path, *, worse: float, html: Path | None, as_json: bool = False, console: Console
) -> ExitCode:
    """Print the changes. Fails when a figure is clearly worse, by more than that share."""
    first, second = result.read(before), result.read(after)
    if not first.slices or not second.slices:
        raise UsageError(f"{before if not first.slices else after} holds no requests")
    changes = compare(first, second)
    remarks = _remarks(first, second)
    if as_json:
        console.print(json_text(changes, remarks), highlight=False, markup=False, soft_wrap=True)
    else:
        console.print(tables.table(_HEADINGS, map(_row, changes)))
        for remark in remarks:
            console.print(remark, highlight=False, markup=False, soft_wrap=True)
    if html:
        _write(html, (str(before), first), (str(after), second), changes, remarks)
    failed = any(change.verdict == WORSE and abs(change.change) > worse for change in changes)
    return ExitCode.FAILED if failed else ExitCode.DONE


def json_text(changes: Sequence[Change], remarks: Sequence[str]) -> str:
    """The comparison for programs; what is not known is null."""
    rows = [
        {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in asdict(one).items()}
        for one in changes
    ]
    return json.dumps({"changes": rows, "remarks": list(remarks)}, indent=2, allow_nan=False)


def compare(before: Result, after: Result) -> list[Change]:
    """The change of each figure."""
    chance = np.random.default_rng(0)
    first, second = _Seconds(before), _Seconds(after)
    draws = [first.draw(chance), second.draw(chance)]
    changes = [
        _change(f"p{p:g} ms", tables.milliseconds, first, second, draws, place, better=-1)
        for place, p in enumerate(_PERCENTILES)
    ]
    goodput = len(_PERCENTILES)
    changes.append(_change("good answers/s", lambda value: f"{value:,.1f}", first, second, draws, goodput, better=1))
    changes.append(_change("failed", lambda value: f"{value:.3%}", first, second, draws, goodput + 1, better=-1))
    return changes


class _Seconds:
    """A run as one row of counts for each second."""

    def __init__(self, measured: Result) -> None:
        parts = [part for _, _, part in measured.by_second]
        self.count = len(parts)
        histogram = measured.total.histogram
        used = sorted({place for part in parts for place in _used(part.histogram)})
        values = [histogram.get_value_from_index(place) / 1e6 for place in used]
        self._values_s = np.array([*values, math.inf])  # the last for requests that were never answered well
        self._counts = np.array([[part.histogram.counts[place] for place in used] for part in parts], np.float32)
        self._answered = np.array([part.answered for part in parts], float)
        self._requests = np.array([part.requests for part in parts], float)
        self._failed = np.array([part.requests - part.good for part in parts], float)
        self._widths_s = np.array([part.seconds for part in parts], float)
        self.figures = self._figures(np.ones((1, self.count)))[0]
        """The percentiles in seconds, good answers per second, the share that failed."""

    def draw(self, chance: np.random.Generator) -> Array:
        """The figures of runs made of these seconds drawn at random: (draws, figures)."""
        times = chance.multinomial(self.count, np.full(self.count, 1 / self.count), size=_DRAWS)
        return self._figures(times.astype(float))

    def _figures(self, times: Array) -> Array:
        """times: (draws, seconds), how often each second is taken."""
        counts = np.cumsum(times.astype(np.float32) @ self._counts, axis=1)
        requests = times @ self._requests
        columns = [self._percentile(counts, requests, percentile) for percentile in _PERCENTILES]
        columns.append((times @ self._answered) / (times @ self._widths_s))
        columns.append((times @ self._failed) / np.maximum(1, requests))
        return np.stack(columns, axis=1)

    def _percentile(self, counts: Array, requests: Array, percentile: float) -> Array:
        """counts: (draws, values), of good answers up to each value. requests: (draws,), the failed ones among them."""
        # As HdrHistogram counts: the value of the nearest whole request.
        ranks = np.maximum(1.0, np.floor(requests * percentile / 100 + 0.5))
        places = [int(np.searchsorted(row, rank)) for row, rank in zip(counts, ranks, strict=True)]
        return np.asarray(self._values_s[places])


def _used(histogram: HdrHistogram) -> list[int]:
    return [int(place) for place in np.flatnonzero(np.ctypeslib.as_array(histogram.counts))]


def _change(
    name: str,
    text: Callable[[float], str],
    first: _Seconds,
    second: _Seconds,
    draws: list[Array],
    place: int,
    better: int,
) -> Change:
    before, after = float(first.figures[place]), float(second.figures[place])
    change = 0.0 if before == after else after / before - 1 if before else math.inf
    low = high = math.nan
    verdict = UNKNOWN
    if first.count >= _FEWEST_SECONDS and second.count >= _FEWEST_SECONDS and not math.isnan(change):
        earlier, later = draws[0][:, place], draws[1][:, place]
        least, most = _middle(_minus(later, earlier))
        if earlier.all():
            low, high = (value - 1 for value in _middle(_over(later, earlier)))
            least, most = low, high
        verdict = SAME
        if least > 0 or most < 0:
            verdict = BETTER if (least > 0) == (better > 0) else WORSE
    return Change(name, text(before), text(after), change, low, high, verdict)


def _middle(values: Array) -> tuple[float, float]:
    """Between which 95 % of them lie; they may be infinite."""
    low, high = np.percentile(values, (2.5, 97.5), method="nearest")
    return float(low), float(high)


def _minus(later: Array, earlier: Array) -> Array:
    """The differences; 0 between two that were never answered."""
    with np.errstate(invalid="ignore"):
        return np.where(later == earlier, 0.0, later - earlier)


def _over(later: Array, earlier: Array) -> Array:
    """The ratios; 1 between two that were never answered."""
    with np.errstate(invalid="ignore"):
        return np.where(later == earlier, 1.0, later / earlier)


_HEADINGS = ("figure", "before", "after", "change", "95 % range", "verdict")


def _row(change: Change) -> list[str]:
    within = "–" if math.isnan(change.low) else f"{change.low:+.0%} to {change.high:+.0%}"
    by = "–" if math.isnan(change.change) or math.isinf(change.change) else f"{change.change:+.1%}"
    return [change.name, change.before, change.after, by, within, change.verdict]


def _remarks(first: Result, second: Result) -> list[str]:
    """What makes the runs unlike each other."""
    remarks = [
        f"The runs differ in {name}: {one}; {other}."
        for name, one, other in (
            ("protocol", first.protocol, second.protocol),
            ("arrivals", first.arrivals, second.arrivals),
            ("load", ", ".join(map(str, first.steps)), ", ".join(map(str, second.steps))),
            ("models", _asked(first), _asked(second)),
        )
        if one != other
    ]
    for name, run_ in (("first", first), ("second", second)):
        remarks += [f"In the {name} run, this client was a bottleneck: {limit}." for limit in run_.client.limits]
    return remarks


def _asked(measured: Result) -> str:
    return ", ".join(
        f"{tested.name} ({tested.rows} rows, {tested.bodies}, weight {tested.weight:g})" for tested in measured.models
    )


def _write(
    path: Path, first: tuple[str, Result], second: tuple[str, Result], changes: list[Change], remarks: list[str]
) -> None:
    kinds = {WORSE: "bad", BETTER: "good"}
    lines = [
        (kinds[change.verdict], f"{change.name} is {change.verdict}: {change.before} before, {change.after} after.")
        for change in changes
        if change.verdict in kinds
    ]
    curve = html_report.percentile_curve(
        [(name, measured.total) for name, measured in (first, second)],
        "Percentiles",
        "From when a request was to start to its answer, over the whole of each run.",
    )
    sections = [
        "<h1>Two runs compared</h1>",
        html_report.notes([*lines, *(("", remark) for remark in remarks)]),
        html_report.table(_HEADINGS, [_row(change) for change in changes]),
        f'<h2>Plots</h2><div class="plots">{curve}</div>',
    ]
    html_report.save(path, "Two runs compared", sections)
