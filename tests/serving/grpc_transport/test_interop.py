"""gRPC's interoperability cases, as far as bytes can express them, with grpcio as the client of our server.

The names are those of grpc's doc/interop-test-descriptions.md. What is left out needs messages or services of its own
(`cacheable_unary`, `client_compressed_…` as a probe, `soak`), Google's credentials (`compute_engine_creds` …), or a balancer.
"""

import ast
import threading

import grpc
import pytest

from tests.servers import wait_until
from tests.serving.grpc_transport import methods
from tests.serving.grpc_transport.test_calls import serving

LARGE_REQUEST, LARGE_ANSWER = 271_828, 314_159
REQUEST_SIZES, ANSWER_SIZES = (27_182, 8, 1828, 45_904), (31_415, 9, 2653, 58_979)
SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"


@pytest.fixture(scope="module")
def channel():
    with serving("own") as address, grpc.insecure_channel(address) as channel:
        yield channel


def unary(channel, name, service="test.Test"):
    return channel.unary_unary(f"/{service}/{name}")


def chat(channel, requests, **options):
    return channel.stream_stream("/test.Test/Chat")(requests, timeout=options.pop("timeout", 30), **options)


class Asked:
    """Requests of a stream, one at a time, as the test lets go of them."""

    def __init__(self):
        self._ready, self._next, self._end = threading.Semaphore(0), [], object()

    def send(self, message):
        self._next.append(message)
        self._ready.release()

    def close(self):
        self.send(self._end)

    def __iter__(self):
        return self

    def __next__(self):
        self._ready.acquire()
        if (message := self._next.pop(0)) is self._end:
            raise StopIteration
        return message


def status(call):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code().name, caught.value.details()


def empty_unary(channel):
    assert unary(channel, "Echo")(b"", timeout=30) == b""


def large_unary(channel):
    assert unary(channel, "Echo")(bytes(LARGE_REQUEST), timeout=30) == bytes(LARGE_REQUEST)
    assert unary(channel, "Echo")(bytes(LARGE_ANSWER), timeout=30) == bytes(LARGE_ANSWER)


def client_compressed_unary(channel):
    echo = unary(channel, "Echo")
    assert echo(bytes(LARGE_REQUEST), compression=grpc.Compression.Gzip, timeout=30) == bytes(LARGE_REQUEST)
    assert echo(bytes(LARGE_REQUEST), compression=grpc.Compression.NoCompression, timeout=30) == bytes(LARGE_REQUEST)


def client_streaming(channel):
    total = channel.stream_unary("/test.Test/Total")
    assert total((bytes(size) for size in REQUEST_SIZES), timeout=30) == b"74922"


def server_streaming(channel):
    answers = list(channel.unary_stream("/test.Test/Sizes")(repr(ANSWER_SIZES).encode(), timeout=30))
    assert [len(answer) for answer in answers] == list(ANSWER_SIZES)


def ping_pong(channel):
    asked = Asked()
    answers = chat(channel, asked)
    for size in ANSWER_SIZES:
        asked.send(bytes(size))
        assert next(answers) == bytes(size)
    asked.close()
    assert list(answers) == []
    assert answers.code() is grpc.StatusCode.OK


def empty_stream(channel):
    assert list(chat(channel, iter([]))) == []


def custom_metadata(channel):
    sent = (
        ("x-grpc-test-echo-initial", "test_initial_metadata_value"),
        ("x-grpc-test-echo-trailing-bin", b"\xab\xab\xab"),
    )
    told, call = unary(channel, "Meta").with_call(b"", metadata=sent, timeout=30)
    assert tuple(ast.literal_eval(told.decode())) == sent
    assert tuple(call.trailing_metadata()) == sent


def status_code_and_message(channel):
    assert status(lambda: unary(channel, "Refuse")(b"UNKNOWN test status message", timeout=30)) == (
        "UNKNOWN",
        "test status message",
    )
    asked = iter([b"fail"])
    assert status(lambda: list(chat(channel, asked))) == ("FAILED_PRECONDITION", "as asked")


def special_status_message(channel):
    assert status(lambda: unary(channel, "Refuse")(f"UNKNOWN {SPECIAL}".encode(), timeout=30)) == ("UNKNOWN", SPECIAL)


def unimplemented_method(channel):
    assert status(lambda: unary(channel, "UnimplementedCall")(b"", timeout=30))[0] == "UNIMPLEMENTED"


def unimplemented_service(channel):
    assert (
        status(lambda: unary(channel, "UnimplementedCall", "test.Unimplemented")(b"", timeout=30))[0] == "UNIMPLEMENTED"
    )


def cancel_after_begin(channel):
    asked = Asked()
    call = channel.stream_unary("/test.Test/Total").future(asked)
    call.cancel()
    asked.close()
    assert call.code() is grpc.StatusCode.CANCELLED


def cancel_after_first_response(channel):
    asked = Asked()
    answers = chat(channel, asked)
    asked.send(bytes(REQUEST_SIZES[0]))
    assert next(answers) == bytes(REQUEST_SIZES[0])
    answers.cancel()
    assert status(lambda: next(answers))[0] == "CANCELLED"
    asked.close()


def timeout_on_sleeping_server(channel):
    before = methods.ends["sleep cancelled"]
    assert status(lambda: unary(channel, "Sleep")(b"60", timeout=0.05))[0] == "DEADLINE_EXCEEDED"
    asked = Asked()
    answers = chat(channel, asked, timeout=0.05)
    asked.send(bytes(REQUEST_SIZES[0]))
    assert status(lambda: list(answers))[0] == "DEADLINE_EXCEEDED"
    asked.close()
    wait_until(lambda: methods.ends["sleep cancelled"] == before + 1, what="the cancellation")


def concurrent_large_unary(channel):
    calls = [unary(channel, "Echo").future(bytes(LARGE_REQUEST), timeout=60) for _ in range(20)]
    assert {call.result() for call in calls} == {bytes(LARGE_REQUEST)}


CASES = [
    empty_unary,
    large_unary,
    client_compressed_unary,
    client_streaming,
    server_streaming,
    ping_pong,
    empty_stream,
    custom_metadata,
    status_code_and_message,
    special_status_message,
    unimplemented_method,
    unimplemented_service,
    cancel_after_begin,
    cancel_after_first_response,
    timeout_on_sleeping_server,
    concurrent_large_unary,
]


@pytest.mark.parametrize("case", CASES, ids=[case.__name__ for case in CASES])
def test_interop(channel, case):
    case(channel)
    assert unary(channel, "Echo")(b"the channel lives on", timeout=30) == b"the channel lives on"
