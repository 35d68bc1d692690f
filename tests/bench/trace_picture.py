"""`make trace-picture`: docs/traces.svg, a request's way through gateway and model server as a collector has received it.

    python -m tests.bench.trace_picture [--out docs/traces.svg]

a collector, a model server, a gateway before it, all real ──▶ one request of a trace ──▶ spans ──▶ bars below one another
"""

import argparse
from pathlib import Path

import httpx
import matplotlib as mpl
from matplotlib.figure import Figure

from tests import servers
from tests.bench.plots import STYLE
from tests.collector import Received, collector

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SPANS = 11
"""Seven of the gateway, four of the model server."""
_BODY = {"instances": [{"a": [1, 2, 3], "b": [4, 5]}]}
_COLOURS = {"signet-gateway": "tab:blue", "signet-model-server": "tab:green"}


def received() -> list[Received]:
    """The spans of one request, after some that are not traced and warm everything up."""
    two_in = (f"--model_base_path={servers.GOLDEN_MODELS / 'two_in'}", "--model_name=two_in")
    with collector() as traces, servers.model_server(*two_in, f"--otlp={traces.url}") as (address, _):
        arguments = ("--backend", address, "--models", "two_in", "--otlp", traces.url, "--otlp-sample", "0")
        with servers.gateway(*arguments) as (url, _), httpx.Client(base_url=url) as caller:
            for number in range(50):
                headers = {"traceparent": f"00-{TRACE}-{SPAN}-01"} if number == 49 else {}
                caller.post("/v1/models/two_in:predict", json=_BODY, headers=headers).raise_for_status()
            return traces.wait(SPANS)


def in_order(spans: list[Received], above: str = SPAN, depth: int = 0) -> list[tuple[int, Received]]:
    """Each span below the one that it belongs to, with its depth; of one depth the first one first."""
    found = []
    for span in sorted((one for one in spans if one.parent_id == above), key=lambda one: one.start_ns):
        found += [(depth, span), *in_order(spans, span.span_id, depth + 1)]
    return found


def draw(spans: list[Received], file: Path) -> None:
    """The spans as bars over time."""
    rows = in_order(spans)
    begin = rows[0][1].start_ns
    whole_ms = (rows[0][1].end_ns - begin) / 1e6
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.5, 0.32 * len(rows) + 0.9), layout="constrained")
        axes = figure.subplots()
        for place, (depth, span) in enumerate(rows):
            left_ms, long_ms = (span.start_ns - begin) / 1e6, (span.end_ns - span.start_ns) / 1e6
            axes.barh(place, max(long_ms, whole_ms / 400), left=left_ms, color=_COLOURS[span.service], height=0.62)
            axes.text(1.01 * whole_ms, place, f"{long_ms:.2f} ms", va="center")
            axes.text(-0.75 * whole_ms, place, "\N{NO-BREAK SPACE}" * 4 * depth + span.name, va="center")
        axes.set_xlim(0, whole_ms)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_yticks([])
        axes.set_xlabel("ms from the request's first byte; blue: gateway, green: model server")
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        figure.savefig(file, metadata={"Date": None}, bbox_inches="tight")  # names begin left of the axes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=servers.ROOT / "docs" / "traces.svg")
    draw(received(), parser.parse_args().out)


if __name__ == "__main__":
    main()
