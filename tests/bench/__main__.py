"""`make bench`: requests of one row per second beside the engine's own loop, in one run.

    python -m tests.bench [--seconds 5] [--models digits,…] [--servers embedded,…] [--connections 1,16,64]

Servers: `embedded`, the gateway with the engine inside; `remote`, the gateway in front of a model server; `rest` and
`grpc`, the model server itself; `rest-batching` and `grpc-batching`, the same with --enable_batching.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests import servers
from tests.bench import load, rows
from tests.bench.load import Result

IMAGE_CONNECTIONS = (4,)
"""For pictures as JSON, where 1, 16 and 64 connections would say nothing more."""

Measure = Callable[[str, int, float], Result]
"""(model, connections, seconds) -> what came of it."""


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        print("exporting the models of tests/bench/models.py", file=sys.stderr)
        subprocess.run(
            [sys.executable, "-m", "tests.bench.models", folder / "models"], check=True, stderr=subprocess.DEVNULL
        )
        print("| model | server | connections | requests/s | of the loop | p50 ms | p99 ms |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        limits = {model: engine(folder, model, options.seconds) for model in options.models}
        for model, limit in limits.items():
            print(f"| {model} | engine loop, one thread | – | {limit:,.0f} | 1.00 | – | – |", flush=True)
        for server in options.servers:
            with ExitStack() as stack:
                started = time.monotonic()
                measure, running = SERVERS[server](stack, folder)
                ready_s = time.monotonic() - started
                for model, limit in limits.items():
                    table(server, measure, model, limit, options)
                resident = running.resident_bytes() / 2**20
                print(f"| | *{server}: ready in {ready_s:.1f} s, {resident:.0f} MB resident* | | | | | |", flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=5, help="length of each measurement")
    parser.add_argument("--models", type=lambda text: text.split(","), default=list(rows.SHAPES))
    parser.add_argument("--servers", type=lambda text: text.split(","), default=list(SERVERS))
    parser.add_argument("--connections", type=lambda text: [int(n) for n in text.split(",")], default=[1, 16, 64])
    return parser.parse_args()


def table(server: str, measure: Measure, model: str, limit: float, options: argparse.Namespace) -> None:
    """A line for each number of connections."""
    measure(model, 4, 1)  # the first calls of a shape are slow
    for connections in IMAGE_CONNECTIONS if model == "image" else options.connections:
        result = measure(model, connections, options.seconds)
        rate = f"{result.requests_per_s:,.0f} | {result.requests_per_s / limit:.2f}"
        latencies = f"{result.p50_s * 1e3:.2f} | {result.p99_s * 1e3:.2f}"
        print(f"| {model} | {server} | {connections} | {rate} | {latencies} |", flush=True)


def engine(folder: Path, model: str, seconds: float) -> float:
    """Calls per second of one row in a process of their own."""
    command = [sys.executable, "-m", "tests.bench.engine", folder / "models", model, "1", str(seconds)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def over_http(url: str, folder: Path) -> Measure:
    """POSTs of V1 JSON rows."""
    return lambda model, connections, seconds: load.post(
        f"{url}/v1/models/{model}:predict", rows.body(model, 1), connections, seconds, folder
    )


def over_grpc(address: str, folder: Path) -> Measure:
    """Predict calls."""
    return lambda model, in_flight, seconds: load.predict(address, rows.message(model, 1), in_flight, seconds, folder)


def embedded(stack: ExitStack, folder: Path) -> tuple[Measure, servers.Program]:
    url, running = stack.enter_context(servers.gateway("--models-dir", folder / "models"))
    return over_http(url, folder), running


def remote(stack: ExitStack, folder: Path) -> tuple[Measure, servers.Program]:
    address, _ = stack.enter_context(servers.model_server(config(folder)))
    arguments = ("--backend", address, "--models-dir", folder / "models")
    url, running = stack.enter_context(servers.gateway(*arguments))
    return over_http(url, folder), running


def rest(stack: ExitStack, folder: Path, *flags: str) -> tuple[Measure, servers.Program]:
    port = servers.free_port()
    _, running = stack.enter_context(servers.model_server(config(folder), f"--rest_api_port={port}", *flags))
    return over_http(f"http://127.0.0.1:{port}", folder), running


def grpc(stack: ExitStack, folder: Path, *flags: str) -> tuple[Measure, servers.Program]:
    address, running = stack.enter_context(servers.model_server(config(folder), *flags))
    return over_grpc(address, folder), running


def config(folder: Path) -> str:
    """The flag that serves all models of the benchmark."""
    return f"--model_config_file={servers.write_model_config(folder / 'models.config', folder / 'models')}"


SERVERS: dict[str, Callable[[ExitStack, Path], tuple[Measure, servers.Program]]] = {
    "embedded": embedded,
    "remote": remote,
    "rest": rest,
    "rest-batching": lambda stack, folder: rest(stack, folder, "--enable_batching"),
    "grpc": grpc,
    "grpc-batching": lambda stack, folder: grpc(stack, folder, "--enable_batching"),
}


if __name__ == "__main__":
    main()
