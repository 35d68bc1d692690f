"""Sending again: when, how often, and when not."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import grpc
import numpy as np
import pytest

from signet.clients.client.grpc_client import CHANNEL_OPTIONS, GrpcClient
from signet.clients.client.grpc_messages import build_predict
from signet.clients.client.http_client import Client
from signet.clients.client.retries import NEVER, Budget, Retry
from signet.serving.errors import DeadlineExceeded, Internal, InvalidInput, NotFound, Overloaded, TooLarge, Unavailable
from tests import servers

QUICK = Retry(attempts=4, first_delay_s=0.001, longest_delay_s=0.002)


class Refusing:
    """A server that refuses, and then answers; counts what it is asked."""

    def __init__(self, *answers: int, retry_after: str = "") -> None:
        """answers: statuses, the last of which it stays with."""
        self.answers, self.retry_after = answers, retry_after
        self.asked: list[dict[str, str]] = []

    @contextmanager
    def __call__(self) -> Iterator[str]:
        refusing = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                status = refusing.answers[min(len(refusing.asked), len(refusing.answers) - 1)]
                refusing.asked.append(dict(self.headers))
                body = b'{"details": []}' if status == 200 else b'{"error": "what the server said"}'
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                if refusing.retry_after:
                    self.send_header("retry-after", refusing.retry_after)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        with servers.http_server(Handler) as url:
            yield url


@pytest.mark.parametrize("statuses", [(200,), (429, 200), (503, 429, 502, 200)])
def test_an_overloaded_or_absent_server_is_asked_again(statuses):
    server = Refusing(*statuses)
    with server() as url, Client(url, retry=QUICK) as client:
        assert client.models() == []
    assert len(server.asked) == len(statuses)


@pytest.mark.parametrize(
    ("status", "cls", "asked"),
    [(429, Overloaded, 4), (503, Unavailable, 4), (404, NotFound, 1), (400, InvalidInput, 1), (500, Internal, 1)],
)
def test_the_last_error_stands(status, cls, asked):
    server = Refusing(status)
    with server() as url, Client(url, retry=QUICK) as client, pytest.raises(cls, match="what the server said"):
        client.models()
    assert len(server.asked) == asked


def test_never_means_once():
    server = Refusing(429, 200)
    with server() as url, Client(url, retry=NEVER) as client, pytest.raises(Overloaded):
        client.models()
    assert len(server.asked) == 1


def test_a_server_that_says_when_is_taken_at_its_word():
    server = Refusing(429, retry_after="7")
    with server() as url, Client(url, retry=QUICK, timeout_s=5) as client:
        with pytest.raises(Overloaded) as caught:
            client.models()  # not within the time that is left, so not at all
        assert caught.value.retry_after_s == 7
    assert len(server.asked) == 1


def test_retries_stay_within_the_budget():
    server = Refusing(503)
    with server() as url, Client(url, retry=Retry(attempts=2, first_delay_s=0.001, budget=0.1, burst=3)) as client:
        for _ in range(33):
            with pytest.raises(Unavailable):
                client.models()
    assert 33 + 3 <= len(server.asked) <= 33 + 3 + 4


def test_pauses_are_drawn_at_random_and_grow():
    budget = Budget(Retry(attempts=9, first_delay_s=0.1, longest_delay_s=1.0, burst=1000, budget=1))
    for attempt, longest_s in ((1, 0.1), (2, 0.2), (3, 0.4), (8, 1.0)):
        pauses = []
        for _ in range(50):
            budget.earn()
            pauses.append(budget.pause_s(attempt, Overloaded("busy"), 10.0))
        assert 0 <= min(pauses) < longest_s / 3
        assert longest_s * 2 / 3 < max(pauses) <= longest_s
    assert budget.pause_s(9, Overloaded("busy"), 10.0) is None
    assert budget.pause_s(1, DeadlineExceeded("late"), 10.0) is None
    assert budget.pause_s(1, Overloaded("busy"), 0.0) is None


def test_the_server_is_told_how_long_its_caller_waits(embedded_url, monkeypatch):
    with Client(embedded_url) as client:
        sent = []
        send = client._send
        monkeypatch.setattr(client, "_send", lambda request: sent.append(request) or send(request))
        client.predict("mixed", {"x": [[1.0]]}, timeout_s=7)
        client.predict("mixed", {"x": np.ones((10_000, 1))}, timeout_s=7)
    paths = [request.path for request in sent]
    assert paths == ["/v1/models/mixed/metadata", "/v1/models/mixed:predict", "/v2/models/mixed/infer"]
    for request in sent[1:]:
        assert 6 < float(dict(request.headers)["X-Request-Timeout"]) <= 7


def test_a_message_that_is_too_large_is_no_overload():
    """gRPC gives both the same code."""
    from concurrent.futures import ThreadPoolExecutor

    server = grpc.server(ThreadPoolExecutor(1), options=[("grpc.max_receive_message_length", 1 << 20)])
    handler = grpc.unary_unary_rpc_method_handler(lambda request, context: request)
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("tensorflow.serving.PredictionService", {"Predict": handler})]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with GrpcClient(f"127.0.0.1:{port}") as client:
            with pytest.raises(TooLarge, match=re.escape("takes no message of this size: ")) as caught:
                client._send(build_predict("m", {"x": np.zeros(1 << 20, np.uint8)}, 10.0))
            assert "1048576" in str(caught.value)
    finally:
        server.stop(None).wait()


def test_keep_alive_stays_within_what_servers_allow():
    """Servers end a connection with GOAWAY, too_many_pings, that asks more often than every five minutes."""
    options = dict(CHANNEL_OPTIONS)
    assert options["grpc.keepalive_time_ms"] > 300_000
    assert options["grpc.keepalive_permit_without_calls"] == 0
