import json
import math
import re
from dataclasses import asdict, replace
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import special, stats

from signet.serving.errors import UsageError
from signet.serving.releases import judge as code
from signet.serving.releases.judge import (
    PARTS,
    Copies,
    Counts,
    Decision,
    Evidence,
    FirstEvents,
    Policy,
    Step,
    alarm,
    judge,
)
from signet.serving.releases.release import Release, Stage
from tests.servers import ROOT
from tests.serving.releases.simulate import (
    BAD,
    CLEAN,
    POLICY,
    World,
    bad,
    bad_line,
    callers,
    draws,
    percentiles,
    run,
    stopped_at_once,
    stopped_one_by_one,
)

LONG = [pytest.mark.long, pytest.mark.timeout(1800)]

LOOSE = Policy(alpha=0.5, replicas=1, errors=1e-6, slow=1e-6, differs=1e-6)
"""Alarms with little evidence, and for any harm."""


def counts(requests: int, errors: int = 0, slow: int = 0) -> Counts:
    return Counts(requests, errors, slow, errors, slow)


def one(share: float, stable: Counts, candidate: Counts, copies: Copies | None = None) -> Evidence:
    return Evidence([Step(share, 0, stable, candidate, copies or Copies())])


def log_e(evidence: Evidence, kind: str = "errors", policy: Policy = POLICY) -> float:
    findings = judge(evidence, policy, share=0.05, baked_s=0).findings
    return next(finding.log_e for finding in findings if finding.kind == kind)


shares = st.sampled_from([0.001, 0.01, 0.05, 0.5, 0.99]) | st.floats(0, 1)


@st.composite
def some_counts(draw, most: int = 10_000) -> Counts:
    requests = draw(st.integers(0, most))
    errors, slow = draw(st.integers(0, requests)), draw(st.integers(0, requests))
    return Counts(requests, errors, slow, draw(st.integers(0, errors)), draw(st.integers(0, slow)))


@st.composite
def some_copies(draw) -> Copies:
    failed, differs, alike = (draw(st.integers(0, 1000)) for _ in range(3))
    return Copies(failed + differs + alike, failed, differs)


@st.composite
def some_evidence(draw, share=shares) -> Evidence:
    evidence = Evidence()
    for _ in range(draw(st.integers(0, 4))):
        step = evidence.begin(draw(share))
        step.stable, step.candidate, step.copies = draw(some_counts()), draw(some_counts()), draw(some_copies())
    return evidence


# It may be looked at all the time


def by_risk(own: bool, share: float) -> np.ndarray:
    """What an event multiplies the likelihood ratios by, for each risk. A second implementation."""
    risks = np.array(code._RISKS)
    p = risks * share / (risks * share + 1 - share)
    return p / share if own else (1 - p) / (1 - share)


def ever_above(releases: int, events: int, alpha: float, seed: int) -> int:
    """How many releases of candidates that are no worse ever have an e-value above 1 / alpha, where somebody who looks at
    the evidence after each event chooses the share so that it comes to that: what makes rare leaps while it is low, and
    small steps when there is little missing.
    """
    rng, found = np.random.default_rng(seed), 0
    shares = np.array([0.01, 0.05, 0.5, 0.9])
    ratios = np.array([[by_risk(own, share) for own in (False, True)] for share in shares.tolist()])
    for begin in range(0, releases, 20_000):
        number = min(20_000, releases - begin)
        products = np.tile(np.exp(code._LOG_WEIGHTS), (number, 1))
        e, above = np.ones(number), np.zeros(number, bool)
        for _ in range(events):
            chosen = np.select([e * alpha > 0.5, e * alpha > 0.05, e > 0.3], [2, 1, 0], rng.integers(0, 4, number))
            products *= ratios[chosen, (rng.random(number) < shares[chosen]).astype(int)]
            e = products.sum(axis=1)
            above |= e > 1 / alpha
        found += int(above.sum())
    return found


@pytest.mark.parametrize(
    ("releases", "alpha"),
    [
        (4_000, 0.05),
        pytest.param(1_000_000, 0.05, marks=[pytest.mark.long, pytest.mark.timeout(900)]),
        pytest.param(1_000_000, 0.001, marks=[pytest.mark.long, pytest.mark.timeout(900)]),
    ],
)
def test_candidates_that_are_no_worse_are_rarely_accused_also_when_shares_follow_the_evidence(releases, alpha):
    found = ever_above(releases, events=40 if releases < 10_000 else 100, alpha=alpha, seed=1)
    assert 0 < found <= alpha * releases + 4 * math.sqrt(alpha * releases)


