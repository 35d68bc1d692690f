"""The REST API as a program: routes, ports, bodies, time limits and the end."""

import contextlib
import gzip
import json
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from signet.serving.model_server.rest import request_body, routes
from signet.serving.model_server.rest.request_body import unzip
from signet.serving.model_server.rest.routes import Target, VersionTooLarge
from tests import servers
from tests.answers import assert_all_close

ROW = b'{"instances": [{"a": [1, 2, 3], "b": [4, 5]}]}'


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", b"/v1/models/m:predict", Target("predict", "m", None, None)),
        ("POST", b"/V1/MODELS/m/VERSIONS/007:classify", Target("classify", "m", 7, None)),
        ("POST", b"/v1/models/m/labels/b%20c:regress", Target("regress", "m", None, "b c")),
        ("POST", b"/v1/models/m:PREDICT", None),
        ("POST", b"/v1/models/m:predict?x=1", None),
        ("POST", b"/v1/models/m/versions/1/labels/b:predict", None),
        ("GET", b"/v1/models", Target("status", "", None, None)),
        ("GET", b"/v1/models/metadata", Target("status", "metadata", None, None)),
        ("GET", b"/v1/models/m?x=1", Target("status", "m?x=1", None, None)),
        ("GET", b"/v1/models/a%2Fb/labels/c/metadata", Target("metadata", "a/b", None, "c")),
        ("GET", b"/v1/models/m/METADATA", Target("status", "m", None, None)),
        ("GET", b"/v1/models/m/version/5", None),
        ("PUT", b"/v1/models/m", None),
    ],
)
def test_paths_say_what_is_asked(method, path, expected):
    assert routes.parse(method, path) == expected


@pytest.mark.parametrize("digits", [b"9223372036854775808", b"9" * 10_000])
def test_a_version_that_is_no_int64_is_told_apart(digits):
    with pytest.raises(VersionTooLarge):
        routes.parse("GET", b"/v1/models/m/versions/" + digits)


def test_what_cannot_be_unzipped_is_empty(monkeypatch):
    zipped = gzip.compress(b"text")
    assert unzip(zipped) == b"text"
    assert unzip(zipped[:-1]) == unzip(b"text") == unzip(b"") == b""
    monkeypatch.setattr(request_body, "MAX_UNZIPPED_BYTES", 3)
    assert unzip(zipped) == b""


@pytest.fixture(scope="module")
def two_in() -> Iterator[str]:
    flags = (f"--model_base_path={servers.GOLDEN_MODELS / 'two_in'}", "--model_name=two_in")
    with servers.rest_api(*flags) as (url, _):
        yield f"{url}/v1/models/two_in"


def test_gzip_goes_by_the_header(two_in):
    headers = {"Content-Encoding": "gzip"}
    assert httpx.post(f"{two_in}:predict", content=gzip.compress(ROW), headers=headers).status_code == 200
    rows = b'{"instances": [' + b",".join([ROW[15:-2]] * 50_000) + b"]}"
    zipped = gzip.compress(b"\x20" * 100_000 + rows, 1)
    response = httpx.post(f"{two_in}:predict", content=zipped, headers=headers, timeout=60)
    assert len(response.json()["predictions"]) == 50_000
    response = httpx.post(f"{two_in}:predict", content=ROW, headers=headers)
    assert (response.status_code, response.json()) == (400, {"error": "JSON Parse error: The document is empty"})


def test_a_body_may_come_in_pieces(two_in):
    address = httpx.URL(two_in)
    with socket.create_connection((address.host, address.port), timeout=30) as connection:
        connection.sendall(
            b"POST /v1/models/two_in:predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(ROW)
        )
        for byte in ROW:
            connection.sendall(bytes([byte]))
        assert connection.recv(100).startswith(b"HTTP/1.1 200 OK")


