"""Closed-loop load from `wrk` and `h2load`, which take little of the cores: requests, latencies, what the generator cost.

    post     POST over HTTP/1.1 by wrk        predict  gRPC Predict by h2load, each body a serialized message

Whatever failed makes the whole run Failed: an error that comes quickly would count as a good answer else.
"""

import json
import re
import resource
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from tests import programs
from tests.bench.rows import Post

PREDICT = "/tensorflow.serving.PredictionService/Predict"
FRAME_BYTES = 5
"""The head that gRPC puts before each message: not compressed, and its length."""

_SAME_SIZE = 0.8
"""Answers to one request are text of nearly the same length, and wrk counts heads too; much less than that is no answer."""


class Failed(Exception):
    """Some of the requests were not answered as they should; the message says how many and what came."""


@dataclass(frozen=True)
class Result:
    """What a run gave; latencies in seconds."""

    requests: int
    seconds: float
    p50_s: float
    p99_s: float
    generator_s: float
    """Processor seconds that the generator used: one core is its limit."""

    @property
    def requests_per_s(self) -> float:
        return self.requests / self.seconds


_SCRIPT = """
done = function(summary, latency, requests)
  local failed = summary.errors
  io.write(string.format(
    '\\nsummary {"requests": %d, "us": %d, "bytes": %d, "p50": %d, "p99": %d, "connect": %d, "read": %d, "write": %d, '
      .. '"timeout": %d, "status": %d}\\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99),
    failed.connect, failed.read, failed.write, failed.timeout, failed.status))
end
"""


def post(url: str, request: Post, connections: int, seconds: float, folder: Path, answer_bytes: int = 0) -> Result:
    """POST the same over and over on that many connections. Raises Failed when an answer is not 2xx, or is too short."""
    programs.need("wrk")
    (folder / "body").write_bytes(request.body)
    script = folder / "post.lua"
    headers = {"Content-Type": "application/json", **request.headers}
    script.write_text(
        'wrk.method = "POST"\n'
        + "".join(f'wrk.headers["{name}"] = "{value}"\n' for name, value in headers.items())
        + f'local file = io.open("{folder / "body"}", "rb")\nwrk.body = file:read("*a")\nfile:close()\n'
        + _SCRIPT
    )
    # wrk's own clock knows whole seconds; at SIGINT it stops, and counts by the time that has passed.
    command = ["wrk", "-t1", f"-c{connections}", "-d1h", "--timeout", "30s", "-s", str(script), url + request.path]
    before_s = _children_s()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        text, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    if not (found := re.search(r"^summary (\{.*\})$", text, re.MULTILINE)):
        raise Failed(f"wrk ended with {process.returncode}:\n{text}")
    summary = json.loads(found[1])
    errors = {kind: summary[kind] for kind in ("connect", "read", "write", "timeout", "status") if summary[kind]}
    if errors:
        raise Failed(f"of {summary['requests']} requests failed: {_counted(errors)}")
    if not summary["requests"]:
        raise Failed(f"no request was answered within {seconds:g} s")
    if summary["bytes"] < _SAME_SIZE * summary["requests"] * answer_bytes:
        each = summary["bytes"] / summary["requests"]
        raise Failed(
            f"answers of {each:.0f} bytes, heads and all, where a right one has {answer_bytes} without its head"
        )
    return Result(
        summary["requests"], summary["us"] / 1e6, summary["p50"] / 1e6, summary["p99"] / 1e6, _children_s() - before_s
    )


def predict(
    address: str,
    message: bytes,
    callers: tuple[int, int],
    seconds: float,
    folder: Path,
    answer_bytes: int,
    metadata: Mapping[str, str] = MappingProxyType({}),
) -> Result:
    """Make the same gRPC Predict call over and over. Raises Failed when a call gets no message of `answer_bytes`.

    callers: connections, and calls in flight on each.
    """
    programs.need("h2load")
    (folder / "message").write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
    log = folder / "log"
    log.unlink(missing_ok=True)  # h2load would append
    connections, in_flight = callers
    command = ["h2load", "-t1", f"-c{connections}", f"-m{in_flight}", f"-D{round(seconds * 1000)}ms"]
    command += ["-d", str(folder / "message"), "--log-file", str(log)]
    headers = {"content-type": "application/grpc", "te": "trailers", **metadata}
    command += [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    command.append(f"http://{address}{PREDICT}")
    before_s = _children_s()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    generator_s = _children_s() - before_s
    text = done.stdout
    requests = re.search(r"requests: .* (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", text)
    if done.returncode or not requests:
        raise Failed(f"h2load ended with {done.returncode}:\n{text}{done.stderr}")
    succeeded, *failed = map(int, requests.groups())
    if any(failed):
        raise Failed(f"of {succeeded + sum(failed)} calls failed: {_counted(dict(zip(_H2LOAD, failed, strict=True)))}")
    if not succeeded:
        raise Failed(f"no call was answered within {seconds:g} s")
    # A call that fails is a good answer to HTTP, with status 200; but it has no message.
    data_bytes = int(re.search(r"\((\d+)\) data", text)[1])
    if data_bytes < succeeded * (FRAME_BYTES + answer_bytes):
        raise Failed(
            f"{succeeded} calls brought messages of {data_bytes:,} bytes; right answers have {answer_bytes + FRAME_BYTES} each: "
            "some ended with an error in their grpc-status"
        )
    took = re.search(r"finished in ([\d.]+)(us|ms|s)", text)
    latencies_s = np.loadtxt(log, usecols=2, ndmin=1) * 1e-6
    return Result(
        succeeded,
        float(took[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1.0}[took[2]],
        float(np.percentile(latencies_s, 50)),
        float(np.percentile(latencies_s, 99)),
        generator_s,
    )


_H2LOAD = ("failed", "errored", "timeout")


def _counted(errors: dict[str, int]) -> str:
    return ", ".join(f"{count} by {kind}" for kind, count in errors.items() if count)


def _children_s() -> float:
    """Processor seconds of all programs that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
