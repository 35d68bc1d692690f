"""Admission by budget: whether an answer can come in the time that a request has left.

    calls that run ─┐
    rows that wait ─┼─▶ wait_s: until its call begins ──and its call──▶ fits in MARGIN of what is left? ──▶ admitted
    a call's time ──┘                                                     └── no ──▶ refused at once, with `retry_after_s`

The batcher knows all of it, so that there is nothing to tune. All times are in seconds.
"""

import math

MARGIN = 0.75
"""Share of the time left into which the answer has to fit: calls vary, and who comes at the last moment is late."""

MOST_RETRY_S = 60
"""A caller is not sent away for longer: what is predicted for later is a guess."""


def rest_s(call_s: float, oldest_s: float) -> float:
    """Until the first of the calls ends that run while no slot is free. oldest_s: for how long it has run.

    A call that is overdue may take as much longer again as it is overdue: so may one of a server that stands still.
    """
    return abs(call_s - oldest_s)


def wait_s(rest: float, rows: float, full_rows: float, full_call_s: float, side_by_side: int) -> float:
    """Until the call begins that one request more would go into.

    rows: that wait. full_rows: that go into one call when there are enough, which then takes full_call_s. side_by_side: calls.
    """
    return rest + rows // full_rows * full_call_s / side_by_side


def fits(wait: float, call_s: float, left_s: float) -> bool:
    """Whether to admit a request whose call takes call_s. Who does not have to wait is never refused."""
    return wait <= 0.0 or wait + call_s <= MARGIN * left_s


def retry_after_s(wait: float) -> int:
    """Whole seconds after which what waits now will have been answered; 1 at least."""
    return max(1, min(MOST_RETRY_S, math.ceil(wait)))


def too_late(call_s: float, left_s: float) -> bool:
    """Whether an answer could not be in time any more if the call began now: it would be work for nobody."""
    return left_s < call_s