@given(st.lists(st.tuples(st.sampled_from([0.01, 0.05, 0.5]), st.booleans()), max_size=60))
def test_the_evidence_is_that_of_a_second_implementation_event_by_event(events):
    """Requests without events keep the candidate's part of them at the share."""
    evidence, products = Evidence(), np.exp(code._LOG_WEIGHTS)
    for number, (share, own) in enumerate(events):
        if number == 0 or evidence.steps[-1].share != share:
            step = evidence.begin(share)
            step.stable.requests, step.candidate.requests = int(1e12 * (1 - share)), int(1e12 * share) - 100
        counted = evidence.steps[-1].candidate if own else evidence.steps[-1].stable
        counted.errors += 1
        counted.error_keys += 1
        products = products * by_risk(own, share)
    first = code._logs_e(evidence.steps, "errors", 0.01)[0]
    assert first == pytest.approx(math.log(code._FIRST_START * products.sum()), abs=1e-9)


def test_the_judge_itself_is_rarely_wrong_when_shares_follow_the_evidence():
    """Asked after each event, with a new step whenever somebody who wants an alarm chooses another share."""
    rng, releases, found = np.random.default_rng(5), 300, 0
    for _ in range(releases):
        evidence, share = Evidence(), 0.05
        step = evidence.begin(share)
        for _ in range(30):
            quiet = int(rng.geometric(0.02)) - 1
            own_quiet = int(rng.binomial(quiet, share))
            step.candidate.requests += own_quiet
            step.stable.requests += quiet - own_quiet
            counted = step.candidate if rng.random() < share else step.stable
            counted.requests += 1
            counted.errors += 1
            counted.error_keys += 1
            if alarm(evidence, LOOSE):
                found += 1
                break
            log = max(code._logs_e(evidence.steps, "errors", 1e-6))
            wanted = 0.5 if log > -0.2 else 0.05 if log > -1.5 else 0.01
            if wanted != share:
                share = wanted
                step = evidence.begin(share)
    most = LOOSE.alpha * PARTS["errors"] * releases
    assert 0 < found <= most + 3 * math.sqrt(most)


@pytest.mark.parametrize("share", [0.05, 0.5])
@pytest.mark.parametrize(("releases", "alpha"), [(2_000, 0.05), pytest.param(1_000_000, 0.001, marks=LONG)])
def test_of_a_million_releases_that_are_no_worse_hardly_any_is_stopped(releases, alpha, share, capsys):
    """Steps are begun meanwhile. All at once, by what says of some of them the same as the judge does one by one."""
    loose = replace(LOOSE, alpha=0.2)
    drawn = draws(share, 0.02, 40, 60, 11)
    some = stopped_one_by_one(share, drawn, 15, loose)
    assert some == stopped_at_once(share, drawn, 15, loose).tolist()
    assert any(some)
    strict, stopped = replace(LOOSE, alpha=alpha), 0
    for begin in range(0, releases, 10_000):
        drawn = draws(share, 0.02, 60, min(10_000, releases - begin), 100 + begin)
        stopped += np.count_nonzero(stopped_at_once(share, drawn, 20, strict))
    with capsys.disabled():
        print(f"\n{stopped} of {releases} releases that are no worse are stopped: share {share}, alpha {alpha}")
    most = alpha * PARTS["errors"] * releases
    assert 0 < stopped <= most + 4 * math.sqrt(most)


def test_weights_of_all_beginnings_are_1_together():
    most = 200_000
    whole = sum(math.exp(code._log_weight(number)) for number in range(most))
    rest = code._LATER_STARTS / math.log(most)  # the integral of 1 / (n log(n)^2) from there on
    assert 0.99 < whole + rest <= 1
    assert sum(math.exp(log) for log in code._LOG_WEIGHTS) == pytest.approx(1)
    assert sum(PARTS.values()) == 1


