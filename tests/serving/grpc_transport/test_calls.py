"""Calls of grpcio's clients: whichever transport carries them, they are answered and refused in the same way."""

import ast
import asyncio
import threading
from contextlib import contextmanager

import grpc
import pytest
import uvloop

from signet.serving.grpc_transport.grpcio_server import GrpcioServer
from signet.serving.grpc_transport.own_server import OwnServer
from signet.serving.grpc_transport.server_limits import ServerLimits
from signet.serving.process.ports import listen
from tests.servers import wait_until
from tests.serving.grpc_transport import methods

LIMIT = 8 << 20
"""Bytes of a message that the servers take."""


async def grpcio(loop_stop, started):
    server = GrpcioServer(methods.SERVICES, [("grpc.max_receive_message_length", LIMIT)])
    port = server.add_port("127.0.0.1:0")
    await server.start()
    started(f"127.0.0.1:{port}")
    await loop_stop.wait()
    await server.stop(0.1)


async def own(loop_stop, started):
    server = OwnServer(methods.SERVICES, ServerLimits(LIMIT))
    listener = listen("127.0.0.1", 0, "--port")
    await server.listen(listener)
    started(f"127.0.0.1:{listener.getsockname()[1]}")
    await loop_stop.wait()
    await server.stop(0.1)


TRANSPORTS = {"own": own, "grpcio": grpcio}


@contextmanager
def serving(transport):
    """A server of the test's methods in a thread of its own: its address."""
    ready = threading.Event()
    state = {}

    async def main():
        state["loop"], state["stop"] = asyncio.get_running_loop(), asyncio.Event()

        def started(address):
            state["address"] = address
            ready.set()

        await TRANSPORTS[transport](state["stop"], started)

    thread = threading.Thread(target=lambda: asyncio.Runner(loop_factory=uvloop.new_event_loop).run(main()))
    thread.start()
    assert ready.wait(30)
    try:
        yield state["address"]
    finally:
        state["loop"].call_soon_threadsafe(state["stop"].set)
        thread.join()


@pytest.fixture(scope="module", params=TRANSPORTS)
def address(request):
    with serving(request.param) as address:
        yield address


@pytest.fixture(scope="module")
def channel(address):
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(address, options) as channel:
        yield channel


@pytest.fixture
def unary(channel):
    return lambda name: channel.unary_unary(f"/test.Test/{name}")


@pytest.fixture
def stream(channel):
    return lambda name: channel.stream_stream(f"/test.Test/{name}")


def error_of(call, *arguments, **options):
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **options)
    return caught.value.code().name, caught.value.details()


def test_messages_of_all_sizes_come_back(unary):
    for size in (0, 1, 300, 16_384 - 5, 16_384, 70_000, 5_000_000):
        message = bytes(i % 251 for i in range(size))
        assert unary("Echo")(message, timeout=30) == message


def test_metadata_goes_both_ways_as_it_was(unary):
    sent = (("my-key", "v1"), ("my-bin", b"\x00\xff"), ("my-key", "v2"), ("empty-bin", b""))
    told, call = unary("Meta").with_call(b"", metadata=sent, timeout=10)
    assert tuple(ast.literal_eval(told.decode())) == sent
    assert tuple(call.trailing_metadata()) == sent


def test_an_error_brings_code_words_and_metadata(unary):
    with pytest.raises(grpc.RpcError) as caught:
        unary("Refuse")("ABORTED 100 % grüße\t\n€".encode(), timeout=10)
    error = caught.value
    assert (error.code(), error.details()) == (grpc.StatusCode.ABORTED, "100 % grüße\t\n€")
    told = dict(error.trailing_metadata())  # grpcio has gRPC's own one first
    assert told == {"why": "asked for", "why-bin": b"\x00\xff", "grpc-retry-pushback-ms": "1500"}


def test_errors_of_coroutines_become_statuses(unary):
    assert error_of(unary("Precondition"), b"", timeout=10) == ("FAILED_PRECONDITION", "grüße: 100 %\n")
    assert error_of(unary("Bug"), b"", timeout=10) == ("UNKNOWN", "Unexpected <class 'ZeroDivisionError'>: a bug")


def test_a_call_ends_once(unary):
    assert unary("Twice")(b"", timeout=10) == b"first"