def test_large_bodies_are_answered_and_refused_like_small_ones(two_in):
    row = json.loads(ROW)["instances"][0]
    (expected,) = httpx.post(f"{two_in}:predict", content=ROW).json()["predictions"]
    rows = [row] * ((1 << 20) // len(json.dumps(row)) + 1)
    answer = httpx.post(f"{two_in}:predict", json={"instances": rows}, timeout=30)
    assert_all_close(answer.json(), {"predictions": [expected] * len(rows)})
    refused = httpx.post(f"{two_in}:predict", json={"instances": [*rows, {"a": []}]}, timeout=30)
    assert refused.status_code == 400
    assert f"Failed to process element: {len(rows)}" in refused.json()["error"]


def test_both_address_families_are_listened_on(two_in):
    assert httpx.get(two_in.replace("127.0.0.1", "[::1]")).status_code == 200


def test_the_gateways_own_paths_are_not_here(two_in):
    for path in ("/", "/docs", "/livez", "/v2/health/live"):
        assert httpx.get(two_in.replace("/v1/models/two_in", path)).status_code == 404


def test_labels_choose_versions(tmp_path):
    config = tmp_path / "models.config"
    model = f'name: "two_in" base_path: "{servers.GOLDEN_MODELS / "two_in"}" model_platform: "tensorflow"'
    labels = 'version_labels { key: "stable" value: 1 } version_labels { key: "canary" value: 2 }'
    config.write_text(f"model_config_list {{ config {{ {model} {labels} }} }}")
    flags = (f"--model_config_file={config}", "--allow_version_labels_for_unavailable_models")
    with servers.rest_api(*flags) as (url, _):
        assert httpx.post(f"{url}/v1/models/two_in/labels/stable:predict", content=ROW).status_code == 200
        response = httpx.post(f"{url}/v1/models/two_in/labels/canary:predict", content=ROW)
        assert (response.status_code, response.json()["error"][-19:]) == (404, "Specific(two_in, 2)")
        assert httpx.get(f"{url}/v1/models/two_in/labels/stable/metadata").json()["model_spec"]["version"] == "1"


@pytest.mark.parametrize("same", [True, False])
def test_a_port_that_cannot_be_had_leaves_the_server_without_rest(same, model_server_address):
    port = servers.free_port()
    taken = port if same else int(model_server_address.split(":")[1])
    flags = (f"--model_base_path={servers.GOLDEN_MODELS / 'two_in'}", f"--port={port}", f"--rest_api_port={taken}")
    with servers.program("model-server", *flags) as running:
        running.read_until("Running gRPC ModelServer")
        expected = (
            "http_port cannot be same as grpc_port" if same else f"Failed to start HTTP Server at localhost:{taken}"
        )
        running.read_until(expected)
        assert running.stop(signal.SIGTERM) == 0


def test_a_call_that_takes_too_long_is_504_and_one_in_flight_at_sigterm_is_answered(slow_model: Path):
    flags = (f"--model_base_path={slow_model.parent}", "--model_name=slow", "--rest_api_timeout_in_ms=4000")
    with servers.rest_api(*flags) as (url, running):
        predict = f"{url}/v1/models/slow:predict"
        response = httpx.post(predict, json={"inputs": [1 << 30]}, timeout=60)
        assert (response.status_code, list(response.json())) == (504, ["error"])
        answers = []
        thread = threading.Thread(
            target=lambda: answers.append(httpx.post(predict, json={"inputs": [100_000]}, timeout=60))
        )
        thread.start()
        in_work = 'signet_requests_in_flight{protocol="v1"} 1.0'
        servers.wait_until(lambda: in_work in servers.get(f"{url}/metrics").text, what=in_work)
        assert running.stop(signal.SIGTERM) == 0
        thread.join()
    assert answers[0].json() == {"outputs": [100_000]}


def test_methods_are_checked_behind_their_flag():
    flags = (f"--model_base_path={servers.GOLDEN_MODELS / 'clsreg'}", "--model_name=clsreg")
    example = json.dumps({"signature_name": "regress", "examples": [{"x": [1.5, 2.5]}]})
    with servers.rest_api(*flags, "--enable_signature_method_name_check") as (url, _):
        assert httpx.post(f"{url}/v1/models/clsreg:regress", content=example).json() == {"results": [7.0]}
        response = httpx.post(f"{url}/v1/models/clsreg:classify", content=example)
        assert response.status_code == 400
        assert (
            "Expected classification signature method_name to be tensorflow/serving/classify."
            in response.json()["error"]
        )


@pytest.mark.parametrize(
    "flood", [b"0\r\n" + b"x: " + b"y" * (3 << 20), b"1;" + b"x" * (3 << 20)], ids=["a trailer", "a chunk extension"]
)
def test_what_is_no_body_is_bounded(golden_server, flood):
    address = urlsplit(golden_server[1])
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(b"POST /v1/models/mlp:predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            connection.sendall(flood)
        assert connection.recv(100).startswith(b"HTTP/1.1 400 Bad Request")


def test_a_hangup_ends_nothing(golden_server):
    _, url, running = golden_server
    running.process.send_signal(signal.SIGHUP)
    assert httpx.get(f"{url}/v1/models/mlp").status_code == 200
    assert running.process.poll() is None
