"""`signet load --closed` beside `wrk`, on one gateway in one run: requests per second and latencies.

    python -m tests.bench.load_test [--seconds 5] [--connections 1,4,16] [--rounds 3]

The two send the same bytes, in turn, and agree to within a tenth where neither this machine's other work nor the two
cores, which server and client share, decide. It is part of `make bench`.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from clients.load_test import result
from tests import servers
from tests.bench import load
from tests.bench.load import Result

MODEL = "two_in"
BODY = b'{"inputs":{"a":[[1,2,3]],"b":[[1,2]]}}'


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory() as text, servers.gateway("--models-dir", servers.GOLDEN_MODELS) as (url, _):
        compare(url, options.connections, options.seconds, options.rounds, Path(text))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5, help="length of each measurement")
    parser.add_argument("--connections", type=lambda text: [int(n) for n in text.split(",")], default=[1, 4, 16])
    parser.add_argument("--rounds", type=int, default=3, help="measurements with each tool, in turn")
    return parser.parse_args()


def compare(url: str, connections: list[int], seconds: float, rounds: int, folder: Path) -> None:
    """A line for each number of connections; medians of the rounds."""
    (folder / "body.json").write_bytes(BODY)
    print("| connections | wrk requests/s | signet load | of wrk | wrk p50, p99 ms | signet load p50, p99 ms |")
    print("| --- | --- | --- | --- | --- | --- |")
    for count in connections:
        pairs = [(wrk(url, count, seconds, folder), ours(url, count, seconds, folder)) for _ in range(rounds)]
        theirs, mine = (
            statistics.median(result.requests_per_s for result in side) for side in zip(*pairs, strict=True)
        )
        ratio = statistics.median(one.requests_per_s / other.requests_per_s for other, one in pairs)
        latencies = " | ".join(f"{pair.p50_s * 1e3:.2f}, {pair.p99_s * 1e3:.2f}" for pair in pairs[-1])
        print(f"| {count} | {theirs:,.0f} | {mine:,.0f} | {ratio:.2f} | {latencies} |", flush=True)


def wrk(url: str, connections: int, seconds: float, folder: Path) -> Result:
    return load.post(f"{url}/v1/models/{MODEL}:predict", BODY, connections, seconds, folder)


def ours(url: str, connections: int, seconds: float, folder: Path) -> Result:
    """The same by `signet load`, in a process of its own."""
    command = [*servers.SIGNET, "load", MODEL, "--url", url, "--closed", str(connections), "--seconds", str(seconds)]
    command += ["--bodies", str(folder / "body.json"), "--json", str(folder / "result.json"), "--warmup-s", "0.5"]
    subprocess.run(command, check=True, capture_output=True)
    total = result.read(folder / "result.json").total
    return Result(total.goodput, total.latency_s(50), total.latency_s(99))


if __name__ == "__main__":
    sys.exit(main())
