"""`signet load` as a user runs it, against real servers."""

import itertools
import json
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from signet.clients.load_test.run import result
from signet.clients.load_test.run.result import Result
from signet.commands.app import app
from signet.serving.errors import SignetError
from tests import servers
from tests.servers import ROOT, SIGNET, Program


@pytest.fixture(scope="module")
def gateway() -> Iterator[tuple[str, Program]]:
    """A gateway of its own: these tests count its requests and stop it for a while."""
    with servers.gateway("--models-dir", servers.GOLDEN_MODELS) as running:
        yield running


@pytest.fixture
def url(gateway) -> str:
    return gateway[0]


def load(*arguments: object, code: int = 0) -> str:
    """What `signet load ARGUMENTS` prints, run in here; fails when it ends with another code."""
    done = CliRunner().invoke(app, ["load", *map(str, arguments)])
    if isinstance(done.exception, SignetError):
        assert code == done.exception.exit_code, done.exception
        return str(done.exception)
    assert done.exit_code == code, done.output + str(done.exception)
    return done.output


def measure(folder: Path, *arguments: object, code: int = 0) -> Result:
    load(*arguments, "--json", folder / "run.json", code=code)
    return result.read(folder / "run.json")


def requests_counted(url: str, model: str, protocol: str = "v1") -> float:
    """Predict requests of a model that the server says it has answered."""
    pattern = rf'^signet_requests_total{{(?=.*model="{model}")(?=.*protocol="{protocol}").*}} ([\d.e+]+)$'
    return sum(map(float, re.findall(pattern, httpx.get(f"{url}/metrics").text, re.MULTILINE)))


@pytest.mark.parametrize("load_options", [("--rate", "150"), ("--rate", "20..200,100"), ("--closed", "1,3")])
def test_the_server_saw_as_many_requests_as_are_reported(url, tmp_path, load_options):
    before = [requests_counted(url, model) for model in ("three_out", "two_in")]
    arguments = ("three_out=3", "two_in", "--url", url, *load_options, "--seconds", 1, "--warmup-s", 0)
    measured = measure(tmp_path, *arguments, "--html", tmp_path / "run.html")
    assert "<svg" in (tmp_path / "run.html").read_text()
    after = [requests_counted(url, model) for model in ("three_out", "two_in")]
    seen = [now - earlier - 1 for earlier, now in zip(before, after, strict=True)]  # one of each is tried out first
    assert [part.requests for part in measured.by_model] == seen
    assert measured.total.outcomes == {"ok": sum(seen)}
    assert seen[0] == pytest.approx(3 * seen[1], rel=0.5)
    if measured.arrivals != "closed":
        assert sum(seen) == pytest.approx(sum(step.planned for step in measured.steps), rel=0.3)
    assert 0 < measured.total.latency_s(50) <= measured.total.latency_s(100) < 60


def test_a_server_that_refuses_is_asked_as_often_as_planned(gateway, tmp_path):
    """It is to be measured; the throttle of the clients would spare it."""
    posts = itertools.count()

    class Refusing(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_GET(self) -> None:
            self.answer(200, httpx.get(f"{behind}{self.path}").content)

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["content-length"]))
            if next(posts):
                self.answer(429, b'{"error": "full"}')
            else:  # the first one is tried out
                self.answer(200, httpx.post(f"{behind}{self.path}", content=content).content)

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.send_header("retry-after", "30")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    behind, _ = gateway
    with servers.http_server(Refusing) as url:
        given = ("three_out", "--url", url, "--rate", 100, "--arrivals", "fixed", "--seconds", 1, "--warmup-s", 0)
        measured = measure(tmp_path, *given)
    assert measured.total.outcomes == {"429": 100}
    assert next(posts) == 1 + 100