@pytest.mark.parametrize("world", CLEAN, ids=str)
@pytest.mark.parametrize("runs", [20, pytest.param(1000, marks=pytest.mark.long)])
def test_clean_releases_are_not_taken_back(world, runs):
    assert sum(run(world, seed, 50_000).alarmed for seed in range(runs)) <= (runs >= 1000)


def test_callers_that_keep_to_a_version_are_counted_once():
    """One in a hundred always fails, with either version. Of as many releases some are taken back if each request counts."""
    assert sum(callers(0.05, seed, 5_000, once=False) for seed in range(40)) > 0
    assert sum(callers(0.05, seed, 5_000, once=True) for seed in range(40)) == 0


# It is soon enough


@pytest.mark.parametrize("stable", [0.0, 0.001])
@pytest.mark.parametrize(("share", "half", "nearly_all"), [(0.05, 100, 250), (0.5, 320, 550)])
def test_a_candidate_with_five_percent_errors_is_stopped(share, half, nearly_all, stable):
    """And the page tells it."""
    outcomes = bad(World(share, stable, 0.05), 200)
    assert bad_line(World(share, stable, 0.05), outcomes) in (ROOT / "docs/releases-judge.md").read_text().splitlines()
    assert all(outcome.alarmed for outcome in outcomes)
    median, most = percentiles([outcome.own for outcome in outcomes])
    assert median <= half
    assert most <= nearly_all


def test_a_candidate_that_turns_bad_is_stopped_soon_if_steps_are_begun_meanwhile():
    late = next(world for world in BAD if world.begin < world.clean)
    outcomes = bad(late, 20)
    assert all(outcome.alarmed for outcome in outcomes)
    slower = bad(replace(late, begin=1 << 60), 20)
    assert 3 * percentiles([one.own for one in outcomes])[0] < percentiles([one.own for one in slower])[0]


def test_a_candidate_that_fails_at_a_larger_share_only_is_stopped_there():
    evidence = one(0.05, counts(9_500_000, 9_500), counts(500_000, 500))
    assert alarm(evidence, POLICY) is None
    step = evidence.begin(0.5)
    step.stable, step.candidate = counts(1000, 1), counts(1000, 50)
    assert alarm(evidence, POLICY) == (
        "errors: 50 of 1000 requests of the candidate's, 1 of 1000 of the stable version's"
    )
    assert judge(evidence, POLICY, share=0.5, baked_s=1e6).findings[0].start == 1


# It depends on what was counted, and on nothing else


@given(some_evidence(), some_evidence(), some_evidence())
def test_counts_of_replicas_add_up_in_any_order(one, two, three):
    assert one + two == two + one
    assert (one + two) + three == one + (two + three)
    assert sum(step.requests for step in (one + two).steps) == sum(step.requests for step in (*one.steps, *two.steps))


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans(), st.booleans()), max_size=80), st.randoms())
def test_neither_order_nor_replica_matter(events, random):
    def counted(events) -> Evidence:
        replicas = [one(0.05, Counts(), Counts()) for _ in range(4)]
        for replica, own, error, slow in events:
            step = replicas[replica].steps[0]
            counts = step.candidate if own else step.stable
            for name in ("requests", *["errors", "error_keys"] * error, *["slow", "slow_keys"] * slow):
                setattr(counts, name, getattr(counts, name) + 1)
        return sum(replicas, Evidence())

    shuffled = random.sample(events, len(events))
    elsewhere = [(random.randrange(4), *event[1:]) for event in shuffled]
    assert judge(counted(elsewhere), LOOSE, share=0.05, baked_s=0) == judge(
        counted(events), LOOSE, share=0.05, baked_s=0
    )


@given(some_evidence(), shares, st.floats(0, 1e6))
def test_it_is_a_function(evidence, share, baked_s):
    before = json.dumps(asdict(evidence))
    verdict = judge(evidence, POLICY, share=share, baked_s=baked_s)
    assert judge(evidence, POLICY, share=share, baked_s=baked_s) == verdict
    assert (verdict.decision is Decision.BAD) == (alarm(evidence, POLICY) is not None)
    assert json.dumps(asdict(evidence)) == before
    assert verdict.reason
    assert all(math.isfinite(getattr(found, name)) for found in verdict.findings for name in ("log_e", "harm"))


