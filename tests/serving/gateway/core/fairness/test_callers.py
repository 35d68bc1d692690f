"""Callers of one model: equal parts of its calls and places, however much one of them asks."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.serving.gateway.core.fairness.callers import KNOWN_S, Caller, Callers, turns
from signet.serving.gateway.core.fairness.places import own


def enter(callers: Callers, name: str, now: float = 0.0) -> Caller:
    return callers.enter(name, now)


costs = st.lists(st.tuples(st.integers(0, 4), st.floats(0.01, 5)), min_size=1, max_size=40)


@settings(max_examples=300, deadline=None)
@given(requests=costs, used=st.lists(st.floats(0, 20), min_size=5, max_size=5), most_s=st.floats(0.1, 30))
def test_who_goes_next_has_used_the_least_and_each_callers_requests_stay_in_order(requests, used, most_s):
    callers = [Caller(used_s=each) for each in used]
    waiting = [(callers[who], seconds) for who, seconds in requests]
    chosen = turns(waiting, most_s)
    assert len(set(chosen)) == len(chosen)
    total = sum(waiting[position][1] for position in chosen)
    assert len(chosen) == len(waiting) or total >= most_s, "there is room, and something waits"
    for who, caller in enumerate(callers):
        mine = [position for position in chosen if waiting[position][0] is caller]
        assert mine == [position for position, (asks, _) in enumerate(requests) if asks == who][: len(mine)]
    after = list(used)
    for position in chosen:
        who, seconds = requests[position]
        waits = {asks for at, (asks, _) in enumerate(requests) if at not in chosen[: chosen.index(position)]}
        assert after[who] == min(after[each] for each in waits)
        after[who] += seconds


class Model:
    """A model that makes calls of up to `max_rows` rows, a millisecond a row, and callers that ask for it at once."""

    def __init__(self, max_rows: int) -> None:
        self.callers, self.max_rows = Callers(), max_rows
        self.waiting: list[tuple[str, Caller, int]] = []
        self.rows: Counter[str] = Counter()

    def ask(self, name: str, rows: int, now: float = 0.0) -> None:
        self.waiting.append((name, enter(self.callers, name, now), rows))

    def call(self) -> None:
        entries = [(caller, rows / 1000) for _, caller, rows in self.waiting]
        taken = 0
        gone = set()
        for position in turns(entries, self.max_rows / 1000):
            name, caller, rows = self.waiting[position]
            if gone and taken + rows > self.max_rows:
                break
            gone.add(position)
            taken += rows
            self.rows[name] += rows
            self.callers.charge(caller, rows / 1000)
        left = [entry for position, entry in enumerate(self.waiting) if position not in gone]
        for position in gone:
            self.callers.leave(self.waiting[position][1])
        self.waiting = left


@settings(max_examples=50, deadline=None)
@given(sizes=st.lists(st.integers(1, 8), min_size=2, max_size=5), max_rows=st.integers(1, 16))
def test_callers_that_always_wait_get_equal_processor_time_whatever_the_size_of_their_requests(sizes, max_rows):
    model = Model(max_rows)
    for _ in range(300):
        for name, rows in enumerate(sizes):
            while sum(each == str(name) for each, _, _ in model.waiting) < 2 * max_rows // rows + 2:
                model.ask(str(name), rows)
        model.call()
    got = [model.rows[str(name)] for name in range(len(sizes))]
    assert max(got) - min(got) <= 2 * max(*sizes, max_rows)


@pytest.mark.parametrize("seed", range(3))
def test_beside_one_with_twelve_times_its_share_a_caller_keeps_all_its_requests(seed):
    """Half of the capacity is each one's share: the other asks for nearly that, now and then more, and is never behind."""
    chance, model = random.Random(seed), Model(max_rows=16)
    asked, in_time = 0, 0
    for step in range(3000):
        for _ in range(12 * 8):
            if len(model.waiting) < 512:
                model.ask("hot", 1, step)
        for _ in range(chance.choice([0, 2, 6, 8, 12])):
            model.ask("other", 1, step)
            asked += 1
        model.call()
        in_time += sum(name == "other" for name, _, _ in model.waiting) == 0
    assert model.rows["other"] >= 0.994 * asked
    assert sum(name == "other" for name, _, _ in model.waiting) <= 16
    assert model.rows["hot"] > 3000 * 6, "what the other does not want is for the hot one"


def test_who_was_idle_saves_up_nothing_and_a_pause_of_all_settles_debts():
    callers = Callers()
    first = enter(callers, "first")
    callers.charge(first, 100.0)
    later = enter(callers, "later")
    assert later.used_s == 100.0
    callers.leave(later)
    callers.leave(first)
    assert enter(callers, "first").used_s == 0.0
    assert callers.active == 1


def test_strangers_beyond_the_most_are_one_caller_together_and_idle_ones_are_forgotten():
    callers = Callers(most=4)
    held = [enter(callers, str(n)) for n in range(4)]
    strangers = {id(enter(callers, f"stranger {n}")) for n in range(1000)}
    assert (len(callers), len(strangers), callers.active) == (4, 1, 5)
    callers.leave(held[2])
    new = enter(callers, "new", 1.0)
    assert new not in held
    assert len(callers) == 4
    assert callers.known("new", 1.0) is new
    for n in (0, 1, 3):
        callers.leave(held[n])
    enter(callers, "newer", 2 + KNOWN_S)
    assert len(callers) == 2, "who is idle for long needs no places kept"


@settings(max_examples=200, deadline=None)
@given(
    steps=st.lists(st.tuples(st.sampled_from("abcdefgh"), st.booleans(), st.floats(0, 4)), max_size=120),
    most=st.integers(1, 5),
)
def test_counts_are_right_in_any_order_of_comings_and_goings(steps, most):
    callers, held, now = Callers(most), [], 0.0
    for name, comes, passed in steps:
        now += passed
        if comes:
            held.append(enter(callers, name, now))
        elif held:
            callers.leave(held.pop(len(held) // 2))
        assert len(callers) <= most
        assert callers.active == len({id(caller) for caller in held})
        assert all(caller.in_work == sum(each is caller for each in held) for caller in held)
        if held:
            assert 0 <= callers.ahead(held[0]) <= 1


@pytest.mark.parametrize("most", [8, 64, 512])
def test_a_hot_caller_leaves_places_to_one_that_has_asked_before(most):
    callers = Callers()
    other, hot = callers.known("other", 0.0), callers.known("hot", 0.0)
    taken = 0
    while callers.lends(hot, taken, most - taken):
        enter(callers, "hot")
        taken += 1
    assert taken >= most * 3 / 4
    while callers.lends(other, taken, most - taken):
        enter(callers, "other")
        taken += 1
    assert other.in_work >= own(most, 2) > 0
    assert not callers.lends(hot, taken, most - taken)
    callers.leave(hot)
    assert not callers.lends(hot, taken - 1, most - taken + 1), "what it gives back is the other's first"
    assert callers.lends(other, taken - 1, most - taken + 1)


def test_a_caller_alone_may_have_every_place_and_everything_that_waits_goes_before_it():
    callers = Callers()
    only = enter(callers, "only")
    assert callers.lends(only, 511, 1)
    assert not callers.lends(only, 512, 0)
    for _ in range(99):
        enter(callers, "only")
    assert callers.ahead(only) == 1.0
    assert callers.ahead(callers.known("new", 0.0)) == pytest.approx(0.01)
