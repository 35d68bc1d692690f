"""TLS of a gateway, with OpenSSL's own client, curl and ours: who is let in, who is told what, certificates that are renewed."""

import asyncio
import os
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from signet.clients.client.grpc_client import GrpcClient
from signet.clients.client.http_client import Client
from signet.serving.errors import ServingError, Unavailable, UsageError
from signet.serving.gateway.settings import read
from signet.serving.grpc_transport.own_server import OwnServer
from signet.serving.grpc_transport.server_limits import ServerLimits
from signet.serving.process import ports
from signet.serving.tls.credentials import HTTP2, Credentials, server_context
from tests import programs, servers
from tests.certificates import DAY, Authority
from tests.servers import GOLDEN_MODELS

TWO_IN = {"a": [[1.0, 2.0, 3.0]], "b": [[4, 5]]}
PATH = "/v1/models/two_in:predict"
PIECES = [
    b"",
    b"\n",
    b"\x16\x03\x01\x00\x05hello",
    b"\x00" * 100,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    bytes(range(256)) * 64,
]
"""What is no ClientHello."""


class Served:
    """A gateway that speaks TLS, and the folder of its certificates: ca.crt, server.crt, server.key, client.crt, client.key."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.authority = folder, Authority()
        self.ca = self.authority.written(folder)
        self.pair = self.authority.signs(folder)
        self.client = self.authority.signs(folder, "client")
        self.http = self.grpc = self.admin = 0

    @contextmanager
    def running(self, *arguments: str | Path) -> Iterator["Served"]:
        models = self.folder / "models"
        models.mkdir()
        (models / "two_in").symlink_to(GOLDEN_MODELS / "two_in")
        tls = ("--tls-cert-file", self.pair.certificate, "--tls-key-file", self.pair.key, "--admin-port", "0")
        with servers.gateway("--models-dir", models, *tls, *arguments) as (url, program):
            assert url.startswith("https://")
            self.http, self.program = int(url.rpartition(":")[2]), program
            self.grpc = int(servers.grpc_address(program).rpartition(":")[2])
            self.admin = int(servers.admin_address(program).rpartition(":")[2])
            yield self

    def context(self, client: bool = False) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca)
        if client:
            context.load_cert_chain(self.client.certificate, self.client.key)
        return context

    def shown(self, port: int) -> bytes:
        """The certificate that a new connection gets."""
        context = self.context()
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as connection,
        ):
            return ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True)).encode()

    def says(self, port: int, *arguments: object, stdin: str = "") -> str:
        """What `openssl s_client` prints."""
        programs.need("openssl")
        command = [
            "openssl",
            "s_client",
            "-connect",
            f"127.0.0.1:{port}",
            "-servername",
            "localhost",
            "-CAfile",
            self.ca,
        ]
        done = subprocess.run(
            [*map(str, [*command, *arguments])], input=stdin, capture_output=True, text=True, timeout=20, check=False
        )
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with Served(tmp_path_factory.mktemp("tls")).running() as one:
        yield one


@pytest.fixture(scope="module")
def mutual(tmp_path_factory):
    """Asks for certificates of callers, with two processes."""
    one = Served(tmp_path_factory.mktemp("mtls"))
    with one.running("--tls-client-ca-file", one.ca, "--processes", "2"):
        yield one


# OpenSSL's client


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize(
    ("port", "offered", "agreed"),
    [
        ("http", "h2,http/1.1", "ALPN protocol: http/1.1"),
        ("http", "h2", "No ALPN negotiated"),
        ("grpc", "http/1.1,h2", "ALPN protocol: h2"),
    ],
)
def test_what_openssl_agrees_on(served, port, offered, agreed, version):
    said = served.says(getattr(served, port), "-alpn", offered, "-verify_hostname", "localhost", version)
    assert agreed in said
    assert "Verification: OK" in said
    assert "Compression: NONE" in said
    assert re.search(r"Cipher is (TLS_|ECDHE-ECDSA-)(AES|CHACHA20)\w*", said)


@pytest.mark.parametrize("port", ["http", "grpc"])
@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_older_versions_are_refused(served, port, version):
    said = served.says(getattr(served, port), version, "-cipher", "DEFAULT@SECLEVEL=0")
    assert "alert protocol version" in said
    assert "Cipher is (NONE)" in said


def test_keys_are_not_agreed_on_anew(served):
    """R: renegotiate, of 1.2, which costs the server more than who asks for it."""
    said = served.says(served.http, "-tls1_2", stdin="R\n")
    assert "RENEGOTIATING" in said
    assert "no renegotiation" in said


def test_a_request_through_openssl(served):
    said = served.says(
        served.http, "-quiet", "-ign_eof", stdin="GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    assert "HTTP/1.1 200 OK" in said
    assert '{"live":true}' in said


# Who is told what


def test_curl_trusts_whom_it_is_told_to(served):
    programs.need("curl")

    def curl(host, *arguments):
        command = ["curl", "-s", "-S", "--resolve", f"{host}:{served.http}:127.0.0.1", *map(str, arguments)]
        return subprocess.run(
            [*command, f"https://{host}:{served.http}/livez"], capture_output=True, text=True, timeout=20, check=False
        )

    assert curl("localhost", "--cacert", served.ca).stdout == '{"live":true}'
    assert "curl: (60)" in curl("localhost").stderr  # nobody who is usually trusted has signed it
    assert "curl: (60)" in curl("another.example", "--cacert", served.ca).stderr


def test_who_speaks_no_tls_is_told_so_and_the_log_has_no_line_of_it(served):
    answer = httpx.get(f"http://127.0.0.1:{served.http}/livez")
    assert (answer.status_code, answer.text) == (400, "this port speaks TLS: ask it with https://\n")
    with socket.create_connection(("127.0.0.1", served.grpc)) as client:
        client.sendall(PIECES[4])
        with suppress(ConnectionError):
            assert client.recv(1) == b""
    assert "speaks no TLS" not in served.program.output


@pytest.mark.parametrize("port", ["http", "grpc"])
@pytest.mark.parametrize("sent", PIECES)
def test_garbage_ends_its_connection_alone(served, port, sent):
    with socket.create_connection(("127.0.0.1", getattr(served, port))) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        client.settimeout(20)
        with suppress(ConnectionError):
            while client.recv(1 << 16):
                pass
    assert httpx.get(f"https://localhost:{served.http}/livez", verify=served.context()).status_code == 200


def test_handshakes_that_stand_still_hold_up_nobody(served):
    stalled = [socket.create_connection(("127.0.0.1", port)) for port in (served.http, served.grpc) for _ in range(20)]
    for client in stalled[::2]:
        client.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
    assert httpx.get(f"https://localhost:{served.http}/livez", verify=served.context()).status_code == 200
    with GrpcClient(f"localhost:{served.grpc}", ca_file=served.ca) as client:
        assert set(client.predict("two_in", TWO_IN))
    for client in stalled:
        client.close()


def test_our_clients(served, tmp_path):
    alien = Authority("alien").written(tmp_path)
    with Client(f"https://localhost:{served.http}", ca_file=served.ca) as over_http:
        expected = over_http.predict("two_in", TWO_IN)
    with GrpcClient(f"localhost:{served.grpc}", ca_file=served.ca) as over_grpc:
        assert over_grpc.predict("two_in", TWO_IN).keys() == expected.keys()
    said = rf"cannot reach https://localhost:{served.http}: .*unable to get local issuer"
    with Client(f"https://localhost:{served.http}", ca_file=alien) as over_http, pytest.raises(Unavailable, match=said):
        over_http.predict("two_in", TWO_IN)
    with (
        GrpcClient(f"localhost:{served.grpc}", ca_file=alien, timeout_s=5) as over_grpc,
        pytest.raises(ServingError, match=rf"localhost:{served.grpc}"),
    ):
        over_grpc.predict("two_in", TWO_IN)


@pytest.mark.parametrize("protocol", ["v1", "v2-binary", "grpc"])
def test_load_over_tls(served, protocol):
    url = f"localhost:{served.grpc}" if protocol == "grpc" else f"https://localhost:{served.http}"
    roots, variables = ([], {"SIGNET_CA_FILE": str(served.ca)}) if protocol == "v1" else (["--ca-file", served.ca], {})
    loads = ["load", "two_in", "--url", url, "--protocol", protocol, "--bodies", "signature", *roots]
    limits = ["--rate", "20", "--seconds", "0.5", "--warmup-s", "0", "--slo", "errors=0%"]
    with servers.program(*loads, *limits, environment=variables) as running:
        assert running.process.wait(60) == 0, running.output
        running.stop()


# Callers' certificates


def test_callers_show_certificates_where_they_are_asked_for(mutual, tmp_path):
    alien = Authority("alien").signs(tmp_path, "alien")
    expired = mutual.authority.signs(tmp_path, "expired", begins=-3 * DAY, ends=-DAY)
    mine = {"ca_file": mutual.ca, "client_certificate": (mutual.client.certificate, mutual.client.key)}
    with Client(f"https://localhost:{mutual.http}", **mine) as client:
        assert client.predict("two_in", TWO_IN)
    with GrpcClient(f"localhost:{mutual.grpc}", **mine) as client:
        assert client.predict("two_in", TWO_IN)
    for wrong in (None, (alien.certificate, alien.key), (expired.certificate, expired.key)):
        shown = {"ca_file": mutual.ca, "client_certificate": wrong}
        with Client(f"https://localhost:{mutual.http}", **shown) as client, pytest.raises(Unavailable):
            client.predict("two_in", TWO_IN)
        with (
            GrpcClient(f"localhost:{mutual.grpc}", **shown, timeout_s=5) as client,
            pytest.raises(ServingError, match=rf"localhost:{mutual.grpc}"),
        ):
            client.predict("two_in", TWO_IN)
    assert "alert certificate required" in mutual.says(mutual.http, "-ign_eof", stdin="GET / HTTP/1.1\r\n\r\n")


def test_probes_are_in_the_clear_on_their_own_port(mutual):
    assert httpx.get(f"http://127.0.0.1:{mutual.admin}/livez").status_code == 200
    metrics = httpx.get(f"http://127.0.0.1:{mutual.admin}/metrics").text
    ends_s = float(re.search(r'signet_certificate_expiry_timestamp_seconds{role="server"} (\S+)', metrics)[1])
    assert (
        abs(ends_s - (os.stat(mutual.pair.certificate).st_mtime + DAY.total_seconds())) < 100
    )  # once, not of both processes


# Renewal


@pytest.mark.parametrize("renewals", [3, pytest.param(100, marks=pytest.mark.long)])
def test_certificates_renewed_under_load_fail_nobody(tmp_path, renewals):
    """On connections that are kept and on new ones, over both protocols; between two renewals files are half written."""
    with Served(tmp_path).running() as served:
        ended, failed, answered = threading.Event(), [], dict.fromkeys(["kept", "new", "grpc kept", "grpc new"], 0)
        url, target = f"https://localhost:{served.http}{PATH}", f"localhost:{served.grpc}"
        context = served.context()

        def until_the_end(name, ask):
            while not ended.is_set():
                try:
                    ask()
                except Exception as error:  # noqa: BLE001  # whatever it is, it is a failure
                    failed.append((name, repr(error)))
                answered[name] += 1

        def post(client):
            answer = client.post(url, json={"inputs": TWO_IN})
            assert answer.status_code == 200, answer.text

        def post_anew():
            with httpx.Client(verify=context) as client:
                post(client)

        def call_anew():
            with GrpcClient(target, ca_file=served.ca) as client:
                client.predict("two_in", TWO_IN)

        with httpx.Client(verify=context) as kept, GrpcClient(target, ca_file=served.ca) as grpc_kept:
            asking = [
                threading.Thread(target=until_the_end, args=(name, ask))
                for name, ask in {
                    "kept": lambda: post(kept),
                    "new": post_anew,
                    "grpc kept": lambda: grpc_kept.predict("two_in", TWO_IN),
                    "grpc new": call_anew,
                }.items()
            ]
            for thread in asking:
                thread.start()
            try:
                for _ in range(renewals):
                    served.pair.certificate.write_bytes(served.pair.certificate.read_bytes()[:200])
                    served.authority.signs(served.folder)
                    new = served.pair.certificate.read_bytes()
                    servers.wait_until(lambda new=new: served.shown(served.http) == new)
                    servers.wait_until(lambda new=new: served.shown(served.grpc) == new)
            finally:
                ended.set()
                for thread in asking:
                    thread.join(30)
        assert failed == []
        assert min(answered.values()) >= renewals


# What cannot be used


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"tls_cert_file": "c"}, "--tls-cert-file (SIGNET_TLS_CERT_FILE) and --tls-key-file (SIGNET_TLS_KEY_FILE) go"),
        ({"tls_key_file": "k"}, "--tls-key-file (SIGNET_TLS_KEY_FILE) go together"),
        (
            {"tls_client_ca_file": "r"},
            "--tls-client-ca-file (SIGNET_TLS_CLIENT_CA_FILE) goes with --tls-cert-file and --tls-key-file",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused(given, problem):
    with pytest.raises(UsageError, match=re.escape(problem)):
        read(given)


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_start_with_another_ones_key_is_refused_with_a_sentence(tmp_path, processes):
    one, other = (Authority().signs(tmp_path, name) for name in ("one", "other"))
    given = ["--tls-cert-file", one.certificate, "--tls-key-file", other.key, "--processes", processes]
    with servers.program("serve", "--models-dir", GOLDEN_MODELS, *given) as running:
        assert running.process.wait(60) == 2
        running.stop()
    assert f"{other.key} is not the key of the certificate in {one.certificate}" in running.output
    assert "Traceback" not in running.output


# Towards model servers


@contextmanager
def model_servers(*each: Credentials) -> Iterator[list[int]]:
    """What shakes hands and has no method: the ports."""
    loop, numbers = asyncio.new_event_loop(), []
    server = None

    async def listen() -> None:
        nonlocal server
        server = OwnServer({}, ServerLimits(1 << 20))
        for credentials in each:
            listener, context = ports.bound("127.0.0.1", 0), server_context(credentials, HTTP2)
            await server.listen(listener, lambda context=context: context)
            numbers.append(listener.getsockname()[1])

    loop.run_until_complete(listen())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield numbers
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(0), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_what_is_wrong_with_a_model_servers_certificate_is_told(tmp_path):
    authority = Authority()
    pairs = [
        authority.signed(begins=-3 * DAY, ends=-DAY),
        authority.signed(names=("another.example",)),
        Authority("alien").signed(),
    ]
    with model_servers(*(Credentials(*pair) for pair in pairs)) as (expired, wrong_host, unknown_root):
        backend = ",".join(f"localhost:{port}" for port in (expired, wrong_host, unknown_root))
        environment = {"SIGNET_BACKEND_CA_FILE": str(authority.written(tmp_path))}
        with servers.gateway("--backend", backend, "--models", "two_in", environment=environment) as (url, _):
            ready = httpx.get(f"{url}/readyz")
            refused = httpx.post(f"{url}{PATH}", json={"inputs": TWO_IN})
    assert (ready.status_code, refused.status_code) == (503, 503)
    for said in (ready.json()["why"][0], refused.json()["error"]):
        assert f"cannot connect to localhost:{expired}: its certificate has expired" in said
        assert f"cannot connect to localhost:{wrong_host}: its certificate is another one's: Hostname mismatch" in said
        assert f"cannot connect to localhost:{unknown_root}: its certificate is signed by nobody who is trusted" in said
