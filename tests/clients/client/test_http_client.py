"""The HTTP clients against real gateways, and against servers that are none."""

import asyncio
import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import numpy as np
import pytest

from signet.clients.client.http_client import AsyncClient, Client
from signet.clients.client.http_messages import (
    Request,
    Response,
    build_models,
    build_predict,
    error_of,
    parse_models,
    parse_predict,
)
from signet.clients.client.retries import NEVER
from signet.serving.errors import (
    BadGateway,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidInput,
    NotFound,
    Overloaded,
    ServingError,
    TooLarge,
    Unavailable,
    Unsupported,
    UsageError,
)
from signet.serving.tensors.dtypes import ROWS
from signet.serving.tensors.signature import Signature, TensorSpec
from tests import servers
from tests.answers import assert_all_close

FLOAT = ROWS[0]


@pytest.fixture
def client(gateway_url) -> Iterator[Client]:
    with Client(gateway_url) as client:
        yield client


# Pure


def test_requests_are_built_in_columns():
    arrays = {"a": np.float32([[0.5]]), "s": np.array([b"\xff"], object)}
    assert build_predict("m", arrays, selector=3, signature="sig", timeout_s=2) == Request(
        "POST",
        "/v1/models/m/versions/3:predict",
        2,
        b'{"signature_name":"sig","inputs":{"a":[[0.5]],"s":[{"b64":"/w=="}]}}',
        (("X-Request-Timeout", "2.000"),),
    )


def test_names_are_quoted_in_paths():
    assert build_predict("a b%?#é", {}, timeout_s=1).path == "/v1/models/a%20b%25%3F%23%C3%A9:predict"
    for name in ("", "a/b", "a:b", "..", "."):
        with pytest.raises(InvalidInput, match=re.escape(f"the model's name is {name!r}")):
            build_predict(name, {}, timeout_s=1)


ONE = Signature("one", {}, {"y": TensorSpec("y", FLOAT, (None,), "")})


def test_the_only_output_gets_its_name_from_the_signature():
    outputs = parse_predict(Response(200, b'{"outputs": [1, NaN]}'), ONE)
    assert outputs["y"].dtype == np.float32
    np.testing.assert_array_equal(outputs["y"], [1, np.nan])


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"<html>", "the answer is not JSON: '<html>'"),
        (b"[]", "the answer is not an object: '[]'"),
        (b'{"outputs": ["a"]}', "the answer does not fit signature 'one': input 'y'[0] is the string"),
        (b"{}", "the answer does not fit signature 'one'"),
    ],
)
def test_answers_that_make_no_sense_are_internal_errors(body, problem):
    with pytest.raises(Internal, match=re.escape(problem)):
        parse_predict(Response(200, body), ONE)


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        (400, InvalidInput),
        (404, NotFound),
        (413, TooLarge),
        (429, Overloaded),
        (501, Unsupported),
        (502, BadGateway),
        (503, Unavailable),
        (504, DeadlineExceeded),
        (500, Internal),
        (418, Internal),
    ],
)
def test_a_status_becomes_its_error_with_the_servers_words(status, cls):
    error = error_of(Response(status, b'{"error": "what the server said"}'))
    assert type(error) is cls
    assert str(error) == "what the server said"


def test_statuses_without_a_class_keep_their_code():
    assert error_of(Response(403, b"{}")).grpc_code == "PERMISSION_DENIED"


def test_models_without_a_version_say_why():
    (model,) = parse_models(
        Response(200, b'{"details": [{"name": "m", "versions": [], "signatures": {}, "error": "none yet"}]}')
    )
    assert (model.name, model.versions, dict(model.signatures), model.problem) == ("m", (), {}, "none yet")
    with pytest.raises(Internal, match="the answer is not a list of models"):
        parse_models(Response(200, b'{"models": []}'))
    assert build_models(1.0).path == "/v1/models"


# Against gateways with either backend


def test_lists_and_arrays_of_any_number_give_the_same_named_outputs(client):
    rows = [[1, 2, 3, 4], [0, 0, 0, 0]]
    outputs = client.predict("three_out", {"x": rows})
    assert {name: (array.shape, array.dtype) for name, array in outputs.items()} == {
        "p": ((2, 3), np.float32),
        "q": ((2, 1), np.float32),
        "r": ((2, 2), np.float32),
    }
    np.testing.assert_allclose(outputs["p"][0], [0.04161947, 0.0059305714, 0.95245], rtol=1e-5)
    for inputs in (np.array(rows), np.array(rows, np.float64), [np.array(row) for row in rows]):
        again = client.predict("three_out", {"x": inputs})
        for name, array in outputs.items():
            np.testing.assert_allclose(again[name], array, rtol=1e-6)


def test_a_sole_output_keeps_its_name(client):
    outputs = client.predict("two_in", {"a": [[1, 2, 3]], "b": [[1, 2]]})
    np.testing.assert_allclose(outputs["output_0"], [[-0.2904302]], rtol=1e-5)


