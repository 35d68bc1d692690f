"""How clients get to their servers: forks, loops, pickles, deadlines, proxies, certificates and tokens."""

import asyncio
import datetime
import gc
import ipaddress
import math
import os
import pickle
import re
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pandas as pd
import polars as pl
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from signet.clients.client import connecting
from signet.clients.client.grpc_client import GrpcClient
from signet.clients.client.http_client import AsyncClient, Client
from signet.clients.client.retries import NEVER
from signet.serving.errors import (
    DeadlineExceeded,
    Internal,
    InvalidInput,
    SignetError,
    Unavailable,
    Unsupported,
    UsageError,
)
from tests.clients.fault_proxy import fault_proxy

ONE = {"x": [[1, 2, 3, 4]]}


@pytest.fixture(params=["http", "grpc"])
def make(request, embedded_gateway) -> Callable[..., Any]:
    """Makes a client, of either protocol."""
    url, address = embedded_gateway
    return (
        (lambda **options: Client(url, **options))
        if request.param == "http"
        else (lambda **options: GrpcClient(address, **options))
    )


def q_of(client: Any) -> float:
    return float(client.predict("three_out", ONE)["q"][0, 0])


# Processes, loops, pickles


def test_after_a_fork_each_process_has_its_own_connections(embedded_url):
    with Client(embedded_url) as client:
        expected = q_of(client)
        mine = client._connections._client
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # other tests have threads
            child = os.fork()
        if not child:
            right = q_of(client) == expected and client._connections._client is not mine
            os._exit(0 if right else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert client._connections._client is mine
        assert q_of(client) == expected


def test_one_async_client_serves_several_event_loops(embedded_url):
    client = AsyncClient(embedded_url)
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):  # loops that end under their connections
        answers = [asyncio.run(client.predict("three_out", ONE))["q"][0, 0] for _ in range(3)]
        assert len(client._connections._of_loops) == 1
        del client
        gc.collect()
    assert len(set(answers)) == 1


def test_clients_can_be_pickled(make, embedded_url):
    with make(retry=NEVER, headers={"X-Team": "a"}) as client, pickle.loads(pickle.dumps(client)) as copy:
        assert q_of(copy) == q_of(client)
        assert copy._begun == client._begun
    assert pickle.loads(pickle.dumps(AsyncClient(embedded_url))).url == embedded_url


def test_many_calls_at_once_are_answered(embedded_url):
    async def ask() -> list[Any]:
        async with AsyncClient(embedded_url) as client:
            return await asyncio.gather(*(client.predict("three_out", ONE) for _ in range(60)))

    assert len(asyncio.run(ask())) == 60


# Deadlines


