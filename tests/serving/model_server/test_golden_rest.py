"""Every recorded REST exchange of a real TensorFlow Serving, replayed: same status, same good answer, same message."""

import base64
import http.client
import json
import math
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests import servers
from tests.serving.model_server.test_golden_grpc import fixed

FOLDER = Path(__file__).parents[2] / "golden" / "tfserving"
CASES, WIRE, CORS = (
    json.loads((FOLDER / f"{name}.json").read_text())["cases"] for name in ("rest", "http_wire", "cors")
)


@pytest.fixture
def url(recorded_server: tuple[str, str]) -> str:
    return recorded_server[1]


@pytest.fixture(scope="module")
def cors_url() -> Iterator[str]:
    path = servers.GOLDEN_MODELS / "mlp"
    flags = (f"--model_base_path={path}", "--model_name=mlp", "--rest_api_enable_cors_support")
    with servers.rest_api(*flags, environment=servers.AS_RECORDED) as (url, _):
        yield url


def ask(url: str, method: str, path: str, headers: dict[str, str], body: bytes) -> http.client.HTTPResponse:
    """One exchange on a connection of its own, the path sent as it is."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    connection.request(method, path, body or None, headers)
    response = connection.getresponse()
    response.body = response.read()
    connection.close()
    return response


def bytes_of(message: dict[str, Any]) -> bytes:
    return base64.b64decode(message["body_b64"]) if "body_b64" in message else message["body"].encode()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_recorded_exchange(case, url):
    request, expected = case["request"], case["response"]
    response = ask(url, request["method"], request["path"], request["headers"], bytes_of(request))
    assert response.status == expected["status"], response.body
    assert response.getheader("Content-Type") == expected["headers"]["Content-Type"]
    assert_same_body(response.body, bytes_of(expected), expected["status"])


@pytest.mark.parametrize("case", CORS, ids=lambda case: f"{case['cors_flag']}-{case['method']}-{case['status']}")
def test_the_recorded_headers_for_browsers(case, request):
    url = request.getfixturevalue("cors_url" if case["cors_flag"] else "url")
    response = ask(url, case["method"], case["path"], case["headers"], (case["body_sent"] or "").encode())
    assert response.status == case["status"]
    names = {name.lower() for name in case["response_headers"]} | {"date"}
    assert {name.lower() for name in response.headers} == names
    for name, value in case["response_headers"].items():
        if name != "Content-Length":  # the layout of numbers and lists differs
            assert response.getheader(name) == value
    assert_same_body(response.body, case["body"].encode(), case["status"])


@pytest.mark.parametrize("case", WIRE, ids=lambda case: case["name"])
def test_the_recorded_bytes(case, url):
    """What a raw socket sees: the answers, and whether the connection stays open."""
    *expected, end = re.split(r"(?=HTTP/1\.\d \d)|(?=<<)", case["received"])
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(case["sent"].encode())
        stream = connection.makefile("rb", buffering=0)
        for text in filter(None, expected):
            head, _, body = text.partition("\r\n\r\n")
            status, ours = read_answer(stream)
            assert status == int(head.split()[1])
            assert_same_body(ours, body.encode(), status)
        if end == "<<closed>>":
            assert stream.read(1) == b""
        else:
            connection.settimeout(0.2)
            with pytest.raises(TimeoutError):
                stream.read(1)


def read_answer(stream: Any) -> tuple[int, bytes]:
    """One answer, without `100 Continue`, which the original leaves out when the body is there already."""
    while (status := int(stream.readline().split()[1])) == 100:
        assert stream.readline() == b"\r\n"
    headers = http.client.parse_headers(stream)
    body = b""
    while len(body) < int(headers["Content-Length"]):
        body += stream.read(int(headers["Content-Length"]) - len(body))
    return status, body


def assert_same_body(ours: bytes, theirs: bytes, status: int) -> None:
    if status == 200 and theirs:
        assert_same(json.loads(ours), json.loads(theirs))
    elif theirs.startswith(b"{"):
        assert message_of(ours) == message_of(theirs)
    else:
        assert ours == theirs


def assert_same(ours: Any, theirs: Any) -> None:
    """The same values, numbers as precisely as a float32 is printed."""
    assert type(ours) is type(theirs)
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        for key, value in theirs.items():
            assert_same(ours[key], value)
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs)
        for mine, other in zip(ours, theirs, strict=True):
            assert_same(mine, other)
    elif isinstance(theirs, float) and not math.isnan(theirs):
        assert ours == pytest.approx(theirs, rel=1e-6)
    else:
        assert ours == theirs or (math.isnan(ours) and math.isnan(theirs))


def message_of(body: bytes) -> str:
    """The error, without what differs between two runs of the original: which of several inputs comes first."""
    message = fixed(json.loads(body.decode("latin-1"))["error"])  # some messages are not UTF-8
    message = re.sub(r"named input: [ab] in", "named input: a in", message)
    return re.sub(r'^JSON Value: "[xy]"', 'JSON Value: "x"', message)