def test_a_method_that_there_is_not_is_unimplemented(unary, channel):
    assert error_of(unary("None"), b"", timeout=10) == ("UNIMPLEMENTED", "Method not found!")
    assert error_of(channel.unary_unary("/no/Such"), b"", timeout=10)[0] == "UNIMPLEMENTED"


def test_a_deadline_is_told_and_ends_the_call(unary):
    assert 0 < float(unary("TimeLeft")(b"", timeout=20)) < 21
    assert unary("TimeLeft")(b"") == b"None"
    before = methods.ends["sleep cancelled"]
    assert error_of(unary("Sleep"), b"60", timeout=0.3) == ("DEADLINE_EXCEEDED", "Deadline Exceeded")
    wait_until(lambda: methods.ends["sleep cancelled"] == before + 1, what="the cancellation")


@pytest.mark.parametrize(("name", "counted"), [("Sleep", "sleep cancelled"), ("Hold", "hold cancelled")])
def test_a_caller_who_leaves_cancels(unary, name, counted):
    before = methods.ends[counted]
    call = unary(name).future(b"60")
    assert unary("Echo")(b"", timeout=10) == b""  # so the first is in work
    call.cancel()
    wait_until(lambda: methods.ends[counted] == before + 1, what="the cancellation")


def test_a_message_beyond_the_limit_is_refused_and_the_channel_lives_on(unary):
    code, details = error_of(unary("Echo"), bytes(LIMIT + 1), timeout=30)
    assert (code, "Received message larger than max" in details) == ("RESOURCE_EXHAUSTED", True)
    assert str(LIMIT) in details
    assert unary("Echo")(b"x", timeout=10) == b"x"


@pytest.mark.parametrize("how", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_messages_are_read_and_bounded(unary, how):
    assert unary("Echo")(b"a" * 100_000, compression=how, timeout=10) == b"a" * 100_000
    assert error_of(unary("Echo"), bytes(LIMIT + 1), compression=how, timeout=30)[0] == "RESOURCE_EXHAUSTED"


def test_a_thousand_calls_at_once(unary):
    calls = [unary("Sleep").future(b"0.1", timeout=30) for _ in range(1000)]
    assert {call.result() for call in calls} == {b"slept"}


def test_streams(stream, channel):
    assert list(channel.unary_stream("/test.Test/Count")(b"3000", timeout=30)) == [b"%d" % i for i in range(3000)]
    assert list(stream("Chat")(iter([b"%d" % i for i in range(100)]), timeout=30)) == [b"%d" % i for i in range(100)]
    assert channel.stream_unary("/test.Test/Total")(iter([bytes(100_000)] * 30), timeout=30) == b"3000000"
    assert list(stream("Early")(iter([bytes(100_000)] * 30), timeout=30)) == [b"early"]


def test_an_error_after_answers_is_the_streams_status(stream):
    answers = stream("Chat")(iter([b"1", b"fail", b"2"]), timeout=30)
    assert next(answers) == b"1"
    with pytest.raises(grpc.RpcError) as caught:
        next(answers)
    assert (caught.value.code().name, caught.value.details()) == ("FAILED_PRECONDITION", "as asked")


def test_who_leaves_an_endless_stream_ends_it(stream, unary):
    before = methods.ends["endless"]
    answers = stream("Endless")(iter([b""]))
    for _ in range(100):
        assert len(next(answers)) == 1024
    assert unary("Echo")(b"beside it", timeout=30) == b"beside it"
    answers.cancel()
    wait_until(lambda: methods.ends["endless"] == before + 1, what="the stream's end")


def test_an_aio_client(address):
    async def run():
        async with grpc.aio.insecure_channel(address) as channel:
            echo, sleep = channel.unary_unary("/test.Test/Echo"), channel.unary_unary("/test.Test/Sleep")
            answers = await asyncio.gather(*(echo(b"%d" % i, timeout=30) for i in range(500)))
            assert answers == [b"%d" % i for i in range(500)]
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await sleep(b"30", timeout=0.2)
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            counted = [number async for number in channel.unary_stream("/test.Test/Count")(b"100", timeout=30)]
            assert len(counted) == 100

    asyncio.run(run())
