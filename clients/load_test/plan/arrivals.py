"""When the requests of an open step are to start: seconds from its beginning, ascending.

Arrivals are drawn on an even scale (1, 2, 3 … or the points of a Poisson process of rate 1) and then mapped to the time
by which so many requests are due, which turns a ramp into the right density at each moment.
"""

import math
import random
from collections.abc import Iterator

from signet.clients.load_test.plan.steps import Step


def offsets(step: Step, chance: random.Random | None) -> Iterator[float]:
    """Evenly spaced when `chance` is None; else as a Poisson process: many callers who do not know of each other."""
    due = chance.expovariate(1.0) if chance else 0.5
    while due < step.planned:
        yield _time_of(due, step)
        due += chance.expovariate(1.0) if chance else 1.0


def _time_of(due: float, step: Step) -> float:
    """The time at which `due` requests are due: the t with from_rate * t + slope * t² / 2 = due."""
    slope = (step.to_rate - step.from_rate) / step.seconds
    if not slope:
        return due / step.from_rate
    # The form of the quadratic formula that does not subtract nearly equal numbers when the slope is small.
    return 2 * due / (step.from_rate + math.sqrt(max(0.0, step.from_rate**2 + 2 * slope * due)))
