"""Releases over HTTP: told to whoever may ask, changed with an admin's key, counted for Prometheus."""

import json

import pytest

from signet.serving.gateway.access import key_file, tokens
from signet.serving.releases import replica
from signet.serving.releases.release import Stage
from tests.servers import wait_until
from tests.serving.gateway import in_process
from tests.serving.gateway.releases.house import House, ask, get, until


@pytest.fixture
def keys(tmp_path):
    shown = {}
    for name, admin in (("boss", True), ("ana", None)):
        created = tokens.create()
        key_file.add(tmp_path / "keys", created, name=name, models="*", admin=admin)
        shown[name] = {b"authorization": b"Bearer " + created.token.encode()}
    return shown


def do(gateway, key, action, said=None, model="m"):
    body = b"" if said is None else json.dumps(said).encode()
    answer = gateway.ask("POST", f"/v1/models/{model}/release/{action}".encode(), body, key)
    return answer.status, json.loads(answer.body)


def test_an_admin_releases_a_version_step_by_step(tmp_path, keys):
    house = House(tmp_path / "models", 1, 2)
    house.folder = tmp_path / "models"
    with in_process.gateway(models_dir=house.folder, poll_s=0.02, keys=tmp_path / "keys") as gateway:
        gateway.gateway.start()
        boss = keys["boss"]
        assert do(gateway, keys["ana"], "start", {"version": 2})[0] == 403
        assert do(gateway, {}, "start", {"version": 2})[0] == 401
        assert do(gateway, boss, "begin")[0] == 400
        assert do(gateway, boss, "start", {"version": 7})[0] == 400
        status, made = do(gateway, boss, "start", {"version": 2, "stable": 1, "limits": {"minimum_requests": 5}})
        assert (status, made["stage"], made["by"]) == (200, "gate", "key boss")
        assert do(gateway, boss, "start", {"version": 2})[0] == 400, "one is open already"
        until(gateway, {1, 2})
        wait_until(lambda: do(gateway, boss, "promote")[0] == 200, what="the gate's end, once this process knows of it")
        assert house.store.read("m").stage is Stage.SHADOW
        status, refused = do(gateway, boss, "promote")
        assert status == 400
        assert "nothing is changed" in refused["error"]
        status, made = do(gateway, boss, "promote", {"to": "canary", "share": 0.5, "force": True, "reason": "a test"})
        assert (status, made["share"]) == (200, 0.5)
        status, made = do(gateway, boss, "rollback", {"reason": "enough"})
        assert (status, made["stage"], made["reason"]) == (200, "rolled_back", "enough")
        assert [each.stage for each in house.store.history("m")] == ["gate", "shadow", "canary", "rolled_back"]


class Two:
    """The parent of two processes, of which the other one stands still: it answers nothing."""

    places = 2

    def __init__(self, releases):
        self._releases, self.asked = releases, 0

    async def ask(self, kind, model):
        assert kind == "release"
        self.asked += 1
        return [self._releases.known(model), TimeoutError()]

    def tell(self, kind):
        assert kind == "released"


def test_what_a_process_has_seen_that_does_not_answer_speaks_against_a_promotion_and_not_against_a_rollback(
    tmp_path, keys, monkeypatch
):
    house = House(tmp_path / "models", 1, 2)
    house.write(Stage.SHADOW, 1, 2, bake_s=0, minimum_requests=1, errors=1, slow=1)
    with house.started(keys=tmp_path / "keys") as gateway:
        boss, releases = keys["boss"], gateway.gateway.releases
        until(gateway, {1, 2})
        parent = Two(releases)
        monkeypatch.setattr(releases, "_parent", parent)
        told = json.loads(gateway.ask("GET", b"/v1/models/m/release", b"", boss).body)
        assert [one.release is None for one in replica.parse(json.dumps(told).encode())] == [False, True]
        status, refused = do(gateway, boss, "promote")
        assert (status, "1 of 2 processes" in refused["error"]) == (400, True)
        parent.asked = 0
        assert do(gateway, boss, "rollback")[0] == 200
        assert not parent.asked


def test_what_a_process_knows_is_told_as_others_read_it(tmp_path):
    house = House(tmp_path, 1, 2)
    house.write(Stage.CANARY, 1, 2, 0.5, errors=0.02)
    with house.started() as gateway:
        for number in range(20):
            ask(gateway, x_signet_key=str(number))
        status, told = get(gateway, "/v1/models/m/release")
        assert status == 200
        (one,) = replica.parse(json.dumps(told).encode())
        assert one.release == house.store.read("m")
        assert (one.available, one.keeps, one.stopped) == ({1, 2}, True, "")
        step = one.evidence.at(0.5)
        assert step.stable.requests + step.candidate.requests == 20
        assert told["verdict"]["decision"] == "not_yet"
        assert do(gateway, {}, "rollback")[0] == 403, "there are no keys: whoever reaches the port could say so"
        assert get(gateway, "/v1/models/nobody/release")[0] == 404
        text = gateway.ask("GET", b"/metrics").body.decode()
        for line in (
            'signet_release_stage{model="m",stage="canary"} 1.0',
            'signet_release_share{model="m"} 0.5',
            'signet_release_missing{model="m",side="candidate"} 0.0',
            'signet_release_stopped{model="m"} 0.0',
        ):
            assert line in text
