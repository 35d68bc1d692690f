"""`signet serve` as a program: what keeps it from starting, swaps, SIGTERM, limits, footprint."""

import json
import shutil
import signal
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests import servers
from tests.servers import GOLDEN_MODELS

X = {"instances": [[1, 1, 1, 1]]}


def add(base: Path, version: int) -> None:
    shutil.copytree(GOLDEN_MODELS / "three_out" / "1", base / ".writing")
    (base / ".writing").rename(base / str(version))


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with one version of one model, `m`."""
    folder = tmp_path / "models"
    (folder / "m").mkdir(parents=True)
    add(folder / "m", 1)
    return folder


def fails(*arguments: object, code: int = 2) -> str:
    with servers.program("serve", "--http-port", "0", *arguments) as running:
        status = running.process.wait(30)
        running.stop()
    last = running.output.strip().splitlines()[-1]
    assert status == code, running.output
    assert last.startswith("signet: "), running.output
    assert "Traceback" not in running.output
    return last


def test_a_missing_folder_is_named(tmp_path):
    assert "the models folder" in fails("--models-dir", tmp_path / "none")


def test_a_folder_without_models_is_served_as_soon_as_it_has_one(tmp_path):
    with servers.gateway("--models-dir", tmp_path) as (url, running):
        assert "not ready yet: there is no model in" in running.output
        assert httpx.get(f"{url}/readyz").status_code == 503
        (tmp_path / "m").mkdir()
        add(tmp_path / "m", 1)
        servers.wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 200, what="readiness")
        assert httpx.post(f"{url}/v1/models/m:predict", json=X).status_code == 200


def test_a_bad_model_is_named_and_keeps_no_other_from_being_served(models):
    (models / "bad" / "3").mkdir(parents=True)
    (models / "bad" / "3" / "saved_model.pb").write_bytes(b"broken")
    (models / "empty").mkdir()
    with servers.gateway("--models-dir", models) as (url, running):
        assert "model 'bad' has no good version in" in running.output
        assert "version 3: it is not whole: saved_model.pb cannot be read" in running.output
        assert "model 'empty' has no version in" in running.output
        assert httpx.post(f"{url}/v1/models/m:predict", json=X).status_code == 200
        answer = httpx.get(f"{url}/readyz")
        assert (answer.status_code, answer.json()["missing"]) == (503, ["bad", "empty"])
        status = httpx.get(f"{url}/v1/models/bad").json()["model_version_status"][0]
        assert "saved_model.pb cannot be read" in status["status"]["error_message"]
        assert 'signet_failed_versions{model="bad",reason="incomplete"} 1.0' in httpx.get(f"{url}/metrics").text


def test_a_port_in_use_is_named(models):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"cannot listen on 127.0.0.1:{port}" in fails("--http-port", port, "--models-dir", models, code=1)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--backend", "localhost:1"), "say which models the backend serves"),
        (("--models", "a"), "--models (SIGNET_MODELS) goes with --backend"),
    ],
)
def test_wrong_settings_are_named(arguments, problem):
    assert problem in fails(*arguments)


def test_allow_missing_starts_without_a_folder_and_readiness_says_so(models):
    folder = models.with_name("later")
    with servers.gateway("--models-dir", folder, "--allow-missing") as (url, _):
        answer = httpx.get(f"{url}/readyz")
        assert (answer.status_code, answer.json()["models"]) == (503, [])
        models.rename(folder)
        servers.wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 200, what="readiness")
        assert httpx.post(f"{url}/v1/models/m:predict", json=X).status_code == 200


def test_a_model_without_a_version_is_not_ready_until_it_has_one(models):
    (models / "late").mkdir()
    with servers.gateway("--models-dir", models) as (url, _):
        answer = httpx.get(f"{url}/readyz")
        assert (answer.status_code, answer.json()["missing"]) == (503, ["late"])
        refused = httpx.post(f"{url}/v1/models/late:predict", json=X)
        assert (refused.status_code, refused.json()) == (
            503,
            {"error": "model 'late' has no version that is available yet"},
        )
        add(models / "late", 1)
        servers.wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 200, what="readiness")
        assert httpx.post(f"{url}/v1/models/late:predict", json=X).status_code == 200


@pytest.mark.parametrize("kind", ["embedded", "remote"])
def test_models_come_and_go_without_a_restart(models, tmp_path, kind):
    with ExitStack() as stack:
        arguments = ["--models-dir", models]
        if kind == "remote":
            shutil.copytree(models / "m", tmp_path / "there" / "m")
            shutil.copytree(models / "m", tmp_path / "there" / "n")
            config = servers.write_model_config(tmp_path / "models.config", tmp_path / "there")
            address, _ = stack.enter_context(servers.model_server(f"--model_config_file={config}"))
            arguments += ["--backend", address]
        url, _ = stack.enter_context(servers.gateway(*arguments))
        assert httpx.post(f"{url}/v1/models/n:predict", json=X).status_code == 404
        shutil.copytree(models / "m", models / "n")
        wait = servers.wait_until
        wait(lambda: httpx.post(f"{url}/v1/models/n:predict", json=X).status_code == 200, what="n")
        assert 'signet_model_available{model="n"} 1.0' in httpx.get(f"{url}/metrics").text
        assert "/v1/models/n:predict" in httpx.get(f"{url}/openapi.json").json()["paths"]
        shutil.rmtree(models / "n")
        wait(lambda: httpx.post(f"{url}/v1/models/n:predict", json=X).status_code == 404, what="the end of n")
        assert httpx.get(f"{url}/v1/models").json()["models"] == ["m"]
        assert 'model="n"' not in httpx.get(f"{url}/metrics").text
        assert httpx.get(f"{url}/readyz").status_code == 200


def test_a_bad_model_that_comes_later_shows_everywhere_but_in_readiness(models):
    with servers.gateway("--models-dir", models) as (url, _):
        (models / "late" / "1").mkdir(parents=True)
        (models / "late" / "1" / "saved_model.pb").write_bytes(b"broken")

        def told() -> str:
            answer = httpx.get(f"{url}/v1/models/late")
            return answer.text if answer.status_code == 200 else ""

        servers.wait_until(lambda: "saved_model.pb cannot be read" in told(), what="why it is not served")
        assert httpx.get(f"{url}/readyz").status_code == 200
        assert httpx.post(f"{url}/v1/models/late:predict", json=X).status_code == 503
        assert 'signet_failed_versions{model="late",reason="incomplete"} 1.0' in httpx.get(f"{url}/metrics").text


@pytest.fixture(params=["embedded", "remote"])
def served(request, models):
    """The URL of a gateway for `models`, with each backend; new versions are looked for every second."""
    with ExitStack() as stack:
        if request.param == "embedded":
            yield stack.enter_context(servers.gateway("--models-dir", models))[0]
            return
        config = servers.write_model_config(models.with_name("models.config"), models)
        address, _ = stack.enter_context(servers.model_server(f"--model_config_file={config}"))
        yield stack.enter_context(servers.gateway("--backend", address, "--models", "m"))[0]


@pytest.mark.parametrize("swaps", [3, pytest.param(50, marks=pytest.mark.long)])
def test_new_versions_are_served_and_no_request_fails_meanwhile(served, models, swaps):
    failures, versions, done = [], set(), threading.Event()

    def call() -> None:
        with httpx.Client(timeout=30) as client:
            while not done.is_set():
                answer = client.post(f"{served}/v1/models/m:predict", json=X)
                if answer.status_code != 200:
                    failures.append(answer.text)
                versions.add(int(answer.headers["x-signet-model-version"]))

    with ThreadPoolExecutor(4) as pool:
        callers = [pool.submit(call) for _ in range(4)]
        for version in range(2, swaps + 2):
            add(models / "m", version)
            servers.wait_until(lambda wanted=version: wanted in versions, what=f"version {version}")
        done.set()
        for caller in callers:
            caller.result()
    assert not failures
    assert versions == set(range(1, swaps + 2))


def test_a_bad_new_version_is_refused_and_the_old_one_serves(models):
    with servers.gateway("--models-dir", models) as (url, _):
        (models / "m" / "2").mkdir()
        (models / "m" / "2" / "saved_model.pb").write_bytes(b"broken")
        states = f"{url}/v1/models/m"
        servers.wait_until(lambda: "END" in httpx.get(states).text, what="the end of version 2")
        assert httpx.get(f"{url}/readyz").status_code == 200
        assert httpx.post(f"{url}/v1/models/m:predict", json=X).headers["x-signet-model-version"] == "1"


@pytest.mark.parametrize(("number", "drain_s"), [(signal.SIGTERM, "1"), (signal.SIGINT, "3600")])
def test_a_stop_fails_readiness_first_and_lets_requests_finish(slow_model, tmp_path, number, drain_s):
    (tmp_path / "slow").mkdir()
    shutil.copytree(slow_model, tmp_path / "slow" / "1")
    with servers.gateway("--models-dir", tmp_path, "--drain-s", drain_s) as (url, running), httpx.Client() as probe:
        assert probe.get(f"{url}/readyz").status_code == 200
        with ThreadPoolExecutor(1) as pool:
            body = {"instances": [300_000]}
            answer = pool.submit(httpx.post, f"{url}/v1/models/slow:predict", json=body, timeout=60)
            in_flight = 'signet_requests_in_flight{protocol="v1"} 1.0'
            servers.wait_until(lambda: in_flight in probe.get(f"{url}/metrics").text, what="the request")
            running.process.send_signal(number)
            servers.wait_until(lambda: probe.get(f"{url}/readyz").status_code == 503, what="unreadiness")
            assert probe.get(f"{url}/livez").status_code == 200
            assert answer.result().json() == {"predictions": [300_000]}
        assert running.process.wait(30) == 0
        running.stop()
        assert "Traceback" not in running.output


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [(signal.SIGINT, signal.SIGINT, 130), (signal.SIGTERM, signal.SIGTERM, 143)],
)
def test_a_second_signal_ends_at_once(slow_model, tmp_path, first, second, status):
    (tmp_path / "slow").mkdir()
    shutil.copytree(slow_model, tmp_path / "slow" / "1")
    with servers.gateway("--models-dir", tmp_path) as (url, running):
        host, port = url.removeprefix("http://").split(":")
        body = b'{"instances": [%d]}' % (1 << 30)
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            head = b"POST /v1/models/slow:predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"
            connection.sendall(head % len(body) + body)
            in_flight = 'signet_requests_in_flight{protocol="v1"} 1.0'
            servers.wait_until(lambda: in_flight in httpx.get(f"{url}/metrics").text, what="the request")
            running.process.send_signal(first)
            running.read_until("stopping")
            running.process.send_signal(second)
            assert running.process.wait(20) == status


def test_ctrl_c_waits_for_no_balancer_when_nobody_is_connected(models):
    with servers.gateway("--models-dir", models, "--drain-s", "3600", "--processes", "2") as (_, running):
        assert running.stop(signal.SIGINT) == 0


def test_probes_have_a_port_of_their_own_and_a_hangup_has_files_looked_at(models, monkeypatch):
    monkeypatch.setenv("SIGNET_POLL_S", "3600")
    with servers.gateway("--models-dir", models, "--admin-port", "0") as (url, running):
        port = running.read_until(r"probes and metrics also at port (\d+)")[1]
        admin = f"http://127.0.0.1:{port}"
        add(models / "m", 2)
        running.process.send_signal(signal.SIGHUP)
        running.read_until("SIGHUP: files and versions are looked at")

        def served() -> bool:
            """New files are looked at twice before they are loaded."""
            running.process.send_signal(signal.SIGHUP)
            return "AVAILABLE" in httpx.get(f"{url}/v1/models/m/versions/2").text

        servers.wait_until(served, what="version 2")
        assert httpx.get(f"{admin}/livez").json() == {"live": True}
        assert httpx.get(f"{admin}/readyz").json() == httpx.get(f"{url}/readyz").json()
        assert "signet_buffered_bytes 0.0" in httpx.get(f"{admin}/metrics").text
        assert httpx.head(f"{admin}/metrics?x").status_code == 200
        assert httpx.head(f"{admin}/livez").headers["content-length"] == str(len(httpx.get(f"{admin}/livez").content))
        assert httpx.get(f"{admin}/v1/models").status_code == 404
        assert httpx.post(f"{admin}/livez").status_code == 405
        assert running.stop() == 0


def test_a_full_disk_behind_standard_output_ends_nothing(models):
    port = servers.free_port()
    command = [*servers.SIGNET, "serve", "--no-grpc", "--http-port", str(port), "--models-dir", str(models)]
    with open("/dev/full", "w") as full:
        process = subprocess.Popen(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=servers.ROOT)
        try:
            servers.wait_until(lambda: answers(f"http://127.0.0.1:{port}/readyz"), what="readiness")
            assert any("standard output cannot be written" in line for line in process.stderr)
        finally:
            process.terminate()
            process.communicate(timeout=30)
    assert process.returncode == 0


def answers(url: str) -> bool:
    """Whether somebody does, with 200."""
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def test_limits_are_kept(slow_model, tmp_path, monkeypatch):
    (tmp_path / "slow").mkdir()
    shutil.copytree(slow_model, tmp_path / "slow" / "1")
    monkeypatch.setenv("SIGNET_MAX_IN_FLIGHT", "1")
    monkeypatch.setenv("SIGNET_MAX_BODY_BYTES", "100")
    with servers.gateway("--models-dir", tmp_path, "--request-timeout-s", "1") as (url, _):
        path = f"{url}/v1/models/slow:predict"
        with ThreadPoolExecutor(1) as pool:
            forever = pool.submit(httpx.post, path, json={"instances": [1 << 30]}, timeout=60)
            in_flight = 'signet_requests_in_flight{protocol="v1"} 1.0'
            servers.wait_until(lambda: in_flight in httpx.get(f"{url}/metrics").text, what="the request")
            turned_away = httpx.post(path, json={"instances": [1]})
            assert (turned_away.status_code, turned_away.headers["retry-after"]) == (429, "1")
            assert forever.result().status_code == 504
            assert forever.result().json() == {"error": "no answer within 1.0 seconds"}
        too_large = httpx.post(path, content=b"x" * 101)
        assert (too_large.status_code, too_large.json()) == (
            413,
            {"error": "the body has 101 bytes; at most 100 are allowed"},
        )
        streamed = httpx.post(path, content=iter([b"x" * 60, b"x" * 60]))
        assert streamed.status_code == 413
        packed = httpx.post(path, content=b"\x1f\x8b" + b"x" * 20, headers={"content-encoding": "gzip"})
        assert packed.status_code == 400
        assert httpx.post(path, json={"instances": [2]}).json() == {"predictions": [2]}


def test_a_callers_disconnect_harms_nobody(embedded_url):
    host, port = embedded_url.removeprefix("http://").split(":")
    for part in (
        b"POST /v1/models/mlp:predict HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{",
        b"GET /",
        b"\x00\xff",
    ):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(part)
    assert httpx.get(f"{embedded_url}/livez").status_code == 200


def test_the_embedded_gateway_loads_the_library_and_never_imports_tensorflow(models):
    with servers.gateway("--models-dir", models) as (_, running):
        maps = Path(f"/proc/{running.process.pid}/maps").read_text()
        assert "libtensorflow_cc" in maps
        assert "_pywrap_tensorflow" not in maps


def test_the_remote_gateway_loads_nothing_of_tensorflows_library(model_server_address):
    with servers.gateway("--backend", model_server_address, "--models", "two_in") as (url, running):
        assert httpx.get(f"{url}/readyz").status_code == 200
        maps = Path(f"/proc/{running.process.pid}/maps").read_text()
        assert "libtensorflow" not in maps


def test_a_remote_gateway_waits_for_a_model_server_that_starts_later(tmp_path):
    port = servers.free_port()
    with servers.gateway("--backend", f"127.0.0.1:{port}", "--models", "two_in") as (url, _):
        assert httpx.get(f"{url}/readyz").status_code == 503
        refused = httpx.post(f"{url}/v1/models/two_in:predict", json={"instances": [{"a": [1, 2, 3], "b": [4, 5]}]})
        assert refused.status_code == 503
        path = GOLDEN_MODELS / "two_in"
        with servers.program("model-server", f"--port={port}", f"--model_base_path={path}", "--model_name=two_in"):
            servers.wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 200, what="readiness")
        servers.wait_until(lambda: "two_in" in json.dumps(httpx.get(f"{url}/v1/models").json()), what="the list")


def test_a_body_that_never_comes_is_given_up(models):
    with servers.gateway("--models-dir", models, "--request-timeout-s", "0.5") as (url, _):
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(b"POST /v1/models/m:predict HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{")
            assert connection.recv(1000).startswith(b"HTTP/1.1 504")
