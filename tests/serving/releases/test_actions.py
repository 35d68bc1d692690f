"""What may be asked for with an admin's key: a body in JSON, done or refused with a sentence."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from signet.serving.errors import UsageError
from signet.serving.releases import actions, checks
from signet.serving.releases.checks import Check, Checks, Progress
from signet.serving.releases.release import Release, Stage
from signet.serving.releases.replica import Replica
from signet.serving.releases.store import ReleaseStore


@pytest.fixture
def store(tmp_path: Path) -> ReleaseStore:
    (tmp_path / "digits").mkdir()
    return ReleaseStore(tmp_path)


def do(store: ReleaseStore, body: object, replicas: list[Replica] | None = None) -> Release:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return actions.perform(
        store, "digits", content, by="ana", known=lambda: [1, 2], replicas=lambda: [] if replicas is None else replicas
    )


def test_a_release_is_made_by_requests(store):
    now = do(store, {"action": "start", "version": 2, "limits": {"bake_s": 60}, "reason": "new data"})
    assert (now.stage, now.stable, now.candidate, now.by, now.limits) == (Stage.GATE, 1, 2, "ana", {"bake_s": 60})
    knows = [Replica("pod-0", now, frozenset({1, 2}))]
    now = do(store, {"action": "promote"}, knows)
    assert (now.stage, now.shadow) == (Stage.SHADOW, 1)
    now = do(store, {"action": "promote", "share": 0.2, "force": True, "reason": "it is well known"})
    assert (now.stage, now.share) == (Stage.CANARY, 0.2)
    assert do(store, {"action": "rollback", "reason": "no"}).stage is Stage.ROLLED_BACK
    assert store.read("digits") == store.history("digits")[-1]
    assert len(store.history("digits")) == 4


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "the body is no JSON"),
        (b"[" * 10_000, "the body is no JSON"),
        (b"x" * 100_000, "the body has more than 65536 bytes"),
        ([], r"the body is \[\]; expected an object with an action"),
        ({}, "action is None; expected one of start, promote, rollback"),
        ({"action": "delete"}, "action is 'delete'; expected one of"),
        ({"action": "start", "share": 0.5}, "start has no 'share'; expected version, stable, limits, reason"),
        ({"action": "start", "version": "2"}, "version is '2'; expected a version"),
        ({"action": "start", "version": 3}, "there is no version 3 of 'digits'"),
        ({"action": "start", "version": 2, "limits": {"alpha": "x"}}, "alpha is 'x'"),
        ({"action": "start", "version": 2, "limits": {"alfa": 1}}, "limits has 'alfa'"),
        ({"action": "start", "version": 2, "reason": "x" * 2000}, "expected a line of at most 1000 characters"),
        ({"action": "promote"}, "'digits' has no release"),
        ({"action": "rollback"}, "'digits' has no release"),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_is_written(store, body, problem):
    with pytest.raises(UsageError, match=problem):
        do(store, body)
    assert store.history("digits") == []


def test_nobody_goes_back_to_a_version_that_is_gone(store):
    """Servers would go on with the one that is to go, and those that start would have none."""
    done = Release("digits", 1, 3, None, Stage.DONE)
    store.write(replace(done, stable=2), 0)
    store.write(done, 1)
    with pytest.raises(UsageError, match=r"version 2 of 'digits', which was stable before, is not in .*there is 1, 3"):
        actions.rollback(store, "digits", lambda: [1, 3], by="ana")
    assert store.read("digits") == replace(done, generation=2)
    assert actions.rollback(store, "digits", lambda: [1, 2, 3], by="ana").stable == 2


def test_a_version_that_nobody_has_checked_goes_to_copies_and_no_further(store):
    now = do(store, {"action": "start", "version": 2})
    knows = [Replica("pod-0", now, frozenset({1, 2}))]
    for said in ({"to": "done"}, {"share": 0.1}):
        with pytest.raises(UsageError, match="nobody has checked version 2"):
            do(store, {"action": "promote", **said}, knows)
    assert do(store, {"action": "promote"}, knows).stage is Stage.SHADOW


def test_what_the_gate_has_found_decides_until_the_files_are_others(store, tmp_path):
    for version in ("1", "2"):
        (tmp_path / "digits" / version).mkdir()
    now = do(store, {"action": "start", "version": 2})
    knows = [Replica("pod-0", now, frozenset({1, 2}))]
    kept = Checks(store)
    refused = Check(
        2,
        1,
        checks.stamp(tmp_path / "digits" / "1", tmp_path / "digits" / "2"),
        Progress.REFUSED,
        reason="classes: 'y'",
    )
    assert kept.replace("digits", refused, None)
    for said in ({}, {"to": "done"}):
        with pytest.raises(UsageError, match="the gate: version 2 is refused: classes: 'y'"):
            do(store, {"action": "promote", **said}, knows)
    passed = replace(refused, progress=Progress.PASSED)
    assert kept.replace("digits", passed, refused)
    file = tmp_path / "digits" / "2" / "saved_model.pb"
    file.touch()
    with pytest.raises(UsageError, match="nobody has checked version 2"):
        do(store, {"action": "promote", "to": "done"}, knows)
    file.unlink()
    assert do(store, {"action": "promote", "to": "done"}, knows).stage is Stage.DONE


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"action": "promote"}, "no replica was asked what it has seen: .*; nothing is changed"),
        ({"action": "promote", "force": True}, "to force it needs a reason"),
        ({"action": "promote", "force": 1}, "force is 1; expected true or false"),
        ({"action": "promote", "to": "gate"}, "to is 'gate'; expected one of shadow, canary, done"),
        ({"action": "promote", "share": True}, "share is True; expected a number"),
        ({"action": "promote", "share": 7, "force": True, "reason": "x"}, "share is 7; expected a number from 0 to 1"),
        ({"action": "start", "version": 2}, "promote it or roll it back before another one is started"),
    ],
)
def test_what_an_open_release_does_not_allow_is_refused(store, body, problem):
    do(store, {"action": "start", "version": 2})
    with pytest.raises(UsageError, match=problem):
        do(store, body)
    assert len(store.history("digits")) == 1