@given(some_counts(), some_counts(), shares, st.sampled_from(["errors", "slow"]))
def test_more_events_of_the_stable_version_or_more_requests_never_accuse(stable, candidate, share, kind):
    before = log_e(one(share, stable, candidate), kind)
    more = replace(stable, **{"requests": stable.requests + 1, kind: getattr(stable, kind) + 1})
    more = replace(more, **{name: getattr(more, name) + 1 for name in [f"{kind.removesuffix('s')}_keys"]})
    # A request more of the stable version's makes the candidate's part of them smaller, where that is above the share.
    assume(candidate.requests <= share * (candidate.requests + stable.requests))
    assert log_e(one(share, more, candidate), kind) <= before + 1e-9
    assert log_e(one(share, stable, replace(candidate, requests=candidate.requests + 1)), kind) <= before + 1e-9


@given(st.integers(0, 60), st.integers(0, 60), st.sampled_from([0.01, 0.05, 0.5]))
def test_the_evidence_is_what_scipy_says_of_binomial_distributions(own, others, share):
    requests = 10**9
    evidence = one(share, counts(int(requests * (1 - share)), others), counts(int(requests * share), own))
    risks = np.array(code._RISKS)
    logs = stats.binom.logpmf(own, own + others, risks * share / (1 + (risks - 1) * share))
    logs = logs - stats.binom.logpmf(own, own + others, share)
    weights = np.sqrt(risks) / np.sqrt(risks).sum()
    assert log_e(evidence) == pytest.approx(special.logsumexp(logs, b=weights) + math.log(code._FIRST_START), abs=1e-6)


@given(st.integers(0, 500), st.integers(0, 500), st.sampled_from([0.001, 0.01, 0.3]))
def test_the_evidence_of_copies_is_what_scipy_says(differs, alike, allowed):
    evidence = one(0, Counts(), Counts(), Copies(differs + alike, 0, differs))
    risks = np.array(code._RISKS)
    rates = np.minimum(risks * allowed, (1 + allowed) / 2)
    logs = stats.binom.logpmf(differs, differs + alike, rates) - stats.binom.logpmf(differs, differs + alike, allowed)
    expected = special.logsumexp(logs, b=np.sqrt(risks) / np.sqrt(risks).sum()) + math.log(code._FIRST_START)
    assert log_e(evidence, "differs", Policy(differs=allowed)) == pytest.approx(expected, abs=1e-6)


# What is little, much, or strange


@given(st.floats(1e-6, 1), st.integers(0, 10**6), st.booleans())
def test_the_first_event_never_stops_a_candidate(share, stable, slow):
    candidate = counts(1, errors=not slow, slow=slow)
    assert alarm(one(share, counts(stable), candidate), Policy(replicas=1)) is None


@given(some_counts(), some_counts(), st.sampled_from([0, 1]), some_counts(), some_counts())
def test_a_share_of_nothing_or_all_says_nothing(stable, candidate, share, stable_before, candidate_before):
    assert log_e(one(share, stable, candidate)) == pytest.approx(math.log(code._FIRST_START))
    before = one(0.05, stable_before, candidate_before)
    after = replace(before, steps=[*before.steps, Step(share, 1, stable, candidate)])
    assert code._logs_e(after.steps, "errors", 0.01)[0] == pytest.approx(log_e(before), abs=1e-9)


