"""What a process counts of a candidate, and when it says that it is bad."""

import random

import pytest

from signet.serving.gateway.releases.trial import STEP_S, Slowness, Trial
from signet.serving.releases.judge import Decision, Policy
from signet.serving.releases.release import Release, Stage, route

CANARY = Release("m", 1, 1, 2, Stage.CANARY, 0.05, salt="s")


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def trial(release=CANARY, **policy):
    clock = Clock()
    return Trial(release, Policy(replicas=4, **policy), clock), clock


def traffic(made, requests, failing=0.0, slow=0.0, seed=1):
    """So many requests of callers of their own, of which the candidate fails a part; the requests until an alarm, or None."""
    chance = random.Random(seed)
    for number in range(requests):
        key = f"r-{seed}-{number}"
        version = route(made.release, key)
        failed = version == 2 and chance.random() < failing
        seconds = 0.9 if version == 2 and chance.random() < slow else 0.004
        if made.observe(str(version), key, seconds, failed=failed):
            return made.evidence.at(made.release.share).candidate.requests
    return None


def test_a_candidate_that_fails_is_stopped_after_a_few_requests():
    assert traffic(trial()[0], 5_000, failing=1.0) <= 20
    assert traffic(trial()[0], 50_000, failing=0.05) <= 250


def test_a_candidate_that_takes_longer_is_stopped():
    assert traffic(trial()[0], 20_000, slow=0.5) <= 100


def test_a_candidate_like_the_stable_version_is_not():
    made, _ = trial()
    assert traffic(made, 20_000) is None
    assert made.judged().decision is Decision.NOT_YET


def test_a_caller_whose_requests_all_fail_is_one_caller():
    made, _ = trial(CANARY, errors=0.001)
    key = next(key for key in map(str, range(1000)) if route(CANARY, key) == 2)
    for _ in range(500):
        assert made.observe("2", key, 0.004, failed=True) is None


def test_what_is_slow_is_known_when_enough_was_seen_and_follows_the_stable_version():
    slowness = Slowness()
    for _ in range(199):
        slowness.observe(0.003)
    assert slowness.bound_s == float("inf")
    slowness.observe(0.003)
    assert slowness.bound_s == 0.005
    for _ in range(3 * 256):
        slowness.observe(0.03)
    assert slowness.bound_s == 0.05


def test_steps_begin_with_another_share_and_now_and_then():
    made, clock = trial()
    made.observe("2", "a", 0.001, failed=True)
    made.follow(Release("m", 2, 1, 2, Stage.CANARY, 0.5, salt="s"), made.policy)
    made.observe("2", "b", 0.001, failed=False)
    clock.now = STEP_S
    made.observe("1", "c", 0.001, failed=False)
    assert [(step.share, step.candidate.requests, step.stable.requests) for step in made.evidence.steps] == [
        (0.05, 1, 0),
        (0.5, 1, 0),
        (0.5, 0, 1),
    ]
    assert made.baked_s == STEP_S


@pytest.mark.parametrize(("failed", "differs"), [(True, False), (False, True)])
def test_copies_that_fail_or_differ_are_held_against_what_is_allowed(failed, differs):
    made, _ = trial(Release("m", 1, 1, 2, Stage.SHADOW, 0.0, 1.0, salt="s"), differs=0.05)
    for number in range(1000):
        if made.compared(failed=failed, differs=differs):
            assert number < 20
            break
    else:
        raise AssertionError


def test_requests_that_were_routed_before_a_share_was_lowered_are_not_counted():
    """In an outage somebody lowers the share while requests of both versions are being answered, and all fail."""
    made, clock = trial(Release("m", 1, 1, 2, Stage.CANARY, 0.5, salt="s"))
    clock.now = 100.0
    made.follow(Release("m", 2, 1, 2, Stage.CANARY, 0.01, salt="s"), made.policy)
    clock.now = 101.0
    for number in range(100):
        assert made.observe("1", f"stable-{number}", 1.5, failed=True) is None
        assert made.observe("2", f"candidate-{number}", 1.5, failed=True) is None
    assert not made.evidence.at(0.01).requests
    made.observe("2", "later", 0.9, failed=True)
    assert made.evidence.at(0.01).candidate.errors == 1
