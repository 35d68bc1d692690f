"""Which model server counts as a slow one."""

import pytest

from signet.serving.gateway.backends.slowness import Pace, factor


@pytest.mark.parametrize(
    ("estimate_s", "least_s", "counts"),
    [(0.0, 0.0, 1), (0.0, 0.01, 1), (0.05, 0.01, 1), (0.1, 0.01, 10), (0.01, 0.01, 1)],
)
def test_only_one_that_takes_several_times_as_long_counts_for_more(estimate_s, least_s, counts):
    assert factor(estimate_s, least_s) == pytest.approx(counts)


def test_neither_the_first_calls_nor_some_that_stalled_make_a_pace():
    pace = Pace()
    for seconds in (9, 9, 9, 9, 1, 1, 1, 1):
        pace.observe(seconds, 0.0)
        assert pace.estimate_s(0.0) == 0
    pace.observe(1, 0.0)
    assert pace.estimate_s(0.0) == 1
    for seconds in (9, 9, 9, 9):
        pace.observe(seconds, 0.0)
        assert pace.estimate_s(0.0) == 1
    for _ in range(2):
        pace.observe(9, 0.0)
    assert pace.estimate_s(0.0) == 9


def test_what_is_known_ends_after_a_while_and_the_next_call_says_how_it_is_now():
    pace = Pace()
    for _ in range(9):
        pace.observe(9, 0.0)
    assert pace.estimate_s(1.0) == 9
    assert pace.estimate_s(1.1) == 0
    pace.observe(2, 1.1)
    assert pace.estimate_s(1.1) == 2


def test_a_call_that_was_taken_back_says_only_that_it_would_have_taken_longer():
    pace = Pace()
    for _ in range(9):
        pace.observe(9, 0.0)
    pace.lags(2, 3.0)
    assert pace.estimate_s(3.5) == 9
    pace.observe(1, 3.5)
    for _ in range(9):
        pace.lags(11, 3.5)
    assert pace.estimate_s(3.5) == 11
