"""What the options of a load test mean: steps, arrivals, limits, the mix, the search for a rate."""

import math
import random
import re
from itertools import pairwise

import pytest

from signet.clients.load_test.plan import arrivals, mix, slo, steps
from signet.clients.load_test.plan.mix import MixEntry
from signet.clients.load_test.plan.slo import Measured
from signet.clients.load_test.plan.steps import Step
from signet.clients.load_test.rate_search import MOST_TRIALS, RateSearch
from signet.serving.errors import UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("200", [Step(2, 200, 200)]),
        ("50..500", [Step(2, 50, 500)]),
        ("0..10, 10,0.5", [Step(2, 0, 10), Step(2, 10, 10), Step(2, 0.5, 0.5)]),
    ],
)
def test_rates_are_steps(text, expected):
    assert steps.open_steps(text, 2) == expected


@pytest.mark.parametrize("text", ["", "fast", "-1", "nan", "inf", "1..", "10,,20", "1e9", "0", "0..0"])
def test_rates_that_are_none_are_explained(text):
    with pytest.raises(UsageError, match=re.escape(f"--rate {text}: ")):
        steps.open_steps(text, 2)


def test_callers_are_steps():
    assert steps.closed_steps("4, 16", 3) == [Step(3, in_flight=4), Step(3, in_flight=16)]
    for text in ("", "0", "4,", "-1", "x", "1000000"):
        with pytest.raises(UsageError, match=re.escape(f"--closed {text}: expected how many")):
            steps.closed_steps(text, 3)


def test_steps_say_what_they_are():
    assert [str(step) for step in (Step(1, 1000, 1000), Step(1, 0.5, 20), Step(1, in_flight=4))] == [
        "1,000/s",
        "0.5 to 20/s",
        "4 in flight",
    ]


def test_fixed_arrivals_are_evenly_spaced():
    assert list(arrivals.offsets(Step(1, 4, 4), None)) == [0.125, 0.375, 0.625, 0.875]


@pytest.mark.parametrize("step", [Step(10, 0, 100), Step(10, 100, 0), Step(10, 40, 60), Step(10, 50, 50)])
@pytest.mark.parametrize("chance", [None, random.Random(0)])
def test_arrivals_follow_the_rate(step, chance):
    times = list(arrivals.offsets(step, chance))
    assert times == sorted(times)
    assert times[0] > 0
    assert times[-1] < 10
    assert len(times) == pytest.approx(500, abs=1 if chance is None else 70)
    half = sum(time < 5 for time in times)
    expected = 5 * (3 * step.from_rate + step.to_rate) / 4
    assert half == pytest.approx(expected, abs=1 if chance is None else 60)


def test_poisson_arrivals_come_in_bursts_and_a_seed_repeats_them():
    times = list(arrivals.offsets(Step(100, 100, 100), random.Random(1)))
    gaps = [later - earlier for earlier, later in pairwise(times)]
    mean = sum(gaps) / len(gaps)
    deviation = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    assert deviation == pytest.approx(mean, rel=0.1)  # of an exponential distribution they are the same
    assert times == list(arrivals.offsets(Step(100, 100, 100), random.Random(1)))


MEASURED = Measured(latency_s=lambda percentile: 0.05 if percentile < 99.9 else math.inf, errors=0.001, goodput=99.5)


@pytest.mark.parametrize(
    ("text", "measured", "kept"),
    [
        ("p99=50ms", "50 ms", True),
        ("p50=49.9ms", "50 ms", False),
        ("p99.9=10s", "never", False),
        ("max=1s", "never", False),
        ("p90=50000us", "50 ms", True),
        ("errors=0.1%", "0.100%", True),
        ("errors=0%", "0.100%", False),
        ("goodput=99/s", "99.5/s", True),
        ("goodput=100", "99.5/s", False),
    ],
)
def test_limits_are_judged(text, measured, kept):
    (verdict,) = slo.judge(slo.parse(text), MEASURED)
    assert (verdict.limit, verdict.measured, verdict.kept) == (text, measured, kept)


def test_several_limits_and_none():
    assert [limit.text for limit in slo.parse("p99=50ms, errors=1%")] == ["p99=50ms", "errors=1%"]
    assert slo.parse("") == []


@pytest.mark.parametrize(
    "text", ["p99", "p99=50", "p101=1s", "p99<50ms", "error=1%", "errors=1", "p99=50ms,", "speed=1"]
)
def test_limits_that_are_none_are_explained(text):
    with pytest.raises(UsageError, match=r"--slo: '.*' is no limit; expected p50, p99"):
        slo.parse(text)


def test_the_mix_is_read():
    assert mix.parse(["digits", "m:from_text=2", "n=0.5"]) == [
        MixEntry("digits"),
        MixEntry("m", "from_text", 2.0),
        MixEntry("n", weight=0.5),
    ]
    assert [str(entry) for entry in mix.parse(["m", "m:s"])] == ["m", "m:s"]
    for argument in ("", "a/b", "a=", "a=0", "a=x", "a:"):
        with pytest.raises(UsageError, match=re.escape(f"{argument!r} names no model")):
            mix.parse([argument])
    with pytest.raises(UsageError, match="'m' is named more than once; give it one weight, as in m=2"):
        mix.parse(["m", "m=3"])


@pytest.mark.parametrize("capacity", [3.0, 10.0, 73.0, 1000.0, 12345.0])
@pytest.mark.parametrize("start", [10.0, 100.0, 5000.0])
def test_a_search_finds_the_highest_rate_from_either_side(capacity, start):
    search, tried = RateSearch(start), []
    while (rate := search.next_rate()) is not None:
        tried.append(rate)
        search.judged(rate, rate <= capacity)
    assert capacity / 1.05 <= search.kept <= capacity
    assert len(tried) <= MOST_TRIALS


def test_a_search_gives_up_where_nothing_helps():
    search, tried = RateSearch(10.0), []
    while (rate := search.next_rate()) is not None:
        tried.append(rate)
        search.judged(rate, False)
    assert search.kept is None
    assert len(tried) < 10
