"""`signet model-server`: the engine behind TensorFlow Serving's API, flags and files.

    flags ──▶ one process (`server.py`), or several (`processes.py`) ──▶ SIGTERM: drain, calls in flight finish,
    exit 0

The ports open only when every model has an available version. A start-up error prints
`Failed to start server. Error: CODE: …` and ends with 255, as the original does.
"""

import asyncio
import logging
import sys

import uvloop

from signet.serving.errors import ServingError, UsageError
from signet.serving.model_server import processes
from signet.serving.model_server.flags import Flags, parse, usage
from signet.serving.process import log_lines, output, signals
from signet.serving.release import running_version

log = logging.getLogger(__name__)

FAILED = 255
"""Exit status after a start-up error, and after the usage."""


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or Ctrl-C. Gives the exit status."""
    signals.ignore_hangups()
    if "--help" in arguments:
        print(usage())
        return FAILED
    try:
        flags, unknown = parse(arguments)
        output.log_to_stderr("INFO", log_lines.formatter(log_lines.form(flags.log_format)))
    except UsageError as error:
        output.log_to_stderr("INFO", log_lines.formatter("text"))
        log.error("%s", error)
        print(usage())
        return FAILED
    if flags.version:
        _tell_version()
        return 0
    for argument in unknown:
        print(f"unknown argument: {argument}")
    if unknown:
        print(usage(), flush=True)
    if ignored := flags.without_meaning():
        log.warning("accepted, but without meaning here: %s", ", ".join(f"--{name}" for name in ignored))
    if flags.port or flags.rest_api_port:
        log.warning("as the original's, the ports are open to other machines, and ask nobody for a key")
    try:
        _run(flags)
    except UsageError as error:
        print(f"Failed to start server. Error: {error}", flush=True)
        return FAILED
    except ServingError as error:
        print(f"Failed to start server. Error: {error.grpc_code}: {error}", flush=True)
        return FAILED
    return 0


# The engine takes a quarter of a gigabyte; the parent of several processes does without.


def _run(flags: Flags) -> None:
    if flags.processes > 1:
        processes.run(flags)
        return
    from signet.serving.model_server import server  # noqa: PLC0415

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(server.serve(flags))


def _tell_version() -> None:
    from signet.serving.engine import tensorflow_c  # noqa: PLC0415

    print(f"TensorFlow ModelServer: signet {running_version()}\nTensorFlow Library: {tensorflow_c.version()}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
