"""Peers that are no servers of gRPC, or answer as none does: each call ends with a code and a sentence, and nothing is left."""

import asyncio
import gzip
import logging
import random
from contextlib import asynccontextmanager
from struct import Struct

import pytest

from signet.serving.grpc_transport import channel as own_channel
from signet.serving.grpc_transport.channel import OwnChannel
from signet.serving.grpc_transport.channels import CallError, ask
from signet.serving.h2 import frames, hpack
from tests.serving.grpc_transport.grpcio_peer import ECHO, outcome
from tests.serving.grpc_transport.test_channel import is_clean

HEAD = Struct(">BHBBI")
OK_HEAD = [(b":status", b"200"), (b"content-type", b"application/grpc")]
END_HEADERS, END_STREAM = 4, 1


def headers(stream, *fields, ends=False):
    return frames.frame(frames.HEADERS, END_HEADERS | ends, stream, hpack.encode(fields))


def data(stream, content, *, ends=False):
    return frames.frame(frames.DATA, int(ends), stream, content)


def message(content, flag=0):
    return bytes([flag]) + len(content).to_bytes(4, "big") + content


def trailers(stream, status=b"0", *more):
    return headers(stream, (b"grpc-status", status), *more, ends=True)


def good(stream):
    return headers(stream, *OK_HEAD) + data(stream, message(b"good")) + trailers(stream)


async def each_head(reader):
    """The stream of every HEADERS that comes."""
    await reader.readexactly(len(frames.PREFACE))
    while True:
        high, low, kind, _, stream = HEAD.unpack(await reader.readexactly(9))
        await reader.readexactly(high << 16 | low)
        if kind == frames.HEADERS:
            yield stream


