import math
from bisect import bisect_left as bisect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special, stats

from signet.serving.releases.rates import highest_rate, lowest_rate

counts = st.integers(0, 10**6).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of)))
alphas = st.sampled_from([0.5, 0.05, 1e-3, 1e-9])


@given(counts, alphas)
def test_a_bound_is_where_the_mixture_reaches_it_as_scipy_computes_that(counted, alpha):
    events, of = counted
    high = highest_rate(events, of, alpha)
    if events == of:
        assert high == 1
        return

    def too_much(rate: float) -> float:
        log = special.betaln(events + 0.5, of - events + 0.5) - special.betaln(0.5, 0.5)
        return log - special.xlogy(events, rate) - special.xlog1py(of - events, -rate) + math.log(alpha)

    best = events / of
    if too_much(1 - 1e-15) < 0:
        assert high == pytest.approx(1)
    elif best == 0 or too_much(best) < 0:
        assert high == pytest.approx(optimize.brentq(too_much, max(best, 1e-300), 1 - 1e-15, xtol=1e-14), rel=1e-6)


@given(counts, alphas)
def test_a_bound_for_all_times_is_beyond_the_exact_one_for_one_time(counted, alpha):
    events, of = counted
    if events < of:
        assert highest_rate(events, of, alpha) >= stats.beta.ppf(1 - alpha, events + 1, of - events) * (1 - 1e-9)
    if events:
        assert lowest_rate(events, of, alpha) <= stats.beta.ppf(alpha, events, of - events + 1) * (1 + 1e-9)


@given(counts, alphas)
def test_the_rate_that_was_counted_lies_between_the_bounds(counted, alpha):
    events, of = counted
    low, high = lowest_rate(events, of, alpha), highest_rate(events, of, alpha)
    assert 0 <= low <= high <= 1
    assert of == 0 or (low <= events / of * (1 + 1e-12) and events / of <= high * (1 + 1e-12))


@given(st.integers(2**53, 2**62), st.floats(1e-6, 0.999), alphas)
def test_bounds_of_huge_counts_are_as_wide_as_the_normal_distribution_has_it(of, rate, alpha):
    events = int(of * rate)
    width = highest_rate(events, of, alpha) - events / of
    needed = math.sqrt(2 * (math.log(1 / alpha) + math.log(of * math.pi) / 2 + 20) * rate * (1 - rate) / of)
    assert 0 <= width <= needed + 1e-15


def test_the_true_rate_is_hardly_ever_outside_whenever_one_looks():
    rng, runs, alpha, rate = np.random.default_rng(3), 4000, 0.05, 0.03
    looks = np.unique(np.geomspace(1, 2000, 40).astype(int))
    events = np.cumsum(rng.random((runs, 2000), np.float32) < rate, axis=1, dtype=np.int32)[:, looks - 1]
    # How many events of n it takes for a bound to be wrong: more of them are wrong, too.
    too_many = [
        bisect(range(n + 1), x=True, key=lambda k, n=n: lowest_rate(k, n, alpha) > rate) for n in looks.tolist()
    ]
    too_few = [
        bisect(range(n + 1), x=True, key=lambda k, n=n: highest_rate(k, n, alpha) >= rate) for n in looks.tolist()
    ]
    wrong_low, wrong_high = ((events >= too_many).any(axis=1).sum(), (events < too_few).any(axis=1).sum())
    most = alpha * runs + 3 * math.sqrt(alpha * runs)
    assert 0 < wrong_low <= most
    assert 0 < wrong_high <= most  # bounds that are never wrong would be too wide


@pytest.mark.parametrize(("events", "of", "alpha", "low", "high"), [(0, 0, 0.01, 0, 1), (0, 1000, 0.001, 0, 0.0109)])
def test_bounds_of_few_events(events, of, alpha, low, high):
    assert lowest_rate(events, of, alpha) == pytest.approx(low, abs=1e-12)
    assert highest_rate(events, of, alpha) == pytest.approx(high, rel=0.01)
