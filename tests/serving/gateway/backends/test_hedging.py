"""When calls are made a second time, and how many."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.errors import UsageError
from signet.serving.gateway.backends.hedging import SHARE, HedgeAfter, Hedging, parse
from signet.serving.gateway.backends.percentile import Percentile


def test_the_option():
    assert parse("") is None
    assert parse("p95") == HedgeAfter(None)
    assert parse("0.25") == HedgeAfter(0.25)


@pytest.mark.parametrize("text", ["p99", "0", "-1", "nan", "inf", "soon"])
def test_what_is_neither_p95_nor_seconds_is_named(text):
    with pytest.raises(
        UsageError,
        match=rf"--hedge-after \(SIGNET_HEDGE_AFTER\) is '{text}'; expected p95 or a number of seconds above 0",
    ):
        parse(text)


@given(st.lists(st.booleans(), max_size=500))
def test_never_more_than_their_share_of_the_calls_is_made_twice(steps):
    hedging, calls, hedged = Hedging(HedgeAfter(0.1)), 0, 0
    for begins in steps:
        if begins:
            hedging.began()
            calls += 1
        else:
            hedged += hedging.take(float(calls))
        assert hedged <= SHARE * calls + 1e-9


def test_a_twentieth_is_made_twice_where_all_take_long():
    hedging, hedged = Hedging(HedgeAfter(0.1)), 0
    for _ in range(2000):
        hedging.began()
        hedged += hedging.take(0.0)
    assert 99 <= hedged <= 100


def test_the_percentile_is_of_the_last_calls_and_none_of_few():
    percentile = Percentile()
    for i in range(39):
        percentile.observe(float(i))
        assert percentile.seconds() is None
    percentile.observe(39.0)
    assert percentile.seconds() == 38.0
    for _ in range(200):
        percentile.observe(1.0)
    assert percentile.seconds() == 1.0


def test_the_delay_is_that_of_the_quickest_server_for_the_model():
    hedging = Hedging(HedgeAfter(None))
    assert hedging.delay_s("m") is None
    for _ in range(40):
        hedging.observe("m", "quick", 0.01)
        hedging.observe("m", "slow", 0.1)
        hedging.observe("other", "quick", 5.0)
    assert hedging.delay_s("m") == 0.01
    hedging.forget("quick")
    assert (hedging.delay_s("m"), hedging.delay_s("other")) == (0.1, None)
