"""Which pages a browser lets read the answers: by the headers alone; a browser is in `tests/serving/gateway/test_cors.py`."""

import json

import pytest

from signet.serving.errors import UsageError
from signet.serving.gateway.http.cors import Cors
from signet.serving.gateway.settings import read
from signet.serving.http.messages import Request

ASKING = {b"access-control-request-method": b"POST"}


def preflight(cors: Cors, headers: dict[bytes, bytes], method: str = "OPTIONS"):
    return cors.preflight(Request(method, b"/v1/models/m:predict", {**ASKING, **headers}, b"", "1.1", True))


def test_an_origin_that_is_named_may_and_gets_the_same_bytes_each_time():
    cors = Cors(["https://a.example", "http://b.example:3000"])
    granted = cors.headers_for(b"https://a.example")
    assert granted.startswith(
        b"Access-Control-Allow-Origin: https://a.example\r\nAccess-Control-Allow-Credentials: true\r\n"
    )
    assert b"X-Request-Id" in granted
    assert granted.endswith(b"Vary: Origin\r\n")
    assert cors.headers_for(b"https://a.example") is granted
    answer = preflight(cors, {b"origin": b"http://b.example:3000"})
    assert (answer.status, answer.body) == (200, b"")
    assert b"Authorization" in answer.headers
    assert b"Access-Control-Max-Age: 7200" in answer.headers
    assert b"Private-Network" not in answer.headers
    asked = {b"origin": b"https://a.example", b"access-control-request-private-network": b"true"}
    assert b"Access-Control-Allow-Private-Network: true" in preflight(cors, asked).headers


@pytest.mark.parametrize(
    "origin",
    [
        b"https://b.example",
        b"https://a.example.evil.example",
        b"http://a.example",
        b"null",
        b"",
        b"https://A.example",
        b"\xff\r",
    ],
)
def test_another_origin_may_not(origin):
    cors = Cors(["https://a.example"])
    assert cors.headers_for(origin) == b"Vary: Origin\r\n"
    answer = preflight(cors, {b"origin": origin})
    assert answer.status == 403
    assert "is not among --cors-origins" in json.loads(answer.body)["error"]
    assert b"Allow" not in answer.headers


def test_everybody_may_without_credentials():
    cors = Cors(["*"])
    for origin in (b"https://a.example", b"null", None):
        assert cors.headers_for(origin).startswith(b"Access-Control-Allow-Origin: *\r\n")
        assert b"Credentials" not in cors.headers_for(origin)
    answer = preflight(cors, {b"origin": b"https://a.example", b"access-control-request-private-network": b"true"})
    assert answer.status == 200
    assert b"Private-Network" not in answer.headers


def test_what_is_no_preflight_is_answered_elsewhere():
    cors = Cors(["*"])
    assert preflight(cors, {}, "POST") is None
    assert cors.preflight(Request("OPTIONS", b"/", {b"origin": b"https://a.example"}, b"", "1.1", True)) is None
    assert preflight(Cors([]), {b"origin": b"https://a.example"}) is None


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("", []),
        ("*", ["*"]),
        ("https://a.example, http://localhost:3000,", ["https://a.example", "http://localhost:3000"]),
        ("HTTPS://A.Example:443,https://a.example,http://[::1]:80", ["https://a.example", "http://[::1]"]),
        ("chrome-extension://abcdefgh", ["chrome-extension://abcdefgh"]),
    ],
)
def test_origins_are_read_as_browsers_send_them(text, origins):
    assert read({"cors_origins": text}).allowed_origins == origins


@pytest.mark.parametrize(
    "text",
    ["a.example", "https://a.example/", "https://a.example/app", "null", "https://", "https://*.a.example", "https://a:b",
     "https://a.example:123456", "https://u@a.example", "https://ä.example", "https://a.example\r\nX: y"],
)  # fmt: skip
def test_what_is_no_origin_is_refused_with_what_one_is(text):
    with pytest.raises(
        UsageError,
        match=r"--cors-origins \(SIGNET_CORS_ORIGINS\) has .*; expected SCHEME://HOST or SCHEME://HOST:PORT without a path",
    ):
        read({"cors_origins": text})


def test_all_and_some_is_a_contradiction():
    with pytest.raises(UsageError, match=r"--cors-origins \(SIGNET_CORS_ORIGINS\) has \* beside other origins"):
        read({"cors_origins": "*,https://a.example"})