@given(
    st.integers(2**53, 2**62), st.sampled_from([2**-10, 0.05, 0.5, 1 - 2**-10]), st.integers(1, 10**6), st.booleans()
)
def test_huge_counts_that_are_alike_make_no_alarm(requests, share, one_in, jump):
    own = int(requests * share)
    stable, candidate = counts(requests - own, (requests - own) // one_in), counts(own, own // one_in)
    strict = replace(LOOSE, alpha=0.001)
    evidence = one(share, stable, candidate)
    if jump:
        evidence = one(share, Counts(), Counts()) + evidence + evidence
    assert alarm(evidence, strict) is None
    verdict = judge(evidence, Policy(), share=share, baked_s=1e9)
    assert verdict.decision is Decision.GOOD
    assert alarm(one(share, stable, replace(candidate, errors=own, error_keys=own)), Policy()) or one_in == 1


@given(st.integers(0, 2**62), st.integers(0, 2**62), st.sampled_from([1e-6, 0.05, 0.5, 1 - 2**-10, 1 - 2**-53]))
def test_rounding_never_accuses(own, others, share):
    """Against sixty digits. Requests are so many that the candidate's part of them is its share."""
    evidence = one(share, Counts(2**70, others, 0, others), Counts(0, own, 0, own))
    with localcontext(prec=60):
        risks = [Decimal(risk) for risk in code._RISKS]
        logs = [own * risk.ln() - (own + others) * (1 + (risk - 1) * Decimal(share)).ln() for risk in risks]
        most = max(logs)
        exact = float(most) + math.log(
            sum(math.exp(float(log - most) + weight) for log, weight in zip(logs, code._LOG_WEIGHTS, strict=True))
        )
    found = code._logs_e(evidence.steps, "errors", 0.01)[0] - math.log(code._FIRST_START)
    assert found <= max(exact, -100.0) + 1e-9  # nobody is accused by what is far below
    assert own + others > 10**9 or found == pytest.approx(exact, abs=1e-4)


def test_an_outage_of_both_stops_nobody():
    assert alarm(one(0.05, counts(1900, 1900), counts(100, 100)), LOOSE) is None


def test_a_caller_that_sends_much_and_came_to_the_candidate_makes_no_alarm():
    """Half of the requests are its own; errors are as frequent with both."""
    assert log_e(one(0.05, counts(50_000, 500), counts(50_000, 500))) < 0
    assert log_e(one(0.05, counts(95_000, 500), counts(5_000, 500))) > 100


def test_harm_that_is_allowed_stops_nobody_however_sure_it_is():
    evidence = one(0.5, counts(10**7, 10**5), counts(10**7, 15 * 10**4))
    assert log_e(evidence) > 1000
    assert judge(evidence, POLICY, share=0.5, baked_s=1e9).decision is Decision.GOOD
    assert judge(evidence, replace(POLICY, errors=0.004), share=0.5, baked_s=1e9).decision is Decision.BAD


# Good, and not yet

FINE = counts(5000, 5, 50)


@pytest.mark.parametrize(
    ("evidence", "share", "policy", "decision", "reason"),
    [
        (Evidence(), 0.05, Policy(), "not_yet", "not enough is seen yet: 0 of 200 requests in this step"),
        (Evidence(), 0, Policy(), "not_yet", "not enough is seen yet: 0 of 200 copies in this step"),
        (
            one(0.05, FINE, counts(199)),
            0.05,
            Policy(),
            "not_yet",
            "not enough is seen yet: 199 of 200 requests in this step",
        ),
        (
            one(0.05, FINE, counts(5000)),
            0.5,
            Policy(),
            "not_yet",
            "not enough is seen yet: 0 of 200 requests in this step",
        ),
        (
            one(0.05, FINE, FINE),
            0.05,
            Policy(bake_s=3601),
            "not_yet",
            "not enough is seen yet: 3600 of 3601 s in this step",
        ),
        (
            one(0.05, FINE, counts(500)),
            0.05,
            Policy(),
            "not_yet",
            "not enough is seen yet: by 500 requests the harm by errors may be up to 2.5 %, allowed is 1 %",
        ),
        (
            one(0.05, FINE, FINE),
            0.05,
            Policy(differs=0.02),
            "not_yet",
            "not enough is seen yet: by 5000 requests the harm by answers that differ may be up to 100 %, allowed is 2 %",
        ),
        (
            one(0.05, FINE, FINE),
            0.05,
            Policy(),
            "good",
            "by 5000 requests the harm is at most: errors 0.53 %, slow answers 1.48 %",
        ),
        (
            one(0, FINE, Counts(), Copies(5000, 2, 40)),
            0,
            Policy(differs=0.02),
            "good",
            "by 5000 copies the harm is at most: copies without an answer 0.4 %, answers that differ 1.64 %",
        ),
        (
            one(0, FINE, Counts(), Copies(500, 2, 60)),
            0,
            Policy(differs=0.02),
            "bad",
            "answers that differ: 60 of 500 copies",
        ),
        (one(0, FINE, Counts(), Copies(30, 20, 0)), 0, Policy(), "bad", "copies without an answer: 20 of 30 copies"),
        (
            one(0.05, counts(1900, 1, 19), counts(100, 0, 60)),
            0.05,
            Policy(),
            "bad",
            "slow answers: 60 of 100 requests of the candidate's, 19 of 1900 of the stable version's",
        ),
    ],
)
def test_verdicts(evidence, share, policy, decision, reason):
    verdict = judge(evidence, policy, share=share, baked_s=3600)
    assert (verdict.decision, verdict.reason) == (decision, reason)


@given(some_evidence(), shares, some_counts(199))
def test_too_little_is_never_fine(evidence, share, candidate):
    evidence.steps = [step for step in evidence.steps if step.share != share]
    step = Step(share, candidate=candidate, copies=Copies(199))
    evidence.steps.append(step)
    assert judge(evidence, Policy(), share=share, baked_s=1e9).decision is not Decision.GOOD
    for bake in (0, 3599.9, -1, math.nan, -math.inf):
        step.candidate.requests = 10**9
        assert judge(evidence, Policy(), share=share, baked_s=bake).decision is not Decision.GOOD


def test_a_candidate_with_more_than_the_allowed_harm_is_hardly_ever_good():
    """Asked at many times; alpha 0.2, of which a bound has an eighth, and good needs one of two bounds to be wrong."""
    policy = Policy(alpha=0.2, bake_s=0, minimum_requests=1, errors=0.02, slow=1)
    rng, good, releases = np.random.default_rng(2), 0, 100
    for _ in range(releases):
        own, stable = (np.cumsum(rng.random(4000) < rate) for rate in (0.0301, 0.01))
        for at in range(100, 4000, 300):
            evidence = one(0.5, counts(at, int(stable[at - 1])), counts(at, int(own[at - 1])))
            if judge(evidence, policy, share=0.5, baked_s=1).decision is Decision.GOOD:
                good += 1
                break
    assert good <= 0.05 * releases + 3 * math.sqrt(0.05 * releases)


# Steps


@given(
    st.lists(
        st.tuples(st.sampled_from([0.05, 0.05, 0.05, 0.5]), some_counts(), some_counts()), min_size=15, max_size=60
    )
)
def test_steps_are_joined_so_that_they_stay_few_and_nothing_is_lost(steps):
    evidence, whole = Evidence(), Evidence()
    changes = 0
    for number, (share, stable, candidate) in enumerate(steps):
        changes += number > 0 and share != steps[number - 1][0]
        step = evidence.begin(share)
        step.stable, step.candidate = stable, candidate
        whole.steps.append(Step(share, number, stable, candidate))
        assert step is evidence.steps[-1]
        assert len(evidence.steps) <= 16 + changes
    assert evidence + Evidence() == whole + Evidence()
    numbers = [step.number for step in evidence.steps]
    assert numbers == sorted(set(numbers))
    if steps:
        assert numbers[0] == 0
        assert numbers[-1] == len(steps) - 1


def test_a_recent_step_is_kept_and_old_ones_are_joined():
    evidence = Evidence()
    for _ in range(1000):
        evidence.begin(0.05).stable.requests = 100
    sizes = [step.stable.requests for step in evidence.steps]
    assert len(sizes) == 16
    assert sizes[-2:] == [100, 100]
    assert max(sizes) == sizes[0] or max(sizes) == sizes[1]


# Numbers of strangers


def test_limits_are_those_of_a_release():
    limits = {
        "alpha": 0.01,
        "replicas": 8.0,
        "bake_s": 60,
        "minimum_requests": 10,
        "errors": 0.02,
        "slow": 1,
        "differs": 0.1,
    }
    release = Release("digits", 1, 1, 2, Stage.CANARY, 0.05, salt="s", limits=limits)
    assert Policy.parse(release.limits) == Policy(0.01, 8, 60, 10, 0.02, 1, 0.1)
    assert Policy.parse({}) == Policy()


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        (
            {"bake": 1},
            "limits has 'bake'; expected alpha, replicas, bake_s, minimum_requests, errors, slow, differs, tolerance",
        ),
        ({"alpha": 0}, "limits.alpha is 0; expected a number from 1e-12 to 0.5"),
        ({"alpha": math.nan}, "limits.alpha is nan; expected a number from 1e-12 to 0.5"),
        ({"replicas": 1.5}, "limits.replicas is 1.5; expected a whole number from 1 to 1000000"),
        ({"replicas": 0}, "limits.replicas is 0; expected a whole number from 1 to 1000000"),
        ({"bake_s": -1}, "limits.bake_s is -1; expected a number from 0 to 1e+09"),
        (
            {"minimum_requests": True},
            "limits.minimum_requests is True; expected a whole number from 1 to 1000000000000",
        ),
        ({"errors": "1 %"}, "limits.errors is '1 %'; expected a number from 1e-06 to 1"),
        ({"slow": 0}, "limits.slow is 0; expected a number from 1e-06 to 1"),
        ({"differs": 1.5}, "limits.differs is 1.5; expected a number from 1e-06 to 1"),
    ],
)
def test_wrong_limits_are_explained(limits, problem):
    with pytest.raises(UsageError, match=f"^{re.escape(problem)}$"):
        Policy.parse(limits)