def test_the_result_may_be_printed_as_json(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    printed = load("two_in", "--url", url, "--bodies", "signature", "--seconds", 0.2, "--warmup-s", 0, "--json", "-")
    assert json.loads(printed)["summary"]["kept"] is True
    assert not list(tmp_path.iterdir())


def test_limits_that_are_not_kept_give_exit_code_1(url, tmp_path):
    arguments = ("three_out", "--url", url, "--rate", 100, "--seconds", 0.5, "--warmup-s", 0)
    assert measure(tmp_path, *arguments, "--slo", "p99=1us,errors=0%", code=1).verdicts[0].kept is False
    assert measure(tmp_path, *arguments, "--slo", "p50=10s,errors=0%,goodput=1").kept
    assert "NOT KEPT: goodput=1000; measured" in load(*arguments, "--slo", "goodput=1000", code=1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_with_what_was_measured(number, url, tmp_path):
    before = requests_counted(url, "two_in")
    command = [
        *SIGNET,
        "load",
        "two_in",
        "--url",
        url,
        "--rate",
        "50",
        "--seconds",
        "100",
        "--json",
        tmp_path / "run.json",
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        servers.wait_until(lambda: requests_counted(url, "two_in") > before + 100, what="the load")
        process.send_signal(number)
        printed, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 128 + number
    assert "Interrupted after" in printed
    measured = result.read(tmp_path / "run.json")
    assert measured.interrupted
    assert 40 < measured.total.requests <= requests_counted(url, "two_in") - before


def test_a_client_that_is_the_bottleneck_says_so(url, tmp_path):
    arguments = ("--rate", 500, "--connections", 1, "--seconds", 0.5, "--warmup-s", 0)
    measured = measure(tmp_path, "three_out", "--url", url, *arguments)
    assert any("requests waited for a connection" in limit for limit in measured.client.limits)


def test_a_search_finds_a_rate_that_meets_the_limits(url, tmp_path):
    arguments = ("three_out", "--url", url, "--seconds", 0.3, "--find", "--slo")
    assert "no rate met the limits" in load(*arguments, "goodput=1000000000", "--rate", 20, "--warmup-s", 0, code=1)
    measured = measure(tmp_path, *arguments, "errors=0%", "--timeout-s", "0.2", "--rate", 2000)
    assert len(measured.trials) == len(measured.steps) > 1
    kept = [step.from_rate for step, kept in zip(measured.steps, measured.trials, strict=True) if kept]
    assert measured.found_rate in kept


def test_bodies_come_from_examples_files_and_signatures(url, tmp_path):
    sent = {"a": [[1, 2, 3]] * 2, "b": [[1, 2]] * 2}
    folder = tmp_path / "models" / "two_in" / "1" / "assets.extra"
    folder.mkdir(parents=True)
    (folder / "golden.json").write_text(json.dumps({"signatures": {"serving_default": {"inputs": sent}}}))
    (tmp_path / "rows.jsonl").write_text('{"a": [1, 2, 3], "b": [1, 2]}\n{"a": [0, 0, 0], "b": [0, 0], "id": 7}\n')
    (tmp_path / "request.json").write_text(json.dumps({"inputs": sent}))
    (tmp_path / "rows.json").write_text(json.dumps({"instances": [{"a": [1, 2, 3], "b": [1, 2]}]}))
    for source, expected in (
        ("auto", "golden"),
        ("golden", "golden"),
        ("signature", "signature"),
        *((str(tmp_path / name), str(tmp_path / name)) for name in ("rows.jsonl", "request.json", "rows.json")),
    ):
        arguments = (
            "--closed",
            1,
            "--seconds",
            0.2,
            "--rows",
            3,
            "--bodies",
            source,
            "--models-dir",
            tmp_path / "models",
        )
        measured = measure(tmp_path, "two_in", "--url", url, *arguments)
        assert measured.total.errors == 0
        assert (measured.models[0].bodies, measured.models[0].rows) == (expected, 3)


@pytest.mark.parametrize("signature", ["s", "i64", "b", "scalar", "serving_default", "d1", "u8"])
def test_random_values_fit_every_signature(url, signature):
    load(f"mixed:{signature}", "--url", url, "--closed", 1, "--seconds", 0.1, "--warmup-s", 0)


@pytest.mark.parametrize("protocol", ["v2", "v2-binary", "grpc", "grpc-v2"])
def test_every_protocol_is_spoken(embedded_gateway, tmp_path, protocol):
    url, address = embedded_gateway
    arguments = ("--protocol", protocol, "--url", address if "grpc" in protocol else url, "--seconds", 0.3)
    counted = {"v2-binary": "v2", "grpc": "grpc_v1", "grpc-v2": "grpc_v2"}.get(protocol, protocol)
    before = requests_counted(url, "two_in", counted)
    measured = measure(tmp_path, "two_in", "mixed:s", *arguments, "--rate", 100, "--rows", 2, "--warmup-s", 0)
    assert measured.total.outcomes == {"ok": measured.total.requests}
    assert measured.by_model[0].requests == requests_counted(url, "two_in", counted) - before - 1
    assert measured.protocol == protocol


def test_a_model_server_is_loaded_over_grpc(model_server_address, tmp_path):
    arguments = ("--protocol", "grpc", "--url", model_server_address, "--seconds", 0.3, "--rate", 100)
    assert measure(tmp_path, "three_out", *arguments).total.errors == 0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["two_im"], "two_im (did you mean 'two_in'?)"),
        (["two_in:serv"], "has no signature 'serv' (did you mean 'serve'?)"),
        (["two_in", "--rate", "fast"], "--rate fast: 'fast' is no rate"),
        (["two_in", "--rate", "5", "--closed", "5"], "--closed is another kind of load"),
        (["two_in", "--protocol", "v3"], "'v3'"),
        (["two_in", "--arrivals", "even"], "'even'"),
        (["two_in", "--find"], "--find needs the limits to meet: --slo"),
        (["two_in", "--find", "--slo", "p99=1s", "--rate", "1,2"], "--find starts at one rate"),
        (["two_in", "--slo", "p99"], "--slo: 'p99' is no limit"),
        (["two_in", "--bodies", "golden", "--models-dir", "nowhere"], "no golden examples in nowhere/two_in/1/"),
        (["two_in", "--bodies", "nothing.jsonl"], "--bodies nothing.jsonl: No such file or directory"),
        (["two_in", "--bodies", "README.md"], "README.md line 1 is not JSON"),
        (["two_in", "--json", "x", "--html", "x"], "--json and --html are both x; each needs a file of its own"),
        (["two_in", "--json", "nowhere/x.json"], "the folder nowhere does not exist"),
        (["mixed:fail", "--seed", "3", "--bodies", "tests/golden/minus.json"], "minus.json: No such file"),
    ],
)
def test_mistakes_are_one_sentence(url, arguments, problem):
    code = 1 if "did you mean" in problem else 2  # the server was asked
    assert problem in load(*arguments, "--url", url, code=code)


