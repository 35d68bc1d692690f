"""Releases as they happen: `signet serve` as replicas that share a folder, callers by all protocols, and kill -9."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from signet.serving.releases import actions
from signet.serving.releases import release as releases
from signet.serving.releases.release import Release, Stage
from signet.serving.releases.store import ReleaseStore
from tests.servers import ROOT, wait_until
from tests.serving.gateway.releases.fleet import Asked, Fleet, replicas

LONG = [pytest.mark.long, pytest.mark.timeout(1800)]
MODELS = ("load", "keys", "walk", "killed", "picky", "doomed")
"""Each test has one of its own, in a folder that they share."""


def written(folder: Path, times_models: Path, picky_version: Path) -> Path:
    """Models with the versions 1 and 2, and 3, which nobody ever releases."""
    for model in MODELS:
        for version in ("1", "2", "3"):
            source = picky_version if (model, version) in (("picky", "2"), ("doomed", "2")) else times_models / version
            shutil.copytree(source, folder / model / version)
        kept(ReleaseStore(folder), model)
    return folder


def kept(store: ReleaseStore, model: str) -> Release:
    """Version 1 answers, until another one is released."""
    return actions.start(store, model, [1], [], by="a test")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, times_models: Path, picky_version: Path) -> Iterator[Fleet]:
    """Two replicas."""
    with replicas(written(tmp_path_factory.mktemp("models"), times_models, picky_version), 2) as fleet:
        yield fleet


@contextmanager
def fleet_of(count: int, pair: Fleet, times_models: Path, picky_version: Path, tmp_path: Path) -> Iterator[Fleet]:
    """So many replicas: the two that there are, or others, which look at their files each second, as by default."""
    if count == 2:
        yield pair
        return
    with replicas(written(tmp_path, times_models, picky_version), count, poll_s=1.0) as fleet:
        yield fleet


def step(fleet: Fleet, model: str, action: str, **said: object) -> Release:
    """What `signet release` does, whatever the replicas have seen."""
    if action == "start":
        return actions.start(fleet.store, model, [1, 2, 3], [], by="a test", **said)  # type: ignore[arg-type]
    if action == "rollback":
        return actions.rollback(fleet.store, model, lambda: [1, 2, 3], by="a test")
    forced = {"force": True, "reason": "a test", **said}
    return actions.promote(fleet.store, model, lambda: [], by="a test", **forced)  # type: ignore[arg-type]


def only(asked: Asked, *versions: int, of: int = 30) -> None:
    """Wait until nothing else answers; `of` answers in turn."""

    def come() -> bool:
        last = asked.answers[-of:]
        return len(last) == of and {one.version for one in last if one.version} == set(versions)

    wait_until(come, 60, f"nothing but {versions}")


@pytest.mark.parametrize("rounds", [3, pytest.param(100, marks=LONG)])
def test_promotions_and_rollbacks_fail_no_request(pair, rounds, capsys):
    """Also where a version is loaded and unloaded for each of them."""
    with pair.asked("load", pause_s=0.02 if rounds < 100 else 0.001) as asked:
        for number in range(rounds):
            step(pair, "load", "start", version=2, stable=1)
            share = step(pair, "load", "promote", to="canary", share=0.5)
            if number % 2:
                pair.follows(share)
            done = step(pair, "load", "promote", to="done")
            if number % 3 != 1:
                pair.follows(done)
            pair.follows(step(pair, "load", "rollback"))
        only(asked, 1)
        step(pair, "load", "start", version=2, stable=1)
        step(pair, "load", "promote", to="canary", share=0.5)
        pair.follows(step(pair, "load", "promote", to="done"))
        only(asked, 2)
        pair.follows(step(pair, "load", "rollback"))
    by = {name: sum(one.protocol == name for one in asked.answers) for name in ("V1", "V2", "gRPC")}
    with capsys.disabled():
        print(f"\n{rounds + 1} promotions, as many rollbacks: answered {by}, failed {len(asked.problems())}")
    assert asked.problems() == set()
    assert asked.versions() == {1, 2}
    assert all(by.values())


@pytest.mark.parametrize("count", [200, pytest.param(20_000, marks=LONG)])
def test_a_key_gets_the_same_version_from_each_replica_and_stays_while_the_share_grows(pair, count, capsys):
    step(pair, "keys", "start", version=2, stable=1)
    inside: set[str] = set()
    keys = [f"user-{number}" for number in range(count)]
    with closing(pair.caller(0)) as one, closing(pair.caller(1, "gRPC" if count < 1000 else "V2")) as other:
        for share in (0.05, 0.3, 0.5):
            there = step(pair, "keys", "promote", to="canary", share=share)
            pair.follows(there)
            both = {key: (one.ask("keys", key), other.ask("keys", key)) for key in keys}
            assert not [answer.problem for pair_of in both.values() for answer in pair_of if answer.problem]
            got = {key: answer.version for key, (answer, _) in both.items()}
            assert got == {key: answer.version for key, (_, answer) in both.items()}
            assert got == {key: releases.route(there, key) for key in keys}
            now = {key for key, version in got.items() if version == 2}
            assert inside <= now
            inside = now
            with capsys.disabled():
                print(f"\n{len(now)} of {count} keys at a share of {share}", end="")
    assert inside


@pytest.mark.parametrize(("count", "bad"), [(2, 2), pytest.param(4, 20, marks=LONG)])
def test_a_candidate_with_errors_is_stopped_everywhere(count, bad, pair, times_models, picky_version, tmp_path, capsys):
    """One in `bad` of its requests has no answer: its graph looks for an index that its table has not."""
    with fleet_of(count, pair, times_models, picky_version, tmp_path) as fleet:
        step(fleet, "picky", "start", version=2, stable=1, limits={"replicas": count, "slow": 1})
        there = step(fleet, "picky", "promote", to="canary", share=0.5)
        fleet.follows(there)
        with fleet.asked("picky", ("V1",), lambda number: 19.0 if number % bad == 0 else 1.0, 0.001) as asked:
            wait_until(lambda: fleet.store.read("picky").stage is Stage.ROLLED_BACK, 240, "the rollback")
            fleet.follows(fleet.store.read("picky"))
            only(asked, 1, of=30 * count)
        now = fleet.store.read("picky")
        assert (now.generation, now.stable, now.candidate, now.by) == (there.generation + 1, 1, 2, "signet")
        braked = {number: when for number in range(count) if (when := stopped_at(fleet, number)) is not None}
        first, who = min((when, number) for number, when in braked.items())
        answers = asked.answers
        assert not [
            one for one in answers if one.replica in braked and one.version == 2 and one.begun > braked[one.replica] + 1
        ]
        last = max(one.begun for one in answers if one.version == 2 or one.problem)
        own = [
            one for one in answers if one.replica == who and (one.version == 2 or one.problem) and one.begun <= first
        ]
        with capsys.disabled():
            print(
                f"\nstopped by {len(braked)} of {count} replicas themselves; the first after {len(own)} requests of the "
                f"candidate's; nobody got it from anybody {last - first:.2f} s later: {now.reason}"
            )
        assert last - first < 30
        assert asked.versions() <= {1, 2}
        assert all("is not in [0, 19)" in problem for problem in asked.problems())


def stopped_at(fleet: Fleet, number: int) -> float | None:
    """When a replica said that it stops a candidate."""
    running = fleet.replicas[number].running
    running.read_until("release of 'picky', generation 4: rolled_back")
    match = re.search(r"^(\S+Z) ERROR the candidate of 'picky', version 2, is stopped", running.output, re.MULTILINE)
    return datetime.fromisoformat(match[1]).timestamp() if match else None


@pytest.mark.parametrize("every", [60, pytest.param(1, marks=LONG)])
def test_commands_killed_at_any_step_lose_nothing_and_no_third_version_is_served(pair, every, capsys):
    """`killed.py` says what must hold of the files after each kill."""
    with pair.asked("walk", pause_s=0.05) as asked:
        words = ["--walk", str(pair.folder), "walk", str(every)]
        done = subprocess.run(
            [sys.executable, "-m", "tests.serving.releases.killed", *words],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        said = json.loads(done.stdout.splitlines()[-1])
        there = pair.store.read("walk")
        pair.follows(there)
        only(asked, there.stable)
    with capsys.disabled():
        print(
            f"\n{said['kills']} commands killed in a write, {said['before']} of them before it; {len(asked.answers)} answers"
        )
    assert said["kills"] >= 5
    assert asked.problems() == set()
    assert asked.versions() <= {1, 2}


STAGES = ("gate", "shadow", "canary", "done", "rolled_back")


@pytest.mark.parametrize(("stages", "rounds"), [(("canary",), 1), pytest.param(STAGES, 20, marks=LONG)])
def test_replicas_killed_at_each_stage_come_back_to_what_is_released(pair, stages, rounds, capsys):
    kills = 0
    with pair.asked("killed") as asked:
        for number in range(rounds):
            for stage in STAGES:
                there = reach(pair, "killed", stage)
                if stage in stages:
                    who = kills % 2
                    if number % 2:
                        pair.follows(there)
                    pair.kill(who)
                    pair.begin_again(who)
                    kills += 1
                    pair.follows(there)
                    assert pair.store.read("killed") == there
                if stage == "rolled_back":
                    pair.follows(there)
                    only(asked, 1)
    with capsys.disabled():
        print(f"\n{kills} replicas killed; {len(asked.answers)} requests")
    assert pair.problems(asked) == set()
    assert asked.versions() <= {1, 2}
    assert len(pair.store.history("killed")) == pair.store.read("killed").generation


def reach(fleet: Fleet, model: str, stage: str) -> Release:
    """The next stage of a release of version 2."""
    if stage == "gate":
        return step(fleet, model, "start", version=2, stable=1)
    if stage == "rolled_back":
        return step(fleet, model, "rollback")
    return step(fleet, model, "promote", to=stage)


@pytest.mark.parametrize("steps", [pytest.param(range(1, 64, 3), marks=LONG)])
def test_a_replica_killed_while_it_rolls_back_loses_nothing(pair, steps, capsys):
    """Its brake has stopped the candidate, and it is killed before a call of the system in the write that tells the others."""
    kills = before = 0
    pair.kill(0)
    for at in steps:
        pair.begin_again(0, doomed=at)
        step(pair, "doomed", "start", version=2, stable=1, limits={"replicas": 2, "slow": 1})
        there = step(pair, "doomed", "promote", to="canary", share=0.5)
        pair.follows(there)
        killed = pair.replicas[0].running.process
        with closing(pair.caller(0)) as caller:
            answers = []
            begun = time.monotonic()
            while killed.poll() is None and time.monotonic() < begun + 60 and pair.store.read("doomed") == there:
                answers.append(caller.ask("doomed", f"key {len(answers)}", 19.0 if len(answers) % 2 else 1.0))
        assert {one.version for one in answers} <= {1, 2, None}
        now = pair.store.read("doomed")
        assert now.generation in (there.generation, there.generation + 1)
        if killed.poll() is None:
            killed.kill()
        elif killed.wait() == -9:
            kills += 1
        before += now == there
        if now == there:
            pair.begin_again(0)
            with closing(pair.caller(0)) as caller:
                wait_until(
                    lambda caller=caller: (
                        caller.ask("doomed", str(time.monotonic()), 19.0) and not pair.store.read("doomed").open
                    ),
                    60,
                    "the rollback",
                )
            pair.kill(0)
        now = pair.store.read("doomed")
        assert (now.generation, now.stage) == (there.generation + 1, Stage.ROLLED_BACK)
        assert [one.generation for one in pair.store.history("doomed")] == list(range(1, now.generation + 1))
    pair.begin_again(0)
    pair.follows(now)
    with closing(pair.caller(0)) as caller:
        assert {caller.ask("doomed", str(number)).version for number in range(50)} == {1}
    with capsys.disabled():
        print(f"\n{kills} replicas killed in the write of a rollback, {before} times before it was there")
    assert kills > 10
    assert before > 3