@given(some_evidence())
def test_evidence_travels_as_json(evidence):
    assert Evidence.parse(json.loads(json.dumps(evidence.as_json()))) == evidence
    whole = evidence + evidence
    assert Evidence.parse(json.loads(json.dumps(whole.as_json()))) == whole


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda step: step["candidate"].update(errors=3), "steps[0].candidate: errors is 3, more than requests, 2"),
        (
            lambda step: step["candidate"].update(error_keys=1),
            "steps[0].candidate: error_keys is 1, more than errors, 0",
        ),
        (
            lambda step: step["stable"].update(requests=-1),
            "steps[0].stable.requests is -1; expected a whole number from 0 to",
        ),
        (
            lambda step: step["stable"].update(requests=1 << 63),
            "steps[0].stable.requests is 9223372036854775808; expected",
        ),
        (
            lambda step: step["copies"].update(failed=1),
            "steps[0].copies: failed is 1 and differs 0, together more than",
        ),
        (lambda step: step.update(share=1.5), "steps[0].share is 1.5; expected a number from 0 to 1"),
        (lambda step: step.update(number=-1), "steps[0].number is -1; expected a whole number from 0 to"),
        (lambda step: step.update(more=1), "expected share, number, stable, candidate and copies"),
        (lambda step: step["stable"].pop("slow"), "expected error_keys, errors, requests, slow, slow_keys"),
    ],
)
def test_wrong_evidence_is_explained(change, problem):
    values = one(0.05, Counts(), counts(2)).as_json()
    change(values["steps"][0])
    with pytest.raises(UsageError, match=re.escape(problem)):
        Evidence.parse(values)