def dribble(handler: BaseHTTPRequestHandler) -> None:
    """An answer of a byte now and then, which never ends by itself."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    try:
        while True:
            handler.wfile.write(b" ")
            time.sleep(0.02)
    except OSError:
        handler.close_connection = True


def dribble_head(handler: BaseHTTPRequestHandler) -> None:
    try:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nx: ")
        while True:
            handler.wfile.write(b"y")
            time.sleep(0.02)
    except OSError:
        handler.close_connection = True


@pytest.mark.parametrize("answer", [dribble, dribble_head])
def test_a_deadline_is_that_of_the_whole_call(answer, embedded_url):
    async def ask(url: str) -> None:
        async with AsyncClient(url) as client:
            await client.predict("three_out", ONE, timeout_s=0.3)

    with fault_proxy(embedded_url, answer=answer) as proxy:
        with Client(proxy.url) as client, pytest.raises(DeadlineExceeded, match="did not answer within"):
            client.predict("three_out", ONE, timeout_s=0.3)
        with pytest.raises(DeadlineExceeded, match="did not answer within"):
            asyncio.run(ask(proxy.url))


def test_a_call_may_be_without_a_deadline(make):
    with make(timeout_s=math.inf) as client:
        for timeout_s in (math.inf, 1e300):
            assert q_of(client) == client.predict("three_out", ONE, timeout_s=timeout_s)["q"][0, 0]


# Mistakes


@pytest.mark.parametrize(
    ("call", "cls", "problem"),
    [
        (lambda client: client.predict("three_out", ONE, timeout_s=-1), InvalidInput, "timeout_s is -1; expected"),
        (lambda client: client.predict("three_out", ONE, timeout_s="1"), InvalidInput, "timeout_s is '1'; expected"),
        (lambda client: client.predict("three_out", ONE, timeout_s=math.nan), InvalidInput, "timeout_s is nan"),
        (lambda client: client.predict("three_out", [[1, 2, 3, 4]]), InvalidInput, "the inputs are a list; expected"),
        (lambda client: client.predict("three_out", ONE, outputs="q"), InvalidInput, "outputs is the text 'q'"),
        (lambda client: client.predict("three_out", ONE, outputs=[5]), InvalidInput, "cannot be made as it was asked"),
        (lambda client: client.predict("three_out", ONE, signature=5), InvalidInput, "int"),
        (lambda client: client.predict(5, ONE), InvalidInput, "cannot be built"),
        (lambda client: client.predict("\ud800", ONE), SignetError, "sur"),
        (lambda client: client.predict("mixed", {"s": ["\ud800"]}, signature="s"), InvalidInput, "surrogates"),
        (lambda client: client.predict("mixed", {"s": [object()]}, signature="s"), InvalidInput, "holds object"),
        (lambda client: client.predict("three_out", {1: 2}), InvalidInput, "input"),
        (lambda client: client.predict("three_out", {"x": masked()}), InvalidInput, "is a masked array, and some"),
        (lambda client: client.predict("three_out", {"x": [masked()[0]]}), InvalidInput, "is a masked array, and some"),
        (lambda client: client.predict_frame("three_out", [1]), InvalidInput, "the frame is a builtins.list"),
        (lambda client: client.predict_frame("three_out", pd.DataFrame([[1, 2]])), InvalidInput, "missing input 'x'"),
        (lambda client: client.predict_frame("three_out", doubled()), InvalidInput, "has two columns 'x'"),
        (lambda client: client.predict_frame("three_out", pl.LazyFrame({"x": [1]})), InvalidInput, "is a LazyFrame"),
        (lambda client: client.predict_frame("three_out", pd.DataFrame({"x": []}), rows=0), InvalidInput, "rows is 0"),
        (lambda client: client.predict_frame("three_out", pd.DataFrame({"x_1": [1]})), InvalidInput, "not all from x_0"),
    ],
)  # fmt: skip
def test_whatever_is_wrong_is_one_of_our_errors(call, cls, problem, make):
    with make() as client, pytest.raises(cls, match=re.escape(problem)):
        call(client)


def masked() -> Any:
    return np.ma.masked_array([[1.0, 2, 3, 999]], mask=[[0, 0, 0, 1]])


def doubled() -> pd.DataFrame:
    return pd.concat([pd.DataFrame({"x": [[1, 2, 3, 4]]})] * 2, axis=1)


def test_a_closed_client_says_so(make):
    client = make()
    q_of(client)
    client.close()
    client.close()
    with pytest.raises(UsageError, match="is closed"):
        q_of(client)


def test_flat_columns_of_a_frame_are_an_input(make):
    values = np.arange(8.0).reshape(2, 4)
    with make() as client:
        expected = client.predict("three_out", {"x": values})["q"][:, 0]
        for kind in (pd.DataFrame, pl.DataFrame):
            for columns in (values, values.astype(object)):
                frame = kind({f"x_{i}": list(columns[:, i]) for i in (3, 2, 1, 0)})
                found = client.predict_frame("three_out", frame)["q"]
                np.testing.assert_allclose(np.array(list(found), float), expected, rtol=1e-5)


def test_an_answer_with_fewer_rows_than_asked_for_is_an_error(embedded_url):
    def answer(handler: Any) -> None:
        handler.answer(200, b'{"outputs": {"p": [[1, 2, 3]], "q": [[1]], "r": [[1, 2]]}}', {})

    with fault_proxy(embedded_url, answer=answer) as proxy, Client(proxy.url) as client:
        assert client.predict("three_out", ONE)["q"].shape == (1, 1)
        with pytest.raises(Internal, match=r"the answer has 1 rows of output '.' for the 3 that were asked for"):
            client.predict("three_out", {"x": [[1, 2, 3, 4]] * 3})


# Proxies


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_this_machine_is_not_asked_through_a_proxy(variable, make, monkeypatch):
    monkeypatch.setenv(variable, "http://127.0.0.1:9" if variable != "ALL_PROXY" else "socks5://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    with make() as client:
        q_of(client)


def test_messages_name_the_proxy_and_no_password(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://me:s3cret@127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "other.invalid")
    for client in (Client("http://me:s3cret@model.invalid", retry=NEVER), GrpcClient("model.invalid:1", retry=NEVER)):
        with client, pytest.raises(Unavailable, match=r"through the proxy http://127.0.0.1:9") as caught:
            client.predict("m", {}, timeout_s=5)
        assert "s3cret" not in str(caught.value)
    assert connecting.proxy_of("http://other.invalid") == ""


def test_a_proxy_that_cannot_be_used_is_a_sentence(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "gopher://127.0.0.1:9")
    with pytest.raises(UsageError, match=r"the proxy gopher://127.0.0.1:9 of the environment is none"):
        Client("http://model.invalid")


# What is shown to the server


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"headers": {"X-A": "a\r\nX-B: b"}}, "the value of the header 'X-A' is no ASCII text of one line"),
        ({"headers": {"X A": "a"}}, "the header's name is 'X A'"),
        ({"headers": {"X-A": 1}}, "the value of the header 'X-A' is no ASCII text"),
        ({"headers": {"X-A": "é"}}, "the value of the header 'X-A' is no ASCII text"),
        ({"headers": "X-A"}, "headers is a str; expected values by name"),
        ({"token": 5}, "the token is no ASCII text"),
        ({"ca_file": 5}, "ca_file and client_certificate are the paths of PEM files"),
        ({"client_certificate": ("a", "b", "c")}, "client_certificate is 3 paths"),
        ({"retry": None}, "retry is None; expected a Retry, or NEVER"),
        ({"timeout_s": "1"}, None),
        ({"token": "a\nb"}, "the token is no ASCII text of one line"),
    ],
)
def test_headers_that_are_none_are_refused(options, problem):
    for cls in (Client, AsyncClient, GrpcClient):
        with pytest.raises(UsageError if problem else InvalidInput, match=re.escape(problem or "timeout_s is '1'")):
            cls("localhost:1" if cls is GrpcClient else "http://localhost:1", **options)


def test_headers_and_token_are_sent(embedded_url, monkeypatch):
    monkeypatch.setenv("SIGNET_TOKEN", "from-the-environment")
    with fault_proxy(embedded_url) as proxy:
        monkeypatch.setenv("SIGNET_URL", proxy.url)
        for options in ({}, {"token": "given"}, {"token": ""}, {"headers": {"authorization": "Basic abc"}}):
            with Client(headers={"X-Team": "a", **options.pop("headers", {})}, **options) as client:
                client.predict("three_out", ONE)
        sent = [headers for path, headers in proxy.seen if path.endswith(":predict")]
    assert [headers.get("authorization") for headers in sent] == [
        "Bearer from-the-environment", "Bearer given", None, "Basic abc"
    ]  # fmt: skip
    assert {headers["x-team"] for headers in sent} == {"a"}
    assert "given" not in repr(connecting.access({}, "given"))


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """An authority, and a certificate for 127.0.0.1 with its key, as PEM files."""
    now = datetime.datetime.now(datetime.UTC)

    def made(name: str, key: Any, issuer: str, signer: Any, is_authority: bool) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False)
            .add_extension(
                x509.KeyUsage(True, False, False, False, False, is_authority, is_authority, False, False), True
            )
        )
        return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    authority, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    paths = (folder / "ca.pem", folder / "own.pem", folder / "own.key")
    paths[0].write_bytes(made("ca", authority, "ca", authority, True))
    paths[1].write_bytes(made("own", own, "ca", authority, False))
    paths[2].write_bytes(
        own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


@pytest.fixture
def guarded(tmp_path) -> Iterator[tuple[str, tuple[Path, Path, Path]]]:
    """A server that wants a certificate of its callers; its models are none."""
    paths = certificates(tmp_path)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", "15")
            self.end_headers()
            self.wfile.write(b'{"details": []}')

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Handshakes that fail are what the test is about."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(paths[1], paths[2])
    context.load_verify_locations(paths[0])
    context.verify_mode = ssl.CERT_REQUIRED
    with Server(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}", paths
        server.shutdown()
        thread.join()


def test_an_authority_and_a_certificate_of_ones_own(guarded):
    url, (authority, own, key) = guarded
    with Client(url, ca_file=authority, client_certificate=(own, key)) as client:
        assert client.models() == []
    for options in ({}, {"ca_file": authority}):
        with Client(url, **options, retry=NEVER) as client, pytest.raises(Unavailable):
            client.models()
    for options in ({"ca_file": key}, {"client_certificate": authority}, {"ca_file": "/no.pem"}):
        with pytest.raises(UsageError, match=r"(no PEM file that can be used|does not exist; expected a PEM file)"):
            Client(url, **options)


def test_a_dead_port_is_named_without_its_password():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with Client(f"http://me:s3cret@127.0.0.1:{port}", retry=NEVER) as client:
        assert client.url == f"http://127.0.0.1:{port}"
        with pytest.raises(Unavailable, match=f"cannot reach http://127.0.0.1:{port}: "):
            client.models()


def test_headers_token_and_certificates_go_over_grpc(tmp_path):
    authority, own, key = certificates(tmp_path)
    seen: list[dict[str, str]] = []

    class Watching(grpc.GenericRpcHandler):
        def service(self, details: Any) -> None:
            """Notes what is shown; there is no such method."""
            seen.append(dict(details.invocation_metadata))

    pem = [path.read_bytes() for path in (key, own, authority)]
    server = grpc.server(ThreadPoolExecutor(1), handlers=[Watching()])
    port = server.add_secure_port(
        "127.0.0.1:0", grpc.ssl_server_credentials([(pem[0], pem[1])], pem[2], require_client_auth=True)
    )
    server.start()
    shown = {"token": "given", "headers": {"X-Team": "a"}, "ca_file": authority, "client_certificate": (own, key)}
    with GrpcClient(f"127.0.0.1:{port}", retry=NEVER, **shown) as client, pytest.raises(Unsupported):
        client.describe("m")
    with GrpcClient(f"127.0.0.1:{port}", retry=NEVER, ca_file=authority) as client, pytest.raises(Unavailable):
        client.predict("m", {}, timeout_s=5)
    server.stop(None).wait()
    assert [(found["authorization"], found["x-team"]) for found in seen] == [("Bearer given", "a")]
