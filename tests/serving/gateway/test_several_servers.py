"""`signet serve` in front of several model servers, under load: one is killed, one stands still, versions go round."""

import asyncio
import json
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests import programs, servers
from tests.bench.faults.callers import Callers, Outcome
from tests.servers import GOLDEN_MODELS

CALLERS = 4
TWO_IN = {"instances": [{"a": [1, 2, 3], "b": [4, 5]}]}


@dataclass
class Answers:
    """What the callers got so far."""

    good: int = 0
    bad: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    versions: set[int] = field(default_factory=set)


@contextmanager
def load(url: str, path: str, body: object, check=lambda answer: True) -> Iterator[Answers]:
    """Callers who ask one question after the other until the end of the block."""
    answers, done = Answers(), threading.Event()

    def call() -> None:
        with httpx.Client(timeout=60) as client:
            while not done.wait(0.01):  # no harder than it must be: others test beside this
                started = time.monotonic()
                answer = client.post(f"{url}/v1/models/{path}:predict", json=body)
                answers.slowest_s = max(answers.slowest_s, time.monotonic() - started)
                if answer.status_code == 200 and check(answer):
                    answers.versions.add(int(answer.headers["x-signet-model-version"]))
                    answers.good += 1
                else:
                    answers.bad.append(f"{answer.status_code} {answer.text}")

    with ThreadPoolExecutor(CALLERS) as pool:
        callers = [pool.submit(call) for _ in range(CALLERS)]
        try:
            yield answers
        finally:
            done.set()
        for caller in callers:
            caller.result()


def more(answers: Answers, count: int = 100) -> None:
    """Wait for that many further good answers."""
    wanted = answers.good + count
    servers.wait_until(lambda: answers.good >= wanted or answers.bad, 60, what="good answers")


def metric(url: str, line: str) -> float:
    text = httpx.get(f"{url}/metrics", timeout=30).text
    return next((float(each.rpartition(" ")[2]) for each in text.splitlines() if each.startswith(line)), 0.0)


@pytest.fixture(autouse=True)
def _polls_often(monkeypatch):
    monkeypatch.setenv("SIGNET_POLL_S", "0.2")


@pytest.fixture
def three() -> Iterator[list[tuple[str, servers.Program]]]:
    """Three model servers: their addresses and programs."""
    with ExitStack() as stack:
        arguments = ("--model_name=two_in", f"--model_base_path={GOLDEN_MODELS / 'two_in'}")
        yield [stack.enter_context(servers.model_server(*arguments)) for _ in range(3)]


def in_front_of(three: list[tuple[str, servers.Program]], *arguments: str):
    addresses = ",".join(address for address, _ in three)
    return servers.gateway("--backend", addresses, "--models", "two_in", *arguments)


def each_has_a_share(url: str, three: list[tuple[str, servers.Program]]) -> bool:
    """Whether each server got at least a tenth of what another one got: the quicker ones get more, and first calls are slow."""
    sent = [metric(url, f'signet_upstream_channel_requests_total{{backend="{name}"}}') for name, _ in three]
    return min(sent) > 0.1 * max(sent)


def ejected(address: str) -> str:
    return f'signet_upstream_ejected{{backend="{address}"}}'


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kills", [2, pytest.param(50, marks=pytest.mark.long)])
def test_servers_are_killed_in_turn_and_no_request_fails(three, kills):
    """Callers of V1, V2 and gRPC in an open loop; each killed server comes back before the next one goes."""
    programs.need("promtool")

    async def run(url: str, gateway: servers.Program) -> list[Outcome]:
        callers = Callers(url, servers.grpc_address(gateway), deadline_s=20)
        done = asyncio.Event()
        load = asyncio.create_task(callers.load(40, 3600, time.perf_counter(), done))
        with ExitStack() as stack:  # what was started again ends after the load
            try:
                await asyncio.to_thread(kill_in_turn, url, stack)
            finally:
                done.set()
                outcomes = await load
        await callers.close()
        assert callers.wrong == 0
        return outcomes

    def kill_in_turn(url: str, stack: ExitStack) -> None:
        servers.wait_until(lambda: each_has_a_share(url, three), 60, what="a share for each server")
        running = [program for _, program in three]
        for kill in range(kills):
            address = three[kill % 3][0]
            running[kill % 3].stop(signal.SIGKILL)
            servers.wait_until(lambda address=address: metric(url, ejected(address)) == 1, what="the ejection")
            assert httpx.get(f"{url}/readyz").status_code == 200
            port = address.rpartition(":")[2]
            arguments = (f"--port={port}", "--model_name=two_in", f"--model_base_path={GOLDEN_MODELS / 'two_in'}")
            running[kill % 3] = stack.enter_context(servers.program("model-server", *arguments))
            servers.wait_until(lambda address=address: metric(url, ejected(address)) == 0, 60, what="the return")

    with in_front_of(three) as (url, gateway):
        outcomes = asyncio.run(run(url, gateway))
        if kills >= 50:  # a few kills may all fall between two calls
            assert metric(url, 'signet_upstream_errors_total{grpc_code="UNAVAILABLE",model="two_in"}') >= 1
        text = httpx.get(f"{url}/metrics").text
        gateway.stop()
        assert "Traceback" not in gateway.output
    failed = [outcome for outcome in outcomes if not outcome.good]
    assert not failed, f"{len(failed)} of {len(outcomes)} failed: {failed[:5]}"
    assert len(outcomes) > 40 * kills
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_server_that_stands_still_is_left_out_and_its_calls_are_answered_by_others(three):
    address, frozen = three[0]
    with in_front_of(three) as (url, _), load(url, "two_in", TWO_IN) as answers:
        more(answers)
        frozen.process.send_signal(signal.SIGSTOP)
        servers.wait_until(lambda: metric(url, ejected(address)) == 1, what="the ejection")
        more(answers)
        frozen.process.send_signal(signal.SIGCONT)
        servers.wait_until(lambda: metric(url, ejected(address)) == 0, 60, what="the return")
        more(answers)
    assert not answers.bad
    assert answers.slowest_s < 15  # not the 30 that a request may take


