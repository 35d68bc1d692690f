"""The judgement of latency: never by chance, and never blind to what is clearly slower."""

import numpy as np
import pytest

from signet.serving.releases.gate import latency


def clock(seed, median_s, spread, stalls=0.05):
    """Times of a machine that does other things: log-normal, some calls a hundred times as long."""
    chance = np.random.default_rng(seed)

    def timer(calls):
        times = median_s * np.exp(chance.normal(0, spread, calls))
        times[chance.random(calls) < stalls] *= 100
        return times.tolist()

    return timer


@pytest.mark.parametrize("factor", [1.0, 1.5])
def test_what_is_within_the_bound_is_never_called_slow(factor):
    """Two measurements have to say so, each of which errs once in a thousand at the bound, and less below."""
    wrong = sum(
        latency.measure(clock(seed, 0.01, 0.3), clock(10_000 + seed, factor * 0.01, 0.3), 5).above(2.0, 0.001)
        for seed in range(300)
    )
    assert wrong == 0


@pytest.mark.parametrize("factor", [4.0, 40.0])
def test_what_is_clearly_slower_is_called_so(factor):
    found = [
        latency.measure(clock(seed, 0.01, 0.3), clock(10_000 + seed, factor * 0.01, 0.3), 5).above(2.0, 0.001)
        for seed in range(100)
    ]
    assert sum(found) >= 97  # a machine that stalls at every twentieth call hides it now and then


def test_a_millisecond_more_is_granted_to_what_takes_less():
    measured = latency.measure(clock(1, 1e-4, 0.1), clock(2, 9e-4, 0.1), 5)
    assert not measured.above(2.0, 0.001)
    assert measured.above(2.0, 0.0001)


def test_what_takes_long_is_measured_in_few_rounds_in_turn():
    order = []

    def timer(name, seconds):
        def run(calls):
            order.append(name)
            return [seconds] * calls

        return run

    measured = latency.measure(timer("stable", 0.5), timer("candidate", 2.0), 1.0)
    assert len(measured.stable) == len(measured.candidate) == 12
    assert order[2:] == ["stable", "candidate", "candidate", "stable"] * 6
    assert measured.above(2.0, 0.001)
