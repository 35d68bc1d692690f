"""What replicas tell of a release, and what speaks against its promotion."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from signet.serving.errors import UsageError
from signet.serving.releases import replica
from signet.serving.releases.judge import Counts, Decision, Evidence, Step
from signet.serving.releases.release import Release, Stage
from signet.serving.releases.replica import Replica, different, not_served, objection, verdict

AT = "2027-01-31T12:00:00Z"
LATER = datetime(2027, 1, 31, 13, 0, 1, tzinfo=UTC)
CANARY = Release("digits", 3, 1, 2, Stage.CANARY, 0.5, salt="a1b2", at=AT)


def seen(requests: int, errors: int = 0) -> Evidence:
    return Evidence([Step(0.5, stable=Counts(requests), candidate=Counts(requests, errors, error_keys=errors))])


def replicas(count: int = 4, evidence: Evidence | None = None, **said: Any) -> list[Replica]:
    evidence = seen(5000) if evidence is None else evidence
    return [replace(Replica(f"pod-{i}", CANARY, frozenset({1, 2}), evidence=evidence), **said) for i in range(count)]


def test_an_answer_is_read_as_it_was_written():
    known = [*replicas(2, seen(10, 3)), Replica("pod-9", None, stopped="5 of 60 failed", keeps=False)]
    assert replica.parse(json.dumps(replica.as_json(known)).encode()) == known


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"name": ""}, r"replicas\[0\].name is ''; expected 1 to 200 characters"),
        ({"stopped": None}, r"replicas\[0\].stopped is None; expected"),
        ({"keeps": 1}, r"replicas\[0\].keeps is 1; expected true or false"),
        ({"available": ["1"]}, r"replicas\[0\].available is \['1'\]; expected versions"),
        ({"release": {"model": "digits"}}, "the release has no 'generation'"),
        ({"evidence": {}}, "the evidence is {}; expected 'steps'"),
    ],
)
def test_what_is_no_answer_is_named(changes, problem):
    (known,) = replica.as_json(replicas(1))["replicas"]
    with pytest.raises(UsageError, match=problem):
        replica.parse(json.dumps({"replicas": [{**known, **changes}]}).encode())


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"replicas": 1}', b'{"replicas": [1]}', b"[" * 100_000])
def test_other_bytes_are_refused(content):
    with pytest.raises(UsageError):
        replica.parse(content)


def test_what_all_have_seen_is_added_and_none_counts_twice():
    asked = different([*replicas(4, seen(1000)), *replicas(2, seen(1000))])
    assert len(asked) == 4
    assert verdict(CANARY, asked, LATER).decision is Decision.GOOD
    assert objection(CANARY, asked, LATER) is None


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ([], "no replica was asked what it has seen: say where they answer with --url"),
        (replicas(1, release=None), "pod-0 knows of no release, and not of generation 3 yet"),
        (
            replicas(1, release=replace(CANARY, generation=2)),
            "pod-0 knows of generation 2, and not of generation 3 yet",
        ),
        (replicas(1, stopped="5 of 60 failed"), "pod-0 has stopped version 2: 5 of 60 failed"),
        (replicas(1, available=frozenset({1})), "version 2 of 'digits' is not available at pod-0; available is 1"),
        (replicas(1, seen(20)), "version 2 is not known to be good: not enough is seen yet: 20 of 200 requests"),
        (replicas(4, seen(5000, 4000)), "version 2 is bad: errors: 16000 of 20000 requests of the candidate's"),
    ],
)
def test_what_speaks_against_a_promotion_is_said(asked, problem):
    assert str(objection(CANARY, asked, LATER)).startswith(problem)


def test_it_bakes_from_the_moment_of_its_last_change():
    early = datetime(2027, 1, 31, 12, 30, tzinfo=UTC)
    assert "1800 of 3600 s in this step" in str(objection(CANARY, replicas(), early))
    for at in ("", "yesterday"):
        undated = replace(CANARY, at=at)
        assert "0 of 3600 s" in str(objection(undated, replicas(release=undated), LATER))


def test_before_traffic_the_versions_must_be_there_and_no_more():
    gate = replace(CANARY, stage=Stage.GATE, share=0.0)
    assert objection(gate, replicas(2, Evidence(), release=gate), LATER) is None
    assert "not available" in str(objection(gate, replicas(1, release=gate, available=frozenset({1})), LATER))


def test_a_model_server_that_keeps_the_latest_alone_is_told_what_to_say():
    servers = replicas(2, keeps=False, available=frozenset({2}))
    assert not_served(servers, "digits", 1, 2) == (
        "version 1 of 'digits' is not available at pod-0; available is 2. A model server keeps the latest version alone, "
        "unless its model config file says for 'digits': model_version_policy { specific { versions: 1 versions: 2 } }"
    )
    assert not_served(replicas(2, available=frozenset({2})), "digits", 1, 2) is None
    assert not_served(replicas(2, keeps=False), "digits", 1, 2) is None