def test_strings_and_bytes_travel(client):
    outputs = client.predict("mixed", {"s": ["é", b"\xff\x00", ""]}, signature="s")
    assert outputs["echo_bytes"].tolist() == ["é".encode(), b"\xff\x00", b""]
    assert outputs["echo"].tolist() == ["é", b"\xff\x00", ""]
    assert outputs["len"].tolist() == [2, 2, 0]


@pytest.mark.parametrize(
    ("signature", "inputs", "output", "expected"),
    [
        ("f1", {"x": [1, 0, -1]}, "log", np.float32([0, -np.inf, np.nan])),
        ("f1", {"x": [np.nan]}, "div", np.float32([np.nan])),
        ("d1", {"x": np.zeros(0)}, "y", np.zeros(0)),
        ("scalar", {"x": 2}, "y", np.float32(4)),
        ("i64", {"i": [2**53 + 1]}, "y", None),
        ("b", {"b": [True, False]}, "y", None),
        ("u8", {"x": np.array([1, 255], np.uint8)}, "y", None),
        ("rank0out", {"x": np.ones((3, 2))}, "n", np.int32(3)),
    ],
)
def test_every_dtype_that_json_carries_comes_back_as_the_signature_says(client, signature, inputs, output, expected):
    array = client.predict("mixed", inputs, signature=signature)[output]
    assert array.dtype == client.signature("mixed", signature).outputs[output].dtype.numpy
    if expected is not None:
        np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize(
    ("model", "inputs", "options", "cls", "problem"),
    [
        ("two_im", {}, {}, NotFound, "two_im (did you mean 'two_in'?). Served models: "),
        ("two_in", {}, {"version": 9}, NotFound, "Specific(two_in, 9)"),
        ("two_in", {}, {"signature": "serv"}, FailedPrecondition, "has no signature 'serv' (did you mean 'serve'?)"),
        ("two_in", {"a": [[1, 2, 3]], "bb": []}, {}, InvalidInput, "missing input 'b'; unknown input 'bb' (did you"),
        (
            "two_in",
            {"a": [[1, 2, 3]], "b": [[1]]},
            {},
            InvalidInput,
            "input 'b' has shape (1, 1); the model takes (None",
        ),
        ("two_in", {"a": [[1, 2, 3]], "b": [[1, 2]] * 2}, {}, InvalidInput, "'a' has 1, 'b' has 2"),
        ("mixed", {"x": [-1.0]}, {"signature": "fail"}, InvalidInput, "x must be positive"),
    ],
)
def test_mistakes_are_errors_that_name_them(client, model, inputs, options, cls, problem):
    with pytest.raises(cls, match=re.escape(problem)):
        client.predict(model, inputs, **options)
    assert client.predict("two_in", {"a": [[1, 2, 3]], "b": [[1, 2]]}).keys() == {"output_0"}


def test_wrong_inputs_are_not_sent(embedded_url, monkeypatch):
    with Client(embedded_url) as client:
        client.predict("mixed", {"x": [[1.0]]})
        sent = []
        monkeypatch.setattr(
            client, "_send", lambda request, send=client._send: sent.append(request.path) or send(request)
        )
        with pytest.raises(InvalidInput):
            client.predict("mixed", {"x": [["a"]]})
        assert sent == ["/v1/models/mixed/metadata"]  # looked whether a newer version takes them
        sent.clear()
        client.predict("mixed", {"x": [[1.0]]})
        assert sent == ["/v1/models/mixed:predict"]


def test_models_and_signatures_are_described(client):
    (two_in,) = [model for model in client.models() if model.name == "two_in"]
    assert two_in.versions == (1,)
    assert sorted(two_in.signatures) == ["serve", "serving_default"]
    for signature in (two_in.signatures["serving_default"], client.signature("two_in")):
        assert [str(spec) for spec in signature.inputs.values()] == ["a: float (None, 3)", "b: float (None, 2)"]
        assert [str(spec) for spec in signature.outputs.values()] == ["output_0: float (None, 1)"]
    assert client.describe("two_in", version=1).number == 1


def test_threads_share_a_client(client):
    def ask(i: int) -> float:
        return float(client.predict("mixed", {"x": [float(i)]}, signature="d1")["y"][0])

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(40)))
    assert len(set(answers)) == 40
    assert answers == [ask(i) for i in range(40)]


def test_the_async_client_gives_the_same(client, gateway_url):
    async def ask() -> None:
        async with AsyncClient(gateway_url) as asynchronous:
            await asynchronous.wait_ready(10)
            inputs = {"x": [[1, 2, 3, 4]]}
            expected = client.predict("three_out", inputs)
            for outputs in await asyncio.gather(*(asynchronous.predict("three_out", inputs) for _ in range(10))):
                assert_all_close(outputs, expected)
            assert [model.name for model in await asynchronous.models()] == [model.name for model in client.models()]
            assert await asynchronous.signature("mixed", "s") == client.signature("mixed", "s")
            with pytest.raises(InvalidInput, match="missing input 'x'"):
                await asynchronous.predict("three_out", {})

    asyncio.run(ask())


