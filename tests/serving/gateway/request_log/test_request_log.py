"""The request log of a real gateway: what was asked is there, is scored again as it was answered, and leaks nothing."""

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from signet.clients.client.grpc_client import GrpcClient
from signet.clients.score.job import score
from signet.clients.score.options import ScoreOptions
from signet.serving.errors import UsageError
from signet.serving.gateway.app import Gateway
from signet.serving.gateway.settings import Settings
from signet.serving.http.server import Request
from signet.serving.models.request_columns import of_metadata
from tests.servers import GOLDEN_MODELS, free_port, gateway, grpc_address, started, wait_until
from tests.serving.gateway.in_process import answered
from tests.serving.gateway.in_process import gateway as in_process

BODY = b'{"instances": [{"a": [1, 2, 3], "b": [4, 5]}, {"a": [6, 7, 8], "b": [9, 10]}]}'


@pytest.fixture
def models(tmp_path):
    """Makes a folder of some of the golden models."""

    def make(*names):
        folder = tmp_path / "models"
        folder.mkdir(exist_ok=True)
        for name in names:
            if not (folder / name).exists():
                (folder / name).symlink_to(GOLDEN_MODELS / name)
        return folder

    return make


def rows_of(folder):
    """All rows of a folder's files; each file is read whole."""
    return [row for path in sorted(folder.rglob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def counters(url):
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    pairs = [line.rsplit(" ", 1) for line in lines if line.startswith("signet_request_log_")]
    return {name.removeprefix("signet_request_log_"): float(value) for name, value in pairs}


@pytest.mark.parametrize("backend", ["embedded", "remote"])
def test_what_is_logged_is_scored_again_as_it_was_answered(backend, request, models, tmp_path):
    log = tmp_path / "log"
    where = (
        ("--models-dir", models("two_in", "three_out"))
        if backend == "embedded"
        else ("--backend", request.getfixturevalue("model_server_address"), "--models", "two_in,three_out")
    )
    options = ("--request-log", log, "--request-log-sample", "1")
    chance = np.random.default_rng(1)
    with gateway(*where, *options, environment={"SIGNET_REQUEST_LOG_FILE_S": "0.2"}) as (url, running):
        address = grpc_address(running)
        for count in (1, 3, 2):
            instances = [
                {"a": a.tolist(), "b": b.tolist()}
                for a, b in zip(chance.random((count, 3)), chance.random((count, 2)), strict=False)
            ]
            answer = httpx.post(f"{url}/v1/models/two_in:predict", json={"instances": instances})
            assert answer.status_code == 200
        with GrpcClient(address) as client:
            client.predict("three_out", {"x": chance.random((4, 4)).astype(np.float32)})
        assert httpx.post(f"{url}/v1/models/two_in:predict", json={"instances": [{"a": [1]}]}).status_code == 400
        wait_until(lambda: counters(url)["rows_total"] == 10, what="ten rows in files")
        rows = rows_of(log)
        assert [row["request.row"] for row in rows if row["request.model"] == "two_in"] == [0, 0, 1, 2, 0, 1]
        assert {row["request.protocol"] for row in rows} == {"v1", "grpc_v1"}
        assert len({row["request.id"] for row in rows} - {""}) == 4
        for model, inputs in (("two_in", ("a", "b")), ("three_out", ("x",))):
            out = tmp_path / f"{model}.parquet"
            score(ScoreOptions(model, [str(log)], str(out), url), Console(file=io.StringIO()))
            again = pq.read_table(out).to_pylist()
            assert len(again) == sum(row["request.model"] == model for row in rows)
            for row in again:
                assert not set(inputs) & row.keys()
                outputs = [name.removeprefix("output.") for name in row if name.startswith("output.")]
                assert outputs
                for name in outputs:
                    np.testing.assert_allclose(row[name], row[f"output.{name}"], rtol=1e-6)


@pytest.mark.parametrize(("redact", "leaks"), [("", True), ("*.s,mixed.output.echo*", False)])
def test_redacted_columns_are_nowhere_in_the_files(models, tmp_path, redact, leaks):
    secret = "planted-secret-0815"
    given = {"request_log": str(tmp_path / "log"), "request_log_sample": 1, "request_log_redact": redact}
    found = []
    with in_process(models_dir=models("mixed"), **given) as served:
        body = json.dumps({"signature_name": "s", "inputs": {"s": [secret, "other"]}}).encode()
        assert served.ask("POST", b"/v1/models/mixed:predict", body).status == 200
        served.gateway.request_log._write()  # to a stream, which is not compressed
        found += [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
        assert len(found) == 1
    found += [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(found) == 2
    assert any(secret.encode() in content for content in found) is leaks
    rows = rows_of(tmp_path / "log")
    assert [row["output.len"] for row in rows] == [19, 5]
    assert [row["s"] for row in rows] == ([secret, "other"] if leaks else [None, None])


_LIST = """
import sys, s3fs, pyarrow.parquet as pq
files = s3fs.S3FileSystem()
for name in files.find("requests"):
    print(name, sorted(row["a"][0] for row in pq.read_table(files.open(name)).to_pylist()))
"""


@pytest.mark.long
def test_a_bucket_that_is_away_gets_its_files_when_it_is_back(models, tmp_path):
    port = free_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
        "SIGNET_REQUEST_LOG_SPOOL": str(tmp_path / "spool"),
    }
    options = ("--models-dir", models("two_in"), "--request-log", "s3://requests/of", "--request-log-sample", "1")

    def python(code):
        run = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=True
        )
        return run.stdout.splitlines()

    with gateway(*options, environment=environment) as (url, running):
        assert httpx.post(f"{url}/v1/models/two_in:predict", content=BODY).status_code == 200
        assert running.stop(timeout_s=60) == 0
    assert "cannot write its files" in running.output
    assert len(list((tmp_path / "spool").glob("*.arrows"))) == 1
    with started([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], {}) as store:
        store.read_until("Running on")
        python("import s3fs; s3fs.S3FileSystem().mkdir('requests')")
        with gateway(*options, environment=environment) as (url, running):
            wait_until(lambda: counters(url)["rows_total"] == 2, what="the rows of before")
            assert running.stop() == 0
        (line,) = python(_LIST)
    assert line.startswith("requests/of/two_in/1/serving_default-")
    assert line.endswith("[1.0, 6.0]")
    assert not list((tmp_path / "spool").iterdir())


def ask(served, times=1, body=BODY, model=b"two_in"):
    for _ in range(times):
        assert served.ask("POST", b"/v1/models/" + model + b":predict", body).status in (200, 400, 404)


def test_chance_chooses(models, tmp_path):
    with in_process(models_dir=models("two_in"), request_log=str(tmp_path / "log"), request_log_sample=0.25) as served:
        ask(served, 400)
        metrics = served.gateway.metrics
    chosen = len(rows_of(tmp_path / "log")) / 2
    assert 50 < chosen < 150  # 7 standard deviations
    assert f"signet_request_log_rows_total {2 * chosen}" in metrics.exposition().decode()


def test_failed_requests_and_gateways_without_a_log_leave_nothing(models, tmp_path):
    with in_process(models_dir=models("two_in"), request_log=str(tmp_path / "log"), request_log_sample=1) as served:
        ask(served, body=b'{"instances": [{"a": [1]}]}')
        ask(served, model=b"nobody")
    assert not rows_of(tmp_path / "log")
    with in_process(models_dir=models("two_in")) as served:
        ask(served)
        assert "signet_request_log_rows_total 0.0" in served.gateway.metrics.exposition().decode()
    assert not [child for child in tmp_path.iterdir() if child.name not in ("models", "log")]


def test_a_request_beyond_the_bound_is_left_out_and_counted(models, tmp_path):
    given = {"request_log": str(tmp_path / "log"), "request_log_sample": 1, "request_log_request_bytes": 47}
    with in_process(models_dir=models("two_in"), **given) as served:
        ask(served)  # 2 rows of 3 + 2 + 1 floats: 48 bytes
        metrics = served.gateway.metrics
    assert 'dropped_total{reason="large"} 2.0' in metrics.exposition().decode()
    assert not rows_of(tmp_path / "log")


def test_nothing_waits_for_a_writer_that_stands_still(models, tmp_path, monkeypatch):
    monkeypatch.setattr("signet.serving.gateway.request_log.request_log._QUEUE_BYTES", 480)
    with in_process(models_dir=models("two_in"), request_log=str(tmp_path / "log"), request_log_sample=1) as served:
        served.gateway.request_log._writer.stop()
        served.gateway.request_log._writer.join()
        ask(served, 30)
        metrics = served.gateway.metrics
    assert len(rows_of(tmp_path / "log")) == 20
    assert 'dropped_total{reason="queue"} 40.0' in metrics.exposition().decode()


def test_a_redaction_that_fits_no_column_of_its_model_keeps_the_model_out(models, tmp_path, caplog):
    given = {"request_log": str(tmp_path / "log"), "request_log_sample": 1, "request_log_redact": "two_in.aa"}
    with in_process(models_dir=models("two_in", "three_out"), **given) as served:
        ask(served, 2)
        ask(served, model=b"three_out", body=b'{"instances": [[1, 2, 3, 4]]}')
    assert {row["request.model"] for row in rows_of(tmp_path / "log")} == {"three_out"}
    told = [message for message in caplog.messages if "two_in.aa" in message]
    assert len(told) == 1
    assert "output.output_0" in told[0]


def test_joint_calls_are_logged_as_their_own_rows(models, tmp_path):
    with in_process(models_dir=models("two_in"), request_log=str(tmp_path / "log"), request_log_sample=1) as served:

        async def together():
            bodies = [b'{"instances": [{"a": [%d, 0, 0], "b": [0, 0]}]}' % number for number in range(20)]
            requests = [Request("POST", b"/v1/models/two_in:predict", {}, body, "1.1", True) for body in bodies]
            return await asyncio.gather(*(answered(served.gateway, request) for request in requests))

        answers = served._runner.run(together())
    rows = rows_of(tmp_path / "log")
    assert sorted(row["a"][0] for row in rows) == list(range(20))
    due = {number: json.loads(bytes(answer.body))["predictions"][0] for number, answer in enumerate(answers)}
    for row in rows:
        np.testing.assert_allclose(row["output.output_0"], due[int(row["a"][0])], rtol=1e-6)


@pytest.mark.long
def test_three_processes_killed_lose_only_what_they_had_not_written(models, tmp_path):
    log = tmp_path / "log"
    options = ("--models-dir", models("two_in"), "--request-log", log, "--request-log-sample", "1", "--processes", "3")
    with gateway(*options) as (url, running):
        with httpx.Client() as kept:
            for number in range(90):
                body = {"instances": [{"a": [number, 0, 0], "b": [0, 0]}]}
                client = kept if number % 3 else httpx
                assert client.post(f"{url}/v1/models/two_in:predict", json=body).status_code == 200
        deadline = time.monotonic() + 30
        while not list((log / ".spool").glob("*.arrows")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.6)  # until the last look at the queue is over
        family = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text().split()
        for pid in (*map(int, family), running.process.pid):
            os.kill(pid, signal.SIGKILL)
        running.process.wait()
    assert not rows_of(log)
    with in_process(models_dir=models("two_in"), request_log=str(log)):
        pass  # as the next gateway with this folder does
    rows = rows_of(log)
    assert sorted(row["a"][0] for row in rows) == list(range(90))
    assert not list((log / ".spool").iterdir())
    kinds = {of_metadata(pq.ParquetFile(path).schema_arrow.metadata).model for path in log.rglob("*.parquet")}
    assert kinds == {"two_in"}


def test_a_folder_that_cannot_be_written_to_keeps_the_gateway_from_starting(models, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"request_log: cannot write to '.*file/log'"):
        Gateway(Settings(models_dir=models("two_in"), request_log=str(tmp_path / "file" / "log")))


def test_a_folder_may_be_given_as_an_address(models, tmp_path):
    with in_process(models_dir=models("two_in"), request_log=f"file://{tmp_path}/log", request_log_sample=1) as served:
        ask(served)
    assert [row["a"] for row in rows_of(tmp_path / "log")] == [[1, 2, 3], [6, 7, 8]]


@pytest.mark.parametrize("pattern", ["text", ".text", "m."])
def test_a_redaction_without_a_model_or_column_is_refused(pattern):
    with pytest.raises(ValueError, match=r"expected MODEL\.COLUMN"):
        Settings(request_log_redact=pattern)
