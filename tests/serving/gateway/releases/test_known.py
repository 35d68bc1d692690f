"""What several processes know of a release, put together."""

import json
import math

from signet.serving.gateway.releases import known
from signet.serving.gateway.releases.copying import OutputCounts
from signet.serving.gateway.releases.known import Known, OnTrial
from signet.serving.releases import replica
from signet.serving.releases.judge import Evidence, Policy
from signet.serving.releases.release import Release, Stage
from signet.serving.releases.replica import Replica

CANARY = Release("m", 3, 1, 2, Stage.CANARY, 0.5, 0.1, salt="s")


def process(name, requests, errors=0, stopped="", outputs=None, trial=True, gate="none"):
    evidence = Evidence()
    step = evidence.begin(0.5)
    step.stable.requests = step.candidate.requests = requests
    step.candidate.errors = step.candidate.error_keys = errors
    told = Replica(name, CANARY, frozenset({1, 2}), True, stopped, evidence)
    baked = OnTrial(Policy(minimum_requests=200, bake_s=10), 0.5, 60.0) if trial else None
    return Known(known.dumped(told), baked, {"shown": 2}, outputs or {}, {"progress": gate})


def test_evidence_of_all_processes_is_told_and_judged_together():
    several = [process("a", 60, errors=3), process("b", 60)]
    told = known.told(several)
    assert [
        (one.name, one.evidence.at(0.5).candidate.requests) for one in replica.parse(json.dumps(told).encode())
    ] == [
        ("a", 60),
        ("b", 60),
    ]
    assert told["copies"] == {"shown": 4, "full": 0, "away": 0}
    alone, both = known.told(several[:1])["verdict"], told["verdict"]
    assert "60 of 200 requests" in alone["reason"]
    assert "120 of 200 requests" in both["reason"]


def test_all_know_better_together_than_each_alone():
    """Six errors of ten may be chance; twenty-four of forty are none."""
    several = [process(name, 10, errors=6) for name in ("a", "b", "c", "d")]
    assert known.told(several[:1])["verdict"]["decision"] == "not_yet"
    assert known.told(several)["verdict"]["decision"] == "bad"


def test_a_candidate_that_one_process_has_stopped_is_bad():
    told = known.told([process("a", 10), process("b", 10, stopped="errors: 5 of 10")])
    assert (told["verdict"]["decision"], told["verdict"]["reason"]) == ("bad", "errors: 5 of 10")


def test_the_evidence_of_each_kind_of_event_is_told():
    told = known.told([process("a", 100, errors=1), process("b", 100, errors=3)])
    errors, *others = told["verdict"]["findings"]
    assert [one["kind"] for one in others] == ["slow", "failed", "differs"]
    assert (errors["harm"], errors["allowed"]) == (4 / 200, 0.01)
    assert 0 < errors["log_e"] < errors["log_alarm"]
    json.dumps(told, allow_nan=False)


def test_a_release_without_a_candidate_has_no_verdict():
    assert known.told([process("a", 0, trial=False)])["verdict"] is None


def test_what_the_gate_has_found_is_told_as_the_first_that_knows_it_does():
    several = [process("a", 1), process("b", 1, gate="passed")]
    assert known.told(several)["gate"] == {"progress": "passed"}
    assert known.told(several[:1])["gate"] == {"progress": "none"}


def test_differences_of_outputs_are_added_and_those_without_bound_are_null():
    one = {"p": OutputCounts(5, 1, 0, 1, 0.25, 0.5), "q": OutputCounts(1, 1, 1)}
    two = {"p": OutputCounts(3, 2, 1, 0, math.inf, 0.75)}
    told = known.told([process("a", 1, outputs=one), process("b", 1, outputs=two)])
    assert told["outputs"]["p"] == {
        "copies": 8,
        "differs": 3,
        "missing": 1,
        "argmax_changed": 1,
        "most_absolute": None,
        "most_relative": 0.75,
    }
    assert told["outputs"]["q"]["copies"] == 1
    json.dumps(told, allow_nan=False)
