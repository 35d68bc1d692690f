"""`signet model-server --processes=N`: one configuration, one count, one status, and a killed process replaced."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import grpc
import httpx
import pytest

from signet.serving.errors import UsageError
from signet.serving.model_server import flags
from signet.serving.model_server.tfs_batching import parameters
from signet.serving.models.model_status import State, VersionStatus, of_all
from signet.serving.process.cores import Share
from signet.serving.tensors.protos import get_model_status_pb2, model_service_pb2_grpc
from tests import servers
from tests.serving.engine.test_repository import add, add_broken
from tests.serving.model_server.test_reload import config, entry, reload

X = {"instances": [[1, 1, 1, 1]]}
PAGE = "/monitoring/prometheus/metrics"


@contextmanager
def service(*arguments: object) -> Iterator[tuple[str, str, servers.Program]]:
    """Two processes, that have loaded everything: their gRPC address, their REST URL and their parent."""
    with servers.both_apis("--processes=2", *map(str, arguments)) as (address, url, running):
        running.read_until("2 processes take")
        yield address, url, running


class Caller:
    """A connection over REST, which stays with one process."""

    def __init__(self, url: str) -> None:
        self._connection = HTTPConnection(url.removeprefix("http://"), timeout=30)

    def status(self, model: str) -> int | None:
        """Of a predict; None when the process has ended."""
        try:
            self._connection.request("POST", f"/v1/models/{model}:predict", json.dumps(X))
            answer = self._connection.getresponse()
        except ConnectionError:
            self._connection.auto_open = 0
            return None
        answer.read()
        return answer.status

    def close(self) -> None:
        self._connection.close()


@contextmanager
def callers(url: str, count: int, model: str) -> Iterator[list[Caller]]:
    """Connections that have been answered, half of them by each process."""
    found = [Caller(url) for _ in range(count)]
    try:
        assert [caller.status(model) for caller in found] == [200] * count
        yield found
    finally:
        for caller in found:
            caller.close()


def counted(url: str, model: str) -> int:
    """The good requests of a model by TensorFlow Serving's page."""
    line = rf'^:tensorflow:serving:request_count{{model_name="{model}",status="OK"}} (\d+)$'
    found = re.search(line, httpx.get(url + PAGE).text, re.MULTILINE)
    return int(found[1]) if found else 0


def states(channel: grpc.Channel, model: str) -> dict[int, str]:
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = model
    answer = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request, timeout=30)
    return {one.version: State(one.state).name for one in answer.model_version_status}


@pytest.fixture
def bases(tmp_path: Path) -> Path:
    """Folders `m` and `n` with version 1, and `bad` with a version that does not load."""
    for name in ("m", "n", "bad"):
        (tmp_path / name).mkdir()
    add(tmp_path / "m", 1)
    add(tmp_path / "n", 1)
    add_broken(tmp_path / "bad", 1)
    return tmp_path


def test_all_processes_have_one_configuration_also_after_one_was_killed(bases):
    file, monitoring = bases / "models.config", bases / "monitoring.config"
    file.write_text(config(entry("m", bases / "m")))
    monitoring.write_text("prometheus_config { enable: true }")
    words = (f"--model_config_file={file}", f"--monitoring_config_file={monitoring}", "--max_num_load_retries=0")
    with service(*words) as (address, url, running), grpc.insecure_channel(address) as channel:
        with callers(url, 4, "m") as opened:
            both = config(entry("m", bases / "m"), entry("n", bases / "n"))
            names = ["/tensorflow/serving/request_count"]
            assert reload(channel, both, names).metric[0].int64_value_increase == 0
            assert [caller.status("n") for caller in opened] == [200] * 4
            assert states(channel, "n") == {1: "AVAILABLE"}
            assert (counted(url, "m"), counted(url, "n")) == (4, 4)

            # A label that cannot be assigned changes nothing anywhere.
            with pytest.raises(grpc.RpcError) as caught:
                reload(channel, config(entry("m", bases / "m", 'version_labels { key: "stable" value: 7 }')))
            assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
            assert [caller.status("n") for caller in opened] == [200] * 4

            # One of the processes is killed, and comes back with what was accepted meanwhile.
            before = counted(url, "n")
            killed, _ = servers.children(running)
            os.kill(killed, signal.SIGKILL)
            servers.wait_until(lambda: not servers.lives(killed), what="the end of the killed process")
            assert sorted(caller.status("n") or 0 for caller in opened) == [0, 0, 200, 200]
            with pytest.raises(grpc.RpcError) as caught, grpc.insecure_channel(address) as other:
                reload(other, config(entry("n", bases / "n"), entry("bad", bases / "bad")))
            assert caught.value.code() is grpc.StatusCode.UNKNOWN
            assert caught.value.details().startswith("1 model(s) did not become available: {{name: bad version: 1} due")
            assert counted(url, "n") == before + 2
        running.read_until(r"process \d of 2 \(pid \d+\) answers again")
        with callers(url, 4, "n") as opened:
            assert [caller.status("m") for caller in opened] == [404] * 4
            assert counted(url, "n") == before + 6
            page = httpx.get(f"{url}/metrics").text
            assert "signet_process_restarts_total 1.0\n" in page
            assert 'signet_processes{state="ready"} 2.0\n' in page
            assert 'signet_model_state{model="n",state="AVAILABLE",version="1"} 1.0\n' in page

            # The file is read once, for all.
            file.write_text(config(entry("m", bases / "m")))
            running.process.send_signal(signal.SIGHUP)
            for caller in opened:
                servers.wait_until(lambda caller=caller: caller.status("m") == 200, what="the model of the file")
        pids = servers.children(running)
        assert running.stop() == 0
        assert not any(map(servers.lives, pids))


