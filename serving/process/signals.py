"""What signals mean to a server: stop, stop now, look at the files again.

SIGTERM, Ctrl-C ──▶ stop: drain, requests in flight end    again ──▶ ends at once, exit code 143, 130
SIGHUP          ──▶ files and versions are looked at once; never an end
"""

import asyncio
import logging
import os
import signal
from collections.abc import Callable

log = logging.getLogger(__name__)


class Stop(asyncio.Event):
    """Set when the process is to stop. Only its event loop touches it."""

    by_hand = False
    """Whether it was Ctrl-C, rather than something that has others turn away first."""


def ignore_hangups() -> None:
    """Ignore SIGHUP, which would end the process, until `install_handlers` says what it is for."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def install_handlers(stop: Stop, look: Callable[[], object], before_end: Callable[[], object] = lambda: None) -> None:
    """Begin a graceful shutdown by setting `stop`, or call `look`, when such a signal comes; for the running event loop.

    A second signal to stop, of either kind, ends the process at once: exit code 128 and its number, as shells have it.
    before_end: called when the process is to end at once.
    """

    def asked(number: signal.Signals) -> None:
        if stop.is_set():
            log.warning("%s again: ending at once", number.name)
            before_end()
            os._exit(128 + number)  # calls of models cannot be interrupted, and threads that run them hold up the exit
        stop.by_hand = number is signal.SIGINT
        stop.set()

    def hung_up() -> None:
        log.info("SIGHUP: files and versions are looked at")
        look()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked, number)
    loop.add_signal_handler(signal.SIGHUP, hung_up)
