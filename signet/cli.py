"""The `signet` command: what a mistake of the user's looks like; the sub-commands are in `commands/`."""

import os
import signal
import sys

_EXTRAS = {
    "serve": "gateway",
    "model-server": "engine",
    "load": "load",
    "load-compare": "load",
}
"""What sub-commands need beyond what the clients do; training says itself what it needs."""


_READER_GONE = 141


def main() -> None:
    """Entry point of the `signet` script: a mistake of the user's is one sentence, not a traceback."""
    # As process 1 of a container a signal without a handler is ignored; servers put their own in place later.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    from signet.commands.app import app
    from signet.serving.errors import SignetError

    try:
        app()
    except SignetError as error:
        if error.exit_code == _READER_GONE:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nothing is left to say, and nobody to say it to
        else:
            print(f"signet: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(sys.argv[1], "")
        if not extra or str(error.name).partition(".")[0] == "signet":
            raise
        wanted = "grpc,load" if (extra, error.name) == ("load", "grpc") else extra
        print(
            f"signet: `signet {sys.argv[1]}` needs {error.name}: pip install 'signet-serving[{wanted}]'",
            file=sys.stderr,
        )
        sys.exit(1)
