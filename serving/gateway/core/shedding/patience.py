"""How long callers wait who set no deadline and then leave: those after them are not kept waiting for longer.

    a caller leaves after so long ──▶ patience comes closer to that     a call ends ──▶ patience grows a little

Who never leaves, never shortens it. It comes to where one caller in fifty leaves.
"""

import math

UNKNOWN = math.inf
"""Nobody has left."""

_WEIGHT = 0.2
_GROWTH = 1.001
"""A call."""


def left(before_s: float, waited_s: float) -> float:
    """The patience after somebody has left who had waited for so long. before_s: the last one."""
    return waited_s if before_s == UNKNOWN else before_s + _WEIGHT * (waited_s - before_s)


def call_ended(before_s: float) -> float:
    """The patience after a call that has answered somebody."""
    return before_s * _GROWTH
