"""The log of real servers: a line for whoever failed, none lost at the end, nothing in it that is nobody's business."""

import fcntl
import json
import os
import re
import signal
import subprocess
import threading
from pathlib import Path

import grpc
import httpx
import pytest

from signet.serving.open_inference import open_inference_pb2 as pb2
from tests import servers
from tests.servers import GOLDEN_MODELS, SIGNET

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
GOOD = {"instances": [{"a": [1.0, 1.0, 1.0], "b": [1.0, 1.0]}]}
SECRETS = {
    "bearer": "s3cr3t-bearer-token",
    "api_key": "s3cr3t-api-key",
    "query": "s3cr3t-query",
    "cookie": "s3cr3t-cookie",
    "text": "s3cr3t-in-a-body",
    "number": "48151623.42",
    "metadata": "s3cr3t-metadata",
}
PREDICT = "/v1/models/two_in:predict"


def lines(text: str) -> list[dict]:
    """The lines of JSON of the access log."""
    found = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [line for line in found if line["message"] == "request" or "more like it" in line["message"]]


def ask_with_secrets(url: str, address: str) -> list[str]:
    """Requests of all kinds, with secrets wherever one may stand. Gives those answers that quote nothing of a body."""
    headers = {
        "authorization": f"Bearer {SECRETS['bearer']}",
        "x-api-key": SECRETS["api_key"],
        "cookie": f"session={SECRETS['cookie']}",
        "x-request-id": f"a b {SECRETS['cookie']}",
    }
    text, number = SECRETS["text"], float(SECRETS["number"])
    bodies = [
        GOOD,
        {"instances": [{"a": [text, 1.0, 1.0], "b": [1.0, 1.0]}]},
        {"instances": text},
        {"inputs": {"a": text, "b": [[number]]}},
        {"instances": [{"a": [1, 2, 3], "b": [4, {"b64": text}]}]},
        {"signature_name": number, "instances": [1]},
        {"instances": [number, {"a": text}]},
        {"output_filter": text, "instances": [{"a": [1, 2, 3], "b": [4, 5]}]},
        [text, number],
        text,
    ]
    answers = []
    with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
        for path in (PREDICT, "/v1/models/mixed:predict", "/v2/models/two_in/infer", "/v1/models/two_in:classify"):
            for body in bodies:
                client.post(f"{path}?api_key={SECRETS['query']}", json=body)
            client.post(path, content=f'{{"instances": "{text}')
            tensor = {"name": "a", "shape": [1, 3], "datatype": "FP32", "data": [text, number, 1]}
            client.post(path, json={"inputs": [tensor], "parameters": {"timeout": text}})
        for method, path in (("GET", PREDICT), ("GET", "/nowhere"), ("PUT", "/v1/models"), ("GET", "/v1/models/nope")):
            answers.append(client.request(method, f"{path}?api_key={SECRETS['query']}").text)
        answers.append(client.get("/metrics").text)
    with grpc.insecure_channel(address) as channel:
        infer = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            pb2.ModelInferRequest.SerializeToString,
            pb2.ModelInferResponse.FromString,
        )
        message = pb2.ModelInferRequest(model_name="two_in")
        message.inputs.add(name="a", datatype="BYTES", shape=[1, 1]).contents.bytes_contents.append(text.encode())
        metadata = [("authorization", f"Bearer {SECRETS['bearer']}"), ("x-secret", SECRETS["metadata"])]
        with pytest.raises(grpc.RpcError):
            infer(message, metadata=metadata)
    return answers


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_is_in_logs_errors_or_metrics(form, tmp_path):
    file = tmp_path / "access.log"
    options = ("--log-format", form, "--access-log", "all", "--access-log-file", file)
    environment = {"SIGNET_LOG_LEVEL": "debug", "AWS_SECRET_ACCESS_KEY": "s3cr3t-of-a-bucket"}
    with servers.gateway("--models-dir", GOLDEN_MODELS, *options, environment=environment) as (url, running):
        answers = ask_with_secrets(url, running.read_until(r"gRPC: (\S+)\)")[1])
        assert running.stop() == 0
    written = file.read_text()
    assert written.count("\n") > 50
    for place, text in {"stderr": running.output, "access log": written, "answers": "".join(answers)}.items():
        for secret in (*SECRETS.values(), "s3cr3t"):
            assert secret not in text, (place, secret)
    assert not re.search(r"^(DEBUG|INFO|WARNING|ERROR) ", running.output, re.MULTILINE)
    stopping = {
        "text": rf"^{TIME} INFO stopping: ",
        "json": rf'^{{"time":"{TIME}","level":"INFO","message":"stopping: ',
    }
    assert re.search(stopping[form], running.output, re.MULTILINE)
    if form == "json":
        codes = {line.get("code") for line in lines(written)}
        assert codes >= {"OK", "INVALID_ARGUMENT"}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict], str]:
    """The access log's lines of a gateway with the default choice, and all that it has said."""
    with servers.gateway("--models-dir", GOLDEN_MODELS, "--log-format", "json") as (url, running):
        asked = {"x-request-id": "good-1"}
        assert httpx.post(url + PREDICT, json=GOOD, headers=asked).status_code == 200
        trace = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "x-request-id": "bad-1"}
        assert httpx.post(url + PREDICT, json={}, headers=trace).status_code == 400
        assert (
            httpx.post(f"{url}/v1/models/nope:predict", json=GOOD, headers={"x-request-id": "bad-2"}).status_code == 404
        )
        assert httpx.get(f"{url}/nowhere?a=b", headers={"x-request-id": "bad-3"}).status_code == 404
        assert httpx.get(f"{url}/readyz").status_code == 200
        for _ in range(150):
            httpx.post(url + PREDICT, content="{")
        metrics = httpx.get(f"{url}/metrics").text
        assert running.stop() == 0
    return lines(running.output), running.output + metrics


