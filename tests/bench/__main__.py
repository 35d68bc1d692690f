"""`make bench`: rows per second and latencies of every server and dialect beside the engine's own loop, in one run.

    python -m tests.bench [--seconds 3] [--models digits,…] [--servers embedded,…] [--connections 1,16,64]

Servers: `embedded`, the gateway with the engine inside; `remote`, the gateway in front of a model server; `rest` and
`grpc`, the model server itself; `rest-batching` and `grpc-batching`, the same with --enable_batching.

"of the loop" compares rows per second with calls of the C API in one thread, with TensorFlow's default options and as
many rows a call as the requests have. Figures of one run can be compared with one another, and with no others.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests import servers
from tests.bench import export, load, rows
from tests.bench.load import Result

FEW_CONNECTIONS = 4
"""For batches, and for pictures, where 1, 16 and 64 connections would say nothing more."""
BATCH_ROWS = 32
HTTP_ONLY = ("V1",)


@dataclass(frozen=True)
class Case:
    """What is measured: a model, a dialect, rows and connections."""

    model: str
    dialect: str
    rows: int
    connections: int


Measure = Callable[[Case, float], Result]
"""(case, seconds) -> what came of it."""


@dataclass(frozen=True)
class Server:
    """How a server is started, and in which dialects it is asked."""

    start: Callable[[ExitStack, Path], tuple[Measure, servers.Program]]
    dialects: tuple[str, ...]


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        export.models(folder / "models")
        print("| model | server | dialect | rows | connections | requests/s | of the loop | p50 ms | p99 ms |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
        limits = {}
        for model in options.models:
            for count in (1,) if model == "image" else (1, BATCH_ROWS):
                limits[model, count] = engine(folder, model, count, options.seconds)
                print(
                    f"| {model} | engine loop | – | {count} | – | {limits[model, count]:,.0f} | 1.00 | – | – |",
                    flush=True,
                )
        for name in options.servers:
            with ExitStack() as stack:
                started = time.monotonic()
                measure, running = SERVERS[name].start(stack, folder)
                ready_s = time.monotonic() - started
                for case in cases(SERVERS[name].dialects, options):
                    line(name, measure, case, limits[case.model, case.rows], options.seconds)
                resident = running.resident_bytes() / 2**20
                print(f"| | *{name}: ready in {ready_s:.1f} s, {resident:.0f} MB resident* |", flush=True)


def arguments() -> argparse.Namespace:
    def listed(text: str) -> list[str]:
        return text.split(",")

    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=3, help="whole seconds of each measurement")
    parser.add_argument("--models", type=listed, default=list(rows.SHAPES))
    parser.add_argument("--servers", type=listed, default=list(SERVERS))
    parser.add_argument("--dialects", type=listed, default=[*rows.DIALECTS, "gRPC"])
    parser.add_argument("--connections", type=lambda text: [int(n) for n in text.split(",")], default=[1, 16, 64])
    return parser.parse_args()


def cases(dialects: tuple[str, ...], options: argparse.Namespace) -> Iterator[Case]:
    for model in options.models:
        for dialect in dialects:
            if dialect not in options.dialects:
                continue
            if model == "image":
                yield Case(model, dialect, 1, FEW_CONNECTIONS)
                continue
            for connections in options.connections:
                yield Case(model, dialect, 1, connections)
            yield Case(model, dialect, BATCH_ROWS, FEW_CONNECTIONS)


def line(server: str, measure: Measure, case: Case, limit: float, seconds: float) -> None:
    measure(case, 1)  # the first calls of a shape are slow
    result = measure(case, seconds)
    rate = f"{result.requests_per_s:,.0f} | {result.requests_per_s / limit:.2f}"
    latencies = f"{result.p50_s * 1e3:.2f} | {result.p99_s * 1e3:.2f}"
    print(
        f"| {case.model} | {server} | {case.dialect} | {case.rows} | {case.connections} | {rate} | {latencies} |",
        flush=True,
    )


def engine(folder: Path, model: str, row_count: int, seconds: float) -> float:
    """Calls per second of so many rows in a process of their own."""
    command = [sys.executable, "-m", "tests.bench.engine", folder / "models", model, str(row_count), str(seconds)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def over_http(url: str, folder: Path) -> Measure:
    def measure(case: Case, seconds: float) -> Result:
        request = rows.DIALECTS[case.dialect](case.model, case.rows)
        return load.post(url, request, case.connections, seconds, folder)

    return measure


def over_grpc(address: str, folder: Path) -> Measure:
    """Calls of TensorFlow Serving's Predict."""

    def measure(case: Case, seconds: float) -> Result:
        return load.predict(address, rows.message(case.model, case.rows), case.connections, seconds, folder)

    return measure


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


SERVERS: dict[str, Server] = {
    "embedded": Server(embedded, tuple(rows.DIALECTS)),
    "remote": Server(remote, tuple(rows.DIALECTS)),
    "rest": Server(rest, HTTP_ONLY),
    "rest-batching": Server(lambda stack, folder: rest(stack, folder, "--enable_batching"), HTTP_ONLY),
    "grpc": Server(grpc, ("gRPC",)),
    "grpc-batching": Server(lambda stack, folder: grpc(stack, folder, "--enable_batching"), ("gRPC",)),
}


if __name__ == "__main__":
    main()
