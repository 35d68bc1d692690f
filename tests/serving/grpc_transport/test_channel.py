"""Channels to a server of grpcio, the independent judge; most tests hold for our own channel and for grpcio's alike."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import grpc
import pytest

from signet.serving.errors import CODE_NAMES
from signet.serving.gateway.backends.addresses import Address
from signet.serving.gateway.backends.connecting import connect_as, tls_of
from signet.serving.gateway.settings import read
from signet.serving.grpc_transport import channel as channel_module
from signet.serving.grpc_transport import client_connection
from signet.serving.grpc_transport.channel import OwnChannel
from signet.serving.grpc_transport.channels import CallError, ask
from signet.serving.grpc_transport.grpcio_channel import GrpcioChannel
from tests import servers
from tests.certificates import Authority
from tests.serving.grpc_transport.grpcio_peer import ECHO, HANG, LARGE, REFUSE, SEEN, outcome, peer

both = pytest.mark.parametrize("kind", [OwnChannel, GrpcioChannel])


@asynccontextmanager
async def opened(kind, address, *arguments, **named):
    channel = kind(address, *arguments, **named)
    try:
        yield channel
    finally:
        await channel.close()
        if kind is OwnChannel:
            assert is_clean(channel)


def is_clean(channel: OwnChannel) -> bool:
    """Whether nothing is left of any call or connection."""
    return not (
        channel._calls or channel._waiting or channel.answer_bytes or channel._connections or channel._deadlines
    )


async def found(channel) -> None:
    """Ask until the server answers, which the channel finds by itself."""
    async with asyncio.timeout(60):
        while await outcome(channel, ECHO, b"x") != b"x":  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.02)


class Waiting:
    """Who waits for an answer; told more than once, it says so."""

    def __init__(self):
        self.ends = asyncio.Queue()

    def set_result(self, message):
        self.ends.put_nowait(message)

    def set_exception(self, error):
        self.ends.put_nowait(error)


# Answers, errors, metadata


@both
@pytest.mark.parametrize("size", [0, 1, 295, 16_379, 16_380, 70_000, 5 << 20])
def test_messages_of_every_size_go_and_come(kind, size):
    async def run():
        async with peer() as there, opened(kind, there.address) as channel:
            message = os.urandom(size)
            assert await ask(channel, ECHO, message, 30) == message
            assert await asyncio.gather(*(ask(channel, ECHO, message, 30) for _ in range(5))) == [message] * 5

    asyncio.run(run())


@both
def test_every_error_arrives_with_its_words_and_metadata(kind):
    async def run():
        async with peer() as there, opened(kind, there.address) as channel:
            for code in CODE_NAMES[1:]:
                for details in ("plain", "100 % ü 漢 \n \x7f", "", "x" * 3000):
                    got = await outcome(channel, REFUSE, json.dumps([code, details]).encode())
                    assert got == (code, details, [("id", "1"), ("id", "2"), ("trace-bin", b"\x00\xff")])
            assert (await outcome(channel, "/peer.Peer/Nothing", b""))[:2] == ("UNIMPLEMENTED", "Method not found!")
            assert await ask(channel, ECHO, b"and on", 30) == b"and on"

    asyncio.run(run())


@both
def test_the_server_sees_the_metadata_to_the_letter(kind):
    sent = [("a", "1"), ("a", "2 3"), ("b-bin", bytes(range(256))), ("c.d_e-f", "~!% x"), ("empty", "")]

    async def run():
        async with peer() as there, opened(kind, there.address) as channel:
            assert await ask(channel, SEEN, b"", 30, sent) == repr(sent).encode()
            assert await ask(channel, SEEN, b"", 30) == b"[]"

    asyncio.run(run())


@pytest.mark.parametrize(
    "pair", [("Upper", "x"), ("grpc-x", "x"), ("a", "line\nend"), ("a", "ü"), ("", "x"), (":path", "/")]
)
def test_metadata_that_cannot_be_sent_is_refused_at_once(pair):
    async def run():
        async with opened(OwnChannel, "127.0.0.1:1") as channel:
            with pytest.raises(ValueError, match="metadata"):
                channel.call(ECHO, b"", 30, Waiting(), [pair])

    asyncio.run(run())


@both
@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_answers_are_read(kind, compression):
    async def run():
        async with peer(compression=compression) as there, opened(kind, there.address) as channel:
            for size in (10_000, 5 << 20):
                assert await ask(channel, LARGE, b"%d" % size, 30) == bytes(size)

    asyncio.run(run())


def test_answers_beyond_the_bound_are_refused_and_the_channel_goes_on():
    async def run():
        async with (
            peer() as there,
            peer(compression=grpc.Compression.Gzip) as packing,
            opened(OwnChannel, there.address, most_answer_bytes=100_000) as channel,
            opened(OwnChannel, packing.address, most_answer_bytes=100_000) as unpacking,
        ):
            assert len(await ask(channel, LARGE, b"100000", 30)) == 100_000
            for one, size in ((channel, 100_001), (channel, 10_000_000), (unpacking, 100_001), (unpacking, 10_000_000)):
                code, details, _ = await outcome(one, LARGE, b"%d" % size)
                assert code == "RESOURCE_EXHAUSTED"
                assert "100000" in details
            # Together they are too many, each alone is not.
            ends = await asyncio.gather(*(outcome(channel, LARGE, b"60000") for _ in range(8)))
            assert {end if isinstance(end, bytes) else end[0] for end in ends} <= {bytes(60_000), "RESOURCE_EXHAUSTED"}
            assert len(await ask(channel, LARGE, b"60000", 30)) == 60_000

    asyncio.run(run())


# Deadlines and cancellation


@both
def test_the_server_knows_the_deadline_and_the_caller_is_told_when_it_has_passed(kind):
    async def run():
        async with peer() as there, opened(kind, there.address) as channel:
            await ask(channel, ECHO, b"", 30)
            code, details, _ = await outcome(channel, HANG, b"", 0.4)
            assert (code, details) == ("DEADLINE_EXCEEDED", "Deadline Exceeded")
            assert 0.1 < await there.begun.get() < 0.5
            await asyncio.wait_for(there.cancelled.get(), 10)
            for timeout_s in (5, 33.3, 7200, 1e7):
                call = asyncio.create_task(ask(channel, HANG, b"", timeout_s))
                assert timeout_s * 0.9 < await there.begun.get() < timeout_s * 1.15
                call.cancel()
                await asyncio.wait_for(there.cancelled.get(), 10)

    asyncio.run(run())


@both
def test_a_call_that_is_taken_back_is_cancelled_at_the_server_and_its_waiter_hears_nothing(kind):
    async def run():
        async with peer() as there, opened(kind, there.address) as channel:
            waiting = Waiting()
            handle = channel.call(HANG, b"", 30, waiting)
            await there.begun.get()
            handle.cancel()
            handle.cancel()
            await asyncio.wait_for(there.cancelled.get(), 10)
            never = Waiting()
            channel.call(HANG, b"", 30, never).cancel()  # before anything is sent
            there.go_on.set()
            assert await ask(channel, HANG, b"on", 30) == b"on"
            assert waiting.ends.empty()
            assert never.ends.empty()

    asyncio.run(run())


def test_a_call_is_told_its_end_once_in_a_later_turn_even_where_it_fails_at_once():
    async def run():
        async with opened(OwnChannel, f"127.0.0.1:{servers.free_port()}") as channel:
            assert (await outcome(channel, ECHO, b""))[0] == "UNAVAILABLE"
            waiting = Waiting()
            handle = channel.call(ECHO, b"", 30, waiting)
            assert waiting.ends.empty()
            assert (await waiting.ends.get()).code == "UNAVAILABLE"
            handle.cancel()
            taken_back = Waiting()
            channel.call(ECHO, b"", 30, taken_back).cancel()
            await asyncio.sleep(0.05)
            assert waiting.ends.empty()
            assert taken_back.ends.empty()

    asyncio.run(run())


# Connections


@both
def test_nobody_listens(kind):
    async def run():
        port = servers.free_port()
        async with opened(kind, f"127.0.0.1:{port}") as channel:
            for _ in range(3):
                code, details, _ = await asyncio.wait_for(outcome(channel, ECHO, b""), 10)
                assert code == "UNAVAILABLE"
                assert f"127.0.0.1:{port}" in details
                assert "Connection refused" in details
            async with peer(f"127.0.0.1:{port}"):
                await found(channel)

    asyncio.run(run())


def test_more_calls_than_the_server_takes_at_once_wait_for_each_other():
    async def run():
        options = [("grpc.max_concurrent_streams", 2)]
        async with peer(options=options) as there, opened(OwnChannel, there.address) as channel:
            calls = [asyncio.create_task(ask(channel, HANG, b"%d" % i, 30)) for i in range(20)]
            await there.begun.get()
            await there.begun.get()
            assert there.begun.empty()
            calls[3].cancel()  # it has no stream yet
            there.go_on.set()
            answers = await asyncio.gather(*calls, return_exceptions=True)
            assert isinstance(answers.pop(3), asyncio.CancelledError)
            assert answers == [b"%d" % i for i in range(20) if i != 3]

    asyncio.run(run())


@both
def test_connections_that_reach_their_age_cost_no_call(kind):
    """The server says GOAWAY twice, as a graceful end asks; calls that it has not looked at are sent again."""

    async def run():
        options = [("grpc.max_connection_age_ms", 100), ("grpc.max_connection_age_grace_ms", 5000)]
        async with peer(options=options) as there, opened(kind, there.address) as channel:
            good = 0

            async def call() -> None:
                nonlocal good
                for _ in range(60):
                    assert await ask(channel, ECHO, b"x" * 20_000, 30) == b"x" * 20_000
                    good += 1
                    await asyncio.sleep(0.01)

            long = asyncio.create_task(ask(channel, HANG, b"long", 30))
            await asyncio.gather(*(call() for _ in range(8)))
            there.go_on.set()
            assert await long == b"long"
            assert good == 480

    asyncio.run(run())


@both
def test_a_channel_that_closes_gives_its_calls_time_or_none(kind):
    async def run():
        async with peer() as there:
            channel = kind(there.address)
            call = asyncio.create_task(ask(channel, HANG, b"x", 30))
            await there.begun.get()
            closing = asyncio.create_task(channel.close(20))
            await asyncio.sleep(0)
            there.go_on.set()
            assert await call == b"x"
            await asyncio.wait_for(closing, 10)

            there.go_on.clear()
            for grace_s in (None, 0.05):
                channel = kind(there.address)
                waiting = Waiting()
                channel.call(HANG, b"x", 30, waiting)
                await there.begun.get()
                await asyncio.wait_for(channel.close(grace_s), 10)
                assert (await waiting.ends.get()).code == "UNAVAILABLE"
                await asyncio.wait_for(there.cancelled.get(), 10)

    asyncio.run(run())


def test_a_closed_channel_makes_no_calls():
    async def run():
        channel = OwnChannel("127.0.0.1:1")
        await channel.close()
        assert await outcome(channel, ECHO, b"") == ("UNAVAILABLE", "the channel has been closed", [])

    asyncio.run(run())


@both
def test_a_socket_and_the_other_family(kind, tmp_path):
    async def run():
        for address in (f"unix:{tmp_path}/grpc.sock", f"unix://{tmp_path}/grpc.sock", "[::1]:0"):
            async with peer(address) as there, opened(kind, there.address) as channel:
                assert await ask(channel, ECHO, b"x", 30) == b"x"

    asyncio.run(run())


def test_a_name_with_an_address_where_nobody_listens_is_reached_at_another():
    async def run():
        async with peer() as there:  # localhost may stand for ::1 first
            port = there.address.rpartition(":")[2]
            assert await outcome(OwnChannel(f"localhost:{port}"), ECHO, b"x") == b"x"

    asyncio.run(run())


# Servers that die


@contextmanager
def process(address: str):
    """The peer as a process of its own."""
    code = [sys.executable, "-m", "tests.serving.grpc_transport.grpcio_peer", address]
    running = subprocess.Popen(code, cwd=servers.ROOT, stdout=subprocess.PIPE)
    try:
        assert running.stdout.readline() == b"serving\n"
        yield running
    finally:
        running.kill()
        running.communicate()


@both
def test_calls_in_work_end_when_their_server_is_killed_and_its_successor_is_found(kind):
    async def run():
        address = f"127.0.0.1:{servers.free_port()}"
        async with opened(kind, address) as channel:
            with process(address) as running:
                assert await ask(channel, ECHO, b"x", 30) == b"x"
                calls = [asyncio.create_task(outcome(channel, HANG, b"", 60)) for _ in range(5)]
                assert await ask(channel, ECHO, b"x", 30) == b"x"  # those before are on their way
                running.send_signal(signal.SIGKILL)
                ends = await asyncio.wait_for(asyncio.gather(*calls), 30)
                assert {end[0] for end in ends} == {"UNAVAILABLE"}
            with process(address):
                await found(channel)

    asyncio.run(run())


def test_a_server_that_stands_still_is_asked_by_ping_and_given_up(monkeypatch):
    monkeypatch.setattr(client_connection, "_QUIET_S", 0.2)
    monkeypatch.setattr(client_connection, "_ANSWER_S", 0.3)

    async def run():
        address = f"127.0.0.1:{servers.free_port()}"
        with process(address) as running:
            async with opened(OwnChannel, address) as channel:
                call = asyncio.create_task(outcome(channel, HANG, b"", 60))
                assert await ask(channel, ECHO, b"x", 30) == b"x"
                await asyncio.sleep(1)  # as long as it answers pings it may take its time
                assert not call.done()
                running.send_signal(signal.SIGSTOP)
                code, details, _ = await asyncio.wait_for(call, 30)
                assert code == "UNAVAILABLE"
                assert "no answer to a PING" in details
                running.send_signal(signal.SIGCONT)
                await found(channel)

    asyncio.run(run())


def test_a_server_that_never_speaks_is_given_up(monkeypatch):
    monkeypatch.setattr(channel_module, "_CONNECT_S", 0.3)

    async def run():
        async def say_nothing(reader, writer):
            await reader.read()
            writer.close()

        server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
        async with server, opened(OwnChannel, f"127.0.0.1:{server.sockets[0].getsockname()[1]}") as channel:
            code, details, _ = await asyncio.wait_for(outcome(channel, ECHO, b""), 30)
            assert code == "UNAVAILABLE"
            assert "no SETTINGS of HTTP/2 have come" in details

    asyncio.run(run())


# TLS


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> Path:
    """ca.crt, and server and client with .crt and .key: for `localhost` and 127.0.0.1; alien.crt is of another authority."""
    folder = tmp_path_factory.mktemp("keys")

    def openssl(*arguments: object) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, cwd=folder)

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for ca in ("ca", "alien"):
        openssl("req", "-x509", *curve, "-keyout", f"{ca}.key", "-out", f"{ca}.crt", "-subj", f"/CN={ca}")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
    for name in ("server", "client"):
        openssl("req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", "/CN=x")
        signed = ("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial")
        openssl(*signed, "-out", f"{name}.crt", "-extfile", "names")
    return folder


@pytest.mark.parametrize("transport", ["own", "grpcio"])
def test_tls_with_certificates_of_both_sides(transport, keys, tmp_path):
    roots, own, key = ((keys / name).read_bytes() for name in ("ca.crt", "server.crt", "server.key"))

    async def ends(target: Address, **files: str) -> object:
        named = {f"backend_{name}_file": keys / file for name, file in files.items()}
        settings = read({"backend": "x:1", "grpc_transport": transport, **named})
        channel = connect_as(settings, tls_of(settings))(target)
        try:
            return await outcome(channel, ECHO, b"x", 20)
        finally:
            await channel.close()

    async def run():
        mutual = {"ca": "ca.crt", "cert": "client.crt", "key": "client.key"}
        asking = grpc.ssl_server_credentials([(key, own)], roots, require_client_auth=True)
        async with peer(credentials=asking) as there, peer(f"unix:{tmp_path}/s", asking) as by_socket:
            port = there.address.rpartition(":")[2]
            assert await ends(Address(f"localhost:{port}"), **mutual) == b"x"
            assert await ends(Address(f"127.0.0.1:{port}"), **mutual) == b"x"
            assert await ends(Address(by_socket.address, "localhost"), **mutual) == b"x"
            wrong = [
                ends(Address(f"127.0.0.1:{port}", "another.name"), **mutual),
                ends(Address(f"localhost:{port}"), ca="ca.crt"),
                ends(Address(f"localhost:{port}"), **{**mutual, "ca": "alien.crt"}),
                ends(Address(f"localhost:{port}")),
            ]
            assert [end[0] for end in await asyncio.gather(*wrong)] == ["UNAVAILABLE"] * 4
        async with peer(credentials=grpc.ssl_server_credentials([(key, own)])) as there:
            assert await ends(Address(f"localhost:{there.address.rpartition(':')[2]}"), ca="ca.crt") == b"x"
        async with peer() as there:  # it does not speak TLS
            assert (await ends(Address(f"localhost:{there.address.rpartition(':')[2]}"), ca="ca.crt"))[
                0
            ] == "UNAVAILABLE"

    asyncio.run(run())


def test_a_new_connection_takes_what_the_files_say_then(tmp_path):
    """Whom it trusts, and what it shows; the connection that there is lives on."""
    before, after = Authority("before"), Authority("after")
    ca, own = before.written(tmp_path), before.signs(tmp_path, "client")
    settings = read(
        {"backend": "x:1", "backend_ca_file": ca, "backend_cert_file": own.certificate, "backend_key_file": own.key}
    )

    def asking(authority):
        certificate, key = authority.signed()
        return grpc.ssl_server_credentials([(key, certificate)], authority.pem, require_client_auth=True)

    async def run():
        tls = tls_of(settings)
        connect = connect_as(settings, tls)
        async with peer(credentials=asking(before)) as old, peer(credentials=asking(after)) as new:
            old_target, new_target = (Address(f"localhost:{one.address.rpartition(':')[2]}") for one in (old, new))
            kept = connect(old_target)
            assert await outcome(kept, ECHO, b"x", 20) == b"x"
            refused = connect(new_target)
            code, details, *_ = await outcome(refused, ECHO, b"x", 20)
            assert (code, "is signed by nobody who is trusted here" in details) == ("UNAVAILABLE", True)
            after.written(tmp_path)
            after.signs(tmp_path, "client")
            assert tls.look()
            assert await outcome(kept, ECHO, b"y", 20) == b"y"
            for channel in (connect(new_target), kept):
                assert await outcome(channel, ECHO, b"z", 20) == b"z"
                await channel.close()
            await refused.close()

    asyncio.run(run())


def test_an_error_is_an_exception_with_its_parts():
    error = CallError("NOT_FOUND", "no such model", [("id", "1")])
    assert str(error) == "NOT_FOUND: no such model"
    assert (error.code, error.details, error.trailing) == ("NOT_FOUND", "no such model", [("id", "1")])