def test_each_failed_request_leaves_a_line_with_all_that_is_known(told):
    by_id = {line.get("id"): line for line in told[0]}
    assert "good-1" not in by_id
    bad = by_id["bad-1"]
    assert re.fullmatch(TIME, bad["time"])
    assert (bad["level"], bad["code"], bad["status"], bad["protocol"]) == ("INFO", "INVALID_ARGUMENT", 400, "v1")
    assert (bad["caller"], bad["trace_id"], bad["request_bytes"]) == ("127.0.0.1", "a" * 32, 2)
    assert "instances" in bad["error"]
    assert bad["total_ms"] > 0
    assert (by_id["bad-2"]["code"], by_id["bad-2"]["model"]) == ("NOT_FOUND", "unknown")
    assert by_id["bad-3"] == {**by_id["bad-3"], "method": "GET", "path": "/nowhere", "status": 404}


def test_a_flood_is_a_hundred_lines_and_a_sum_and_is_counted(told):
    found, said = told
    summaries = [line for line in found if "more" in line]
    alike = [line for line in found if line.get("code") == "INVALID_ARGUMENT" and "id" in line]
    counted = float(re.search(r"^signet_log_summarized_total (\S+)$", said, re.MULTILINE)[1])
    assert len(alike) + sum(line["more"] for line in summaries) == 151
    assert counted == sum(line["more"] for line in summaries)
    assert 'signet_log_dropped_total{reason="queue"} 0.0' in said


def test_what_was_queued_is_written_before_the_end_by_each_of_several_processes(tmp_path):
    file = tmp_path / "access.log"
    options = ("--processes", "2", "--access-log", "all", "--access-log-file", file, "--log-format", "json")
    with servers.gateway("--models-dir", GOLDEN_MODELS, *options) as (url, running):

        def ask(thread: int) -> None:
            with httpx.Client(base_url=url) as client:
                for number in range(25):
                    client.post(PREDICT, json=GOOD, headers={"x-request-id": f"{thread}-{number}"})

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert running.stop() == 0
    found = [json.loads(line) for line in file.read_text().splitlines()]
    assert {line["id"] for line in found} == {f"{thread}-{number}" for thread in range(4) for number in range(25)}
    assert {line["process"] for line in found} == {1, 2}
    assert all(line["code"] == "OK" and line["model"] == "two_in" for line in found)


def test_a_gateway_whose_log_nobody_reads_answers_and_ends(tmp_path):
    """The pipe takes a page and no more: the thread of the access log finds no room, and nor does the event loop."""
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
    command = [*SIGNET, "serve", "--models-dir", str(GOLDEN_MODELS), "--http-port", "0", "--no-grpc"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=write_end, text=True, env={**os.environ, "SIGNET_DRAIN_S": "0"}
    )
    os.close(write_end)
    try:
        url = re.search(r"http://\S+", process.stdout.readline())[0].rstrip(",")
        with httpx.Client(base_url=url, timeout=30) as client:
            assert {client.post(PREDICT, json={}).status_code for _ in range(60)} == {400}
            assert client.post(PREDICT, json=GOOD).status_code == 200
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)  # which the log is told of, in the loop
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()
        os.close(read_end)


@pytest.mark.parametrize(
    "stderr", ["closed", pytest.param("broken", marks=pytest.mark.long), pytest.param("full", marks=pytest.mark.long)]
)
def test_a_gateway_without_a_place_for_its_lines_answers_and_counts(stderr):
    """Its stderr is closed, a pipe that nobody reads, or a disk that is full."""
    command = [
        *SIGNET,
        "serve",
        "--models-dir",
        str(GOLDEN_MODELS),
        "--http-port",
        "0",
        "--access-log",
        "all",
        "--no-grpc",
    ]
    environment = {**os.environ, "SIGNET_DRAIN_S": "0"}
    with Path("/dev/full").open("wb") as full:
        process = subprocess.Popen(
            ["sh", "-c", 'exec "$@" 2>&-', "sh", *command] if stderr == "closed" else command,
            stdout=subprocess.PIPE,
            stderr={"closed": None, "broken": subprocess.PIPE, "full": full}[stderr],
            env=environment,
            text=True,
        )
        if stderr == "broken":
            process.stderr.close()
        try:
            url = re.search(r"http://\S+", process.stdout.readline())[0].rstrip(",")
            for _ in range(3):
                assert httpx.post(url + PREDICT, json=GOOD).status_code == 200
            lost = re.compile(r'^signet_log_dropped_total\{reason="write"\} 3\.0$', re.MULTILINE)
            servers.wait_until(lambda: lost.search(httpx.get(f"{url}/metrics").text))
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
