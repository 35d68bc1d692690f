"""How long one request holds the gateway up: `python -m tests.bench.blocking [--megabytes 0.1,1,6,60] [--checkout FOLDER]`.

For each body: processor time of the event loop's thread, of the whole service, most memory above what it held before, of
its workers too, and the longest wait of /livez, which is asked every few milliseconds meanwhile. The model takes x (n, 16)
and gives (n, 1).

--signet: another checkout's program, to compare with.
"""

import argparse
import contextlib
import gzip
import http.client
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import numpy as np

from signet.serving.tensors import arrays
from signet.serving.tensors.protos import predict_pb2
from tests import servers

ROW = b"[1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7]"
TICKS_A_S = os.sysconf("SC_CLK_TCK")


def rows(megabytes: float, last: bytes = ROW) -> bytes:
    return b'{"instances":[' + b",".join([*[ROW] * int(megabytes * 1e6 / len(ROW)), last]) + b"]}"


def flat(megabytes: float, last: bytes = ROW) -> bytes:
    count = int(megabytes * 1e6 / len(ROW))
    head = b'{"inputs":[{"name":"x","shape":[%d,16],"datatype":"FP32","data":[' % (count + 1)
    return head + b",".join([*[ROW[1:-1]] * count, last[1:-1]]) + b"]}]}"


def message(megabytes: float, array: np.ndarray) -> bytes:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "mlp"
    request.inputs["x"].CopyFrom(arrays.to_typed_proto(array))
    return bytes(request.SerializeToString())


V1, V2 = "/v1/models/mlp:predict", "/v2/models/mlp/infer"
BODIES: dict[str, tuple[str, Callable[[float], bytes]]] = {
    "V1 rows": (V1, rows),
    "V1 rows, one of 2": (V1, lambda megabytes: rows(megabytes, b"[1,2]")),
    "V1 rows, a `true`": (V1, lambda megabytes: rows(megabytes, ROW[:-2] + b"true]")),
    "V1 rows, a `NaN`": (V1, lambda megabytes: rows(megabytes, ROW[:-2] + b"NaN]")),
    "V1 rows, one of 2, gzip": (V1, lambda megabytes: gzip.compress(rows(megabytes, b"[1,2]"))),
    "V1 brackets": (V1, lambda megabytes: b'{"instances":' + b"[" * int(megabytes * 1e6)),
    "V2": (V2, flat),
    "V2, a `true`": (V2, lambda megabytes: flat(megabytes, ROW[:-2] + b"true]")),
    "gRPC floats": ("", lambda megabytes: message(megabytes, np.ones((int(megabytes * 1e6 / 64), 16), np.float32))),
    "gRPC strings": ("", lambda megabytes: message(megabytes, np.full(int(megabytes * 1e6 / 3), b"a", object))),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", default="0.1,1,6,60")
    parser.add_argument("--bodies", default=";".join(BODIES), help="names, with semicolons between")
    parser.add_argument("--checkout", type=Path, default=servers.ROOT, help="of another state of the project")
    options = parser.parse_args()
    print("| body | MB | answer | s | loop's s | service's s | peak MB | longest /livez, s |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, (path, body) in BODIES.items():
        if name not in options.bodies.split(";"):
            continue
        for megabytes in map(float, options.megabytes.split(",")):
            with started(options.checkout) as service:
                print(f"| {name} | {megabytes:g} | {measured(service, path, body(megabytes))} |", flush=True)


class Service:
    """A running gateway."""

    def __init__(self, pid: int, port: int, grpc_port: int) -> None:
        self.pid, self.port, self.grpc_port = pid, port, grpc_port

    def ask(self, method: str, path: str, body: bytes = b"") -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        headers = {"Content-Encoding": "gzip"} if body.startswith(b"\x1f\x8b") else {}
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            response.read()
            return response.status

    def call(self, data: bytes) -> str:
        with grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}", [("grpc.max_receive_message_length", -1)]) as channel:
            try:
                channel.unary_unary("/tensorflow.serving.PredictionService/Predict")(data, timeout=600)
            except grpc.RpcError as error:
                return str(error.code().name)
        return "OK"

    def loop_s(self) -> float:
        return seconds(f"/proc/{self.pid}/task/{self.pid}/stat")

    def service_s(self) -> float:
        return sum(seconds(f"/proc/{pid}/stat") for pid in self.processes())

    def resident_mb(self) -> float:
        return sum(resident_mb(pid) for pid in self.processes())

    def processes(self) -> list[int]:
        """The processes of the gateway and its workers. One that is about to become a worker still has the gateway's memory."""
        own = read(Path(f"/proc/{self.pid}/cmdline"))
        files = Path(f"/proc/{self.pid}/task").glob("*/children")
        children = [int(pid) for file in files for pid in read(file).split()]
        return [self.pid, *(pid for pid in children if read(Path(f"/proc/{pid}/cmdline")) != own)]


@contextlib.contextmanager
def started(checkout: Path) -> Iterator[Service]:
    port, grpc_port = servers.free_port(), servers.free_port()
    ports = ["--http-port", str(port), "--grpc-port", str(grpc_port)]
    process = subprocess.Popen(
        [sys.executable, "-m", "signet", "serve", *ports, "--models-dir", servers.GOLDEN_MODELS],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout), "SIGNET_REQUEST_TIMEOUT_S": "600"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    service = Service(process.pid, port, grpc_port)
    try:
        servers.wait_until(lambda: is_ready(service), 120, "the gateway")
        service.ask("POST", V1, b'{"instances": [%b]}' % ROW)
        yield service
    finally:
        process.kill()
        process.wait()


def is_ready(service: Service) -> bool:
    try:
        return service.ask("GET", "/readyz") == 200
    except OSError:
        return False


def measured(service: Service, path: str, body: bytes) -> str:
    """One line of the table, without its first cells."""
    before_mb, loop_s, service_s = service.resident_mb(), service.loop_s(), service.service_s()
    started_at, answers = time.monotonic(), []

    def send() -> None:
        answers.append(service.ask("POST", path, body) if path else service.call(body))

    caller = threading.Thread(target=send)
    caller.start()
    watch = Watch(service)
    caller.join()
    took_s = time.monotonic() - started_at
    watch.stop()
    return (
        f"{answers[0]} | {took_s:.2f} | {service.loop_s() - loop_s:.2f} | {service.service_s() - service_s:.2f} | "
        f"{watch.peak_mb - before_mb:.0f} | {watch.longest_s:.2f}"
    )


class Watch:
    """Asks /livez and looks at the memory until it is stopped."""

    def __init__(self, service: Service) -> None:
        self.peak_mb = self.longest_s = 0.0
        self._service, self._stopped = service, threading.Event()
        self._threads = [threading.Thread(target=self._asks), threading.Thread(target=self._looks)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _asks(self) -> None:
        while not self._stopped.wait(0.005):
            asked_at = time.monotonic()
            self._service.ask("GET", "/livez")
            self.longest_s = max(self.longest_s, time.monotonic() - asked_at)

    def _looks(self) -> None:
        while not self._stopped.wait(0.01):
            self.peak_mb = max(self.peak_mb, self._service.resident_mb())


def seconds(stat: str) -> float:
    fields = read(Path(stat)).rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_S if fields else 0.0


def resident_mb(pid: int) -> float:
    words = read(Path(f"/proc/{pid}/statm")).split()
    return int(words[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6 if words else 0.0


def read(path: Path) -> str:
    """The text of a file that may be gone by now."""
    try:
        return path.read_text()
    except OSError:
        return ""


if __name__ == "__main__":
    main()
