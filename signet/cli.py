"""The `signet` command: what a mistake of the user's looks like; the sub-commands are in `commands/`."""

import os
import platform
import signal
import sys

from signet.serving.errors import NotDone, ServingError, SignetError, Unavailable
from signet.serving.exit_codes import ExitCode

_EXTRAS = {
    "serve": "gateway",
    "model-server": "engine",
    "load": "load",
    "load-compare": "load",
}
"""The extras that sub-commands need; training and scoring say themselves what they need beyond `cli`."""
_ON_ANY_PYTHON = {"predict", "models"}
"""The sub-commands that run on Python 3.10 too, as the clients do."""


def main() -> None:
    """Entry point of the `signet` script: a mistake of the user's is one sentence, not a traceback."""
    # As process 1 of a container a signal without a handler is ignored; servers put their own in place later.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(ExitCode.TERMINATED))

    command = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), "")
    try:
        if sys.version_info < (3, 11) and command and command not in _ON_ANY_PYTHON:
            raise NotDone(f"`signet {command}` needs Python 3.11 or newer; this is {platform.python_version()}")
        from signet.commands.app import app

        app()
    except SignetError as error:
        if error.exit_code == ExitCode.READER_GONE:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nothing is left to say, and nobody to say it to
        else:
            known = f" (request {error.request_id})" if isinstance(error, ServingError) and error.request_id else ""
            print(f"signet: {error}{known}{_hint(error)}", file=sys.stderr)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(command, "cli" if error.name in ("rich", "typer") else "")
        if not extra or str(error.name).partition(".")[0] == "signet":
            raise
        called = f"signet {command}".strip()
        print(f"signet: `{called}` needs {error.name}: pip install 'signet-serving[{extra}]'", file=sys.stderr)
        sys.exit(ExitCode.FAILED)


def _hint(error: SignetError) -> str:
    """What helps who has no server yet."""
    nobody = isinstance(error, Unavailable) and str(error).startswith("cannot reach") and "refused" in str(error)
    return "; `signet serve` starts a server, --url or SIGNET_URL says where one is" if nobody else ""
