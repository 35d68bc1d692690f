"""`signet load --closed` beside `wrk`, on one gateway in one run: requests per second and latencies.

    python -m tests.bench.load_test [--seconds 5] [--connections 1,4,16] [--rows 1,256] [--rounds 3]

The two send the same bytes, in turn, and agree to within a tenth where the server is the limit. With small requests on
two cores, which server and client share, Python's own share of a core shows. It is part of `make bench`.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from signet.clients.load_test.run import result
from tests import servers
from tests.bench import generators
from tests.bench.rows import Post

MODEL = "two_in"


@dataclass(frozen=True)
class Measured:
    """What a run of `signet load` gave; latencies in seconds."""

    requests_per_s: float
    p50_s: float
    p99_s: float


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory() as text, servers.gateway("--models-dir", servers.GOLDEN_MODELS) as (url, _):
        print(
            "| rows | connections | wrk requests/s | signet load | of wrk | wrk p50, p99 ms | signet load p50, p99 ms |"
        )
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for rows in options.rows:
            for connections in options.connections:
                compare(url, rows, connections, options, Path(text))


def arguments() -> argparse.Namespace:
    def numbers(text: str) -> list[int]:
        return [int(number) for number in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5, help="length of each measurement")
    parser.add_argument("--connections", type=numbers, default=[1, 4, 16])
    parser.add_argument("--rows", type=numbers, default=[1, 256], help="in a request")
    parser.add_argument("--rounds", type=int, default=3, help="measurements with each tool, in turn")
    return parser.parse_args()


def compare(url: str, rows: int, connections: int, options: argparse.Namespace, folder: Path) -> None:
    """A line of the table: medians of the rounds."""
    body = json.dumps({"inputs": {"a": [[1, 2, 3]] * rows, "b": [[1, 2]] * rows}}, separators=(",", ":")).encode()
    (folder / "body.json").write_bytes(body)
    post = Post(f"/v1/models/{MODEL}:predict", body)
    theirs, mine = [], []
    for _ in range(options.rounds):
        theirs.append(generators.post(url, post, connections, options.seconds, folder))
        mine.append(ours(url, rows, connections, options.seconds, folder))
    rates = [statistics.median(measured.requests_per_s for measured in side) for side in (theirs, mine)]
    ratio = statistics.median(b.requests_per_s / a.requests_per_s for a, b in zip(theirs, mine, strict=True))
    latencies = " | ".join(
        f"{statistics.median(one.p50_s for one in side) * 1e3:.2f}, {statistics.median(one.p99_s for one in side) * 1e3:.2f}"
        for side in (theirs, mine)
    )
    print(f"| {rows} | {connections} | {rates[0]:,.0f} | {rates[1]:,.0f} | {ratio:.2f} | {latencies} |", flush=True)


def ours(url: str, rows: int, connections: int, seconds: float, folder: Path) -> Measured:
    """Measure with `signet load`, in a process of its own."""
    command = [*servers.SIGNET, "load", MODEL, "--url", url, "--closed", connections, "--seconds", seconds]
    command += ["--bodies", folder / "body.json", "--rows", rows, "--json", folder / "result.json", "--warmup-s", 0.5]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    total = result.read(folder / "result.json").total
    return Measured(total.goodput, total.latency_s(50), total.latency_s(99))


if __name__ == "__main__":
    main()
