"""Where our own server listens: both families, UNIX sockets, TLS with h2 agreed on, connections that others accepted."""

import asyncio
import os
import resource
import socket
import ssl
from contextlib import suppress

import pytest
import uvloop

from signet.serving.grpc_transport.grpcio_server import GrpcioServer, followed_credentials
from signet.serving.grpc_transport.own_server import OwnServer
from signet.serving.grpc_transport.server_limits import ServerLimits
from signet.serving.process import ports
from signet.serving.tls import following
from signet.serving.tls.credentials import HTTP2, Credentials, server_context
from tests.certificates import Authority
from tests.serving.grpc_transport import methods
from tests.serving.grpc_transport.raw_client import RawClient, message, settled
from tests.serving.h2 import wire


@pytest.fixture(scope="module")
def pem():
    """A key and its certificate, and who has signed it."""
    authority = Authority()
    certificate, key = authority.signed()
    return key, certificate, authority.pem


def contexts(pem):
    context = server_context(Credentials(pem[1], pem[0]), HTTP2)
    return lambda: context


async def answered(reader, writer):
    """Whether a call over this connection is answered."""
    client = RawClient(reader, writer)
    client.send(wire.PREFACE, wire.settings(), client.call(1, "Echo"), wire.data(1, message(b"x"), end=True))
    return await client.status(1) == ("0", "")


async def echoes(reader, writer):
    """The same, of a connection that ends then."""
    try:
        return await answered(reader, writer)
    finally:
        writer.close()


def run(test, loop_factory=None, **limits):
    async def with_server():
        server = OwnServer(methods.SERVICES, ServerLimits(1 << 20, **limits))
        try:
            await asyncio.wait_for(test(server), 60)
        finally:
            await server.stop(0)
            assert (len(server.connections), len(server.addresses)) == (0, 0)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(with_server())


async def listening(server, pem):
    """The port of TLS on a server, and how a client connects there."""
    listener = ports.bound("127.0.0.1", 0)
    await server.listen(listener, contexts(pem))
    client = ssl.create_default_context(cadata=pem[2].decode())
    client.set_alpn_protocols(["h2"])
    port = listener.getsockname()[1]
    return port, lambda: asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname="localhost")


LOOPS = pytest.mark.parametrize(
    "loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
HELLO = b"\x16\x03\x01\x02\x00\x01\x00"
"""As far as a client may come with its first words."""


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


@pytest.mark.parametrize(("protocols", "served"), [(["h2"], True), (["http/1.1"], False), ([], False)])
def test_tls_asks_for_h2(pem, protocols, served):
    async def test(server):
        listener = ports.bound("127.0.0.1", 0)
        await server.listen(listener, contexts(pem))
        client = ssl.create_default_context(cadata=pem[2].decode())
        if protocols:
            client.set_alpn_protocols(protocols)
        port = listener.getsockname()[1]
        opened = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname="localhost")
        if served:
            assert await echoes(*opened)
        else:
            with pytest.raises((EOFError, ConnectionError)):
                await echoes(*opened)

    run(test)


@LOOPS
@pytest.mark.parametrize("limit", ["connections", "address_connections"])
def test_who_never_shakes_hands_counts_and_goes_first(pem, limit, loop_factory):
    async def test(server):
        told = []
        server.shed = told.append
        port, connect = await listening(server, pem)
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        silent[1][1].write(HELLO)
        await settled(lambda: len(server.connections) == 3)
        assert not told
        opened = []
        for number, (reader, writer) in enumerate(silent, 1):  # the oldest one first
            opened.append(await connect())
            assert await answered(*opened[-1])
            with suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
            assert told == [limit] * number
        assert len(server.connections) == 3
        for _, writer in opened:
            writer.close()
        await settled(lambda: not server.connections)

    run(test, loop_factory, **{limit: 3})


@LOOPS
def test_who_shakes_no_hands_in_time_is_sent_away(pem, loop_factory):
    async def test(server):
        port, _ = await listening(server, pem)
        for said in (b"", HELLO, b"GET / HTTP/1.1\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(said)
            with suppress(ConnectionError):
                await reader.read()  # an alert perhaps; then the end
            writer.close()
        await settled(lambda: not server.connections)

    run(test, loop_factory, handshake_s=0.1)


@LOOPS
def test_a_stop_does_not_wait_for_handshakes(pem, loop_factory):
    async def test(server):
        port, _ = await listening(server, pem)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await settled(lambda: server.connections)
        await server.stop(50)
        assert not server.connections
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()

    run(test, loop_factory, handshake_s=50)


def test_no_more_files_end_no_listening(pem):
    """Who comes meanwhile is sent away; who comes afterwards is served."""

    async def test(server):
        port, connect = await listening(server, pem)
        early = socket.socket()
        early.setblocking(False)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        taken = []
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, hard))
            with suppress(OSError):
                while True:
                    taken.append(os.dup(0))
            loop = asyncio.get_running_loop()
            await loop.sock_connect(early, ("127.0.0.1", port))
            with suppress(ConnectionError):
                assert await asyncio.wait_for(loop.sock_recv(early, 1), 2) == b""
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for descriptor in taken:
                os.close(descriptor)
            early.close()
        assert await echoes(*await connect())

    run(test, uvloop.new_event_loop)


def test_grpcio_shows_what_was_renewed_too(tmp_path):
    """A connection that there is stays; the next one gets what the files say then."""
    authority = Authority()
    pair = authority.signs(tmp_path)
    followed = following.of_server(pair.certificate, pair.key, authority.written(tmp_path), [HTTP2])
    client = ssl.create_default_context(cadata=authority.pem.decode())
    client.set_alpn_protocols([HTTP2])
    mine = authority.signs(tmp_path, "client")
    client.load_cert_chain(mine.certificate, mine.key)

    async def test(_):
        server = GrpcioServer(methods.SERVICES, [("grpc.so_reuseport", 0)])
        port = server.add_port("localhost:0", followed_credentials(followed))
        await server.start()

        async def connected():
            opened = await asyncio.open_connection("localhost", port, ssl=client, server_hostname="localhost")
            assert await answered(*opened)
            shown = opened[1].get_extra_info("ssl_object").getpeercert(binary_form=True)
            assert ssl.DER_cert_to_PEM_cert(shown).encode() == pair.certificate.read_bytes()
            return opened

        (reader, writer), kept = await connected(), set()
        for _ in range(2):
            authority.signs(tmp_path)
            assert followed.look()
            kept.add((await connected())[1])
        assert not reader.at_eof()
        for one in (writer, *kept):
            one.close()
        await server.stop(0)

    run(test)


@pytest.mark.parametrize(
    ("protocols", "said"),
    [("h2", "ALPN protocol: h2"), ("http/1.1,h2", "ALPN protocol: h2"), ("http/1.1", "No ALPN negotiated")],
)
def test_openssl_as_the_client(pem, protocols, said):
    async def test(server):
        port, _ = await listening(server, pem)
        client = await asyncio.create_subprocess_exec(
            *("openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-alpn", protocols, "-nocommands"),
            **dict.fromkeys(("stdin", "stdout", "stderr"), asyncio.subprocess.PIPE),
        )
        client.stdin.write(wire.PREFACE + wire.settings())
        acknowledged = wire.frame(wire.SETTINGS, 1, 0)
        if "h2" in protocols:
            printed = await client.stdout.readuntil(acknowledged)
            client.stdin.close()
        else:
            printed = await client.stdout.read()  # until the server has ended it
            assert acknowledged not in printed
        assert said.encode() in printed
        await client.communicate()
        await settled(lambda: not server.connections)

    run(test)