def test_requests_that_the_server_does_not_take_are_told_before_the_load(url, tmp_path):
    (tmp_path / "minus.json").write_text('{"inputs": {"x": [-1.0]}}')
    printed = load("mixed:fail", "--url", url, "--bodies", tmp_path / "minus.json", code=1)
    assert "mixed:fail: the first request fails with 400: assertion failed: [x must be positive" in printed


class _NoPredictions(BaseHTTPRequestHandler):
    """A server that knows a model, x (n, 2) -> y (n, 2), and answers 200 with what its class says; `hangs`: every tenth not."""

    answer: Any = None
    hangs = False
    asked = itertools.count(1)

    def log_message(self, *_):
        pass

    def do_GET(self):
        tensor = {
            "dtype": "DT_FLOAT",
            "tensor_shape": {"dim": [{"size": "-1", "name": ""}, {"size": "2", "name": ""}], "unknown_rank": False},
        }
        signature = {"inputs": {"x": {"name": "x:0", **tensor}}, "outputs": {"y": {"name": "y:0", **tensor}},
                     "method_name": "tensorflow/serving/predict", "defaults": {}}  # fmt: skip
        self.say({
            "model_spec": {"name": "m", "signature_name": "", "version": "1"},
            "metadata": {"signature_def": {"signature_def": {"serving_default": signature}}},
        })  # fmt: skip

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        if self.hangs and next(self.asked) % 10 == 0:
            self.connection.settimeout(10)
            self.rfile.read(1)  # until the caller gives up
            self.close_connection = True
            return
        self.say(self.answer)

    def say(self, document):
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def fault_server(base: type[_NoPredictions] = _NoPredictions, **behaviour: Any) -> Iterator[str]:
    handler = type("Handler", (base,), {"asked": itertools.count(1), **behaviour})
    with servers.http_server(handler) as url:
        yield url


