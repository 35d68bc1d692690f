"""Rounds, paired ratios, spread and verdicts, held against values by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench import ratios


@pytest.mark.parametrize(
    ("number", "expected"), [(0, ["a", "b", "c"]), (1, ["c", "b", "a"]), (2, ["a", "b", "c"]), (3, ["c", "b", "a"])]
)
def test_every_other_round_goes_backwards(number, expected):
    assert ratios.order(["a", "b", "c"], number) == expected


@pytest.mark.parametrize(
    ("figures", "median", "low", "high"),
    [
        ([2.0], 2.0, 2.0, 2.0),
        ([1.0, 2.0], 1.5, 1.25, 1.75),
        ([3.0, 1.0, 2.0], 2.0, 1.5, 2.5),
        ([1.0, 2.0, 3.0, 4.0, 100.0], 3.0, 2.0, 4.0),
    ],
)
def test_median_and_quartiles(figures, median, low, high):
    found = ratios.spread(figures)
    assert (found.median, found.low, found.high) == (median, low, high)
    assert (found.least, found.most, found.count) == (min(figures), max(figures), len(figures))


def test_there_is_no_spread_of_nothing():
    with pytest.raises(ValueError, match="no figures"):
        ratios.spread([])


@given(st.lists(st.floats(1e-6, 1e6), min_size=1))
def test_a_spread_is_in_order(figures):
    found = ratios.spread(figures)
    near = 1e-9 * found.most
    assert found.least <= found.low + near
    assert found.low <= found.median + near
    assert found.median <= found.high + near
    assert found.high <= found.most + near


@pytest.mark.parametrize(
    ("figures", "reference", "expected"),
    [
        ({0: 2.0, 1: 3.0, 2: 8.0}, {0: 1.0, 1: 2.0, 2: 4.0}, [2.0, 1.5, 2.0]),
        ({0: 2.0, 1: 3.0}, {1: 2.0, 2: 5.0}, [1.5]),  # rounds that only one of them has
        ({1: 3.0, 0: 2.0}, {0: 1.0, 1: 1.0}, [2.0, 3.0]),  # in the order of the rounds
        ({0: 2.0}, {1: 1.0}, []),
        ({0: 2.0}, {0: 0.0}, []),
    ],
)
def test_ratios_are_taken_within_a_round(figures, reference, expected):
    assert ratios.paired(figures, reference) == expected


def test_a_machine_that_slows_down_changes_no_ratio():
    """Twice as slow from round to round: the medians of the figures would differ by what was measured when."""
    speed = [1.0, 0.5, 0.25, 0.125]
    ours = {number: 1500 * factor for number, factor in enumerate(speed)}
    theirs = {number: 1000 * factor for number, factor in enumerate(speed)}
    assert ratios.paired(ours, theirs) == pytest.approx([1.5] * 4)


@pytest.mark.parametrize(
    ("found", "target", "reached", "rounds"),
    [
        ([1.9, 1.8, 2.0], 1.8, True, 3),
        ([1.9, 1.7, 2.0], 1.8, True, 2),
        ([1.7, 1.6, 2.0], 1.8, False, 2),
        ([1.7, 1.6, 1.5], 1.8, False, 3),
    ],
)
def test_a_lower_bound(found, target, reached, rounds):
    verdict = ratios.at_least(found, target)
    assert (verdict.reached, verdict.rounds) == (reached, rounds)


@pytest.mark.parametrize(
    ("found", "reached", "rounds"),
    [([0.9, 1.0, 0.8], True, 3), ([0.9, 1.2, 0.8], True, 2), ([1.1, 1.2, 1.3], False, 3)],
)
def test_an_upper_bound(found, reached, rounds):
    verdict = ratios.at_most(found, 1.0)
    assert (verdict.reached, verdict.rounds) == (reached, rounds)
