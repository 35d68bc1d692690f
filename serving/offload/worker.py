"""A worker process: does what it is sent, one thing at a time, until its server is gone.

    (function, arguments) ──▶ "ok", value   or   "error", ServingError   or   "bug", traceback
    FORGET                ──▶ what the last function kept for the next one is let go

Started by `pool.py` as a program of its own, never forked: it has none of the server's threads and loads only the modules
of the functions that it is sent. A third entry says that it has grown too large and ends.
"""

import contextlib
import gc
import json
import os
import resource
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

from signet.serving.errors import ServingError, TooLarge
from signet.serving.offload import wire

FORGET = "forget"

MOST_BYTES = 2 << 30
"""Memory that a worker may ask for: reading a body of 64 MB that is all short lists takes it. Then the answer is `TooLarge`."""
_RETIRE_BYTES = 1 << 30
"""A worker that has held so much ends after its answer: the system gets its memory back."""
_NICE = 5
"""Large bodies let small requests go first."""


def main(descriptor: int) -> None:
    """Work for whoever holds the other end of the socket."""
    # Ctrl-C and SIGTERM are the server's business: it drains, and what it waits for must go on.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.nice(_NICE)
    with contextlib.suppress(OSError):  # where memory is short, this process has to go, not the server
        Path("/proc/self/oom_score_adj").write_text("1000")
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # of what callers sent, and whenever they like
    gc.disable()  # values of JSON hold no cycles, and a million lists are looked through in vain
    kept: dict[str, Any] = {}
    with socket.socket(fileno=descriptor) as connection, contextlib.suppress(wire.Ended, OSError):
        while True:
            message = wire.receive(connection)
            if message == FORGET:
                kept.clear()
                continue
            function, arguments, step = message
            outcome = _outcome(function, (kept, *arguments) if step else arguments)
            del message, arguments
            last = _most_held_bytes() > _RETIRE_BYTES
            wire.send(connection, wire.out_of_band((*outcome, last and not kept)))
            del outcome


def _most_held_bytes() -> int:
    """Memory that this program has held at most. `getrusage` would count what its server held when it started this one."""
    with open("/proc/self/status", "rb") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith(b"VmHWM:"))


def _outcome(function: Any, arguments: tuple[Any, ...]) -> tuple[str, Any]:
    try:
        return "ok", function(*arguments)
    except ServingError as error:
        return "error", error.with_traceback(None)
    except MemoryError:
        return "error", too_large()
    except Exception:  # noqa: BLE001  # the server logs it
        return "bug", traceback.format_exc()


def too_large() -> TooLarge:
    """The answer to what takes more memory than a worker may have."""
    return TooLarge(f"to read or write this takes more than {MOST_BYTES >> 20} MB of memory")


def command(descriptor: int) -> list[str]:
    """The command line of a worker that uses this descriptor. It finds modules where this process does."""
    text = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from signet.serving.offload import worker; "
    return [sys.executable, "-c", f"{text}worker.main(int(sys.argv[2]))", json.dumps(sys.path), str(descriptor)]
