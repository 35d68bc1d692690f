"""Starts the project's programs as a user does, on free ports, and stops them."""

import os
import re
import secrets
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

ROOT = Path(__file__).parent.parent
GOLDEN_MODELS = Path(__file__).parent / "golden" / "models"
SIGNET = [sys.executable, "-m", "signet"]
START_S = 60.0
AS_RECORDED = {"TF_ENABLE_ONEDNN_OPTS": "1"}
"""The environment of servers that replay recordings: TensorFlow Serving's answers were recorded with oneDNN on.

TensorFlow turns it on by itself only where the processor has VNNI; without it some messages and `relu(NaN)` differ.
"""


@dataclass
class Program:
    """A running program, and what it has printed so far."""

    process: subprocess.Popen[str]
    output: str = ""

    def read_until(self, pattern: str, timeout_s: float = START_S) -> re.Match[str]:
        """Read its output until the pattern appears; fails with the output when it ends or stays silent."""
        deadline = time.monotonic() + timeout_s
        selector = selectors.DefaultSelector()
        selector.register(self.process.stdout, selectors.EVENT_READ)
        while not (match := re.search(pattern, self.output)):
            assert time.monotonic() < deadline, f"no {pattern!r} within {timeout_s} s in:\n{self.output}"
            if not selector.select(0.2):
                continue
            text = os.read(self.process.stdout.fileno(), 65536).decode(errors="backslashreplace")
            assert text, f"ended with {self.process.wait()} before {pattern!r}:\n{self.output}"
            self.output += text
        return match

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = 30.0) -> int:
        """Send the signal and give the exit status; what it printed last is in `output`."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.output += self.process.communicate(timeout=timeout_s)[0]
        return self.process.returncode

    def resident_bytes(self) -> int:
        """The resident memory of the program now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024


@contextmanager
def program(
    *arguments: str | Path, environment: dict[str, str] | None = None, checkout: Path = ROOT
) -> Iterator[Program]:
    """`signet ARGUMENTS` of this or another checkout, killed at the end if it still runs.

    No balancer sends to the servers of tests: they drain only where a test says how long.
    """
    other = {} if checkout == ROOT else {"PYTHONPATH": str(checkout)}
    environment = {"SIGNET_GRPC_PORT": "0", "SIGNET_DRAIN_S": "0", **other, **(environment or {})}
    with started([*SIGNET, *map(str, arguments)], environment, checkout) as running:
        yield running


@contextmanager
def started(
    command: list[str], environment: dict[str, str], folder: Path = ROOT, stdin: int | None = None
) -> Iterator[Program]:
    """A program that runs in the folder, killed at the end if it still runs."""
    process = subprocess.Popen(
        command,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="backslashreplace",  # TensorFlow quotes what it was asked, such as the bytes of a picture
        cwd=folder,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
    )
    try:
        yield Program(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@contextmanager
def gateway(
    *arguments: str | Path, environment: dict[str, str] | None = None, checkout: Path = ROOT
) -> Iterator[tuple[str, Program]]:
    """`signet serve` on a free port, ready: its URL, with https where it speaks TLS, and the program."""
    with program("serve", "--http-port", "0", *arguments, environment=environment, checkout=checkout) as running:
        match = running.read_until(r"Signet is (?:ready )?at (https?)://localhost:(\d+)")
        yield f"{match[1]}://127.0.0.1:{match[2]}", running


def admin_address(gateway: Program) -> str:
    """The address of the port of probes that a gateway has printed."""
    match = gateway.read_until(r"probes and metrics also at port (\d+)")
    return f"127.0.0.1:{match[1]}"


def grpc_address(gateway: Program) -> str:
    """The gRPC address that a gateway has printed."""
    match = gateway.read_until(r"gRPC: localhost:(\d+)")
    return f"127.0.0.1:{match[1]}"


@contextmanager
def model_server(
    *arguments: str | Path, environment: dict[str, str] | None = None, checkout: Path = ROOT
) -> Iterator[tuple[str, Program]]:
    """`signet model-server` on a free port, answering: its gRPC address and the program."""
    port = free_port()
    ours = ["--drain_s=0"] if checkout == ROOT else []
    command = ("model-server", f"--port={port}", *ours, *arguments)
    with program(*command, environment=environment, checkout=checkout) as running:
        running.read_until("Running gRPC ModelServer")
        yield f"127.0.0.1:{port}", running


@contextmanager
def both_apis(
    *arguments: str | Path, environment: dict[str, str] | None = None, checkout: Path = ROOT
) -> Iterator[tuple[str, str, Program]]:
    """`signet model-server` on two free ports, answering: its gRPC address, its REST URL and the program."""
    port = free_port()
    given = (f"--rest_api_port={port}", *arguments)
    with model_server(*given, environment=environment, checkout=checkout) as (address, running):
        running.read_until("Exporting HTTP/REST API")
        yield address, f"http://127.0.0.1:{port}", running


@contextmanager
def rest_api(*arguments: str | Path, environment: dict[str, str] | None = None) -> Iterator[tuple[str, Program]]:
    """`signet model-server`, answering over REST: its URL and the program."""
    with both_apis(*arguments, environment=environment) as (_, url, running):
        yield url, running


def free_port() -> int:
    """A port that nobody listens on, and that nobody is given who asks the kernel for any: tests run side by side.

    The kernel gives out ports from 32768 on (ip_local_port_range). Drawn with `secrets`: Hypothesis seeds `random`.
    """
    while True:
        port = 10_000 + secrets.randbelow(22_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def children(running: Program) -> list[int]:
    """The processes of a service that run, but for the workers that they have themselves."""
    pid = running.process.pid
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def lives(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def write_model_config(path: Path, models_dir: Path) -> Path:
    """A model config file for every model of a folder."""
    entries = "".join(
        f'  config {{ name: "{folder.name}" base_path: "{folder}" model_platform: "tensorflow" }}\n'
        for folder in sorted(models_dir.iterdir())
    )
    path.write_text(f"model_config_list {{\n{entries}}}\n")
    return path


def wait_until(condition: object, timeout_s: float = 30.0, what: str = "the condition") -> None:
    """Wait until a condition is true; fails after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {timeout_s} s"
        time.sleep(0.01)


def get(url: str) -> httpx.Response:
    """The response to one GET on a fresh connection."""
    return httpx.get(url, timeout=30)


@contextmanager
def s3() -> Iterator[dict[str, str]]:
    """A server that speaks S3's protocol, without a bucket: the variables that lead there."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with started(command, {}) as store:
        store.read_until("Running on")
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@contextmanager
def http_server(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """A server that answers as the handler says, each connection in a thread: its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
