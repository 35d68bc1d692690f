"""Overload, simulated with the product's own batcher and policies: what is promised in time is kept, the rest refused at once."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.serving.gateway.core.shedding import budget, order
from tests.serving.gateway.core.shedding.simulator import Model, Result, World, goodput

LOADS = (0.5, 1, 2, 5, 10)

SLOW = {
    "50/s, each row its time": Model(0.0, 0.02, 4),
    "50/s, of calls that may be far too large": Model(0.0, 0.02, 64),
    "50/s, never joined, two at once": Model(0.04, 0.0, 1, 2),
    "150/s": Model(0.02, 0.00583, 64),
}
QUICK = {"2,000/s": Model(0.004, 0.00044, 64), "2,000/s, alone": Model(0.0005, 0.0, 1)}
REFUSAL_S = 15e-6


def check(model, seconds, deadline_s, least, loads=LOADS):
    """Goodput is `least` of the peak at every load, or of what comes where that is less; few are late."""
    found = {}
    for load in loads:
        requests = int(load * model.capacity * seconds)
        found[load] = goodput(model, load, requests, deadline_s=deadline_s, refusal_s=REFUSAL_S, seed=7)
    peak = max(share for share, _ in found.values())
    assert peak > 0.7, "of full calls, which a short deadline does not allow"
    for load, (share, result) in found.items():
        told = f"{load} x capacity: {share:.2f} of {peak:.2f}, {result.late} late, {result.dropped} dropped"
        assert share >= least * min(load, peak), told
        assert result.late <= 0.1 * (result.in_time + result.late), told


@pytest.mark.parametrize("deadline_s", [0.5, 1.0])
@pytest.mark.parametrize("name", SLOW)
def test_the_goodput_of_a_slow_model_is_kept_at_ten_times_its_capacity(name, deadline_s):
    check(SLOW[name], 20 * deadline_s, deadline_s, 0.9)


@pytest.mark.parametrize("name", QUICK)
def test_the_goodput_of_a_quick_model_is_kept_at_five_times_its_capacity(name):
    check(QUICK[name], 1.0, 0.2, 0.8, LOADS[:-1])


@pytest.mark.long
@pytest.mark.parametrize("deadline_s", [0.5, 1.0])
@pytest.mark.parametrize("name", [*SLOW, *QUICK])
def test_a_million_requests(name, deadline_s):
    """All together, about."""
    model = (SLOW | QUICK)[name]
    check(model, 100_000 / model.capacity / sum(LOADS), deadline_s, 0.9 if name in SLOW else 0.8)


def test_without_the_policies_it_collapses(monkeypatch):
    """Or the simulator would show nothing."""
    monkeypatch.setattr(budget, "fits", lambda *_: True)
    monkeypatch.setattr(budget, "too_late", lambda *_: False)
    monkeypatch.setattr(order, "newest_first", lambda *_: False)
    model = SLOW["50/s, never joined, two at once"]
    assert goodput(model, 5, 3000, deadline_s=0.25, refusal_s=REFUSAL_S)[0] < 0.1


def test_a_model_that_becomes_ten_times_slower_is_useful_again_within_seconds():
    model = Model(0.02, 0.0, 4)
    world = World(model, deadline_s=1.0, refusal_s=REFUSAL_S)
    world.drive(200, 1000)
    world.slower = 10.0
    began = world.now
    world.drive(200, 4000)
    seconds = [count for second, count in sorted(world.result.good_since.items()) if second > began + 3]
    assert sum(seconds) / len(seconds) > 0.8 * model.capacity / 10


def test_who_sets_no_deadline_waits_for_fifty_calls_or_five_seconds_at_most():
    model = SLOW["50/s, never joined, two at once"]
    world = World(model, deadline_s=30.0, refusal_s=REFUSAL_S, says_deadline=False)
    world.drive(10 * model.capacity, 10_000)
    world.settle()
    assert world.result.refused > 8000
    assert max(world.result.waited_s[500:]) < max(5.0, 50 * model.call_s)


@pytest.mark.parametrize("load", [2, 10])
def test_who_leaves_without_having_set_a_deadline_teaches_how_long_callers_wait(load):
    """50 calls are four seconds here, and everybody leaves after one and a half."""
    model = Model(0.08, 0.0, 1, 2)
    how = {"deadline_s": 1.5, "refusal_s": REFUSAL_S, "says_deadline": False, "seed": 7}
    share, result = goodput(model, load, int(load * model.capacity * 60), **how)
    assert share > 0.8, result.left


@settings(max_examples=60, deadline=None)
@given(
    call_s=st.floats(0, 0.1),
    row_s=st.floats(0, 0.05),
    max_rows=st.integers(1, 16),
    slots=st.integers(1, 3),
    deadline_s=st.floats(0.001, 1.0),
    arrivals=st.lists(st.tuples(st.floats(0, 0.2), st.integers(1, 8)), min_size=1, max_size=12),
)
def test_everybody_is_answered_once_and_a_caller_alone_always_gets_its_call(
    call_s, row_s, max_rows, slots, deadline_s, arrivals
):
    world = World(Model(call_s, row_s, max_rows, slots), deadline_s=deadline_s, refusal_s=0.0)
    moment = 0.0
    for gap, together in arrivals:
        moment += gap
        for _ in range(together):
            world.until(moment)
            alone = not world.load.rows and not world.load.running
            refused = world.result.refused
            world.come(moment)
            assert not (alone and world.result.refused > refused)
    world.settle()
    result: Result = world.result
    assert result.refused + result.in_time + result.late + result.dropped == result.asked
    assert world.load.rows == 0
    assert not world.load.running
    assert world.batcher.waiting() == 0
    world.come(world.now + 1.0)
    world.settle()
    assert (result.refused + result.in_time + result.late + result.dropped) == result.asked
    assert world.load.time.calls > 0
