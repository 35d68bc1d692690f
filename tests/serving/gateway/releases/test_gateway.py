"""A gateway with the embedded engine whose model has a release: who answers whom, while versions and releases come and go."""

import json

import pytest

from signet.serving.releases import release as releases
from signet.serving.releases.release import Stage
from tests.servers import wait_until
from tests.serving.gateway import in_process
from tests.serving.gateway.releases.house import BODY, House, ask, get, loaded, sent, until


def test_a_version_that_appears_gets_traffic_when_it_is_released(tmp_path):
    house = House(tmp_path, 1)
    house.write()
    with house.started() as gateway:
        gateway.gateway.start()
        house.add(2)
        until(gateway, {1, 2})
        assert ask(gateway) == 1
        assert ask(gateway, "/versions/2") == 2
        assert ask(gateway, "/labels/stable") == ask(gateway, "/labels/canary") == 1
        assert get(gateway, "/v1/models/m/metadata")[1]["model_spec"]["version"] == "1"
        house.write(Stage.CANARY, 1, 2, 0.5)
        wait_until(lambda: ask(gateway, "/labels/canary") == 2, what="the release")
        there = house.store.read("m")
        keys = [f"user-{number}" for number in range(60)]
        for _ in range(2):
            got = [ask(gateway, x_signet_key=key) for key in keys]
            assert got == [releases.route(there, key) for key in keys]
        assert set(got) == {1, 2}
        assert ask(gateway, x_request_id="abc-1") == releases.route(there, "abc-1")
        assert (ask(gateway, x_signet_release="stable"), ask(gateway, x_signet_release="candidate")) == (1, 2)
        house.add(3)
        until(gateway, {1, 2, 3})
        assert {ask(gateway, x_signet_key=key) for key in keys} == {1, 2}
        house.write(Stage.DONE, 2)
        until(gateway, {2, 3})
        assert {ask(gateway, x_signet_key=key) for key in keys} == {2}
        refused = gateway.ask("POST", b"/v1/models/m:predict", BODY, {b"x-signet-release": b"candidate"})
        assert refused.status == 400
        assert "has no candidate" in json.loads(refused.body)["error"]


def test_labels_that_somebody_has_assigned_go_before_those_of_the_release(tmp_path):
    house = House(tmp_path, 1, 2, 3)
    house.write(Stage.CANARY, 1, 2, 0.5)
    with house.started() as gateway:
        gateway.gateway.start()
        until(gateway, {1, 2, 3})
        assert (ask(gateway, "/labels/stable"), ask(gateway, "/labels/canary")) == (1, 2)
        (tmp_path / "m" / "labels.json").write_text('{"canary": 3}')
        assert (ask(gateway, "/labels/stable"), ask(gateway, "/labels/canary")) == (1, 3)


def test_after_a_restart_the_released_version_answers_although_newer_ones_are_there(tmp_path):
    house = House(tmp_path, 1, 2, 3)
    house.write(Stage.ROLLED_BACK, 1, 2)
    with house.started() as gateway:
        assert ask(gateway) == 1
        assert loaded(gateway) == {1, 3}
        assert get(gateway, "/readyz") == (
            200,
            {"ready": True, "draining": False, "models": ["m"], "missing": [], "why": []},
        )


def test_a_stable_version_that_is_gone_is_told_and_nobody_answers_in_its_place(tmp_path):
    house = House(tmp_path, 2, 3)
    house.write(Stage.CANARY, 1, 2, 0.5)
    with house.started() as gateway:
        until(gateway, {2, 3})
        status, ready = get(gateway, "/readyz")
        assert (status, ready["missing"]) == (503, ["m"])
        assert ready["releases"] == ["version 1 of 'm', the stable one of its release, is not available"]
        answers = [
            gateway.ask("POST", b"/v1/models/m:predict", BODY, {b"x-signet-key": str(number).encode()})
            for number in range(20)
        ]
        assert {answer.status for answer in answers} == {200, 503}
        assert {in_process.header(answer, "X-Signet-Model-Version") for answer in answers} == {"2", None}
        errors = {json.loads(answer.body)["error"] for answer in answers if answer.status == 503}
        assert [error.partition(", and no version is served in its place")[0] for error in errors] == ready["releases"]
        assert ask(gateway, "/versions/3") == 3


def test_a_candidate_that_is_gone_leaves_its_share_to_the_stable_version(tmp_path):
    house = House(tmp_path, 1)
    house.write(Stage.CANARY, 1, 2, 1.0)
    with house.started() as gateway:
        assert ask(gateway) == 1
        assert get(gateway, "/readyz")[0] == 200
        assert "version 2 of 'm', the candidate one" in get(gateway, "/readyz")[1]["releases"][0]
        missing = gateway.ask("POST", b"/v1/models/m:predict", BODY, {b"x-signet-release": b"candidate"})
        assert missing.status == 503
        assert "version 2 of 'm', the candidate one" in json.loads(missing.body)["error"]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_promotions_and_rollbacks_turn_nobody_away(tmp_path, share):
    """Also where the version to go back to has been unloaded long ago."""
    house = House(tmp_path, 1, 2, 3)
    house.write()
    with house.started() as gateway:
        gateway.gateway.start()
        for stable in (2, 1, 3, 1):
            before = ask(gateway)
            house.write(Stage.CANARY if share else Stage.GATE, before, stable, share)
            house.write(Stage.DONE, stable)
            seen = [before]
            while seen[-1] != stable:
                seen.append(ask(gateway))
            assert set(seen) == {before, stable}


@pytest.mark.parametrize("stable", [1, 2])
def test_a_model_that_comes_with_its_release_answers_by_it_from_the_first_request_on(tmp_path, stable):
    """Nothing follows the files here: they are looked for because versions come."""
    house = House(tmp_path / "aside", 1, 2)
    house.write(stable=stable)
    (tmp_path / "models" / "other").mkdir(parents=True)
    with in_process.gateway(models_dir=tmp_path / "models", poll_s=0.02) as gateway:
        (tmp_path / "aside" / "m").rename(tmp_path / "models" / "m")
        wait_until(lambda: sent(gateway).status == 200, what="the model")
        assert ask(gateway) == stable


def test_a_version_that_comes_after_its_release_was_written_gets_nothing(tmp_path):
    house = House(tmp_path, 1)
    with house.started() as gateway:
        assert ask(gateway) == 1
        house.write()
        house.add(2)
        until(gateway, {1, 2})
        assert ask(gateway) == 1
