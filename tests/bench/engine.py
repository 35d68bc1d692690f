"""The limit: calls of the C API in this process, one thread, TensorFlow's default options, no server around them.

python -m tests.bench.engine FOLDER MODEL ROWS SECONDS   prints calls per second
python -m tests.bench.engine FOLDER                      does, for each line on stdin, what it says, and prints JSON:
    run MODEL ROWS SECONDS      {"requests": …, "seconds": …, "p50_s": …, "p99_s": …}
    answer MODEL ROWS FILE      {}, when FILE holds the outputs (.npz) of the rows that the benchmark sends
"""

import json
import signal
import sys
import time
from functools import cache
from pathlib import Path

import numpy as np

from signet.serving.engine.loading import load
from signet.serving.engine.servable import Servable
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.protos import config_pb2
from tests.bench import rows

_DEFAULT_EXECUTOR: bytes = config_pb2.ConfigProto(experimental={"executor_type": "DEFAULT"}).SerializeToString()


@cache
def servable(folder: Path, model: str) -> Servable:
    """The model of the folder, loaded once."""
    return load(model, 1, folder / model / "1", _DEFAULT_EXECUTOR)


def answer(folder: Path, model: str, row_count: int) -> Arrays:
    """The outputs for the rows that the benchmark sends."""
    loaded = servable(folder, model)
    return loaded.predict(loaded.signatures["serving_default"], rows.arrays(model, row_count))


def calls(folder: Path, model: str, row_count: int, seconds: float) -> list[float]:
    """Call the model with so many rows over and over: the seconds of each call."""
    loaded = servable(folder, model)
    signature, inputs = loaded.signatures["serving_default"], rows.arrays(model, row_count)
    for _ in range(5):
        loaded.predict(signature, inputs)
    took: list[float] = []
    now = started = time.perf_counter()
    while now - started < seconds:
        loaded.predict(signature, inputs)
        before, now = now, time.perf_counter()
        took.append(now - before)
    return took


def serve(folder: Path) -> None:
    """Answer the lines of stdin until it ends, whatever Ctrl-C says to the whole group of processes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print("ready", flush=True)
    for line in sys.stdin:
        command, model, row_count, rest = line.split(maxsplit=3)
        told: dict[str, float] = {}
        if command == "run":
            took = calls(folder, model, int(row_count), float(rest))
            p50_s, p99_s = np.percentile(took, [50, 99]).tolist()
            told = {"requests": len(took), "seconds": sum(took), "p50_s": p50_s, "p99_s": p99_s}
        else:
            np.savez(rest.strip(), **answer(folder, model, int(row_count)))
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 2:
        serve(Path(sys.argv[1]))
    else:
        measured = calls(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
        print(len(measured) / sum(measured))
