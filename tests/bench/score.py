"""Rows per second of `signet score` beside the engine's own loop at 64 rows a call, in one run.

    python -m tests.bench.score [--seconds 5] [--models digits,…] [--formats parquet,jsonl]

    engine     calls of 64 rows in a process of their own, one thread, nothing around them
    reading    the source alone: read and parsed into arrays, nothing asked
    service    `signet score` against the gateway with the embedded engine, from the source to the parts on disk

The rows are as many as the engine does in that time, so that a start of a second does not count.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from signet.clients.client.connecting import NOTHING
from signet.clients.client.http_client import Client
from signet.clients.score import preparing
from signet.clients.score.chunk_scoring import parse
from signet.clients.score.input import sources
from signet.clients.score.options import ScoreOptions
from signet.clients.score.output import destination
from signet.clients.score.service_predictor import pin
from tests import servers
from tests.bench import export, rows

_CALL_ROWS = 64
_DISTINCT_ROWS = 4096
"""Rows that are made; a source repeats them."""


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        export.models(folder / "models")
        print("| model | source | engine rows/s | reading rows/s | service rows/s | of the engine |")
        print("| --- | --- | --- | --- | --- | --- |")
        with servers.gateway("--models-dir", folder / "models") as (url, _):
            for model in options.models:
                for kind in options.formats:
                    print(line(folder, url, model, kind, options), flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5, help="length of each measurement")
    parser.add_argument(
        "--models", type=lambda text: text.split(","), default=["digits", "question_answering", "social_posts"]
    )
    parser.add_argument("--formats", type=lambda text: text.split(","), default=["parquet", "jsonl"])
    parser.add_argument("--batch-rows", type=int, default=None, help="of `signet score`; default: its own")
    return parser.parse_args()


def line(folder: Path, url: str, model: str, kind: str, options: argparse.Namespace) -> str:
    """A line of the table: the engine is measured before and after, beside the service."""
    before = engine(folder, model, options.seconds / 2)
    source = write(folder / f"{model}.{kind}", model, max(_CALL_ROWS, int(before * options.seconds)))
    reading = read(source, url, model)
    service = score(source, url, model, folder / f"{model}-{kind}", options.batch_rows)
    limit = (before + engine(folder, model, options.seconds / 2)) / 2
    return f"| {model} | {kind} | {limit:,.0f} | {reading:,.0f} | {service:,.0f} | {service / limit:.2f} |"


def engine(folder: Path, model: str, seconds: float) -> float:
    """Rows per second of the engine's own loop."""
    command = [sys.executable, "-m", "tests.bench.engine", folder / "models", model, str(_CALL_ROWS), str(seconds)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout) * _CALL_ROWS


def write(path: Path, model: str, count: int) -> Path:
    """Write a source of so many rows."""
    arrays = rows.arrays(model, min(count, _DISTINCT_ROWS))
    if path.suffix == ".parquet":
        columns = {
            name: pa.FixedSizeListArray.from_arrays(pa.array(a.reshape(-1)), a.shape[1]) for name, a in arrays.items()
        }
        table = pa.table({"id": np.arange(len(next(iter(arrays.values())))), **columns})
        with pq.ParquetWriter(path, table.schema) as file:
            for _ in range(-(-count // len(table))):
                file.write_table(table)
        return path
    some = len(next(iter(arrays.values())))
    lines = b"".join(
        json.dumps({"id": i, **{name: short(array[i]) for name, array in arrays.items()}}).encode() + b"\n"
        for i in range(some)
    )
    with path.open("wb") as file:
        for _ in range(-(-count // some)):
            file.write(lines)
    return path


def short(row: Any) -> Any:
    """Numbers as people write them."""
    return [float(str(value)) for value in row] if row.dtype.kind == "f" else row.tolist()


def read(source: Path, url: str, model: str) -> float:
    """Rows per second from the file to the arrays of requests."""
    made = ScoreOptions(model, [str(source)], str(source.parent / "nothing"), url)
    found = sources.expand(made.inputs, "")
    work, stream = preparing.prepare(
        made, found, destination.of(made.output, ""), pin(url, NOTHING, model, None, "serving_default", 0)
    )
    count = 0
    started = time.perf_counter()
    for chunk in stream:
        count += sum(len(places) for places, _ in parse(chunk, work.plan).groups())
    return count / (time.perf_counter() - started)


def score(source: Path, url: str, model: str, output: Path, batch_rows: int | None) -> float:
    """Rows per second of the program, by its own clock: from the first look at the source to the last part."""
    with Client(url) as client:
        client.predict(model, rows.arrays(model, batch_rows or _CALL_ROWS))  # the first call of a shape is slow
    command = [*servers.SIGNET, "score", model, source, output, "--url", url]
    if batch_rows:
        command += ["--batch-rows", batch_rows]
    printed = subprocess.run([*map(str, command)], check=True, capture_output=True, text=True, cwd=servers.ROOT).stdout
    count = int(printed.split(" rows scored")[0].replace(",", ""))
    return count / float(printed.split(" in ")[1].split(" s ")[0])


if __name__ == "__main__":
    main()
