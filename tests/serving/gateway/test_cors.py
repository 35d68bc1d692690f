"""Pages of other origins, in a real browser and by hand; request ids and security headers of whatever is answered."""

import json
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
import httpx
import pytest

from signet.clients.client.grpc_client import GrpcClient
from signet.clients.client.http_client import Client
from signet.serving.errors import NotFound
from signet.serving.open_inference import open_inference_pb2 as pb2
from tests import browser, servers
from tests.servers import GOLDEN_MODELS, SIGNET

GOOD = {"instances": [{"a": [1.0, 1.0, 1.0], "b": [1.0, 1.0]}]}

ASK = """async ([gateway, body]) => {
  async function ask(path, options) {
    try {
      const answer = await fetch(gateway + path, options);
      return [answer.status, answer.headers.get("x-request-id"), (await answer.text()).slice(0, 40)];
    } catch (error) { return [0, null, String(error)]; }
  }
  const headers = {"content-type": "application/json", "x-request-id": "from-a-page"};
  return {
    predict: await ask("/v1/models/two_in:predict", {method: "POST", headers, body}),
    with_cookies: await ask("/v2", {credentials: "include"}),
    unknown: await ask("/v1/models/nope:predict", {method: "POST", headers, body}),
    route: await ask("/nowhere"),
  };
}"""


class Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>t</title>")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def pages() -> Iterator[ThreadingHTTPServer]:
    """A server of pages, which is http://127.0.0.1:PORT and http://localhost:PORT: two origins."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def origin(pages: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{pages.server_port}"


@pytest.fixture(scope="module")
def places(origin: str) -> Iterator[tuple[str, str]]:
    """URL and gRPC address of a gateway that one of the two may ask."""
    with servers.gateway("--models-dir", GOLDEN_MODELS, "--cors-origins", origin) as (url, running):
        yield url, running.read_until(r"gRPC: (\S+)\)")[1]


@pytest.fixture(scope="module")
def url(places: tuple[str, str]) -> str:
    return places[0]


def told(page_url: str, gateway_url: str, allow: list[int | str]) -> dict[str, list[Any]]:
    """What a page gets to see of each answer: status, request id, the start of the body."""
    with browser.page(page_url, hosts=[gateway_url.removeprefix("http://")], allow=allow) as page:
        return page.evaluate(ASK, [gateway_url, json.dumps(GOOD)])


def test_a_browser_lets_the_page_that_is_named_read_answers_and_no_other(url, origin):
    mine = told(origin, url, [404])
    refused = ["has been blocked by CORS policy", "net::ERR_FAILED"]
    other = told(origin.replace("127.0.0.1", "localhost"), url, [404, *refused])
    assert mine["predict"][:2] == [200, "from-a-page"]
    assert mine["predict"][2].startswith("{")
    assert mine["unknown"][:2] == [404, "from-a-page"]
    assert mine["with_cookies"][0] == 200
    assert mine["route"][0] == 404
    assert {name: answer[0] for name, answer in other.items()} == dict.fromkeys(mine, 0)
    assert all("Failed to fetch" in answer[2] for answer in other.values())


PLAIN = {"content-type": "application/json"}
ANSWERS = {
    "a prediction": ("POST", "/v1/models/two_in:predict", json.dumps(GOOD), PLAIN, 200),
    "a bad body": ("POST", "/v1/models/two_in:predict", "{", PLAIN, 400),
    "an unknown model": ("POST", "/v2/models/nope/infer", "{}", PLAIN, 400),
    "another method": ("GET", "/v1/models/two_in:predict", "", {}, 405),
    "no route": ("GET", "/nowhere", "", {}, 404),
    "a page": ("GET", "/docs", "", {}, 200),
    "metrics": ("GET", "/metrics", "", {}, 200),
    "an unknown encoding": ("POST", "/v1/models/two_in:predict", "x", {"content-encoding": "br"}, 415),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_has_an_id_and_says_who_may_read_it(url, origin, name):
    method, path, body, headers, status = ANSWERS[name]
    asked = {"origin": origin, "x-request-id": "mine", **headers}
    answer = httpx.request(method, url + path, content=body, headers=asked)
    assert (answer.status_code, answer.headers["x-request-id"]) == (status, "mine")
    assert answer.headers.get_list("access-control-allow-origin") == [origin]
    assert answer.headers["x-content-type-options"] == "nosniff"
    others = httpx.request(
        method, url + path, content=body, headers={**asked, "origin": "http://x", "x-request-id": "a b"}
    )
    assert "access-control-allow-origin" not in others.headers
    assert "origin" in others.headers["vary"].lower()
    assert re.fullmatch(r"[0-9a-f]{12}-[0-9a-f]+", others.headers["x-request-id"])


def test_a_preflight_is_answered_wherever_it_goes_and_asks_for_nothing(url, origin):
    asked = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization",
    }
    for path in ("/v1/models/two_in:predict", "/v2/models/two_in/infer", "/nowhere", "/metrics"):
        answer = httpx.options(url + path, headers=asked)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers.get_list("access-control-allow-origin") == [origin]
        assert "authorization" in answer.headers["access-control-allow-headers"].lower()
        refused = httpx.options(url + path, headers={**asked, "origin": "https://x.example"})
        assert refused.status_code == 403
        assert refused.json() == {
            "error": "the origin 'https://x.example' is not among --cors-origins (SIGNET_CORS_ORIGINS)"
        }
        assert not [name for name in refused.headers if name.startswith("access-control")]


def test_what_is_no_request_has_an_id_too(url):
    host, _, port = url.removeprefix("http://").partition(":")
    many = b"POST /v1/models/two_in:predict HTTP/1.1\r\nHost: a\r\nX-Request-Id: seven\r\nContent-Length: 99999999999\r\n\r\n"
    two_hosts = b"GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: seven\r\nHost: b\r\n\r\n"
    for sent, status, name in (
        (b"\x16\x03\x01\r\n\r\n", 400, b"[0-9a-f]{12}-[0-9a-f]+"),
        (two_hosts, 400, b"seven"),
        (many, 413, b"seven"),
    ):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(sent)
            answer = b"".join(iter(lambda connection=connection: connection.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 %d" % status)
        assert re.search(rb"\r\nX-Request-Id: " + name + rb"\r\n", answer)


def test_pages_are_not_to_be_framed_or_guessed_at(url):
    page = httpx.get(f"{url}/docs").headers
    assert "frame-ancestors 'none'" in page["content-security-policy"]
    assert "script-src 'self'" in page["content-security-policy"]
    for path in ("/", "/docs", "/nowhere", "/openapi.json"):
        told = httpx.get(url + path, headers={"accept": "text/html"}).headers
        assert told.get_list("x-content-type-options") == ["nosniff"]
        assert told.get_list("content-security-policy")[1:] == []
        assert (told["x-frame-options"], told["referrer-policy"]) == ("DENY", "no-referrer")
        assert told["cross-origin-opener-policy"] == "same-origin"
        camera = "camera=(self)" if path == "/" else "camera=()"  # people may photograph what they ask of a model
        assert camera in told["permissions-policy"]
        assert "strict-transport-security" not in told
    assert httpx.get(f"{url}/").headers["content-security-policy"].startswith("default-src 'none'")


def test_a_call_of_grpc_has_an_id_in_its_trailers(places):
    with grpc.insecure_channel(places[1]) as channel:

        def method(name: str, request: type, response: type):
            path = f"/inference.GRPCInferenceService/{name}"
            return channel.unary_unary(path, request.SerializeToString, response.FromString)

        live = method("ServerLive", pb2.ServerLiveRequest, pb2.ServerLiveResponse)
        infer = method("ModelInfer", pb2.ModelInferRequest, pb2.ModelInferResponse)
        for sent, expected in (
            (None, r"[0-9a-f]{12}-[0-9a-f]+"),
            ("mine-7", "mine-7"),
            ("a b", r"[0-9a-f]{12}-[0-9a-f]+"),
        ):
            metadata = [("x-request-id", sent)] if sent else []
            _, call = live.with_call(pb2.ServerLiveRequest(), metadata=metadata)
            assert re.fullmatch(expected, dict(call.trailing_metadata())["x-request-id"])
            with pytest.raises(grpc.RpcError) as refused:
                infer(pb2.ModelInferRequest(model_name="nope"), metadata=metadata)
            assert refused.value.code() is grpc.StatusCode.NOT_FOUND
            assert re.fullmatch(expected, dict(refused.value.trailing_metadata())["x-request-id"])


def test_nothing_of_it_is_there_unless_it_is_wanted(embedded_url):
    asked = {"origin": "https://a.example", "access-control-request-method": "POST"}
    for answer in (
        httpx.options(f"{embedded_url}/v1/models/two_in:predict", headers=asked),
        httpx.get(embedded_url, headers=asked),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.headers.get("vary") in {None, "Accept"}  # the page for people is for those who accept it
    assert httpx.options(f"{embedded_url}/v1/models/two_in:predict", headers=asked).status_code == 405


def test_errors_of_the_clients_and_of_commands_name_the_request(places):
    url, address = places
    with Client(url, headers={"x-request-id": "mine-8"}) as client, pytest.raises(NotFound) as refused:
        client.predict("nope", {"a": [[1.0]]})
    assert refused.value.request_id == "mine-8"
    with GrpcClient(address) as client, pytest.raises(NotFound) as refused:
        client.predict("nope", {"a": [[1.0]]})
    assert re.fullmatch(r"[0-9a-f]{12}-[0-9a-f]+", refused.value.request_id)
    asked = [*SIGNET, "predict", "nope", "--inputs", '{"a": [1]}', "--url", url, "--header", "X-Request-Id: mine-9"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60)
    assert told.returncode != 0
    assert told.stderr.rstrip().endswith("(request mine-9)")
