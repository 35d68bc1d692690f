"""How many gateways and model servers a load needs, by processor time that was measured: deploy/capacity.md.

    python -m tests.bench.capacity           measure, in a minute or two: capacity.json beside this file, and the page
    python -m tests.bench.capacity --page    the page alone, from the figures that are there

Processor seconds a request hardly change with what else a machine does; requests per second of a busy one do. So the
figures are processor time of each program under closed load, divided by the requests in it; the rest is arithmetic.
"""

import argparse
import json
import math
import os
import re
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from tests import servers
from tests.bench import export, generators, rows

FIGURES = Path(__file__).with_name("capacity.json")
PAGE = servers.ROOT / "deploy" / "capacity.md"
RATES = (1_000, 100_000, 10_000_000)
UTILISATION = 0.6
"""How busy a core is meant to be: the rest is for bursts, a lost zone, and a version that loads."""
SERVER_CORES = 8
"""Cores of a pod of the model server."""
LEAST_PODS = 2
MOST_CONNECTIONS = 20_000
"""Each gateway keeps a connection to each model server; beyond so many, a cell more is better than a larger one."""
MOST_GATEWAYS = 400
"""Pods behind one Service that kube-proxy and a layer-4 balancer still handle well."""
SCRAPE_S = 15
CONNECTIONS = 16
SECONDS = 5.0
WORKLOADS = {"digits": 1, "digits, 32 rows": 32, "social_posts": 1, "image": 1}


@dataclass(frozen=True)
class Figures:
    """What one request of a workload costs. Seconds are processor seconds; bytes are those on the wire, without headers."""

    gateway_s: float
    server_s: float
    embedded_s: float
    request_bytes: int
    response_bytes: int
    tensor_bytes: int
    """Bytes of one request between gateway and model server, in both directions."""


@dataclass(frozen=True)
class Plan:
    """What a rate of a workload needs."""

    gateways: int
    server_cores: int
    servers: int
    embedded_cores: int
    cells: int
    connections: int
    """Connections between the gateways and model servers of one cell."""
    client_gbit_per_s: float
    server_gbit_per_s: float
    samples_per_s: int
    """Samples that Prometheus takes in a second, of all cells."""


def plan(figures: Figures, rate: float, series: int) -> Plan:
    """Whole pods, at least two of each, each core busy for `UTILISATION` of the time; in cells that stay within bounds."""
    gateways = max(LEAST_PODS, math.ceil(rate * figures.gateway_s / UTILISATION))
    server_cores = math.ceil(rate * figures.server_s / UTILISATION)
    pods = max(LEAST_PODS, math.ceil(server_cores / SERVER_CORES))
    cells = 1
    while not within_bounds(per_cell(gateways, cells), per_cell(pods, cells)):
        cells += 1
    connections = per_cell(gateways, cells) * per_cell(pods, cells)
    return Plan(
        gateways=gateways,
        server_cores=server_cores,
        servers=pods,
        embedded_cores=max(LEAST_PODS, math.ceil(rate * figures.embedded_s / UTILISATION)),
        cells=cells,
        connections=connections,
        client_gbit_per_s=rate * (figures.request_bytes + figures.response_bytes) * 8 / 1e9,
        server_gbit_per_s=rate * figures.tensor_bytes * 8 / 1e9,
        samples_per_s=math.ceil(gateways * series / SCRAPE_S),
    )


def per_cell(pods: int, cells: int) -> int:
    return max(LEAST_PODS, math.ceil(pods / cells))


def within_bounds(gateways: int, pods: int) -> bool:
    return gateways <= MOST_GATEWAYS and gateways * pods <= MOST_CONNECTIONS


def bottleneck(figures: Figures, found: Plan) -> str:
    """What becomes narrow first, in a few words."""
    shares = {"gateways (JSON, and joining rows)": figures.gateway_s, "model servers": figures.server_s}
    first = max(shares, key=lambda name: shares[name])
    share = shares[first] / sum(shares.values())
    if found.gateways == LEAST_PODS and found.servers == LEAST_PODS:
        return f"none: two pods of each, for availability; {first} have {share:.0%} of the work"
    if found.cells == 1:
        return f"cores of the {first}: {share:.0%} of them"
    return f"one cluster: {found.cells} cells; then cores of the {first}, {share:.0%} of them"


def leaves_within_s(service_s: float, share: float = 0.99) -> float:
    """Time in which that share of requests is through a single core that is busy for `UTILISATION` (M/M/1)."""
    return service_s / (1 - UTILISATION) * -math.log(1 - share)


# ---- The page


