"""What signals mean to a server: stop, stop now, look at the files again.

SIGTERM, Ctrl-C ──▶ stop: requests in flight end        Ctrl-C meanwhile ──▶ ends at once, exit code 130
SIGHUP          ──▶ files and versions are looked at once; never an end
"""

import asyncio
import logging
import os
import signal
from collections.abc import Callable

log = logging.getLogger(__name__)

INTERRUPTED = 130
"""Exit code after a second Ctrl-C: 128 and the signal's number, as shells have it."""


def ignore_hangups() -> None:
    """Ignore SIGHUP, which would end the process, until `install_handlers` says what it is for."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def install_handlers(
    stop: asyncio.Event, look: Callable[[], object], before_end: Callable[[], object] = lambda: None
) -> None:
    """Begin a graceful shutdown by setting `stop`, or call `look`, when such a signal comes; for the running event loop.

    before_end: called when the process is to end at once.
    """

    def interrupted() -> None:
        if stop.is_set():
            log.warning("interrupted again: ending at once")
            before_end()
            os._exit(INTERRUPTED)  # calls of models cannot be interrupted, and threads that run them hold up the exit
        stop.set()

    def hung_up() -> None:
        log.info("SIGHUP: files and versions are looked at")
        look()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, interrupted)
    loop.add_signal_handler(signal.SIGHUP, hung_up)
