"""Versions replaced under constant load: the latencies while they are, beside those while nothing changes.

    python -m tests.bench.swaps [--swaps 50]      prints a table

Requests come at a fixed rate over gRPC and over REST, whether or not those before them have been answered in time; a
latency is counted from when its request was due.
"""

import argparse
import http.client
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from signet.serving.engine import warmup
from signet.serving.tensors.arrays import to_proto
from signet.serving.tensors.protos import predict_pb2, prediction_log_pb2, prediction_service_pb2_grpc
from tests import servers
from tests.servers import GOLDEN_MODELS
from tests.tfrecord import record

MODEL = GOLDEN_MODELS / "three_out" / "1"
PER_SECOND = 100
"""Requests over each protocol."""

WARMING_S = 1.0

Call = Callable[[], int | None]
"""Sends one request and raises when it fails; gives the version that answered, where the answer tells."""


@dataclass
class Load:
    """What came of the requests of one protocol."""

    latencies_s: dict[str, list[float]] = field(default_factory=lambda: {"warming": [], "steady": [], "swapping": []})
    versions: set[int] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)

    def p99_ms(self, phase: str) -> float:
        return float(np.percentile(self.latencies_s[phase], 99)) * 1e3


def swap_under_load(folder: Path, swaps: int, steady_s: float) -> dict[str, Load]:
    """Serve version 1 for `steady_s` seconds, then so many newer ones, each as soon as the one before it answers.

    folder: empty; the versions are put there. Gives the load of `grpc` and of `rest`.
    """
    phase, ended = ["warming"], threading.Event()
    shutil.copytree(MODEL, folder / "1")
    write_warmup(folder / "1")
    with servers.both_apis(f"--model_base_path={folder}") as (address, url, _):
        loads = {"grpc": Load(), "rest": Load()}
        threads = [
            threading.Thread(target=ask, args=(client, loads[name], phase, ended))
            for name, client in (("grpc", over_grpc(address)), ("rest", over_rest(url)))
        ]
        for thread in threads:
            thread.start()
        try:
            ended.wait(WARMING_S)  # the first calls are slow
            phase[0] = "steady"
            ended.wait(steady_s)
            phase[0] = "swapping"
            for version in range(2, swaps + 2):
                shutil.copytree(folder / "1", folder / ".writing")
                (folder / ".writing").rename(folder / str(version))
                answering = loads["grpc"].versions
                servers.wait_until(lambda wanted=version, seen=answering: wanted in seen, what=f"version {version}")
        finally:
            ended.set()
            for thread in threads:
                thread.join()
    return loads


def write_warmup(version: Path) -> None:
    """One request, as every export of `signet train` has some: the first call of a graph takes a tenth of a second."""
    log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request()))
    file = version / warmup.FILE
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(record(log.SerializeToString()))


def request() -> Any:
    """A Predict request of one row for MODEL."""
    message = predict_pb2.PredictRequest()
    message.model_spec.name = "default"
    message.inputs["x"].CopyFrom(to_proto(np.ones((1, 4), np.float32)))
    return message


def ask(client: AbstractContextManager[Call], load: Load, phase: list[str], ended: threading.Event) -> None:
    """Call at the fixed rate until the swaps have ended."""
    with client as call:
        due = time.perf_counter()
        while not ended.wait(max(0.0, due - time.perf_counter())):
            try:
                version = call()
            except (grpc.RpcError, OSError, http.client.HTTPException) as error:
                load.failures.append(repr(error))
            else:
                load.latencies_s[phase[0]].append(time.perf_counter() - due)
                if version is not None:
                    load.versions.add(version)
            due += 1 / PER_SECOND


@contextmanager
def over_grpc(address: str) -> Iterator[Call]:
    with grpc.insecure_channel(address) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        yield lambda: stub.Predict(request(), timeout=30).model_spec.version.value


@contextmanager
def over_rest(url: str) -> Iterator[Call]:
    connection = http.client.HTTPConnection(url.partition("//")[2], timeout=30)

    def call() -> None:
        connection.request("POST", "/v1/models/default:predict", b'{"instances": [[1, 1, 1, 1]]}')
        response = connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise http.client.HTTPException(f"{response.status} {answer!r}")

    with closing(connection):
        yield call


def table(loads: dict[str, Load], swaps: int) -> str:
    """Print a row of the table for each protocol."""
    lines = [
        f"| over | requests during {swaps} swaps | failed | p99 ms without swaps | p99 ms during swaps |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, load in loads.items():
        count = len(load.latencies_s["swapping"]) + len(load.failures)
        p99s = f"{load.p99_ms('steady'):.2f} | {load.p99_ms('swapping'):.2f}"
        lines.append(f"| {name} | {count} | {len(load.failures)} | {p99s} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--swaps", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(table(swap_under_load(Path(folder), options.swaps, 10.0), options.swaps))


if __name__ == "__main__":
    main()
