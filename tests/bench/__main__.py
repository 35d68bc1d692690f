"""`make bench`: requests per second of the gateway beside the engine's own loop, in one run.

python -m tests.bench [--seconds 5] [--models digits,…] [--backends embedded,remote] [--connections 1,16,64]
"""

import argparse
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests import servers
from tests.bench import load, rows

CONNECTIONS = {"image": (4,)}
"""Other numbers of connections, where 1, 16 and 64 would say nothing."""


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        print("exporting the models of tests/bench/models.py", file=sys.stderr)
        subprocess.run(
            [sys.executable, "-m", "tests.bench.models", folder / "models"], check=True, stderr=subprocess.DEVNULL
        )
        limits = {model: engine(folder, model, options.seconds) for model in options.models}
        print("| model | backend | connections | requests/s | of the loop | p50 ms | p99 ms |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for model, limit in limits.items():
            print(f"| {model} | engine loop, one thread | – | {limit:,.0f} | 1.00 | – | – |", flush=True)
        for backend in options.backends:
            with ExitStack() as stack:
                started = time.monotonic()
                url, running = serve(stack, backend, folder)
                ready_s = time.monotonic() - started
                for model, limit in limits.items():
                    measure(options, backend, url, model, limit, folder)
                resident = running.resident_bytes() / 2**20
                print(f"| *{backend}* | ready in {ready_s:.1f} s, {resident:.0f} MB resident | | | | | |", flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="length of each measurement")
    parser.add_argument("--models", type=lambda text: text.split(","), default=list(rows.SHAPES))
    parser.add_argument("--backends", type=lambda text: text.split(","), default=["embedded", "remote"])
    parser.add_argument("--connections", type=lambda text: [int(n) for n in text.split(",")], default=[1, 16, 64])
    return parser.parse_args()


def engine(folder: Path, model: str, seconds: float) -> float:
    """Calls per second of one row in a process of their own."""
    command = [sys.executable, "-m", "tests.bench.engine", folder / "models", model, "1", str(seconds)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def serve(stack: ExitStack, backend: str, folder: Path) -> tuple[str, servers.Program]:
    """A gateway with that backend for the benchmark's models."""
    models = folder / "models"
    if backend == "embedded":
        return stack.enter_context(servers.gateway("--models-dir", models))
    config = servers.write_model_config(folder / "models.config", models)
    address, _ = stack.enter_context(servers.model_server(f"--model_config_file={config}"))
    return stack.enter_context(servers.gateway("--backend", address, "--models-dir", models))


def measure(options: argparse.Namespace, backend: str, url: str, model: str, limit: float, folder: Path) -> None:
    """One row of the table for each number of connections."""
    path, body = f"{url}/v1/models/{model}:predict", rows.body(model, 1)
    load.post(path, body, 4, 1, folder)  # the first calls of a shape are slow
    for connections in CONNECTIONS.get(model, options.connections):
        result = load.post(path, body, connections, options.seconds, folder)
        rate = f"{result.requests_per_s:,.0f} | {result.requests_per_s / limit:.2f}"
        latencies = f"{result.p50_s * 1e3:.2f} | {result.p99_s * 1e3:.2f}"
        print(f"| {model} | {backend} | {connections} | {rate} | {latencies} |", flush=True)


if __name__ == "__main__":
    main()
