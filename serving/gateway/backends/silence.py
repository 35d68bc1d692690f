"""Silence: a model server that owes an answer to a poll and has said nothing since is passed over where others speak.

    poll ──▶ not answered for QUIET_S ──▶ quiet: no new calls ──any answer──▶ in again
              └── not answered in its time either ──▶ its calls in work are given up, and tried elsewhere

A poll is answered by a server's own loop, however long its models take: a call that takes long is no silence, a process that
stands still, a network that swallows all, and a program that accepts and says nothing are.
"""

import math

QUIET_S = 0.5
"""Seconds that a poll may go without an answer."""


class Silence:
    """Since when one model server has owed an answer. Times are those of one monotonic clock, in seconds. For one event loop."""

    __slots__ = ("_since_s",)

    def __init__(self) -> None:
        self._since_s = math.inf

    def asked(self, now_s: float) -> None:
        """Note that a poll was sent."""
        self._since_s = min(self._since_s, now_s)

    def heard(self) -> None:
        """Note that the server has answered something."""
        self._since_s = math.inf

    def is_quiet(self, now_s: float) -> bool:
        """Whether the server is passed over at this moment."""
        return now_s - self._since_s > QUIET_S

    def since(self, asked_s: float) -> bool:
        """Whether it has said nothing since that moment, at which it was asked."""
        return self._since_s <= asked_s