class _Stalls(_NoPredictions):
    """A server that stalls at its 50th request, until `until` have come since, or for `longest_s` when no more come."""

    answer: Any = {"outputs": [[1.0, 2.0]]}  # noqa: RUF012  # nothing changes it
    until = 0
    longest_s = 60.0
    arrived: list[None]
    over: threading.Event
    during: list[int]
    """How many had come when the stall was over by time."""

    def do_POST(self):
        self.arrived.append(None)
        if len(self.arrived) >= 50 + self.until:
            self.over.set()
        if len(self.arrived) >= 50 and not self.over.wait(self.longest_s):
            self.during.append(len(self.arrived) - 49)
            self.over.set()
        super().do_POST()


def test_a_stall_shows_in_an_open_loop(tmp_path):
    """No coordinated omission: requests start on time while others wait, and their latency counts from then."""
    arguments = ("m", "--bodies", "signature", "--rate", 200, "--arrivals", "fixed", "--seconds", 2, "--warmup-s", 0)
    with fault_server(_Stalls, until=100, arrived=[], over=threading.Event(), during=[]) as url:
        measured = measure(tmp_path, *arguments, "--url", url)
    assert measured.total.outcomes == {"ok": 400}
    # The 100th after the stall's first is due half a second later; before that, none of them is answered.
    assert measured.total.latency_s(100) > 0.45
    assert measured.total.latency_s(87.5) > 0.2  # half of these hundred


def test_a_stall_hides_in_a_closed_loop(tmp_path):
    arguments = ("m", "--bodies", "signature", "--closed", 1, "--seconds", 1, "--warmup-s", 0)
    during: list[int] = []
    with fault_server(_Stalls, until=2, longest_s=0.2, arrived=[], over=threading.Event(), during=during) as url:
        measured = measure(tmp_path, *arguments, "--url", url)
    assert measured.total.errors == 0
    assert during == [1]  # one slow request is all that it saw


@pytest.mark.parametrize(
    ("answer", "protocol", "problem"),
    [
        ({"hello": 1}, "v1", "the answer does not have the outputs|does not fit"),
        ([], "v1", ""),
        ({"outputs": [[1, 2, 3]]}, "v1", "does not fit signature|has shape"),
        ({"outputs": []}, "v1", r"has shape \(0, ?2?\) for 1 rows|shape"),
        ({"outputs": [["a", "b"]]}, "v1", "does not fit signature"),
        ({"hello": 1}, "v2", "the answer is no inference"),
        ({"outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [1]}]}, "v2", "has other data than its shapes"),
        ({"outputs": [{"name": "z", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}, "v2", "does not have the outputs"),
        ({"outputs": [{"name": "y", "datatype": "FP32", "shape": [0, 2], "data": []}]}, "v2", r"has shape \(0, 2\) for 1 rows"),
    ],
)  # fmt: skip
def test_200_is_no_success_without_a_prediction(answer, protocol, problem):
    with fault_server(answer=answer) as url:
        arguments = (
            "m",
            "--url",
            url,
            "--bodies",
            "signature",
            "--protocol",
            protocol,
            "--rate",
            "10",
            "--seconds",
            "1",
        )
        printed = load(*arguments, code=1)
    assert printed.startswith("m: the first answer is no prediction: ")
    assert re.search(problem, printed), printed


def test_requests_that_time_out_are_in_every_percentile(tmp_path):
    with fault_server(answer={"outputs": [[1.0, 2.0]]}, hangs=True) as url:
        arguments = ("m", "--url", url, "--bodies", "signature", "--rate", "60", "--seconds", "1", "--timeout-s", "0.5")
        printed = load(*arguments, "--warmup-s", "0", "--slo", "p99=10s", "--json", tmp_path / "run.json", code=1)
    assert "NOT KEPT: p99=10s; measured never" in printed
    assert printed.count("never") >= 4, printed  # p99, p99.9 and max of the table, and the limit
    latencies = json.loads((tmp_path / "run.json").read_text())["summary"]["total"]["latency_s"]
    assert latencies["p99"] is latencies["max"] is None


def test_the_help_names_the_options():
    printed = load("--help")
    for option in ("--rate", "--closed", "--find", "--slo", "--html", "--protocol"):
        assert option in printed
