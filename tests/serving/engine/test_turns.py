"""Who gets a thread next: simulated on a clock of its own, in any mix of models."""

import heapq
import random
from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.serving.engine.turns import Turns

SPARE = 2


class Threads:
    """Calls of models on simulated threads, as the runner makes them: asked for, waiting, ended."""

    def __init__(self, threads: int, spare: int = SPARE) -> None:
        self.turns, self.threads, self.spare = Turns(threads, spare), threads, spare
        self.now = 0.0
        self.queued: dict[str, list[tuple[float, float]]] = defaultdict(list)
        """Model -> (asked at, seconds) of its calls that wait."""
        self.running: list[tuple[float, str, float]] = []
        """(ends at, model, seconds) of each call in work."""
        self.waited_s: dict[str, list[float]] = defaultdict(list)
        self.used_s: Counter[str] = Counter()

    def ask(self, model: str, seconds: float) -> None:
        self.queued[model].append((self.now, seconds))
        self.take(model)
        self.check()

    def take(self, model: str) -> None:
        while self.queued[model] and self.turns.may_start(model):
            asked_at, seconds = self.queued[model].pop(0)
            self.waited_s[model].append(self.now - asked_at)
            self.turns.started(model)
            heapq.heappush(self.running, (self.now + seconds, model, seconds))
        if self.queued[model]:
            self.turns.wait(model)

    def end_one(self) -> str:
        self.now, model, seconds = heapq.heappop(self.running)
        self.turns.ended(model, seconds)
        self.used_s[model] += seconds
        while (following := self.turns.next()) is not None:
            self.take(following)
        self.check()
        return model

    def check(self) -> None:
        running = Counter(model for _, model, _ in self.running)
        waiting = [model for model, calls in self.queued.items() if calls]
        assert self.turns.running == len(self.running) <= self.threads + self.spare
        if waiting:
            assert len(self.running) >= self.threads, "a thread is idle while something waits"
            if len(self.running) < self.threads + self.spare:
                assert all(running[model] for model in waiting), "a model without a call waits beside a spare thread"
        assert self.turns.waiting == len(waiting)


calls = st.lists(st.tuples(st.sampled_from("abcd"), st.floats(0.001, 10), st.booleans()), min_size=1, max_size=60)


@settings(max_examples=300, deadline=None)
@given(calls=calls, threads=st.integers(1, 4), spare=st.integers(0, 3))
def test_no_thread_is_idle_while_something_waits_and_everything_gets_its_turn(calls, threads, spare):
    simulated = Threads(threads, spare)
    for model, seconds, time_passes in calls:
        simulated.ask(model, seconds)
        if time_passes and simulated.running:
            simulated.end_one()
    while simulated.running:
        simulated.end_one()
    assert not any(simulated.queued.values())
    assert sum(map(len, simulated.waited_s.values())) == len(calls)
    assert not simulated.turns._shares, "nothing is remembered of models that are idle and owe nobody anything"


@settings(max_examples=60, deadline=None)
@given(seconds=st.lists(st.floats(0.01, 4), min_size=2, max_size=5), threads=st.integers(1, 4), spare=st.integers(0, 2))
def test_models_that_always_have_work_get_equal_thread_time(seconds, threads, spare):
    """However long their calls are: nobody is behind another by more than the calls that are in work anyhow."""
    simulated = Threads(threads, spare)
    models = dict(enumerate(seconds))
    for model, each_s in models.items():
        for _ in range(2 * threads):
            simulated.ask(str(model), each_s)
    for _ in range(1500):
        ended = simulated.end_one()
        simulated.ask(ended, models[int(ended)])
    used = [simulated.used_s[str(model)] for model in models]
    assert max(used) - min(used) <= 2 * max(seconds) * (threads + spare)


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_a_fast_model_starts_at_once_beside_slow_ones_that_have_every_thread(threads):
    simulated = Threads(threads)
    for _ in range(50):
        simulated.ask("slow", 4.0)
    assert len(simulated.running) == threads, "idle threads are lent"
    for _ in range(100):
        simulated.ask("fast", 0.05)
        while simulated.end_one() != "fast":
            pass
    assert max(simulated.waited_s["fast"]) == 0.0


@pytest.mark.parametrize("seed", range(3))
def test_a_model_that_asks_now_and_then_waits_for_one_call_of_others_at_most(seed):
    """Without any spare thread, beside two that never stop asking."""
    chance = random.Random(seed)
    simulated = Threads(2, spare=0)
    for model in ("hot", "slow"):
        for _ in range(10):
            simulated.ask(model, chance.uniform(0.5, 1.0))
    for _ in range(2000):
        ended = simulated.end_one()
        if ended != "rare":
            simulated.ask(ended, chance.uniform(0.5, 1.0))
        if chance.random() < 0.05 and not simulated.queued["rare"]:
            simulated.ask("rare", 0.01)
    assert len(simulated.waited_s["rare"]) > 50
    assert max(simulated.waited_s["rare"]) <= 1.0


def test_who_was_idle_saves_up_nothing_and_who_used_more_waits_until_others_have_caught_up():
    simulated = Threads(1, spare=0)
    for model in "ab":
        for _ in range(40):
            simulated.ask(model, 1.0)
    for _ in range(20):
        simulated.end_one()
    for _ in range(10):
        simulated.ask("new", 1.0)
    order = [simulated.end_one() for _ in range(31)][1:]
    assert Counter(order) == {"a": 10, "b": 10, "new": 10}, "in turn, not all of the new one's first"

    simulated = Threads(1, spare=0)
    simulated.ask("slow", 4.0)
    for _ in range(20):
        simulated.ask("fast", 1.0)
    assert simulated.end_one() == "slow"
    simulated.ask("slow", 4.0)
    assert [simulated.end_one() for _ in range(7)].count("slow") == 1, "four seconds of one are worth four of the other"


def test_a_models_share_is_its_equal_part_beside_those_in_use():
    simulated = Threads(4)
    assert simulated.turns.share("a") == 4
    simulated.ask("a", 1.0)
    assert (simulated.turns.share("a"), simulated.turns.share("b")) == (4, 2)
    for model in "bcdef":
        simulated.ask(model, 1.0)
    assert simulated.turns.share("a") == 1
