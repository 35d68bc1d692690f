"""What a server writes into its log and onto standard output, a line for an event.

An event ──`log_lines.py`──▶ a line. Neither a broken pipe nor a full disk ends the server, and a pipe that nobody reads does not
hold it up: an event is logged in whatever thread it happens, such as that of the event loop.
"""

import logging
import os

from signet.serving.process import line_sinks

log = logging.getLogger(__name__)


def is_news(record: logging.LogRecord) -> bool:
    """A log filter: False for what gRPC logs when a caller goes away while its answer is being sent."""
    error = record.exc_info and record.exc_info[0]
    return not (error and error.__name__ == "ExecuteBatchError" and record.name.startswith("grpc."))


class _Stderr(logging.Handler):
    """Writes each event to standard error at once, or not at all; the next one that is written says how many were lost."""

    _WAIT_S = 0.01
    """Seconds that a reader is waited for who is only slow."""

    def __init__(self) -> None:
        super().__init__()
        self._sink = line_sinks.to_stderr(self._WAIT_S)
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
        except Exception:  # noqa: BLE001  # as logging's own handlers: a mistake in a message is no reason to fail
            self.handleError(record)
            return
        if self._lost:
            said = logging.LogRecord(
                __name__, logging.WARNING, "", 0, "%d events before this one were lost", (self._lost,), None
            )
            if self._sink.write([self.format(said).encode() + b"\n"]):
                self._lost += 1
                return
            self._lost = 0
        if self._sink.write([text.encode("utf-8", "backslashreplace") + b"\n"]):
            self._lost += 1

    def close(self) -> None:
        super().close()
        self._sink.close()


def log_to_stderr(level: str, formatter: logging.Formatter) -> None:
    """Set logging up for a program: its own events from this level on, those of packages from INFO on.

    What packages say at DEBUG may hold what nobody should read, such as headers with credentials.
    """
    handler = _Stderr()
    handler.setFormatter(formatter)
    handler.addFilter(is_news)
    logging.basicConfig(level=max(logging.INFO, logging.getLevelName(level)), handlers=[handler])
    logging.getLogger("signet").setLevel(level)


def say(text: str) -> None:
    """Print a line at once; when that fails, a line in the log says so, and from then on nothing is printed."""
    try:
        print(text, flush=True)
    except (OSError, ValueError) as error:
        log.warning("standard output cannot be written: %s", error)
        # What is buffered would be tried again at the exit, and fail it.
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
