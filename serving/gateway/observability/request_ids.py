"""Request ids: what a request is called in answers, in the log, and towards model servers.

    X-Request-Id of the caller, if it can be one ──▶ that one        none, or another text ──▶ a new one: PROCESS-COUNT

Nobody but callers chooses two requests to have the same: an id says nothing of who asks.
"""

import secrets
from itertools import count

from signet.serving.request_id import accepted


class RequestIds:
    """Makes the ids of one process. For one event loop."""

    def __init__(self) -> None:
        self._process = secrets.token_hex(6)
        self._count = count(1)

    def of(self, sent: str | None) -> str:
        """The id of a request whose caller has sent this one, or none."""
        if sent is not None and (known := accepted(sent)):
            return known
        return f"{self._process}-{next(self._count):x}"
