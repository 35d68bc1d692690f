"""A run's results as pictures (SVG): ratios with their spread, and processor time.

    Results ──▶ one picture for each reference that was measured, and one of processor time; each names the run it is of

matplotlib takes a second to import: import this file where pictures are drawn.
"""

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from tests.bench import report, targets
from tests.bench.contenders import LIMIT
from tests.bench.ratios import Spread, spread
from tests.bench.results import Block, Results
from tests.bench.targets import Reference

STYLE = {
    "svg.hashsalt": "signet",  # the same picture has the same bytes
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
}
_COLOURS = {
    "embedded": "tab:blue",
    "embedded-2": "tab:cyan",
    "remote": "tab:orange",
    "model-server": "tab:green",
    "model-server-batching": "tab:olive",
    "model-server-2": "tab:brown",
    "tfs": "tab:red",
    "tfs-batching": "tab:pink",
    "remote-tfs": "tab:purple",
    LIMIT: "black",
}

_WIDE = 15
"""Highest over lowest of an axis: beyond it fewer numbers fit."""

Value = Callable[[Block, str], Spread | None]
"""What is drawn of a server at a load."""


def draw(results: Results, folder: Path) -> list[tuple[str, str]]:
    """Draw what was measured into the folder: title and file name of each picture."""
    pictures = []
    for kind in ("base", "tfs", "limit"):
        if file := _ratios(results, kind, folder):
            pictures.append((report.TITLES[kind], file))
    if file := _picture(
        results, _processor, "µs of a core for each request; hollow: the other revision", "processor", folder
    ):
        pictures.append(("Processor time a request", file))
    return pictures


def _ratios(results: Results, kind: Reference, folder: Path) -> str | None:
    def value(block: Block, server: str) -> Spread | None:
        return None if server.startswith("base-") else targets.ratio(block, server, kind)

    marks = {(target.load, target.server): target.ratio for target in targets.TARGETS if target.reference == kind}
    label = "requests/s over the reference's, median and quartiles" + ("; |: target" if marks else "")
    return _picture(results, value, label, kind, folder, marks)


def _processor(block: Block, server: str) -> Spread | None:
    samples = block.samples.get(server)
    return spread([sample.processor_us for sample in samples]) if samples else None


def _picture(
    results: Results,
    value: Value,
    label: str,
    name: str,
    folder: Path,
    marks: dict[tuple[str, str], float] | None = None,
) -> str | None:
    """Two panels, HTTP and gRPC, a line for each load; None when there is nothing to draw."""
    servers = [
        server
        for server in [*results.servers, *([LIMIT] if name == "processor" else [])]
        if any(value(block, server) for block in results.blocks)
    ]
    panels = [
        [block for block in results.blocks if (block.load.dialect == "grpc") is is_grpc] for is_grpc in (False, True)
    ]
    panels = [blocks for blocks in panels if any(value(block, server) for block in blocks for server in servers)]
    if not panels:
        return None
    with mpl.rc_context(STYLE):
        rows = max(map(len, panels))
        height = 1.4 + rows * max(0.3, 0.11 * len(servers))
        figure = Figure(figsize=(6 * len(panels), height), layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for ax, blocks in zip(axes, panels, strict=True):
            _panel(ax, blocks, servers, value, marks or {})
            ax.set_xlabel(label)
            if name != "processor":
                ax.axvline(1, color="grey", linewidth=0.8, zorder=0)
        handles, names = _legend(axes)
        figure.legend(handles, names, loc="outside upper center", ncols=min(6, len(names)), frameon=False)
        file = folder / f"{name}.svg"
        figure.savefig(file, metadata={"Date": None, "Description": report.described(results)})
    file.write_text("\n".join(line.rstrip() for line in file.read_text().splitlines()) + "\n")
    return file.name


def _panel(
    ax: Axes, blocks: list[Block], servers: list[str], value: Value, marks: dict[tuple[str, str], float]
) -> None:
    for row, block in enumerate(blocks):
        if row % 2:
            ax.axhspan(row - 0.5, row + 0.5, color="0.95", zorder=0)
        shown = [server for server in servers if value(block, server)]
        for place, server in enumerate(shown):
            measured = value(block, server)
            assert measured
            y = row + (place + 1) / (len(shown) + 1) - 0.5
            is_base = server.startswith("base-")
            colour = _COLOURS.get(server.removeprefix("base-"), "grey")
            ax.plot([measured.low, measured.high], [y, y], color=colour, linewidth=1.2)
            ax.plot(
                [measured.median],
                [y],
                "o",
                markersize=4,
                color=colour,
                markerfacecolor="white" if is_base else colour,
                label=server,
            )
            if mark := marks.get((block.load.name, server)):
                ax.plot([mark], [y], "|", color=colour, markersize=9, markeredgewidth=1.6)
    ax.set_yticks(range(len(blocks)), [block.load.name for block in blocks])
    ax.set_ylim(len(blocks) - 0.5, -0.5)
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low > _WIDE else (1, 1.2, 1.5, 2, 3, 4, 6, 8)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.grid(axis="x", color="0.9", linewidth=0.6)
    ax.set_axisbelow(True)


def _legend(axes: list[Axes]) -> tuple[list[object], list[str]]:
    """Each server once."""
    found: dict[str, object] = {}
    for ax in axes:
        for handle, name in zip(*ax.get_legend_handles_labels(), strict=True):
            found.setdefault(name, handle)
    return list(found.values()), list(found)
