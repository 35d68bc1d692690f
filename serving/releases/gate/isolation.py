"""A version in a process of its own, as the gate sees it: what it answers, or that it crashed, hung or wanted too much memory.

with Isolated(version, limits) as candidate:
    candidate.load(); candidate.run("serving_default", inputs) ──▶ arrays, or `Refusal`
                                                  crash, silence ──▶ `Dead`: it answers nothing any more
"""

import signal
import socket
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signet.serving.process.child import resident_bytes
from signet.serving.releases.gate import wire, worker
from signet.serving.tensors.arrays import Arrays

_START_S = 60.0
_LIBRARY_BYTES = 768 << 20
"""What TensorFlow's library itself takes at most, about."""
_LOOK_S = 0.05
_TAIL = 300
"""Characters of the last words of a process that has crashed."""


@dataclass(frozen=True)
class Version:
    """Where a version lies, and what it is called."""

    model: str
    number: int
    path: Path


class Refusal(Exception):
    """The version says no; the process goes on."""

    def __init__(self, text: str, code: str, reason: str) -> None:
        super().__init__(text)
        self.code, self.reason = code, reason


class Dead(Exception):
    """The process of the version has ended, or was ended because it did not answer; the message says how."""


class OverMemory(Dead):
    """It was ended because it held too much memory."""


class Isolated:
    """One version in its own process. Used by one thread, as a context manager."""

    def __init__(
        self, version: Version, timeout_s: float, memory_bytes: int = 0, allow_ops: frozenset[str] = frozenset()
    ) -> None:
        """timeout_s: for each answer. memory_bytes: that it may take beside the library; 0: any."""
        self.version = version
        self._timeout_s, self._memory_bytes, self._allow_ops = timeout_s, memory_bytes, allow_ops
        self._over_bytes = 0
        """What it held when it was ended for that; written by the watching thread alone."""
        self._ended = threading.Event()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed by __exit__
        self._connection, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  # our own program
                worker.command(theirs.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        if memory_bytes:
            threading.Thread(target=self._watch, name="memory of a candidate", daemon=True).start()

    def __enter__(self) -> "Isolated":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._errors.close()

    def load(self) -> None:
        """Load it as a server does, with operations examined and warm-up requests. Raises `Refusal` and `Dead`."""
        facts = {
            "path": str(self.version.path.resolve()),
            "name": self.version.model,
            "version": self.version.number,
            "allow_ops": sorted(self._allow_ops),
            "memory_bytes": self._memory_bytes,
        }
        self._ask("load", facts, {}, _START_S + self._timeout_s)

    def run(self, signature: str, inputs: Arrays) -> Arrays:
        """The outputs by name. Raises `Refusal` and `Dead`."""
        return self._ask("run", {"signature": signature}, inputs, self._timeout_s)[1]

    def time(self, signature: str, inputs: Arrays, calls: int) -> list[float]:
        """Seconds of each of so many calls. Raises `Refusal` and `Dead`."""
        facts, _ = self._ask("time", {"signature": signature, "calls": calls}, inputs, self._timeout_s)
        return [float(seconds) for seconds in facts["seconds"]]

    def memory_bytes(self) -> int:
        """What it has taken at most, beside the library. Raises `Dead`."""
        return int(self._ask("memory", {}, {}, self._timeout_s)[0]["bytes"])

    def _ask(self, what: str, facts: dict[str, Any], arrays: Arrays, timeout_s: float) -> tuple[dict[str, Any], Arrays]:
        try:
            self._connection.settimeout(timeout_s)
            wire.send(self._connection, {"do": what, **facts}, arrays)
            answer, outputs = wire.receive(self._connection, timeout_s)
        except (wire.Late, TimeoutError):
            self._end()
            raise Dead(f"it has not answered within {timeout_s:g} s, and was ended") from None
        except (wire.Closed, OSError):
            raise Dead(self._how_it_ended()) from None
        if "error" in answer:
            raise Refusal(str(answer["error"]), str(answer.get("code", "")), str(answer.get("reason", "")))
        return answer, outputs

    def _watch(self) -> None:
        """End the process when it holds too much: where the system does not keep to its limit, this does."""
        most = self._memory_bytes + _LIBRARY_BYTES
        while not self._ended.wait(_LOOK_S):
            held = resident_bytes(self._process.pid)
            if held > most:
                self._over_bytes = held
                self._process.kill()
                return

    def _how_it_ended(self) -> str:
        if self._over_bytes:
            raise OverMemory(f"its process held {self._over_bytes >> 20} MiB, and was ended")
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._end()
            return "its process sent what is no answer"
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        last = said[-1][:_TAIL] if said else ""
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return f"its process {how}" + (f": {last}" if last else "")

    def _end(self) -> None:
        self._ended.set()
        self._connection.close()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
