"""The process of one version: loads it as a server does, answers, and times itself, until the gate is gone.

    {"do": "load", path, name, version, allow_ops, memory_bytes} ──▶ {}              or   {"error": text, "reason": …}
    {"do": "run", signature}, inputs                             ──▶ {}, outputs     or   {"error": text, "code": …}
    {"do": "time", signature, calls}, inputs                     ──▶ {"seconds": [of each call]}
    {"do": "memory"}                                             ──▶ {"bytes": that loading and answering have taken at most}

Whatever a graph does to its process, it does it here: this one may crash, hang and run out of memory.
"""

import contextlib
import json
import os
import resource
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

from signet.serving.errors import ServingError
from signet.serving.releases.gate import wire
from signet.serving.tensors.arrays import Arrays

_THREAD_BYTES = 64 << 20
"""Address space that TensorFlow's threads take for each core."""


_TIMES = 4
"""The gate ends a process that holds too much; the system's own limit is for what is asked for at once. It lies higher, as
TensorFlow tries for ten seconds when it is refused memory."""


class Version:
    """What is loaded in this process."""

    def __init__(self) -> None:
        self._servable: Any = None
        self._before = 0

    def load(self, facts: dict[str, Any]) -> dict[str, Any]:
        """Load it with all that a server does before a version is ready."""
        from signet.serving.engine.loading import Loader  # noqa: PLC0415  # its memory is not the version's

        self._before = _kilobytes("VmRSS")
        if facts["memory_bytes"]:
            most = (_kilobytes("VmData") << 10) + _TIMES * facts["memory_bytes"] + (os.cpu_count() or 1) * _THREAD_BYTES
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_DATA, (most, most))
        loader = Loader(allowed_operations=frozenset(facts["allow_ops"]), trial=True)
        self._servable = loader(facts["name"], facts["version"], Path(facts["path"]))
        return {}

    def run(self, facts: dict[str, Any], inputs: Arrays) -> Arrays:
        """The outputs that can be sent."""
        signature = self._servable.signatures[facts["signature"]]
        wanted = [name for name, spec in signature.outputs.items() if spec.dtype is not None]
        answered: Arrays = self._servable.predict(signature, {**signature.defaults, **inputs}, wanted)
        return answered

    def time(self, facts: dict[str, Any], inputs: Arrays) -> dict[str, Any]:
        """Seconds of each of so many calls, one after the other."""
        seconds = []
        for _ in range(facts["calls"]):
            started = time.perf_counter()
            self.run(facts, inputs)
            seconds.append(time.perf_counter() - started)
        return {"seconds": seconds}

    def memory(self) -> dict[str, Any]:
        """Bytes at most, beyond those of the library alone."""
        return {"bytes": max(0, _kilobytes("VmHWM") - self._before) << 10}


def main(descriptor: int) -> None:
    """Work for whoever holds the other end of the socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the gate's business, which ends this process
    os.dup2(2, 1)  # a graph that prints is not to print between the lines of the report
    with contextlib.suppress(OSError):  # where memory is short, this process has to go
        Path("/proc/self/oom_score_adj").write_text("1000")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    keep_low()
    end_with_parent("the gate's end")
    version = Version()
    with socket.socket(fileno=descriptor) as connection, contextlib.suppress(wire.Closed, OSError):
        while True:
            facts, arrays = wire.receive(connection)
            outputs: Arrays = {}
            try:
                if facts["do"] == "run":
                    answer: dict[str, Any] = {}
                    outputs = version.run(facts, arrays)
                elif facts["do"] == "time":
                    answer = version.time(facts, arrays)
                else:
                    answer = version.load(facts) if facts["do"] == "load" else version.memory()
            except ServingError as error:
                answer = {"error": str(error), "code": error.grpc_code, "reason": error.reason}
            except MemoryError:
                answer = {"error": "there is no memory left", "code": "RESOURCE_EXHAUSTED", "reason": ""}
            wire.send(connection, answer, outputs)


def keep_low() -> None:
    """Where the system shares cores among sessions first: let this session, which is new, have no more than its process."""
    if niceness := os.nice(0):
        with contextlib.suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(niceness))


def end_with_parent(name: str) -> None:
    """End when the parent is gone, however that came: a graph that goes round for ever would not see that nobody listens."""
    threading.Thread(target=_end_with, args=(os.getppid(),), name=name, daemon=True).start()


def _end_with(gate: int) -> None:
    while os.getppid() == gate:
        time.sleep(1)
    os._exit(1)


def command(descriptor: int) -> list[str]:
    """The command line of a process that uses this descriptor. It finds modules where this process does."""
    text = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from signet.serving.releases.gate import worker; "
    return [sys.executable, "-c", f"{text}worker.main(int(sys.argv[2]))", json.dumps(sys.path), str(descriptor)]


def _kilobytes(key: str) -> int:
    """A line of this process's status; where the system has none, what `getrusage` counts, or nothing."""
    try:
        with open("/proc/self/status", "rb") as status:
            return next((int(line.split()[1]) for line in status if line.startswith(key.encode() + b":")), 0)
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss if key != "VmData" else 0
