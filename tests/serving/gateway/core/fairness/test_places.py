"""How places are shared: nobody gets another's last ones, and what is idle is lent."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.serving.gateway.core.fairness.places import Places, own

steps = st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=300)


@settings(max_examples=300, deadline=None)
@given(most=st.integers(1, 60), sharers=st.integers(4, 12), steps=steps)
def test_nobody_is_refused_a_place_of_its_own_and_no_place_is_given_twice(most, sharers, steps):
    places, had = Places(most, lambda: sharers), Counter()
    for who, comes in steps:
        if comes:
            before = places.taken
            if places.take(who):
                had[who] += 1
            else:
                assert had[who] >= own(most, sharers)
                assert (places.taken, places.used.get(who, 0)) == (before, had[who])
        elif had[who]:
            places.leave(who)
            had[who] -= 1
        assert places.taken == had.total() <= most
        assert places.used == +had


@pytest.mark.parametrize("most", [1, 2, 8, 512])
@pytest.mark.parametrize("sharers", [1, 2, 5, 100, 1000])
def test_one_alone_gets_nearly_all_places_and_another_still_finds_some(most, sharers):
    places = Places(most, lambda: sharers)
    while places.take("hot"):
        pass
    assert places.taken >= most / 2
    if most >= 8 * sharers:
        assert places.taken >= most * 3 / 4
    if sharers == 1:
        assert places.taken == most
    idle = [places.take(f"idle {n}") for n in range(sharers - 1)]
    assert all(idle) or not own(most, sharers)


@pytest.mark.parametrize("seed", range(3))
def test_beside_a_hot_one_another_is_never_refused_while_it_uses_less_than_its_part(seed):
    """The hot one asks ten times for each place that it gives back, the other comes and goes in bursts."""
    chance = random.Random(seed)
    places, hot, other, refused_hot = Places(512, lambda: 3), 0, 0, 0
    for step in range(20_000):
        for _ in range(10):
            if places.take("hot"):
                hot += 1
            else:
                refused_hot += 1
        places.leave("hot")
        hot -= 1
        if step % own(512, 3) == 0:  # as many have been given back since
            for _ in range(chance.randrange(1, own(512, 3))):
                if other < 512 // 2 - own(512, 3):
                    assert places.take("other")
                    other += 1
        while other and chance.random() < 0.4:
            places.leave("other")
            other -= 1
    assert refused_hot
    assert hot >= 512 // 3


def test_who_has_borrowed_gives_way_until_the_other_has_its_equal_part():
    places = Places(100, lambda: 2)
    while places.take("hot"):
        pass
    borrowed = places.used["hot"]
    others = 0
    while places.used["hot"] > 50:
        while places.take("other"):
            others += 1
        places.leave("hot")
        places.take("hot")
    assert borrowed > 80
    assert others >= 50 - own(100, 2)


def test_a_place_that_is_nobodys_yet_counts_among_all():
    places = Places(8, lambda: 2)
    for _ in range(7):
        assert places.take("hot")
    assert not places.take("hot")
    assert places.take_unnamed()
    assert not places.take_unnamed()
    places.leave(None)
    assert not places.take("hot")
    assert places.take("idle")
    places.leave("idle")
    assert (places.taken, places.used) == (7, {"hot": 7})
