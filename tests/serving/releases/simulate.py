"""Simulated releases: how often a candidate that is no worse is taken back, and how soon a bad one.

    World ──requests, by chance──▶ counts ──after each event of the candidate's──▶ judge.alarm ──▶ Outcome

    python -m tests.serving.releases.simulate [RUNS]      prints the tables of docs/releases-judge.md

Two minutes with 200 runs; seeds are given, so it prints the same each time.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from signet.serving.releases import judge as judging
from signet.serving.releases.judge import Counts, Decision, Evidence, FirstEvents, Policy, Step, alarm, judge

POLICY = Policy(alpha=0.001, replicas=4)
NEVER = 1 << 60

Whole, Flags = NDArray[np.int64], NDArray[np.bool_]


@dataclass(frozen=True)
class World:
    """What happens to requests. Rates are parts of a version's requests, 0 to 1."""

    share: float
    stable: float
    """Rate of errors of the stable version."""
    candidate: float
    """Rate of errors of the candidate."""
    slow: float = 0.0
    """Rate of slow answers, of both."""
    clean: int = 0
    """The candidate is as good as the stable version for so many requests at first."""
    begin: int = NEVER
    """A new step is begun each so many requests."""


@dataclass(frozen=True)
class Outcome:
    """What became of a release. requests and own: those of both, and those of the candidate, until then."""

    alarmed: bool
    requests: int
    own: int


def run(world: World, seed: int, requests: int, policy: Policy = POLICY) -> Outcome:
    """One release, watched as a replica watches it: the judge is asked after each event of the candidate's."""
    rng = np.random.default_rng(seed)
    own = rng.random(requests) < world.share
    rate = np.where(own & (np.arange(requests) >= world.clean), world.candidate, world.stable)
    errors, slow = rng.random(requests) < rate, rng.random(requests) < world.slow
    sums = np.cumsum([own, errors & own, slow & own, errors, slow], axis=1)
    evidence, begun, at_begun = Evidence(), np.zeros(5, int), 0
    step = evidence.begin(world.share)
    for at in np.flatnonzero((own & (errors | slow)) | (np.arange(requests) % world.begin == world.begin - 1)).tolist():
        count, own_errors, own_slow, all_errors, all_slow = (sums[:, at] - begun).tolist()
        step.candidate = Counts(count, own_errors, own_slow, own_errors, own_slow)
        others, their_errors, their_slow = at + 1 - at_begun - count, all_errors - own_errors, all_slow - own_slow
        step.stable = Counts(others, their_errors, their_slow, their_errors, their_slow)
        if alarm(evidence, policy):
            return Outcome(True, at + 1, int(sums[0, at] - (sums[0, world.clean - 1] if world.clean else 0)))
        if at % world.begin == world.begin - 1:
            step, begun, at_begun = evidence.begin(world.share), sums[:, at], at + 1
    return Outcome(False, requests, int(sums[0, -1]))


@dataclass(frozen=True)
class Draws:
    """What happens in many releases of a candidate that is no worse: (events, releases) each."""

    own: Flags
    """Whether an error is the candidate's."""
    own_before: Whole
    """Requests of the candidate's without an error, between the error before and this one."""
    stable_before: Whole


def draws(share: float, rate: float, events: int, releases: int, seed: int) -> Draws:
    """Of releases in which both versions fail at this rate."""
    rng = np.random.default_rng(seed)
    between = rng.geometric(rate, (events, releases)) - 1
    own_before = rng.binomial(between, share)
    return Draws(rng.random((events, releases)) < share, own_before, between - own_before)