def test_a_server_that_stands_still_holds_nobody_beyond_the_deadline(three):
    address, frozen = three[0]
    with in_front_of(three, "--request-timeout-s", "1") as (url, _):
        with load(url, "two_in", TWO_IN) as answers:
            more(answers)
            frozen.process.send_signal(signal.SIGSTOP)
            servers.wait_until(lambda: metric(url, ejected(address)) == 1, what="the ejection")
        assert answers.slowest_s < 15  # not the 30 that a request may take without the option
        assert all(bad.startswith("504") for bad in answers.bad)
        with load(url, "two_in", TWO_IN) as answers:
            more(answers)
        assert not answers.bad
        assert httpx.get(f"{url}/readyz").status_code == 200
        for _, running in three:
            running.stop(signal.SIGKILL)
        servers.wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 503, what="unreadiness")


@pytest.mark.parametrize("swaps", [2, pytest.param(6, marks=pytest.mark.long)])
def test_versions_go_round_two_servers_and_no_request_fails_or_gets_a_mixture(times_models, tmp_path, swaps):
    """Version k computes y = k x, and the header says which k answered."""

    def add(base: Path, version: int) -> None:
        shutil.copytree(times_models / str(version), base / ".writing")
        (base / ".writing").rename(base / str(version))

    def is_of_one_version(answer: httpx.Response) -> bool:
        return answer.json() == {"predictions": [float(answer.headers["x-signet-model-version"])]}

    with ExitStack() as stack:
        bases, addresses = [tmp_path / "a", tmp_path / "b"], []
        for base in bases:
            base.mkdir()
            add(base, 1)
            arguments = ("--model_name=times", f"--model_base_path={base}")
            addresses.append(stack.enter_context(servers.model_server(*arguments))[0])
        arguments = ("--backend", ",".join(addresses), "--models", "times")
        url, _ = stack.enter_context(servers.gateway(*arguments))
        with load(url, "times", {"instances": [1.0]}, is_of_one_version) as answers:
            more(answers)
            for version in range(2, swaps + 2):
                for base in bases if version % 2 else reversed(bases):
                    add(base, version)
                    servers.wait_until(lambda wanted=version: wanted in answers.versions or answers.bad)
                more(answers)
    assert not answers.bad
    assert answers.versions == set(range(1, swaps + 2))


def test_tls_to_model_servers_by_name_and_by_socket(tmp_path, monkeypatch):
    programs.need("openssl")

    def openssl(*arguments: object) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, cwd=tmp_path)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=ca")
    (tmp_path / "names").write_text("subjectAltName=DNS:localhost")
    for name in ("server", "client"):
        openssl(
            "req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", "/CN=x"
        )
        signed = ("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial")
        openssl(*signed, "-out", f"{name}.crt", "-extfile", "names")
    keys = {
        key: json.dumps((tmp_path / file).read_text())
        for key, file in (("server_key", "server.key"), ("server_cert", "server.crt"), ("custom_ca", "ca.crt"))
    }
    config = tmp_path / "ssl.config"
    config.write_text("".join(f"{key}: {text}\n" for key, text in keys.items()) + "client_verify: true\n")
    model = ("--model_name=two_in", f"--model_base_path={GOLDEN_MODELS / 'two_in'}")
    path = tmp_path / "grpc.sock"
    with servers.model_server(*model, f"--ssl_config_file={config}", f"--grpc_socket_path={path}") as (address, _):
        port = address.rpartition(":")[2]
        # A name's addresses are held against the name, not against what it stands for.
        backend = f"localhost:{port},dns:///localhost:{port},unix:{path}"
        monkeypatch.setenv("SIGNET_BACKEND_CA_FILE", str(tmp_path / "ca.crt"))
        with servers.gateway("--backend", f"localhost:{port}", "--models", "two_in") as (url, _):
            assert httpx.get(f"{url}/readyz").status_code == 503  # the server asks for a certificate
        monkeypatch.setenv("SIGNET_BACKEND_CERT_FILE", str(tmp_path / "client.crt"))
        monkeypatch.setenv("SIGNET_BACKEND_KEY_FILE", str(tmp_path / "client.key"))
        with servers.gateway("--backend", backend, "--models", "two_in") as (url, _):
            for _ in range(30):  # the first ones may come before each server has told what it has
                answer = httpx.post(f"{url}/v1/models/two_in:predict", json=TWO_IN)
                assert answer.status_code == 200, answer.text
            for name in (f"localhost:{port}", f"127.0.0.1:{port}", f"unix:{path}"):
                assert metric(url, f'signet_upstream_channel_requests_total{{backend="{name}"}}') >= 2
                assert metric(url, ejected(name)) == 0