def test_connections_are_kept(embedded_url):
    with Client(embedded_url) as client:
        streams = set()
        for _ in range(3):
            client.predict("mixed", {"x": [[1.0]]})
            (connection,) = client._connections._client._transport._pool.connections
            streams.add(id(connection))
        assert len(streams) == 1


# Versions that change


def test_a_newer_version_with_other_outputs_is_understood(changing):
    with Client(changing.url) as client:
        inputs = {"x": [[1, 2, 3, 4]]}
        assert client.predict("m", inputs).keys() == {"p", "q", "r"}
        assert client.predict("m", inputs, version=1).keys() == {"p", "q", "r"}
        changing.put(2, "mixed")  # takes the same input, gives y
        assert client.predict("m", inputs).keys() == {"y"}
        assert client.predict("m", inputs, version=2).keys() == {"y"}
        assert client.signature("m").outputs.keys() == {"y"}


def test_a_newer_version_with_other_inputs_is_understood(changing):
    with Client(changing.url) as client:
        assert client.predict("m", {"x": [[1, 2, 3, 4]]}).keys() == {"p", "q", "r"}
        changing.put(2, "two_in")
        assert client.predict("m", {"a": [[1, 2, 3]], "b": [[1, 2]]}).keys() == {"output_0"}
        changing.put(3, "three_out")
        for _ in range(2):  # fits what was known, not what answers; then asks what that is
            with pytest.raises(InvalidInput, match="missing input 'x'; unknown inputs 'a', 'b'"):
                client.predict("m", {"a": [[1, 2, 3]], "b": [[1, 2]]})


# Servers that do not answer, or are no gateways


@pytest.mark.parametrize("url", ["ftp://localhost", "http://", "http://localhost:nonsense", ""])
def test_urls_that_are_none_are_refused(url):
    with pytest.raises(UsageError, match=re.escape(f"the URL is {url!r}; expected http://HOST:PORT")):
        Client(url)


def test_nobody_listens():
    url = f"http://127.0.0.1:{servers.free_port()}"
    with Client(url) as client:
        with pytest.raises(Unavailable, match=re.escape(f"cannot reach {url}: ")):
            client.models()
        with pytest.raises(Unavailable, match=re.escape(f"{url} is not ready after 0.1 s: cannot reach {url}")):
            client.wait_ready(0.1)


def test_a_server_that_is_silent():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with Client(url) as client, pytest.raises(DeadlineExceeded, match=f"{url} did not answer within 0.1 s"):
            client.predict("m", {}, timeout_s=0.1)

        async def ask() -> None:
            async with AsyncClient(url) as asynchronous:
                await asynchronous.predict("m", {}, timeout_s=0.1)

        with pytest.raises(DeadlineExceeded, match=f"{url} did not answer within 0.1 s"):
            asyncio.run(ask())


def test_a_server_that_hangs_up():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            connection, _ = listener.accept()
            connection.recv(1 << 16)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with Client(url, retry=NEVER) as client, pytest.raises(Unavailable, match=f"{url} broke the connection off: "):
            client.models()
        thread.join()


@contextmanager
def website(status: int, body: bytes) -> Iterator[str]:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with servers.http_server(Page) as url:
        yield url


@pytest.mark.parametrize(
    ("status", "body", "cls", "problem"),
    [
        (404, b"<h1>Not here</h1>", NotFound, "the server answers 404, and not as a gateway does: '<h1>Not here</h1>'"),
        (502, b"x" * 1000, BadGateway, "the server answers 502"),
        (200, b"<h1>Welcome</h1>", Internal, "the answer is not JSON: '<h1>Welcome</h1>'"),
        (200, b"{}", Internal, "the answer is not a list of models: '{}'"),
        (302, b"", Internal, "the server answers 302"),
    ],
)
def test_a_server_that_is_no_gateway(status, body, cls, problem):
    with website(status, body) as url, Client(url) as client, pytest.raises(cls, match=re.escape(problem)) as caught:
        client.models()
    assert isinstance(caught.value, ServingError)
    assert len(str(caught.value)) < 400


def test_waits_for_a_server_that_starts(golden_models):
    port = servers.free_port()
    with Client(f"http://127.0.0.1:{port}") as client:
        arguments = ("serve", "--http-port", str(port), "--models-dir", golden_models)
        with servers.program(*arguments):
            client.wait_ready(60)
            assert client.models()


def test_a_server_that_is_not_ready_says_why():
    answer = b'{"ready": false, "draining": false, "missing": ["m"]}'
    reason = "is not ready after 0.1 s: no version yet of 'm'"
    with website(503, answer) as url, Client(url) as client, pytest.raises(Unavailable, match=re.escape(reason)):
        client.wait_ready(0.1)
