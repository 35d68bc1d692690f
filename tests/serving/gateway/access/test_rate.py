"""A rate limit keeps its rate, whatever comes when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.gateway.access.rate import Rate

RATES = st.floats(0.01, 1000)


@given(RATES, st.lists(st.floats(0, 0.3), min_size=1, max_size=200))
def test_never_more_than_the_rate_and_what_comes_together_in_a_second(per_s, pauses):
    rate, now, taken = Rate(per_s), 1000.0, 0
    for pause in pauses:
        now += pause
        if not rate.wait_s(now):
            rate.charge(1, now)
            taken += 1
    assert taken <= per_s * (now - 1000) + max(1, per_s) + 0.01


@given(RATES, st.integers(1, 100_000))
def test_who_waits_as_long_as_is_said_may_come(per_s, units):
    rate = Rate(per_s)
    assert rate.wait_s(1000.0) == 0
    rate.charge(units, 1000.0)
    wait_s = rate.wait_s(1000.0)
    assert rate.wait_s(1000.0 + wait_s + 1e-6 * (2 + units / per_s)) == 0


def test_a_debt_is_paid_before_anything_else():
    rate = Rate(10)
    rate.charge(1000, 50.0)  # a thousand rows at ten a second
    assert rate.wait_s(50.0) == pytest.approx(99.1)
    assert rate.wait_s(148.0) == pytest.approx(1.1)
    assert rate.wait_s(149.2) == 0


def test_ten_a_second_are_ten_at_once():
    rate, taken = Rate(10), 0
    while not rate.wait_s(5.0):
        rate.charge(1, 5.0)
        taken += 1
    assert taken == 10
