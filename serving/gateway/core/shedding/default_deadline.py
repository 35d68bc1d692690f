"""For how long a request may wait whose caller sets no deadline: in proportion to what its model takes, never a flat time, and
no longer than its like have waited before they left.

It bounds the queue, not the call: who is admitted has until the gateway's own time limit.
"""

CALLS = 50
"""Calls of its model that a request may take; who waits for longer than that has been forgotten by its caller."""

OF_PATIENCE = 0.75
"""Share of the time after which callers leave; it takes a moment until it is noticed that one has."""

LEAST_S = 1.0
"""Seconds that everybody may take: with a quick model a burst is no overload."""


def default_s(call_s: float, most_s: float, patience_s: float) -> float:
    """The seconds that a request may take. call_s: of a call of its model. most_s: the gateway's own time limit."""
    return min(most_s, max(LEAST_S, min(CALLS * call_s, OF_PATIENCE * patience_s)))
