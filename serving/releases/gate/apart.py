"""`signet release check` in a process of its own, of the lowest priority: a server's gate, beside its requests.

    Apart(…) ──▶ `signet release check MODEL VERSION --json --html` ──running, … ──▶ result: report, page; or `Unfinished`

It ends with whoever has started it, however that came, and after so many seconds; the processes of the versions end with it.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from signet.serving.releases.gate import worker
from signet.serving.releases.gate.isolation import Version

LONGEST_S = 600.0
"""Seconds that a check may take."""
_MOST_BYTES = 8 << 20
_NICE = 19
_TAIL = 300


class Unfinished(Exception):
    """There is no result; the message says why."""


class Apart:
    """One check that goes on. Used by one thread."""

    def __init__(self, candidate: Version, stable: Version, longest_s: float = LONGEST_S) -> None:
        """Begin it. The versions lie in one folder of models."""
        self._ends = time.monotonic() + longest_s
        self._longest_s = longest_s
        self._folder = tempfile.TemporaryDirectory(prefix="signet-check-")
        place = Path(self._folder.name)
        self._page = place / "report.html"
        words = [
            *("release", "check", candidate.model, str(candidate.number), "--against", str(stable.number), "--json"),
            *("--models-dir", str(candidate.path.parent.parent), "--html", str(self._page)),
        ]
        with (place / "report.json").open("w+b") as out, (place / "errors").open("w+b") as errors:
            self._process = subprocess.Popen(  # noqa: S603  # our own program
                command(words),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        """Whether it has not ended; one that takes too long is ended."""
        if self._process.poll() is not None:
            return False
        if time.monotonic() > self._ends:
            self._kill()
            return False
        return True

    def result(self) -> tuple[dict[str, Any], bytes]:
        """The report, and the page for people, when it has ended. Raises `Unfinished`."""
        code = self._process.wait()
        if time.monotonic() > self._ends:
            raise Unfinished(f"it took longer than {self._longest_s:g} s, and was ended")
        if code not in (0, 1):
            said = self._read("errors").decode(errors="replace").strip().splitlines()
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            raise Unfinished(f"its process {how}" + (f": {said[-1][:_TAIL]}" if said else ""))
        try:
            report = json.loads(self._read("report.json"))
        except (ValueError, RecursionError):
            report = None
        if not isinstance(report, dict):
            raise Unfinished("it has printed what is no report")
        return report, self._read("report.html")

    def end(self) -> None:
        """End it, if it has not ended, and remove what it wrote."""
        self._kill()
        self._folder.cleanup()

    def _read(self, name: str) -> bytes:
        try:
            with (Path(self._folder.name) / name).open("rb") as file:
                return file.read(_MOST_BYTES)
        except OSError:
            return b""

    def _kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()


def command(words: list[str]) -> list[str]:
    """The command line. The process finds modules where this one does."""
    text = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from signet.serving.releases.gate import apart; "
    return [sys.executable, "-c", f"{text}apart.humble(); from signet.cli import main; sys.argv[1:] = sys.argv[2:]; "
            "sys.exit(main())", json.dumps(sys.path), *words]  # fmt: skip


def humble() -> None:
    """In that process: give way to everything else, be the first to go where memory is short, and end with the server."""
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    worker.keep_low()
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    worker.end_with_parent("the server's end")
