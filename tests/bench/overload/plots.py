"""A run of the overload benchmark as a picture (SVG): goodput with its bound, and latencies, by times the capacity.

matplotlib takes a second to import: import this file where pictures are drawn.
"""

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from tests.bench.overload import figures, report
from tests.bench.overload.figures import Curve, Overload, Point
from tests.bench.plots import STYLE

_GOOD, _REFUSED, _LIMIT = "tab:blue", "tab:orange", "grey"


def draw(found: Overload, folder: Path) -> list[str]:
    """Draw into the folder: the names of the pictures."""
    curves = [curve for curve in found.curves if curve.points]
    if not curves:
        return []
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5 * len(curves), 5.4), layout="constrained")
        axes = figure.subplots(2, len(curves), squeeze=False, sharex="col")
        for column, curve in enumerate(curves):
            _goodput(axes[0][column], curve, found.refusal_s)
            _latencies(axes[1][column], curve)
        file = folder / report.PICTURES[0]
        described = f"revision {found.environment.revision}, begun {found.started}"
        figure.savefig(file, metadata={"Date": None, "Description": described})
    file.write_text("\n".join(line.rstrip() for line in file.read_text().splitlines()) + "\n")
    return [file.name]


def _goodput(ax: Axes, curve: Curve, refusal_s: float | None) -> None:
    times = [point.times for point in curve.points]
    ax.plot(times, [point.goodput / curve.peak for point in curve.points], color=_GOOD, linewidth=1.2)
    for point in curve.points:
        lags = point.health.lags(curve.deadline_s)
        ax.plot(point.times, point.goodput / curve.peak, "o", color=_GOOD, markerfacecolor="white" if lags else _GOOD)
    if refusal_s is not None:
        bounds = [curve.bound(point, refusal_s) for point in curve.points]
        ax.plot(times, bounds, "--", color=_LIMIT, linewidth=1, label="one core's bound")
    wanted = figures.GOODPUT.get(curve.model)
    if wanted:
        ax.axhline(wanted, color=_LIMIT, linewidth=0.8, linestyle=":", label=f"asked: {wanted:g}")
    ax.set_ylim(0, 1.12)
    ax.set_title(f"{curve.model}: {curve.capacity:,.0f} answers/s, deadline {curve.deadline_s * 1e3:g} ms")
    ax.set_ylabel("answers in time, over the peak\n(hollow: the client lags)")
    ax.legend(frameon=False, loc="lower right")
    _grid(ax)


def _latencies(ax: Axes, curve: Curve) -> None:
    def line(name: str, colour: str, of: list[tuple[Point, float | None]]) -> None:
        shown = [(point.times, seconds * 1e3) for point, seconds in of if seconds is not None]
        if shown:
            ax.plot(*zip(*shown, strict=True), "o-", color=colour, markersize=4, linewidth=1.2, label=name)

    line("p99 of answers", _GOOD, [(point, point.load.p99_s) for point in curve.points])
    line("p99 of refusals", _REFUSED, [(point, point.load.refusal_p99_s) for point in curve.points])
    line("client late, p99", _LIMIT, [(point, point.health.late_p99_s) for point in curve.points])
    ax.axhline(curve.deadline_s * 1e3, color=_GOOD, linewidth=0.8, linestyle=":")
    ax.axhline(figures.REFUSAL_S * 1e3, color=_REFUSED, linewidth=0.8, linestyle=":")
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set_ylabel("ms (dotted: deadline, 20 ms)")
    ax.set_xscale("log")
    ax.set_xticks([point.times for point in curve.points])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set_xlabel("requests sent, times the capacity")
    ax.legend(frameon=False)
    _grid(ax)


def _grid(ax: Axes) -> None:
    ax.grid(color="0.9", linewidth=0.6)
    ax.set_axisbelow(True)
