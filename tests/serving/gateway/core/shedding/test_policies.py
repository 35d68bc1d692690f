"""The policies of load shedding: tables and properties of pure functions."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.gateway.core.load import Load
from signet.serving.gateway.core.shedding import budget, default_deadline, order, patience
from signet.serving.gateway.core.shedding.call_time import CallTime

seconds = st.floats(0, 100)
counts = st.integers(0, 1000)


@pytest.mark.parametrize(
    ("call_s", "running", "slots", "oldest_s", "rows", "wait_s"),
    [
        (0.1, 0, 1, 0.0, 0, 0.0),  # nothing in work
        (0.1, 1, 2, 0.0, 0, 0.0),  # a slot is free
        (0.1, 1, 1, 0.04, 0, 0.06),  # the rest of the call
        (0.1, 1, 1, 0.3, 0, 0.2),  # overdue: as long again
        (0.1, 1, 1, 0.04, 3, 0.06),  # three more go into the same call
        (0.1, 1, 1, 0.04, 4, 0.16),  # a full call is before it
        (0.1, 2, 2, 0.04, 8, 0.16),  # two full ones, side by side
    ],
)
def test_the_wait_is_the_rest_of_a_call_and_the_full_calls_before(call_s, running, slots, oldest_s, rows, wait_s):
    rest = budget.rest_s(call_s, oldest_s) if running >= slots else 0.0
    assert budget.wait_s(rest, rows, 4, call_s, slots) == pytest.approx(wait_s)


@given(call_s=seconds, left_s=st.floats(-1, 100))
def test_who_does_not_have_to_wait_is_never_refused(call_s, left_s):
    assert budget.fits(budget.wait_s(0.0, 3, 4, call_s, 1), call_s, left_s)


@given(wait=seconds, more=seconds, call_s=seconds, left_s=seconds)
def test_who_fits_would_fit_with_less_before_it_and_with_more_time(wait, more, call_s, left_s):
    if budget.fits(wait + more, call_s, left_s):
        assert budget.fits(wait, call_s, left_s)
        assert budget.fits(wait + more, call_s, left_s + more)


@given(rest=seconds, rows=counts, more=counts, full_rows=st.floats(1, 64), call_s=seconds, slots=st.integers(1, 8))
def test_the_wait_never_falls_with_more_rows_nor_rises_with_more_slots(rest, rows, more, full_rows, call_s, slots):
    wait = budget.wait_s(rest, rows, full_rows, call_s, slots)
    assert budget.wait_s(rest, rows + more, full_rows, call_s, slots) >= wait
    assert budget.wait_s(rest, rows, full_rows, call_s, slots + 1) <= wait


@given(wait=st.floats(0, 1e6))
def test_come_back_when_what_waits_is_answered(wait):
    assert min(budget.MOST_RETRY_S, wait) <= budget.retry_after_s(wait) <= max(1, wait + 1)


@pytest.mark.parametrize(
    ("call_s", "patience_s", "default_s"),
    [
        (0.0, math.inf, 5.0),
        (0.001, 5.0, 3.75),
        (0.2, math.inf, 10.0),
        (0.1, 4.0, 3.0),
        (0.1, 0.1, 1.0),
        (1.0, math.inf, 30.0),
    ],
)
def test_who_sets_no_deadline_may_take_fifty_calls_or_five_seconds_as_far_as_callers_wait(
    call_s, patience_s, default_s
):
    assert default_deadline.default_s(call_s, 30.0, patience_s) == default_s


def test_patience_is_learnt_from_those_who_leave_and_comes_back():
    seconds = patience.UNKNOWN
    assert patience.call_ended(seconds) == math.inf
    for _ in range(3):
        seconds = patience.left(seconds, 2.0)
    assert seconds == 2.0
    for _ in range(1000):
        seconds = patience.call_ended(seconds)
    assert seconds > 5.0


def test_the_newest_go_first_once_the_oldest_wait_too_long_for_an_interval():
    since = order.NEVER
    first = []
    for now, waited_s in [(0.0, 0.5), (1.0, 0.9), (1.05, 0.9), (1.101, 0.9), (1.2, 0.95), (1.3, 0.8)]:
        since = order.over_since(since, waited_s, order.target_s(1.0), now)
        first.append(order.newest_first(since, 0.05, now))
    assert first == [False, False, False, True, True, False]


@given(st.lists(st.tuples(st.integers(1, 64), st.floats(0, 10)), min_size=1, max_size=50), st.integers(1, 64))
def test_a_call_is_never_foreseen_to_take_less_than_nothing_or_more_than_in_proportion(calls, rows):
    times = CallTime()
    for call in calls:
        times.observe(*call)
    assert times.of(rows) * (1 + 1e-9) + 1e-12 >= 0
    most = times.seconds * max(1.0, rows / times.rows)
    assert times.of(rows) <= most * (1 + 1e-9) + 1e-12
    assert times.of(rows + 1) >= times.of(rows)


@pytest.mark.parametrize(("fixed_s", "row_s"), [(0.004, 0.0001), (0.0, 0.02), (0.04, 0.0)])
def test_what_a_row_costs_is_found_out_from_calls_with_different_rows(fixed_s, row_s):
    times = CallTime()
    for rows in [1, 2, 3, 1, 4, 2, 5, 7, 3, 1, 6] * 5:
        times.observe(rows, fixed_s + row_s * rows)
    for rows in (1, 16, 64):
        assert times.of(rows) == pytest.approx(fixed_s + row_s * rows, rel=0.01)
        assert row_s == 0 or times.rows_within(times.of(rows)) == pytest.approx(rows)
    assert row_s or times.rows_within(fixed_s + 0.001) == math.inf


def test_one_call_that_stood_still_does_not_shut_the_door_for_long():
    times = CallTime()
    for call_s in [0.02] * 10 + [60.0] + [0.02] * 15:
        times.observe(1, call_s)
    assert times.seconds < 0.03


def load_beside(call_s: float, running_s: float, queued_calls: int) -> Load:
    """A model of one slot whose call has run for so long by now, which is 100.0, with full calls of a row behind it."""
    load = Load("m", rows=queued_calls)
    for _ in range(20):
        load.call_ended(1, call_s)
    load.running[object()] = 100.0 - running_s
    return load


@given(st.floats(0.001, 0.1), st.floats(0.0, 1.0), st.integers(0, 60))
def test_a_machine_that_stood_still_for_less_than_a_second_makes_the_next_calls_eight_times_as_long_at_most(
    call_s, running_s, queued
):
    wait_s = load_beside(call_s, running_s, queued).wait_s(100.0, queued)
    assert wait_s <= running_s + (queued + 1) * 8 * call_s * 1.01


def test_a_model_that_stands_still_for_longer_does():
    load = load_beside(0.01, 3.0, 10)
    assert load.wait_s(100.0, 10) > 25.0
    assert load.refusal(None, 30.0, 100.0) is not None
    short = load_beside(0.01, 0.5, 10)
    assert short.refusal(None, 30.0, 100.0) is None
