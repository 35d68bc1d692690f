"""A server that fails gets no figure: real servers that answer with errors, wrong values, or not at all.

wrk, h2load ──▶ a server that was right once ──▶ errors ──▶ a failure with its reason, and no sample
"""

import json
import subprocess
from concurrent import futures
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler

import grpc
import numpy as np
import pytest

from tests import programs, servers
from tests.bench import answers, contenders, export, generators, processor, rounds, rows
from tests.bench.answers import Wrong
from tests.bench.contenders import LIMIT, Contender
from tests.bench.generators import Failed
from tests.bench.loads import Load
from tests.bench.results import Block

DIGITS = Load("digits", 1, "rest", 2)
GRPC_DIGITS = Load("digits", 1, "grpc", 1, 1)
EXPECTED = {"digit": np.full((1, 10), 0.1, np.float32)}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    export.models(folder, ["digits"])
    return folder


@pytest.fixture(scope="module")
def engine(models):
    with ExitStack() as stack:
        yield contenders.engine(stack, models)


@pytest.fixture
def idle():
    """A program that uses no processor time, as the one whose time is taken."""
    with servers.started(["sleep", "600"], {}) as program:
        yield program


class Answers(BaseHTTPRequestHandler):
    """Answers each POST with `status` and `body`, which a test changes."""

    protocol_version = "HTTP/1.1"
    status = 200
    body = b""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_):
        pass


def right_body(engine, tmp_path):
    (digit,) = engine.answer(DIGITS, tmp_path / "right.npz").values()
    return json.dumps({"predictions": digit.tolist()}).encode()


def bench_of(engine, contender, folder):
    return rounds.Bench(engine, [contender], folder, seconds=0.2, rounds=2)


def test_a_server_that_fails_from_some_round_on_loses_its_figure(engine, idle, tmp_path):
    programs.need("wrk")

    class Fails(Answers):
        body = right_body(engine, tmp_path)

    def tell(text):
        told.append(text)
        if text == "round 2 of 2":
            Fails.status = 500

    told, block = [], Block(DIGITS)
    with servers.http_server(Fails) as url:
        contender = Contender("embedded", ("rest",), idle, url)
        rounds.measure(bench_of(engine, contender, tmp_path), block, tell)
    assert list(block.samples) == [LIMIT]
    assert [sample.round for sample in block.samples[LIMIT]] == [0, 1]
    assert "by status" in block.failures["embedded"]
    assert any(text.startswith("embedded has no figure: ") for text in told)
    assert len(block.load_averages) == 2


def test_a_server_that_answers_rightly_has_one(engine, idle, tmp_path):
    programs.need("wrk")

    class Right(Answers):
        body = right_body(engine, tmp_path)

    block = Block(DIGITS)
    with servers.http_server(Right) as url:
        rounds.measure(bench_of(engine, Contender("embedded", ("rest",), idle, url), tmp_path), block, lambda _: None)
    assert block.failures == {}
    assert [sample.round for sample in block.samples["embedded"]] == [0, 1]
    for sample in block.samples["embedded"]:
        assert sample.requests > 0
        assert 0 < sample.p50_s <= sample.p99_s
        assert sample.processor_s == 0.0


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (500, b'{"error": "broken"}', r'status 500: \{"error": "broken"\}'),
        (200, b'{"error": "broken"}', "the answer is none"),
        (200, b'{"predictions": [[1.0, 2.0]]}', r"output 'digit' has shape \(1, 2\); expected \(1, 10\)"),
        (200, json.dumps({"predictions": [[0.1] * 9 + [0.2]]}).encode(), "output 'digit' is as far as 0.1 from"),
    ],
)
def test_a_server_that_answers_wrongly_is_not_timed(status, body, why):
    class Wrongly(Answers):
        pass

    Wrongly.status, Wrongly.body = status, body
    with servers.http_server(Wrongly) as url, pytest.raises(Wrong, match=why):
        answers.check(Contender("embedded", ("rest",), None, url), DIGITS, EXPECTED)


def test_a_server_that_is_away_is_not_timed(tmp_path):
    programs.need("wrk")
    url = f"http://127.0.0.1:{servers.free_port()}"
    with pytest.raises(Wrong, match="no answer"):
        answers.check(Contender("embedded", ("rest",), None, url), DIGITS, EXPECTED)
    with pytest.raises(Failed, match=r"wrk ended with 1:\n.*unable to connect"):
        generators.post(url, rows.v1("digits", 1), 2, 0.2, tmp_path)


def test_short_answers_are_no_answers(tmp_path):
    programs.need("wrk")
    with (
        servers.http_server(Answers) as url,
        pytest.raises(Failed, match="where a right one has 5000 without its head"),
    ):
        generators.post(url, rows.v1("digits", 1), 2, 0.2, tmp_path, answer_bytes=5000)


def test_grpc_calls_that_end_with_an_error_are_no_answers(tmp_path):
    """To HTTP they are good answers: status 200, no message, the error in the trailers."""
    programs.need("h2load")
    broken = []

    def predict(_, context):
        if broken:
            context.abort(grpc.StatusCode.INTERNAL, "broken")
        return b"x" * 100

    method = grpc.unary_unary_rpc_method_handler(predict)
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("tensorflow.serving.PredictionService", {"Predict": method})]
    )
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        found = generators.predict(address, b"message", (2, 2), 0.2, tmp_path, 100)
        assert found.requests > 0
        assert 0 < found.p50_s <= found.p99_s
        broken.append(True)
        with pytest.raises(Failed, match="some ended with an error in their grpc-status"):
            generators.predict(address, b"message", (2, 2), 0.2, tmp_path, 100)
        with pytest.raises(Wrong, match="grpc-status INTERNAL: broken"):
            answers.check(Contender("embedded", ("grpc",), None, grpc_address=address), GRPC_DIGITS, EXPECTED)
    finally:
        server.stop(None)


def test_processor_time_is_that_of_children_too():
    """A shell that has a child work, and one that it has waited for: neither works itself."""
    work = "n=0; while [ $n -lt 20000 ]; do n=$((n + 1)); done"
    # The second ends when a line comes, which both shells can read: none outlives the test.
    inner = f"sh -c '{work}'; sh -c '{work}; echo done; read line'; true"
    with servers.started(["sh", "-c", inner], {}, stdin=subprocess.PIPE) as program:
        program.read_until("done")
        assert processor.tree_s(program.process.pid) > 0
        program.process.stdin.write("\n")
        program.process.stdin.flush()
        program.process.wait()
    assert processor.tree_s(program.process.pid) == 0
