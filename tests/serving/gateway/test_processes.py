"""`signet serve --processes N` as a program: connections spread, counts summed, a killed process replaced, no orphans."""

import json
import os
import re
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import httpx
import pytest

from signet.serving.gateway.access import key_file, tokens
from signet.serving.gateway.settings import SHARED, Settings
from signet.serving.releases import replica
from signet.serving.releases.replica import Replica
from tests import servers
from tests.servers import GOLDEN_MODELS
from tests.serving.h2 import wire

X = {"instances": [[1, 1, 1, 1]]}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with one version of one model, `m`."""
    folder = tmp_path / "models"
    shutil.copytree(GOLDEN_MODELS / "three_out" / "1", folder / "m" / "1")
    return folder


@contextmanager
def service(
    models: Path, processes: int, *arguments: object, environment: dict[str, str] | None = None
) -> Iterator[tuple[str, servers.Program]]:
    words = ["--models-dir", models, "--processes", str(processes), *map(str, arguments)]
    with servers.gateway(*words, environment=environment) as (url, running):
        running.read_until(f"{processes} processes take")
        yield url, running


def metric(url: str, series: str) -> float:
    """The sum of all samples whose line begins so."""
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(series))


def connections(stack: ExitStack, url: str, count: int) -> list[httpx.Client]:
    """Clients with a connection each, that have been answered."""
    found = [stack.enter_context(httpx.Client(base_url=url)) for _ in range(count)]
    for client in found:
        assert client.post("/v1/models/m:predict", json=X).status_code == 200
    return found


def answered(client: HTTPConnection) -> bool:
    """Whether a predict is answered on the connection; False when that has ended."""
    try:
        client.request("POST", "/v1/models/m:predict", json.dumps(X))
        answer = client.getresponse()
    except ConnectionError:
        return False
    answer.read()
    assert answer.status == 200
    return True


def predicted(url: str) -> float:
    return metric(url, 'signet_requests_total{code="OK",model="m"')


def test_a_killed_process_takes_its_own_half_of_the_connections_and_is_replaced(models):
    with service(models, 2) as (url, running), ExitStack() as stack:
        # Not httpx's, which would connect again without a word.
        clients = [HTTPConnection(url.removeprefix("http://")) for _ in range(4)]
        for client in clients:
            stack.callback(client.close)
            assert answered(client)
        before = predicted(url)
        assert before == 4
        first, second = servers.children(running)
        os.kill(first, signal.SIGKILL)
        servers.wait_until(lambda: not servers.lives(first), what="the end of the killed process")
        assert sum(map(answered, clients)) == 2
        assert httpx.get(f"{url}/readyz").status_code == 200
        # The other one's counts are there, and those that the killed one had told.
        assert predicted(url) == before + 2
        running.read_until(r"process 1 of 2 \(pid \d+\) answers again")
        assert metric(url, "signet_process_restarts_total") == 1
        assert metric(url, 'signet_processes{state="ready"}') == 2
        assert second in servers.children(running)
        assert len(servers.children(running)) == 2
        assert predicted(url) == before + 2
        # New connections go to whom has fewest: the new one, until it has as many.
        connections(stack, url, 2)
        assert running.stop() == 0
        assert not servers.lives(second)


def test_three_processes_tell_one_count_whichever_is_asked(models):
    with service(models, 3) as (url, running), ExitStack() as stack:
        clients = connections(stack, url, 6)
        tellings = [client.get("/metrics").text for client in clients]
        names = [
            {line.partition(" ")[0] for line in text.splitlines() if not line.startswith("#")} for text in tellings
        ]
        assert all(found == names[0] for found in names)
        assert predicted(url) == 6
        assert metric(url, "signet_request_duration_seconds_count") == 6
        statistics = {
            client.get("/v2/models/m/versions/1/stats").json()["model_stats"][0]["inference_count"]
            for client in clients
        }
        assert statistics == {6}
        assert len(servers.children(running)) == 3
        assert running.stop() == 0


def test_no_process_stays_when_the_parent_is_killed(models):
    with service(models, 2) as (url, running), ExitStack() as stack:
        connections(stack, url, 4)
        pids = servers.children(running)
        running.process.kill()
        running.process.wait()
        servers.wait_until(lambda: not any(map(servers.lives, pids)), what="the end of the processes without a parent")


def test_sigterm_drains_all(models):
    with service(models, 2, "--drain-s", "1") as (url, running), ExitStack() as stack:
        clients = connections(stack, url, 4)
        pids = servers.children(running)
        running.process.send_signal(signal.SIGTERM)
        for client in clients:  # each on its own process, until the drain is over
            servers.wait_until(lambda client=client: client.get("/readyz").status_code == 503, what="the drain")
            servers.wait_until(lambda client=client: closes(client), what="the drain of that process")
        assert running.process.wait(30) == 0
        assert not any(map(servers.lives, pids))


def closes(client: httpx.Client) -> bool:
    """Whether the process of this connection answers, and ends it then: each begins to drain when its turn comes."""
    answer = client.post("/v1/models/m:predict", json=X)
    assert answer.status_code == 200
    return answer.headers.get("connection") == "close"


def test_a_new_version_is_taken_up_by_all_at_sighup(models):
    with service(models, 2) as (url, running), ExitStack() as stack:
        clients = connections(stack, url, 2)
        shutil.copytree(models / "m" / "1", models / "m" / ".writing")
        (models / "m" / ".writing").rename(models / "m" / "2")
        running.process.send_signal(signal.SIGHUP)
        for client in clients:
            servers.wait_until(
                lambda client=client: client.get("/v1/models/m/versions/2").status_code == 200, what="version 2"
            )


def test_a_process_that_cannot_start_ends_the_service_with_a_sentence(models):
    with servers.program("serve", "--http-port", "0", "--processes", "2", "--models-dir", models / "none") as running:
        assert running.process.wait(30) == 2
        running.stop()
    last = running.output.strip().splitlines()[-1]
    assert last.startswith("signet: ")
    assert "the models folder" in last


def test_a_limit_that_the_processes_cannot_share_is_named(models):
    words = ["serve", "--http-port", "0", "--processes", "3", "--models-dir", models]
    with servers.program(*words, environment={"SIGNET_MAX_IN_FLIGHT": "2"}) as running:
        assert running.process.wait(30) == 2
        running.stop()
    assert re.search(
        r"signet: .*--max-in-flight \(SIGNET_MAX_IN_FLIGHT\) is 2, which 3 processes cannot share", running.output
    )


def test_shares_of_the_limits_are_the_limits():
    settings = Settings(models_dir=Path(), processes=3, max_in_flight=100, max_connections=11)
    shares = [settings.of_process(place) for place in range(3)]
    for name in SHARED:
        assert sum(getattr(share, name) for share in shares) == getattr(settings, name)
    assert [share.max_in_flight for share in shares] == [34, 33, 33]


def test_connections_of_grpc_spread_evenly_too(models):
    """Each is with one process: when that is killed, its connections end, and the others' go on."""
    with service(models, 2) as (_, running), ExitStack() as stack:
        host, _, port = servers.grpc_address(running).rpartition(":")
        opened = [stack.enter_context(socket.create_connection((host, int(port)), 20)) for _ in range(6)]
        for connection in opened:
            connection.sendall(wire.PREFACE + wire.settings() + wire.frame(wire.PING, 0, 0, b"first..."))
            until_ping(connection)
        os.kill(servers.children(running)[0], signal.SIGKILL)
        assert sorted(still_answers(connection) for connection in opened) == [False] * 3 + [True] * 3


