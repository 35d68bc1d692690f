"""The lean HTTP client of the load test, against servers that are slow, rude or gone."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from signet.clients.load_test.run.http_target import HttpTarget
from signet.serving.errors import UsageError
from tests import servers

REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Answers each request as it is told to, and counts connections."""

    def __init__(self, answer: Answer) -> None:
        self.connections = 0
        self._answer = answer

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while not writer.is_closing():
                await reader.readuntil(b"\r\n\r\n")
                await self._answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def always(data: bytes, *, close: bool = False) -> Answer:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if close:
            writer.close()

    return answer


async def never(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


def ask(
    answer: Answer, *, rounds: int = 1, at_once: int = 1, **options: float
) -> tuple[list[tuple[str, str]], Server, int]:
    """What came of requests, so many at once, round after round; the server; how many waited for a connection."""
    server = Server(answer)

    async def run() -> tuple[list[tuple[str, str]], int]:
        listening = await asyncio.start_server(server, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        settings = {"timeout_s": 5.0, "connections": 10, **options}
        target = HttpTarget(
            f"http://127.0.0.1:{port}", timeout_s=settings["timeout_s"], connections=int(settings["connections"])
        )
        outcomes = []
        for _ in range(rounds):
            pending = [asyncio.get_running_loop().create_future() for _ in range(at_once)]
            for future in pending:
                target.send(REQUEST, lambda outcome, said, future=future: future.set_result((outcome, said)))
            outcomes += await asyncio.wait_for(asyncio.gather(*pending), 10)
        await target.close()
        listening.close()
        return outcomes, target.waited

    outcomes, waited = asyncio.run(run())
    return outcomes, server, waited


def test_a_connection_is_used_again():
    outcomes, server, _ = ask(always(GOOD), rounds=5)
    assert outcomes == [("ok", "")] * 5
    assert server.connections == 1


def test_a_connection_that_the_server_closes_is_not():
    closing = GOOD.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    outcomes, server, _ = ask(always(closing, close=True), rounds=3)
    assert outcomes == [("ok", "")] * 3
    assert server.connections == 3


def test_requests_at_once_have_connections_of_their_own_up_to_the_limit():
    outcomes, server, waited = ask(always(GOOD), at_once=8)
    assert (outcomes, server.connections, waited) == ([("ok", "")] * 8, 8, 0)
    outcomes, server, waited = ask(always(GOOD), at_once=8, connections=3)
    assert (outcomes, server.connections, waited) == ([("ok", "")] * 8, 3, 5)


def test_waiting_requests_get_the_connections_of_those_that_break():
    outcomes, server, _ = ask(always(b"", close=True), at_once=4, connections=1)
    assert [outcome for outcome, _ in outcomes] == ["connection broken"] * 4
    assert server.connections == 4


@pytest.mark.parametrize(
    ("answer", "outcome", "said"),
    [
        (b'HTTP/1.1 429 No\r\ncontent-length: 16\r\n\r\n{"error":"full"}', "429", "full"),
        (b"HTTP/1.1 502 No\r\ncontent-length: 4\r\n\r\nhtml", "502", "html"),
        (b"HTTP/1.1 404 No\r\ntransfer-encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n", "404", "no"),
        (b"SSH-2.0\r\n\r\n", "connection broken", "the answer is not HTTP"),
    ],
)
def test_other_answers_are_told(answer, outcome, said):
    outcomes, _, _ = ask(always(answer), rounds=2)
    assert [given for given, _ in outcomes] == [outcome] * 2
    assert all(words.startswith(said) for _, words in outcomes)


def test_silence_is_a_timeout():
    outcomes, server, _ = ask(never, rounds=2, timeout_s=0.05)
    assert outcomes == [("timeout", "no answer within 0.05 s")] * 2
    assert server.connections == 2


def test_nobody_listens():
    async def run() -> tuple[str, str]:
        target = HttpTarget(f"http://127.0.0.1:{servers.free_port()}", timeout_s=5, connections=1)
        future = asyncio.get_running_loop().create_future()
        target.send(REQUEST, lambda *outcome: future.set_result(outcome))
        return await future

    outcome, said = asyncio.run(run())
    assert outcome == "unreachable"
    assert "Connect call failed" in said


def test_urls_that_are_none_are_refused():
    for url in ("localhost:8080", "ftp://x", "http://"):
        with pytest.raises(UsageError, match="expected http://HOST:PORT"):
            HttpTarget(url, timeout_s=1, connections=1)
