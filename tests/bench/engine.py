"""The limit: calls of the C API in this process, one thread, TensorFlow's default options, no server around them.

python -m tests.bench.engine FOLDER MODEL ROWS SECONDS   prints calls per second
"""

import sys
import time
from pathlib import Path

from signet.serving.engine.loading import load
from signet.serving.tensors.protos import config_pb2
from tests.bench import rows

_DEFAULT_EXECUTOR: bytes = config_pb2.ConfigProto(experimental={"executor_type": "DEFAULT"}).SerializeToString()


def calls_per_second(folder: Path, model: str, row_count: int, seconds: float) -> float:
    """How often a second the model answers a call of so many rows."""
    servable = load(model, 1, folder / model / "1", _DEFAULT_EXECUTOR)
    signature = servable.signatures["serving_default"]
    inputs = rows.arrays(model, row_count)
    for _ in range(5):
        servable.predict(signature, inputs)
    calls = 0
    started = time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        servable.predict(signature, inputs)
        calls += 1
    return calls / elapsed


if __name__ == "__main__":
    print(calls_per_second(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