def page(workloads: dict[str, Figures], series: int) -> str:
    """The text of deploy/capacity.md."""
    lines = [
        "# What a load needs",
        "",
        "Written by `python -m tests.bench.capacity`, from processor time that was measured with "
        f"{CONNECTIONS} connections: the gateway in",
        "front of `signet model-server`, whose engine is TensorFlow's own; TensorFlow Serving may differ. Measure with your",
        "models, on your machines, before you buy any.",
        "",
        "## What a request costs",
        "",
        "| workload | gateway, ms | requests/s a gateway core | model server, ms | requests/s a model server core | "
        "embedded, ms | body in, out, kB |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, figures in workloads.items():
        lines.append(
            f"| {name} | {figures.gateway_s * 1e3:.3f} | {1 / figures.gateway_s:,.0f} | {figures.server_s * 1e3:.3f} | "
            f"{1 / figures.server_s:,.0f} | {figures.embedded_s * 1e3:.3f} | "
            f"{figures.request_bytes / 1e3:.1f}, {figures.response_bytes / 1e3:.1f} |"
        )
    lines += [
        "",
        f"Milliseconds are the processor's. A core is planned to be busy for {UTILISATION:.0%} of the time: then 99 of 100 "
        "requests are through",
        "the gateway within "
        + ", ".join(f"{leaves_within_s(f.gateway_s) * 1e3:.1f} ms ({n})" for n, f in workloads.items())
        + ", if they come at random.",
    ]
    for rate in RATES:
        lines += [
            "",
            f"## {rate:,} requests a second",
            "",
            f"| workload | gateways, 1 core each | model servers, {SERVER_CORES} cores each | or embedded, cores | "
            "callers' network, Gbit/s | gateway to server, Gbit/s | cells | connections a cell | samples/s for Prometheus | "
            "narrow is |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        ]
        for name, figures in workloads.items():
            found = plan(figures, rate, series)
            lines.append(
                f"| {name} | {found.gateways:,} | {found.servers:,} | {found.embedded_cores:,} | "
                f"{found.client_gbit_per_s:,.2f} | {found.server_gbit_per_s:,.2f} | {found.cells} | {found.connections:,} | "
                f"{found.samples_per_s:,} | {bottleneck(figures, found)} |"
            )
    lines += [
        "",
        "## Where it becomes narrow, and what then",
        "",
        "| at | narrow is | what helps |",
        "| --- | --- | --- |",
        "| one gateway | its one core: JSON in and out | more pods; the binary protocols; several rows a request |",
        "| one model server | its cores, or its GPU | more pods; larger batches (`SIGNET_BATCH_MAX_ROWS`); a GPU |",
        "| 20 gateways | `maxReplicas` of the autoscaler | raise it, with the quota of the namespace |",
        f"| {MOST_GATEWAYS} gateways, or {MOST_CONNECTIONS:,} connections | one Service, and each gateway's connections to each "
        "model server | cells: the same overlay again in a namespace or a cluster of its own, callers spread by DNS |",
        f"| a million samples/s ({1_000_000 * SCRAPE_S // series:,} gateways) | one Prometheus | one for each cell; between "
        "cells only recorded series are joined |",
        "| tens of Gbit/s | balancers and network cards | callers in the same zone; float32 in binary is a third of its JSON |",
        "",
        "A large model moves the work to the model servers, large bodies to the gateways. A cell is lost as a whole: with one",
        "cell more than the plan says, the others carry its load.",
        "",
    ]
    return "\n".join(lines)


def read() -> tuple[dict[str, Figures], int]:
    """The figures that were measured, and the series of a gateway."""
    found = json.loads(FIGURES.read_text())
    return {name: Figures(**figures) for name, figures in found["workloads"].items()}, found["series"]


# ---- Measuring


def measure() -> None:
    """Write the figures. Needs wrk."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        export.models(folder / "models")
        config = servers.write_model_config(folder / "models.config", folder / "models")
        with (
            servers.model_server(f"--model_config_file={config}") as (address, server),
            servers.gateway("--backend", address, "--models-dir", folder / "models") as (url, gateway),
            servers.gateway("--models-dir", folder / "models") as (own_url, embedded),
        ):
            workloads = {}
            for name, count in WORKLOADS.items():
                model = name.partition(",")[0]
                request = rows.v1(model, count)
                remote = cost(url, model, request, [gateway, server], folder)
                (embedded_s,) = cost(own_url, model, request, [embedded], folder)
                answer = httpx.post(url + request.path, content=request.body, timeout=60)
                numbers = len(re.findall(rb"[\d.]+(?:e-?\d+)?", answer.content))
                tensors = sum(array.nbytes for array in rows.arrays(model, count).values()) + 4 * numbers
                workloads[name] = Figures(*remote, embedded_s, len(request.body), len(answer.content), tensors)
                print(f"{name}: {workloads[name]}", file=sys.stderr, flush=True)
            series = len(re.findall(r"(?m)^signet_", httpx.get(f"{url}/metrics").text))
    found = {"series": series, "workloads": {name: asdict(figures) for name, figures in workloads.items()}}
    FIGURES.write_text(json.dumps(found, indent=1) + "\n")


def cost(url: str, model: str, request: rows.Post, programs: list[servers.Program], folder: Path) -> list[float]:
    """Processor seconds a request of each program, under load."""
    generators.post(url, request, 4, 1, folder)  # the first calls of a shape are slow
    before = [processor_s(program) for program in programs], answered(url, model)
    generators.post(url, request, CONNECTIONS, SECONDS, folder)
    after = [processor_s(program) for program in programs], answered(url, model)
    requests = after[1] - before[1]
    return [round((new - old) / requests, 7) for old, new in zip(before[0], after[0], strict=True)]


def processor_s(program: servers.Program) -> float:
    """Processor seconds that a program has used."""
    fields = Path(f"/proc/{program.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def answered(url: str, model: str) -> float:
    """Requests for the model that a gateway has counted."""
    lines = re.findall(rf'(?m)^signet_requests_total\{{.*model="{model}".*\}} (\S+)$', httpx.get(f"{url}/metrics").text)
    return sum(map(float, lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", action="store_true", help="measure nothing")
    if not parser.parse_args().page:
        measure()
    PAGE.write_text(page(*read()))


if __name__ == "__main__":
    main()
