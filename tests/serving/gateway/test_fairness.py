"""Real servers, one model whose calls do not end and one whose calls are short; and two callers, one of which asks too much.

What is looked at is who was answered before whom, and what was refused: not how long it took.
"""

import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests import servers

ENDLESS_S = 4
"""Seconds that an endless call is allowed."""
PLACES = 16
LIMITS = {"SIGNET_BATCH_MAX_ROWS": "1", "SIGNET_MAX_IN_FLIGHT": str(PLACES)}


@pytest.fixture
def models(tmp_path: Path, slow_model: Path) -> Path:
    """`endless` and `short` count to the number they are sent; graphs with loops always run in threads."""
    for name in ("endless", "short"):
        shutil.copytree(slow_model, tmp_path / "models" / name / "1")
    return tmp_path / "models"


@contextmanager
def endless_requests(url: str, model: str, count: int) -> Iterator[list[socket.socket]]:
    """So many requests in work on a model, whose answers come when their time is over, or at once if they are refused."""
    address = httpx.URL(url)
    body = b'{"inputs": {"steps": [1000000000]}}'
    head = f"POST /v1/models/{model}:predict HTTP/1.1\r\nHost: x\r\nX-Request-Timeout: {ENDLESS_S}\r\n"
    with ExitStack() as stack:
        held = [stack.enter_context(socket.create_connection((address.host, address.port))) for _ in range(count)]
        for connection in held:
            connection.sendall(b"%bContent-Length: %d\r\n\r\n%b" % (head.encode(), len(body), body))
        yield held


def answered(connections: list[socket.socket]) -> list[bytes]:
    """The status lines that have come by now."""
    lines = []
    for connection in connections:
        connection.setblocking(False)
        try:
            lines.append(connection.recv(4096, socket.MSG_PEEK).partition(b"\r\n")[0])
        except BlockingIOError:
            continue
    return lines


def shed(url: str, reason: str) -> float:
    (line,) = [
        each for each in httpx.get(f"{url}/metrics").text.splitlines() if f'shed_total{{reason="{reason}"' in each
    ]
    return float(line.split()[-1])


def in_work(url: str) -> float:
    text = httpx.get(f"{url}/metrics").text
    return float(text.partition('signet_requests_in_flight{protocol="v1"} ')[2].split()[0])


def short(client: httpx.Client, url: str, model: str = "short") -> int:
    return client.post(f"{url}/v1/models/{model}:predict", json={"inputs": {"steps": [3]}}, timeout=30).status_code


@pytest.mark.parametrize("remote", [False, True], ids=["embedded", "behind a model server"])
def test_a_model_whose_calls_do_not_end_takes_neither_threads_nor_places_from_another(models, remote):
    with ExitStack() as stack:
        if remote:
            config = servers.write_model_config(models.parent / "models.config", models)
            address, _ = stack.enter_context(servers.model_server(f"--model_config_file={config}"))
            source = ("--backend", address, "--models", "endless,short")
        else:
            source = ("--models-dir", models)
        url, _ = stack.enter_context(servers.gateway(*source, environment=LIMITS))
        client = stack.enter_context(httpx.Client())
        assert short(client, url) == 200
        held = stack.enter_context(endless_requests(url, "endless", 2 * PLACES))
        servers.wait_until(lambda: shed(url, "model_share") > 0, what="refusals beyond the model's share")
        assert [short(client, url) for _ in range(5)] == [200] * 5
        lines = answered(held)
        assert set(lines) == {b"HTTP/1.1 429 Too Many Requests"}, "none of the endless ones has ended before"
        assert PLACES / 2 <= len(held) - len(lines) < PLACES, "places that nobody uses are lent, all but the last"
        assert shed(url, "in_flight") == 0


def test_a_caller_that_asks_too_much_leaves_places_to_others_of_the_same_model(models):
    shutil.rmtree(models / "endless")
    with ExitStack() as stack:
        url, _ = stack.enter_context(servers.gateway("--models-dir", models, environment=LIMITS))
        elsewhere = httpx.HTTPTransport(local_address="127.0.0.2")
        other = stack.enter_context(httpx.Client(transport=elsewhere))
        assert short(other, url) == 200
        stack.enter_context(endless_requests(url, "short", 2 * PLACES))
        servers.wait_until(lambda: shed(url, "caller_share") > 0, what="refusals beyond the caller's share")
        assert in_work(url) < PLACES
        assert short(other, url) == 200
        assert shed(url, "in_flight") == 0
