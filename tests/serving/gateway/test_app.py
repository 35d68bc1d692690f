"""Requests of every kind against the whole gateway in this process: whatever is asked, the answer is one of its own."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import servers
from tests.serving.gateway import in_process
from tests.serving.gateway.in_process import header

PIECES = (
    *(
        "",
        "v1",
        "v2",
        "models",
        "two_in",
        "mixed",
        "nope",
        "versions",
        "1",
        "0",
        "-1",
        "9" * 30,
        "9" * 5000,
        "labels",
        "stable",
    ),
    *(
        "metadata",
        "ready",
        "config",
        "stats",
        "infer",
        "health",
        "live",
        "repository",
        "index",
        "load",
        "unload",
        "docs",
    ),
    *(
        "openapi.json",
        "page.css",
        "livez",
        "readyz",
        "metrics",
        "systemsharedmemory",
        "status",
        "trace",
        "setting",
        "logging",
    ),
    *(
        "two_in:predict",
        "mixed:classify",
        "two_in%3Apredict",
        ":predict",
        "two_in:",
        "a:b:regress",
        "two_in;v=1",
        ".",
        "..",
    ),
    *(
        "%2F",
        "%00",
        "%0d%0a",
        "%C3%BC",
        "%FF",
        "%",
        "%zz",
        "ü",
        "\xff",
        "a" * 3000,
        "{model}",
        "<script>",
        "'\"",
        "\u2028",
    ),
)
ROUTES = (
    *(
        "/",
        "/livez",
        "/readyz",
        "/metrics",
        "/docs",
        "/docs/swagger-ui.css",
        "/openapi.json",
        "/v1/models",
        "/v2",
        "/v2/",
    ),
    *("/v1/models/{}", "/v1/models/{}/versions/{}", "/v1/models/{}/labels/{}", "/v1/models/{}/metadata", "/docs/{}"),
    *("/v1/models/{}:predict", "/v1/models/{}/versions/{}:predict", "/v1/models/{}/labels/{}:classify"),
    *("/v1/models/{}:regress", "/v1/models/{}/openapi.json", "/v1/models/{}/versions/{}/metadata"),
    *("/v1/models/{}/release", "/v1/models/{}/release/promote", "/v1/models/{}/release/{}"),
    *("/v2/health/live", "/v2/health/ready", "/v2/models/stats", "/v2/models/{}", "/v2/models/{}/ready"),
    *("/v2/models/{}/versions/{}", "/v2/models/{}/versions/{}/ready", "/v2/models/{}/infer", "/v2/models/{}/config"),
    *(
        "/v2/models/{}/versions/{}/infer",
        "/v2/models/{}/stats",
        "/v2/repository/index",
        "/v2/repository/models/{}/load",
    ),
    *(
        "/v2/models/{}/trace/setting",
        "/v2/systemsharedmemory/region/{}/status",
        "/v2/logging",
        "/v2/models/{}/generate",
    ),
)
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND")
BODIES = (
    *(b"", b"{", b"null", b"[]", b"7", b'"x"', b"\xff", b"a=b&c=d", b"{}", b'{"ready": true}', b'{"instances": [1]}'),
    b'{"instances": [{"a": [1, 2, 3], "b": [4, 5]}]}',
    b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]}',
    b'{"signature_name": "s", "examples": [{"x": 1}]}',
)
HEADERS = (
    {},
    {b"content-type": b"application/x-www-form-urlencoded"},
    {b"content-encoding": b"gzip"},
    {b"accept-encoding": b"gzip", b"accept": b"text/html"},
    {b"inference-header-content-length": b"-1"},
    {b"x-request-timeout": b"nan", b"host": b"\xff/?#@["},
    {b"x-signet-batching": b"\xff", b"expect": b"x"},
)

pieces = st.sampled_from(PIECES)
ours = st.builds(
    lambda route, first, second, slashes: route.format(first, second) + slashes,
    st.sampled_from(ROUTES),
    pieces,
    pieces,
    st.sampled_from(("", "", "", "/", "//", ";v=1")),
)
any_path = st.builds(lambda parts: "/" + "/".join(parts), st.lists(pieces, max_size=7))
queries = st.sampled_from(
    ("", "", "?", "?signature_name=s", "?signature_name=%FF&a", "?=&&a=b=c", "?a?b", "?ü=\xff", "?" + "a=" * 500)
)


@pytest.fixture(scope="module")
def running():
    with in_process.gateway(models_dir=servers.GOLDEN_MODELS) as started:
        yield started


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(METHODS), st.one_of(ours, any_path), queries, st.sampled_from(BODIES), st.sampled_from(HEADERS))
def test_any_request_gets_an_answer_of_the_gateways_own(running, method, path, query, body, headers):
    target = (path + query).encode("latin-1", errors="ignore") if "\xff" in path + query else (path + query).encode()
    answer = running.ask(method, target, body, dict(headers))
    assert answer.status < 500 or answer.status in (501, 503), answer.body
    assert b"\n" not in answer.headers.replace(b"\r\n", b"")
    if method == "HEAD":
        assert answer.body == b""
        assert header(answer, "Content-Length") is not None
    elif answer.status >= 400:
        assert isinstance(json.loads(answer.body)["error"], str)
    if answer.status == 405:
        assert header(answer, "Allow") in ("GET, HEAD", "POST", "GET, HEAD, POST")
    if answer.status in range(300, 400):
        assert header(answer, "Location").startswith(("../", "./"))


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/", "GET, HEAD"),
        ("/v1/models/two_in/metadata", "GET, HEAD"),
        ("/v1/models/two_in:predict", "POST"),
        ("/v1/models/two_in:predict?a=b", "POST"),
        ("/v2/models/two_in/infer", "POST"),
        ("/v2/repository/index", "POST"),
        ("/v2/logging", "GET, HEAD, POST"),
    ],
)
@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "PROPFIND"])
def test_another_method_is_told_which_there_are(running, path, allowed, method):
    answer = running.ask(method, path.encode())
    assert (answer.status, header(answer, "Allow")) == (405, allowed)
    assert method in json.loads(answer.body)["error"]


@pytest.mark.parametrize(
    "path", ["/nope", "//", "/v1/models//", "//v1/models", "/v1/models/two_in/nope", "/v2/nope", "*", ""]
)
def test_an_unknown_path_is_404_in_json(running, path):
    for method in ("GET", "POST", "OPTIONS"):
        answer = running.ask(method, path.encode())
        assert answer.status in (404, 405, 307), (method, answer.status)
        assert answer.status != 404 or "Malformed request" in json.loads(answer.body)["error"]


def test_a_bug_is_500_in_json_and_in_the_log(running, monkeypatch, caplog):
    def broken() -> dict[str, object]:
        raise RuntimeError("a bug")

    monkeypatch.setattr(running.gateway.open_inference, "server", broken)
    answer = running.ask("GET", b"/v2", headers={b"x-request-id": b"seven"})
    told = {"error": "internal error; the gateway's log says more of request seven"}
    assert (answer.status, json.loads(answer.body)) == (500, told)
    assert "request seven" in caplog.text
    assert "a bug" in caplog.text