@asynccontextmanager
async def peer(answers):
    """A channel to a server that sends to the n-th call what the n-th of `answers` makes of its stream; the last to all others.

    An answer that is None ends the connection. The second is the number of connections so far, in a list.
    """
    connections = [0]
    calls = [0]

    async def talk(reader, writer):
        connections[0] += 1
        writer.write(frames.settings({}))
        try:
            async for stream in each_head(reader):
                answer = answers[min(calls[0], len(answers) - 1)](stream)
                calls[0] += 1
                if answer is None:
                    break
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    channel = OwnChannel(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", most_answer_bytes=100_000)
    async with server:
        try:
            yield channel, connections
        finally:
            await channel.close()
            assert is_clean(channel)


def ended(*answers):
    """How calls end that get these answers, one after the other."""

    async def run():
        async with peer([*answers, good]) as (channel, _):
            ends = [await asyncio.wait_for(outcome(channel, ECHO, b"x"), 20) for _ in answers]
            assert await ask(channel, ECHO, b"x", 20) == b"good", "the channel goes on"
            return ends

    return asyncio.run(run())


ANSWERS = {
    "a status alone": (lambda s: headers(s, *OK_HEAD, (b"grpc-status", b"5"), ends=True), "NOT_FOUND", ""),
    "a status that no one knows": (lambda s: headers(s, *OK_HEAD) + trailers(s, b"99"), "UNKNOWN", ""),
    "a status that is no number": (lambda s: headers(s, *OK_HEAD) + trailers(s, b"ok"), "UNKNOWN", ""),
    "no status": (
        lambda s: headers(s, *OK_HEAD) + headers(s, (b"x", b"y"), ends=True),
        "UNKNOWN",
        "without grpc-status",
    ),
    "headers alone without a status": (lambda s: headers(s, *OK_HEAD, ends=True), "UNKNOWN", "without grpc-status"),
    "no trailers": (
        lambda s: headers(s, *OK_HEAD) + data(s, message(b"x"), ends=True),
        "UNKNOWN",
        "without trailers",
    ),
    "no message": (lambda s: headers(s, *OK_HEAD) + trailers(s), "INTERNAL", "sent no message"),
    "a message cut off": (
        lambda s: headers(s, *OK_HEAD) + data(s, message(b"xyz")[:-1]) + trailers(s),
        "INTERNAL",
        "cut its message off",
    ),
    "a prefix cut off": (
        lambda s: headers(s, *OK_HEAD) + data(s, b"\0\0") + trailers(s),
        "INTERNAL",
        "cut its message",
    ),
    "two messages": (
        lambda s: headers(s, *OK_HEAD) + data(s, message(b"x")) + data(s, message(b"y")) + trailers(s),
        "INTERNAL",
        "behind its message",
    ),
    "two messages in a frame": (
        lambda s: headers(s, *OK_HEAD) + data(s, message(b"x") * 2) + trailers(s),
        "INTERNAL",
        "behind its message",
    ),
    "another first byte": (
        lambda s: headers(s, *OK_HEAD) + data(s, message(b"x", 2)) + trailers(s),
        "INTERNAL",
        "begins with 2",
    ),
    "compressed without a name": (
        lambda s: headers(s, *OK_HEAD) + data(s, message(b"x", 1)) + trailers(s),
        "INTERNAL",
        "names no compression",
    ),
    "compressed as nobody can": (
        lambda s: headers(s, *OK_HEAD, (b"grpc-encoding", b"br")) + data(s, message(b"x", 1)) + trailers(s),
        "INTERNAL",
        "names no compression",
    ),
    "no gzip": (
        lambda s: headers(s, *OK_HEAD, (b"grpc-encoding", b"gzip")) + data(s, message(b"x" * 30, 1)) + trailers(s),
        "INTERNAL",
        "cannot be read",
    ),
    "a bomb": (
        lambda s: (
            headers(s, *OK_HEAD, (b"grpc-encoding", b"gzip"))
            + data(s, message(gzip.compress(bytes(10 << 20)), 1))
            + trailers(s)
        ),
        "RESOURCE_EXHAUSTED",
        "100000",
    ),
    "a length beyond the limit": (
        lambda s: headers(s, *OK_HEAD) + data(s, b"\0\xff\xff\xff\xff"),
        "RESOURCE_EXHAUSTED",
        "4294967295 vs. 100000",
    ),
    "an error of HTTP": (
        lambda s: headers(s, (b":status", b"503"), (b"content-type", b"text/html")) + data(s, b"<html>", ends=True),
        "UNAVAILABLE",
        "HTTP status 503",
    ),
    "no such path": (lambda s: headers(s, (b":status", b"404"), ends=True), "UNIMPLEMENTED", "HTTP status 404"),
    "not allowed": (lambda s: headers(s, (b":status", b"403"), ends=True), "PERMISSION_DENIED", "HTTP status 403"),
    "a teapot": (lambda s: headers(s, (b":status", b"418"), ends=True), "UNKNOWN", "HTTP status 418"),
    "an error of HTTP with a status": (
        lambda s: headers(s, (b":status", b"503"), (b"grpc-status", b"8"), (b"grpc-message", b"full"), ends=True),
        "RESOURCE_EXHAUSTED",
        "full",
    ),
    "a page": (
        lambda s: headers(s, (b":status", b"200"), (b"content-type", b"text/html")) + data(s, b"<html>", ends=True),
        "UNKNOWN",
        "content-type b'text/html'",
    ),
    "words that are no encoding": (
        lambda s: headers(s, *OK_HEAD) + trailers(s, b"3", (b"grpc-message", b"50 % %zz %C3%BC %FF")),
        "INVALID_ARGUMENT",
        "50 % %zz ü \ufffd",
    ),
    "no base64": (
        lambda s: headers(s, *OK_HEAD) + trailers(s, b"3", (b"x-bin", b"!")),
        "INTERNAL",
        "no base64",
    ),
    "a reset": (lambda s: frames.rst_stream(s, frames.INTERNAL_ERROR), "INTERNAL", "code 2"),
    "a reset to cancel": (lambda s: headers(s, *OK_HEAD) + frames.rst_stream(s, frames.CANCEL), "CANCELLED", "code 8"),
    "a reset to calm": (lambda s: frames.rst_stream(s, frames.ENHANCE_YOUR_CALM), "RESOURCE_EXHAUSTED", "code 11"),
    "headers that are malformed": (lambda s: headers(s, (b":status", b"200"), (b"Upper", b"x")), "INTERNAL", "HTTP/2"),
    "very large headers": (
        lambda s: (
            headers(s, *OK_HEAD, *((b"x", b"y" * 8000) for _ in range(2)))
            + frames.frame(frames.HEADERS, END_STREAM, s, hpack.encode([(b"x", b"z" * 9000)]))
            + b"".join(
                frames.frame(frames.CONTINUATION, END_HEADERS * (i == 5), s, hpack.encode([(b"x", b"z" * 16000)]))
                for i in range(6)
            )
        ),
        "RESOURCE_EXHAUSTED",
        "headers of more than 65536 bytes",
    ),
    "the connection": (lambda _: None, "UNAVAILABLE", "is lost"),
    "a frame on stream 0": (lambda _: data(0, b"x"), "UNAVAILABLE", "breaks HTTP/2"),
    "a frame that is too large": (lambda s: data(s, bytes(20_000)), "UNAVAILABLE", "breaks HTTP/2"),
    "no HPACK": (
        lambda s: frames.frame(frames.HEADERS, END_HEADERS, s, b"\xff\xff\xff\xff\xff"),
        "UNAVAILABLE",
        "breaks",
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_is_none_is_an_error_with_a_sentence(name):
    answer, code, words = ANSWERS[name]
    ((got, details, _),) = ended(answer)
    assert got == code
    assert words in details


def test_the_same_headers_mean_something_else_when_nothing_follows_them():
    alone = ANSWERS["headers alone without a status"][0]
    assert [end if isinstance(end, bytes) else end[0] for end in ended(good, alone, good)] == [
        b"good",
        "UNKNOWN",
        b"good",
    ]


def test_an_answer_in_many_pieces_between_other_frames_is_read():
    def answer(stream):
        early = headers(stream, (b":status", b"100")) + headers(stream, (b":status", b"103"), (b"link", b"x"))
        pieces = [
            frames.frame(frames.DATA, 8, stream, b"\x03" + message(b"good")[i : i + 1] + b"\0\0\0") for i in range(9)
        ]
        ping = frames.frame(frames.PING, 0, 0, b"12345678")
        return early + headers(stream, *OK_HEAD) + ping.join(pieces) + data(stream, b"") + ping + trailers(stream)

    assert ended(answer, good) == [b"good", b"good"]


def goes_away(stream):
    return frames.go_away(max(0, stream - 2), frames.NO_ERROR)


def refuses(stream):
    return frames.rst_stream(stream, frames.REFUSED_STREAM)


@pytest.mark.parametrize("times", range(1, 6))
@pytest.mark.parametrize("unseen", [goes_away, refuses])
def test_calls_that_the_server_has_not_looked_at_are_sent_again_up_to_four_times(unseen, times):
    async def run():
        async with peer([unseen] * times + [good]) as (channel, connections):
            if times < 5:
                assert await ask(channel, ECHO, b"x", 20) == b"good"
                assert connections == [times + 1 if unseen is goes_away else 1]
            else:
                code, details, _ = await outcome(channel, ECHO, b"x")
                words = "going away" if unseen is goes_away else "reset the stream with code 7"
                assert (code, words in details) == ("UNAVAILABLE", True)

    asyncio.run(run())


@pytest.mark.parametrize("end", ["cancel", "deadline", "close"])
def test_a_call_that_pauses_before_it_is_sent_again_ends_as_others_do(end, monkeypatch):
    monkeypatch.setattr(own_channel, "_PAUSES_S", (0.3,))

    async def run():
        async with peer([refuses, good]) as (channel, _):
            waiter: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            call = channel.call(ECHO, b"x", 0.1 if end == "deadline" else 20, waiter)
            for _ in range(5000):
                if not call.sent_again:
                    await asyncio.sleep(0.001)
            assert call.sent_again
            if end == "cancel":
                call.cancel()
            elif end == "close":
                await channel.close()
            if end != "cancel":
                with pytest.raises(CallError, match="has been closed" if end == "close" else "DEADLINE_EXCEEDED"):
                    await waiter
            await asyncio.sleep(0.35)
            assert waiter.done() is (end != "cancel")
            if end != "close":
                assert await ask(channel, ECHO, b"y", 20) == b"good"

    asyncio.run(run())


def test_calls_that_the_server_has_looked_at_go_on_after_goaway():
    async def run():
        async with peer([lambda s: frames.go_away(s, frames.NO_ERROR) + good(s), good]) as (channel, connections):
            assert [await ask(channel, ECHO, b"x", 20) for _ in range(2)] == [b"good", b"good"]
            assert connections == [2]

    asyncio.run(run())


def raw(words, *, closes):
    """How a call ends at a server that says these bytes at once."""

    async def talk(reader, writer):
        writer.write(words)
        if not closes:
            await reader.read()
        writer.close()

    async def run():
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        async with server:
            channel = OwnChannel(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
            end = await asyncio.wait_for(outcome(channel, ECHO, b"x", 2.0), 20)
            await channel.close()
            assert is_clean(channel)
            return end

    return asyncio.run(run())


@pytest.mark.parametrize("closes", [False, True])
@pytest.mark.parametrize(
    "words",
    [
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\n{}",
        b"\0" * 64,
        b"SSH-2.0-x\r\n" * 3,
        frames.frame(frames.PING, 0, 0, b"12345678"),
        frames.settings({}) + data(0, b"x"),
        frames.settings({frames.INITIAL_WINDOW_SIZE: 1 << 31}),
        frames.go_away(0, frames.ENHANCE_YOUR_CALM),
        frames.settings({}) + frames.go_away(0, frames.NO_ERROR),
    ],
)
def test_another_protocol_at_the_port_is_unavailable_in_a_sentence(words, closes, caplog):
    code, details, _ = raw(words, closes=closes)
    assert code == "UNAVAILABLE"
    assert "127.0.0.1" in details
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes_end_every_call(seed, caplog):
    """At once, behind SETTINGS, and in the place of a good answer."""
    rng = random.Random(seed)
    noise = rng.randbytes(rng.choice([1, 9, 100, 5000]))
    for words in (noise, frames.settings({}) + noise):
        assert raw(words, closes=True)[0] == "UNAVAILABLE"

    async def run():
        def damaged(stream):
            answer = bytearray(good(stream))
            for _ in range(rng.randint(1, 4)):
                answer[rng.randrange(len(answer))] = rng.randrange(256)
            return bytes(answer)

        async with peer([damaged]) as (channel, _):
            ends = await asyncio.gather(*(outcome(channel, ECHO, b"x", 0.5) for _ in range(20)))
            assert len(ends) == 20

    asyncio.run(run())
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