def stopped_one_by_one(share: float, drawn: Draws, step_events: int, policy: Policy) -> list[int]:
    """The error after which the judge stops each release, from 1; 0: none. step_events: a new step is begun each so many."""
    found = []
    for number in range(drawn.own.shape[1]):
        evidence, at = Evidence(), 0
        for event, own in enumerate(drawn.own[:, number].tolist()):
            if event % step_events == 0:
                step = evidence.begin(share)
            step.candidate.requests += int(drawn.own_before[event, number])
            step.stable.requests += int(drawn.stable_before[event, number])
            counts = step.candidate if own else step.stable
            counts.requests, counts.errors, counts.error_keys = (
                *(counts.requests + 1, counts.errors + 1),
                counts.error_keys + 1,
            )
            if own and alarm(evidence, policy):
                at = event + 1
                break
        found.append(at)
    return found


def stopped_at_once(share: float, drawn: Draws, step_events: int, policy: Policy) -> Whole:
    """The same of all releases at once, by a second implementation: a million in a minute."""
    events, releases = drawn.own.shape
    risks, found = np.array(judging._RISKS)[:, None], np.zeros(releases, int)
    own, own_errors, stable, errors = np.zeros((4, -(-events // step_events), releases))
    for event in range(events):
        now, mine = event // step_events, drawn.own[event]
        own[now] += drawn.own_before[event] + mine
        own_errors[now] += mine
        stable[now] += drawn.stable_before[event] + ~mine
        errors[now] += 1
        asked = np.flatnonzero(mine & (found == 0))
        evidence = np.tile(np.array(judging._LOG_WEIGHTS)[:, None], (1, len(asked)))
        excess, of, bad = np.zeros(len(asked)), np.zeros(len(asked)), np.zeros(len(asked), bool)
        for begun in range(now, -1, -1):
            n, k, others, all_errors = (one[begun, asked] for one in (own, own_errors, stable, errors))
            had, spread = n / (n + others), np.sqrt(share * (1 - share) / (n + others))
            taken = np.where(had - share > 4 * spread, had, share)
            evidence += k * np.log(risks) - all_errors * np.log1p((risks - 1) * taken)
            excess += k - n * (all_errors - k) / np.maximum(others, 1)
            of += n
            most = evidence.max(axis=0)
            log_e = most + np.log(np.exp(evidence - most).sum(axis=0)) + judging._log_weight(begun)
            bad |= (excess > policy.errors * of) & (log_e > policy.log_alarm(judging.ERRORS))
        found[asked[bad]] = event + 1
    return found


def until_good(world: World, seed: int, requests: int, policy: Policy = POLICY) -> Outcome:
    """One release that is asked about now and then until it is good, after its bake time."""
    rng = np.random.default_rng(seed)
    own = rng.random(requests) < world.share
    errors, slow = (
        rng.random(requests) < np.where(own, world.candidate, world.stable),
        rng.random(requests) < world.slow,
    )
    at = 100
    while at < requests:
        step = Step(world.share)
        for counts, theirs in ((step.candidate, own[:at]), (step.stable, ~own[:at])):
            counts.requests = int(theirs.sum())
            counts.errors = counts.error_keys = int((errors[:at] & theirs).sum())
            counts.slow = counts.slow_keys = int((slow[:at] & theirs).sum())
        verdict = judge(Evidence([step]), policy, share=world.share, baked_s=policy.bake_s)
        if verdict.decision is not Decision.NOT_YET:
            return Outcome(verdict.decision is Decision.BAD, at, step.candidate.requests)
        at += max(1, at // 50)
    return Outcome(False, requests, requests)


def callers(share: float, seed: int, requests: int, *, once: bool, policy: Policy = POLICY) -> bool:
    """Whether a candidate no worse is taken back, where 1,000 callers keep to a version and ten of them always fail.

    Some callers send a thousand times as much as others. once: whether events of the same caller are counted once.
    """
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, 1001)
    caller = rng.permutation(1000)[rng.choice(1000, requests, p=weights / weights.sum())]
    with_candidate = rng.random(1000) < share
    own, errors = with_candidate[caller], (caller < 10) | (rng.random(requests) < 0.001)
    owns = np.cumsum(own)
    step, seen = Step(share), FirstEvents()
    for at in np.flatnonzero(errors).tolist():
        counts = step.candidate if own[at] else step.stable
        step.candidate.requests = int(owns[at])
        step.stable.requests = at + 1 - step.candidate.requests
        counts.errors += 1
        counts.error_keys += not once or seen.first(int(caller[at]), candidate=bool(own[at]))
        if own[at] and alarm(Evidence([step]), policy):
            return True
    return False


def percentiles(numbers: Sequence[int]) -> tuple[int, int]:
    """The median, and what 95 % are below."""
    median, most = np.percentile(np.array(numbers), [50, 95], method="higher")
    return int(median), int(most)


CLEAN = [World(share, rate, rate, slow=0.01, begin=5_000) for share in (0.01, 0.05, 0.5) for rate in (0.001, 0.01)]
BAD = [
    *(World(share, stable, 0.05) for share in (0.01, 0.05, 0.5) for stable in (0.0, 0.001, 0.01)),
    *(World(share, 0.001, candidate) for share in (0.05, 0.5) for candidate in (0.02, 0.5, 1.0)),
    World(0.05, 0.001, 0.05, clean=100_000),
    World(0.05, 0.001, 0.05, clean=100_000, begin=5_000),
]
GOOD = [World(share, rate, rate, slow=0.01) for share in (0.05, 0.5) for rate in (0.0, 0.001, 0.01)]


def _percent(rate: float) -> str:
    return f"{100 * rate:g} %"


def clean_line(world: World, runs: int) -> str:
    """A line of the table of candidates that are no worse."""
    back = sum(run(world, seed, 50_000).alarmed for seed in range(runs))
    return f"| {_percent(world.share)} | {_percent(world.stable)} | {back} of {runs} |"


def bad(world: World, runs: int) -> list[Outcome]:
    """Releases of a bad candidate, with seeds from 0."""
    return [run(world, seed, world.clean + int(3_000 / world.share)) for seed in range(runs)]


def bad_line(world: World, outcomes: Sequence[Outcome]) -> str:
    """A line of the table of bad candidates."""
    median, most = percentiles([one.own for one in outcomes])
    stopped = sum(one.alarmed for one in outcomes)
    late = f" after {world.clean:,} good requests" if world.clean else ""
    late += f", a step each {world.begin:,}" if world.begin < NEVER else ""
    return (
        f"| {_percent(world.share)} | {_percent(world.stable)} | {_percent(world.candidate)}{late} "
        f"| {stopped} of {len(outcomes)} | {median:,} | {most:,} |"
    )


def main(runs: int) -> None:
    """Print the tables."""
    print(f"alpha {POLICY.alpha}, N {POLICY.replicas}, seeds from 0\n")
    print("| no worse: share | errors of both | taken back, of 50,000 requests each |\n| --- | --- | --- |")
    for world in CLEAN:
        print(clean_line(world, 5 * runs), flush=True)
    print("\n| bad: share | errors, stable | candidate | stopped | its requests until then: median | 95 % |")
    print("| --- | --- | --- | --- | --- | --- |")
    for world in BAD:
        print(bad_line(world, bad(world, runs)), flush=True)
    print("\n| good: share | errors of both | its requests until then: median | 95 % |\n| --- | --- | --- | --- |")
    for world in GOOD:
        median, most = percentiles([until_good(world, seed, 200_000).own for seed in range(min(runs, 50))])
        print(f"| {_percent(world.share)} | {_percent(world.stable)} | {median:,} | {most:,} |", flush=True)
    print("\n| callers that keep to a version, one in a hundred always fails: share | counted | taken back |")
    print("| --- | --- | --- |")
    for share in (0.05, 0.5):
        for once in (False, True):
            back = sum(callers(share, seed, 20_000, once=once) for seed in range(runs))
            print(f"| {_percent(share)} | {'each once' if once else 'each request'} | {back} of {runs} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