def test_sigterm_lets_the_calls_in_flight_of_all_processes_finish(slow_model):
    words = (f"--model_base_path={slow_model.parent}", "--model_name=slow")
    with service(*words) as (_, url, running), ThreadPoolExecutor() as threads:
        body = {"inputs": [200_000]}
        answers = [threads.submit(httpx.post, f"{url}/v1/models/slow:predict", json=body, timeout=60) for _ in range(4)]
        in_work = 'signet_requests_in_flight{protocol="v1"} 4.0'
        servers.wait_until(lambda: in_work in servers.get(f"{url}/metrics").text, what=in_work)
        assert running.stop() == 0
        assert [answer.result().json() for answer in answers] == [{"outputs": [200_000]}] * 4
        with pytest.raises(ConnectionRefusedError):
            HTTPConnection(url.removeprefix("http://")).connect()


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--model_config_file=/no/such/file"], "NOT_FOUND: /no/such/file; No such file or directory"),
        (["--model_base_path={bad}", "--max_num_load_retries=0"], "UNKNOWN: 1 servable(s) did not become available: "),
        (["--model_base_path={m}", "--port={port}"], "[::]:{port} cannot be opened; is it in use?"),
    ],
)
def test_a_start_that_fails_says_why_once_and_ends_with_255(bases, words, problem):
    with socket.create_server(("", 0)) as listener:
        port = listener.getsockname()[1]
        given = [word.format(m=bases / "m", bad=bases / "bad", port=port) for word in words]
        with servers.program("model-server", "--processes=2", *given) as running:
            assert running.process.wait(60) == 255
            running.stop()
    assert running.output.count("Failed to start server. Error: ") == 1
    assert f"Failed to start server. Error: {problem.format(port=port)}" in running.output


@pytest.mark.parametrize("text", ["0", "-1", "abc", "1000", "", "2.0", "+2"])
def test_a_number_of_processes_that_cannot_be_is_refused(text):
    with pytest.raises(UsageError, match=re.escape(f"Couldn't interpret value {text} for flag processes; ")) as caught:
        flags.parse([f"--processes={text}"])
    assert "expected a number from 1 to 256, or auto" in str(caught.value)


def test_processes_are_counted_or_as_many_as_cores():
    assert flags.parse(["--processes=3"])[0].processes == 3
    assert 1 <= flags.parse(["--processes=auto"])[0].processes <= os.cpu_count()
    with pytest.raises(UsageError, match="grpcio answers in one process"):
        flags.parse(["--processes=2", "--grpc_transport=grpcio"])


def test_queues_of_batching_are_shared_out(tmp_path):
    file = tmp_path / "batching.config"
    file.write_text("max_enqueued_batches { value: 7 } num_batch_threads { value: 3 }")
    settings = [parameters.read(str(file), per_version=False, share=Share(place, 2)) for place in range(2)]
    assert [one.of(tmp_path).max_enqueued_batches for one in settings] == [4, 3]
    assert [one.threads for one in settings] == [2, 1]


UP, ABSENT = State.AVAILABLE, None


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([UP, UP], UP),
        ([UP, State.LOADING], State.LOADING),
        ([UP, ABSENT], State.START),
        ([UP, State.UNLOADING], State.UNLOADING),
        ([UP, State.END], State.UNLOADING),
        ([State.LOADING, State.UNLOADING], State.UNLOADING),
        ([State.UNLOADING, State.END], State.UNLOADING),
        ([State.END, State.END], State.END),
        ([State.END, ABSENT], State.END),
    ],
)
def test_a_version_is_told_as_callers_find_it_worst(states, expected):
    for order in (states, states[::-1]):
        parts = [[] if state is ABSENT else [VersionStatus(3, state)] for state in order]
        assert of_all(parts) == [VersionStatus(3, expected)]


def test_a_version_that_failed_in_one_process_has_failed():
    failed = VersionStatus(2, State.END, "NOT_FOUND", "no such file")
    first = VersionStatus(1, UP)
    assert of_all([[VersionStatus(2, UP), first], [failed, first]]) == [failed, first]
    assert of_all([[], []]) == []


@pytest.mark.parametrize("parent", ["signet.serving.model_server.__main__", "signet.serving.gateway.processes"])
def test_a_parent_has_no_engine(parent):
    code = f"import {parent}, sys; print([name for name in sys.modules if 'signet.serving.engine' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
