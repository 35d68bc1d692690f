"""Where our own server listens: both families, UNIX sockets, TLS with h2 agreed on, connections that others accepted."""

import asyncio
import socket
import ssl
import subprocess

import pytest

from signet.serving.errors import UsageError
from signet.serving.grpc_transport.own_server import OwnServer
from signet.serving.grpc_transport.server_limits import ServerLimits
from signet.serving.grpc_transport.server_tls import tls_context
from signet.serving.process import ports
from tests import programs
from tests.serving.grpc_transport import methods
from tests.serving.grpc_transport.raw_client import RawClient, message
from tests.serving.h2 import wire


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    """A key and its certificate."""
    programs.need("openssl")
    folder = tmp_path_factory.mktemp("pem")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out crt -subj /CN=localhost"
    subprocess.run(
        [*command.split(), "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True, cwd=folder
    )
    return (folder / "key").read_text(), (folder / "crt").read_text()


async def echoes(reader, writer):
    """Whether a call over this connection is answered."""
    client = RawClient(reader, writer)
    client.send(wire.PREFACE, wire.settings(), client.call(1, "Echo"), wire.data(1, message(b"x"), end=True))
    try:
        return await client.status(1) == ("0", "")
    finally:
        writer.close()


def run(test):
    async def with_server():
        server = OwnServer(methods.SERVICES, ServerLimits(1 << 20))
        try:
            await test(server)
        finally:
            await server.stop(0)

    asyncio.run(asyncio.wait_for(with_server(), 60))


def test_all_interfaces_are_of_both_families():
    async def test(server):
        listener = ports.on_all_interfaces(0)
        await server.listen(listener)
        hosts = ["127.0.0.1", "::1"] if listener.family == socket.AF_INET6 else ["127.0.0.1"]
        for host in hosts:
            assert await echoes(*await asyncio.open_connection(host, listener.getsockname()[1]))

    run(test)


def test_a_unix_socket(tmp_path):
    async def test(server):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(tmp_path / "socket"))
        await server.listen(listener)
        assert await echoes(*await asyncio.open_unix_connection(str(tmp_path / "socket")))

    run(test)


def test_connections_that_another_accepted_are_told_of_when_they_end():
    async def test(_):
        closed = []
        server = OwnServer(methods.SERVICES, ServerLimits(1 << 20), closed=lambda: closed.append(1))
        server.start()
        with ports.bound("127.0.0.1", 0) as listener:
            listener.listen()
            connecting = asyncio.open_connection("127.0.0.1", listener.getsockname()[1])
            reader, writer = await connecting
            server.adopt(listener.accept()[0])
        assert await echoes(reader, writer)
        await server.stop(5)
        assert closed == [1]

    run(test)


@pytest.mark.parametrize(("protocols", "answered"), [(["h2"], True), (["http/1.1"], False), ([], False)])
def test_tls_asks_for_h2(pem, protocols, answered):
    async def test(server):
        listener = ports.bound("127.0.0.1", 0)
        await server.listen(listener, tls_context(*pem))
        client = ssl.create_default_context(cadata=pem[1])
        if protocols:
            client.set_alpn_protocols(protocols)
        port = listener.getsockname()[1]
        opened = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname="localhost")
        if answered:
            assert await echoes(*opened)
        else:
            with pytest.raises((EOFError, ConnectionError)):
                await echoes(*opened)

    run(test)


def test_tls_is_1_2_or_newer(pem):
    context = tls_context(*pem)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_NONE
    assert tls_context(*pem, client_roots=pem[1]).verify_mode is ssl.CERT_REQUIRED


def test_pem_that_is_none_is_named(pem):
    with pytest.raises(UsageError, match="key and certificate cannot be used"):
        tls_context("no key", pem[1])
    with pytest.raises(UsageError, match="roots of clients' certificates cannot be used"):
        tls_context(*pem, client_roots="no roots")
