"""What a server says on standard output, which may be closed, a broken pipe, or a full disk: none of them ends it."""

import logging
import os

log = logging.getLogger(__name__)


def say(text: str) -> None:
    """Print a line at once; when that fails, a line in the log says so, and from then on nothing is printed."""
    try:
        print(text, flush=True)
    except (OSError, ValueError) as error:
        log.warning("standard output cannot be written: %s", error)
        # What is buffered would be tried again at the exit, and fail it.
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
