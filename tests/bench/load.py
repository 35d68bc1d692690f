"""Closed-loop load from `wrk`, which takes little of the two cores: requests per second and latencies."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests import servers
from tests.bench.rows import Post

_UNITS_S = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


@dataclass(frozen=True)
class Result:
    """What a run gave; latencies in seconds."""

    requests_per_s: float
    p50_s: float
    p99_s: float


def post(url: str, request: Post, connections: int, seconds: float, folder: Path) -> Result:
    """POST the same over and over on that many connections. Raises RuntimeError when an answer is not 200."""
    servers.need("wrk", "wrk")
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


def _seconds(match: re.Match[str]) -> float:
    return float(match[1]) * _UNITS_S[match[2]]
