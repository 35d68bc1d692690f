"""Anything may be sent to the REST port: an answer comes, never 500; a malformed request gets no good one."""

import contextlib
import gzip
import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.servers import Program

PER_RUN = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
CALLER = {400, 404, 501}
"""Statuses that put the fault where it is."""

NAMES = ["a", "b", "x", "s", "i", "inputs", "b64", "k", "instances", "signature_name"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=12,
)
SIGNATURES = st.sampled_from(["", "s", "i", "i64", "b", "scalar", "f1", "u8", "hf", "rank0out", "fail", "nope"])


@pytest.fixture(scope="module")
def server(golden_server: tuple[str, str, Program]) -> tuple[str, Program]:
    return golden_server[1:]


@pytest.fixture(scope="module")
def client(server: tuple[str, Program]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server[0], timeout=30) as client:
        yield client


@PER_RUN
@given(st.binary(min_size=1, max_size=200))
@example(b"\r\n\r\n")
@example(b"POST /v1/models/mlp:predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc")
@example(b"GET /v1/models/\xff\x00 HTTP/1.1\r\n\r\n")
@example(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
@example(b"CONNECT x:1 HTTP/1.1\r\n\r\nmore")
def test_random_bytes_on_the_socket(server, data):
    url, running = server
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while chunk := connection.recv(65536):
                received += chunk
    assert not received or int(received.split()[1]) in CALLER
    assert running.process.poll() is None


@PER_RUN
@given(
    st.sampled_from(["two_in:predict", "three_out:predict", "mixed:predict", "clsreg:classify", "clsreg:regress"]),
    st.binary(max_size=60),
    st.booleans(),
)
def test_random_bodies(client, path, body, zipped):
    headers = {"Content-Encoding": "gzip"} if zipped else {}
    response = client.post(f"/v1/models/{path}", content=gzip.compress(body) if zipped else body, headers=headers)
    assert response.status_code in CALLER
    assert list(response.json()) == ["error"]


@PER_RUN
@given(
    st.sampled_from(["two_in:predict", "mixed:predict", "mixed:predict", "clsreg:classify", "clsreg:regress"]),
    SIGNATURES,
    st.sampled_from(["instances", "inputs", "examples"]),
    JSON | st.lists(JSON, min_size=1, max_size=2),
)
def test_random_json(client, path, signature, key, value):
    body = {key: value, **({"signature_name": signature} if signature else {})}
    response = client.post(f"/v1/models/{path}", content=json.dumps(body).encode())
    assert response.status_code in CALLER | {200}, response.text
    assert list(response.json()) in (["error"], ["predictions"], ["outputs"], ["results"])


@PER_RUN
@given(st.sampled_from(["GET", "POST", "PUT", "OPTIONS"]), st.text("amodelsvrin1/:%2F?#.-", max_size=30))
def test_random_paths(client, method, path):
    response = client.request(method, f"/v1/models/{path}", content=b"{}")
    assert response.status_code in CALLER | ({200} if method == "GET" else set())


def test_memory_stays_flat(server, client):
    _, running = server
    good = b'{"instances": [' + b",".join([b"[1, 2, 3, 4]"] * 64) + b"]}"
    bad = good.replace(b"4]]", b'"4"]]')

    def many(times: int) -> None:
        for i in range(times):
            client.post("/v1/models/three_out:predict", content=bad if i % 2 else good)
            client.post(f"/v1/models/nobody{i}:predict", content=b"{" * (i % 50))

    many(400)
    before = running.resident_bytes()
    many(1200)
    assert running.resident_bytes() < 1.01 * before
