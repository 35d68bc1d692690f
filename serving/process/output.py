"""What a server writes into its log and onto standard output, a line for an event.

An event ──`log_lines.py`──▶ a line. Neither a broken pipe nor a full disk ends the server.
"""

import logging
import os

log = logging.getLogger(__name__)


def is_news(record: logging.LogRecord) -> bool:
    """A log filter: False for what gRPC logs when a caller goes away while its answer is being sent."""
    error = record.exc_info and record.exc_info[0]
    return not (error and error.__name__ == "ExecuteBatchError" and record.name.startswith("grpc."))


def log_to_stderr(level: str, formatter: logging.Formatter) -> None:
    """Set logging up for a program: its own events from this level on, those of packages from INFO on.

    What packages say at DEBUG may hold what nobody should read, such as headers with credentials.
    """
    handler = logging.StreamHandler()
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
