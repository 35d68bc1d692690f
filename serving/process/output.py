"""What a server writes into its log and onto standard output, a line for an event.

No name from outside begins a line of its own, and neither a broken pipe nor a full disk ends the server.

"model a\nERROR all is lost" ──one_line──▶ "model a\\nERROR all is lost"
"""

import logging
import os
import re
from typing import Any

log = logging.getLogger(__name__)

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def one_line(text: str) -> str:
    """The text with escapes for line ends and whatever else moves a terminal's cursor."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


class LineFormatter(logging.Formatter):
    """Writes an event's message as one line; the lines of a traceback stand indented below it."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        record.message = one_line(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return "\n".join(f"  {one_line(line)}" for line in super().formatException(ei).split("\n"))


def is_news(record: logging.LogRecord) -> bool:
    """A log filter: False for what gRPC logs when a caller goes away while its answer is being sent."""
    error = record.exc_info and record.exc_info[0]
    return not (error and error.__name__ == "ExecuteBatchError" and record.name.startswith("grpc."))


def log_to_stderr(level: str, form: str) -> None:
    """Set logging up for a program. form: as `logging.Formatter` takes it, such as `%(levelname)s %(message)s`."""
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter(form))
    handler.addFilter(is_news)
    logging.basicConfig(level=level, handlers=[handler])


def say(text: str) -> None:
    """Print a line at once; when that fails, a line in the log says so, and from then on nothing is printed."""
    try:
        print(text, flush=True)
    except (OSError, ValueError) as error:
        log.warning("standard output cannot be written: %s", error)
        # What is buffered would be tried again at the exit, and fail it.
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