@pytest.mark.parametrize("values", [None, [], {}, {"steps": {}}, {"steps": [{}] * 1001}, {"steps": [None]}])
def test_what_is_no_evidence_is_refused(values):
    with pytest.raises(UsageError, match="expected"):
        Evidence.parse(values)


# Callers


def test_an_event_of_a_caller_counts_once_with_each_version_it_was_raised_to():
    seen = FirstEvents()
    assert seen.first(1, candidate=False)
    assert not seen.first(1, candidate=False)
    assert seen.first(1, candidate=True)
    assert not seen.first(1, candidate=True)
    assert not seen.first(1, candidate=False)  # a share that was lowered


def test_callers_of_the_candidate_are_never_forgotten_and_memory_is_bounded():
    seen = FirstEvents(most=100)
    assert sum(seen.first(key, candidate=True) for key in range(1000)) == 100
    assert not any(seen.first(key, candidate=True) for key in range(1000))
    assert all(seen.first(key, candidate=False) for key in range(1000, 2000))
    assert len(seen._candidate) + len(seen._stable) <= 200


def test_the_page_tells_the_limits():
    page = (ROOT / "docs/releases-judge.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", page, re.MULTILINE))
    assert {name: float(value) for name, value in rows.items()} == asdict(Policy())


def test_evidence_and_harm_must_be_of_the_same_time():
    """Of the whole there is evidence, and little harm; of the last step harm, and no evidence."""
    evidence = one(0.5, counts(10**6, 1000), counts(10**6, 5000))
    step = evidence.begin(0.5)
    step.stable, step.candidate = counts(20), counts(20, 1)
    assert log_e(evidence) > 100
    assert alarm(evidence, POLICY) is None


def test_a_sum_begins_at_its_first_step_alone():
    evidence = one(0.05, counts(100), counts(5))
    evidence.begin(0.5)
    assert [step.number for step in (evidence + evidence).steps] == [0, None]
