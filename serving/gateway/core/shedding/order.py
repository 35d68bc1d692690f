"""Who goes first: the oldest, and while a queue is over its target the newest.

    the oldest has waited longer than the target ──for an interval──▶ newest first   ──the target is kept again──▶ oldest first

Where admission has foreseen the wait, nobody waits for as long as the target; where it was wrong, as with a model that became
slow, the oldest have waited for nothing, and everybody behind them would wait for nothing too. CoDel's signal, with Facebook's
remedy: those who have just come can still be answered in time. Nobody starves: who has waited for all the time that it may take
is refused then.
"""

import math

from signet.serving.gateway.core.shedding.budget import MARGIN

NEVER = math.inf

LEAST_INTERVAL_S = 0.1
"""Seconds over the target that are no burst any more."""


def target_s(allowed_s: float) -> float:
    """How long a request may wait that may take allowed_s in all: longer than admission lets it, and it still has a chance."""
    return (1.0 + MARGIN) / 2.0 * allowed_s


def over_since(before: float, waited_s: float, target: float, now: float) -> float:
    """When the queue got over its target: `NEVER` while it keeps it. before: the last answer. waited_s: of the oldest."""
    return min(before, now) if waited_s > target else NEVER


def newest_first(since: float, call_s: float, now: float) -> bool:
    """Whether the newest go first. since: when the queue got over its target."""
    return now - since >= max(LEAST_INTERVAL_S, call_s)
