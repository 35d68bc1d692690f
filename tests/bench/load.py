"""Closed-loop load from `wrk` and `h2load`, which take little of the two cores: requests per second and latencies.

Python's gRPC would cost as much on this side as on the server's.
"""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np

from tests import programs
from tests.bench.rows import Post

_PREDICT = "/tensorflow.serving.PredictionService/Predict"
_FRAME_BYTES = 5
"""The head that gRPC puts before each message: not compressed, and its length."""

_UNITS_S = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


@dataclass(frozen=True)
class Result:
    """What a run gave; latencies in seconds."""

    requests_per_s: float
    p50_s: float
    p99_s: float


def post(url: str, request: Post, connections: int, seconds: float, folder: Path) -> Result:
    """POST the same over and over on that many connections. Raises RuntimeError when an answer is not 200."""
    programs.need("wrk")
    (folder / "body").write_bytes(request.body)
    script = folder / "post.lua"
    headers = {"Content-Type": "application/json", **request.headers}
    script.write_text(
        'wrk.method = "POST"\n'
        + "".join(f'wrk.headers["{name}"] = "{value}"\n' for name, value in headers.items())
        + f'local file = io.open("{folder / "body"}", "rb")\nwrk.body = file:read("*a")\nfile:close()\n'
    )
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "30s", "--latency", "-s", script]
    command.append(url + request.path)
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise RuntimeError(f"some requests failed:\n{text}")
    return Result(
        float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]),
        _seconds(re.search(r"50%\s+([\d.]+)(us|ms|s)", text)),
        _seconds(re.search(r"99%\s+([\d.]+)(us|ms|s)", text)),
    )


def predict(address: str, request: bytes, in_flight: int, seconds: float, folder: Path) -> Result:
    """Make the same gRPC Predict call over and over, so many at a time. Raises RuntimeError when one fails."""
    programs.need("h2load")
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(_PREDICT, request_serializer=bytes, response_deserializer=bytes)
        answer_bytes = _FRAME_BYTES + len(call(request, timeout=30))
    (folder / "message").write_bytes(b"\0" + len(request).to_bytes(4, "big") + request)
    log = folder / "log"
    log.unlink(missing_ok=True)  # h2load would append
    command = [
        "h2load",
        "-t1",
        "-c1",
        f"-m{in_flight}",
        f"-D{round(seconds * 1000)}ms",
        "-d",
        folder / "message",
        "--log-file",
        log,
    ]
    headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
    text = subprocess.run(
        [*command, *headers, f"http://{address}{_PREDICT}"], check=True, capture_output=True, text=True
    ).stdout
    succeeded = int(re.search(r"(\d+) succeeded", text)[1])
    # A call that fails is a good answer to HTTP; it has no message.
    if int(re.search(r"\((\d+)\) data", text)[1]) < succeeded * answer_bytes or " 0 failed, 0 errored" not in text:
        raise RuntimeError(f"some calls failed:\n{text}")
    latencies_s = np.loadtxt(log, usecols=2) * 1e-6
    return Result(succeeded / seconds, float(np.percentile(latencies_s, 50)), float(np.percentile(latencies_s, 99)))


def _seconds(match: re.Match[str]) -> float:
    return float(match[1]) * _UNITS_S[match[2]]
