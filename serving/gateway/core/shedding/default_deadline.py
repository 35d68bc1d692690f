"""For how long a request may wait whose caller sets no deadline: in proportion to what its model takes, never a flat time, and
no longer than its like have waited before they left.

It bounds the queue, not the call: who is admitted has until the gateway's own time limit.
"""

CALLS = 50
"""Calls of its model that a request may take; who waits for longer than that has been forgotten by its caller."""

OF_PATIENCE = 0.75
"""Share of the time after which callers leave; it takes a moment until it is noticed that one has."""

QUICK_S = 5.0
"""Seconds that a request may take however quick its model is: a burst, or a machine that is busy, is no overload."""

LEAST_S = 1.0
"""Seconds that everybody may take, however soon others have left."""


def default_s(call_s: float, most_s: float, patience_s: float) -> float:
    """The seconds that a request may take. call_s: of a call of its model. most_s: the gateway's own time limit."""
    return min(most_s, max(QUICK_S, CALLS * call_s), max(LEAST_S, OF_PATIENCE * patience_s))