def still_answers(connection: socket.socket) -> bool:
    """Whether a PING comes back."""
    try:
        connection.sendall(wire.frame(wire.PING, 0, 0, b"second.."))
        return until_ping(connection)
    except ConnectionError:
        return False


def until_ping(connection: socket.socket) -> bool:
    """Whether the answer to a PING comes before the connection's end."""
    came = b""
    while (wire.frame(wire.PING, 1, 0)[3:5]) not in came:
        data = connection.recv(4096)
        if not data:
            return False
        came += data
    return True


def test_what_all_processes_know_of_a_release_is_told_by_any_and_what_one_is_told_to_do_all_do(models):
    """Evidence adds up; a POST that lands anywhere has all of them follow at once, not at their next poll."""
    shutil.copytree(models / "m" / "1", models / "m" / "2")
    created = tokens.create()
    key_file.add(models.parent / "keys", created, name="boss", models="*", admin=True)
    shown = {"authorization": f"Bearer {created.token}"}
    seldom = {"SIGNET_POLL_S": "3600"}
    keys = ("--keys", models.parent / "keys")
    with service(models, 2, *keys, environment=seldom) as (url, running), ExitStack() as stack:
        clients = [stack.enter_context(httpx.Client(base_url=url, headers=shown, timeout=30)) for _ in range(4)]

        def act(client: httpx.Client, action: str, **said: object) -> None:
            answer = client.post(f"/v1/models/m/release/{action}", json=said)
            assert answer.status_code == 200, answer.text
            generation = answer.json()["generation"]
            servers.wait_until(lambda: set(generations(client)) == {generation}, what=f"{action} in all processes")

        def told(client: httpx.Client) -> list[Replica]:
            return replica.parse(client.get("/v1/models/m/release").content)

        def generations(client: httpx.Client) -> list[int]:
            return [one.release.generation if one.release else 0 for one in told(client)]

        act(clients[0], "start", version=2, stable=1)
        servers.wait_until(
            lambda: [one.available for one in told(clients[1])] == [{1, 2}] * 2, what="both versions in both processes"
        )
        act(clients[1], "promote", to="shadow", shadow=0)
        act(clients[2], "promote", to="canary", share=0.5, force=True, reason="a test")
        for client in clients:
            for number in range(10):
                answer = client.post("/v1/models/m:predict", json=X, headers={"x-signet-key": str(number)})
                assert answer.status_code == 200
        for client in clients:
            known = replica.different(told(client))
            counted = [one.evidence.at(0.5) for one in known]
            assert [step.stable.requests + step.candidate.requests for step in counted] == [20, 20]
        act(clients[3], "rollback")
        assert {
            client.post("/v1/models/m:predict", json=X).headers["x-signet-model-version"] for client in clients
        } == {"1"}
        assert running.stop() == 0
