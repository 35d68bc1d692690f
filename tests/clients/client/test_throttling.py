"""Calls that a client refuses itself: when, how many, and that they cost no network."""

import asyncio
import json
import pickle
import random
import re
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

import grpc
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.clients.client import http_messages
from signet.clients.client.grpc_client import PUSHBACK, GrpcClient
from signet.clients.client.http_client import AsyncClient, Client
from signet.clients.client.retries import NEVER
from signet.clients.client.throttling import MODELS, WINDOW_S, AcceptWindow, K, Throttle, refusal_probability, refuses
from signet.serving.errors import (
    DeadlineExceeded,
    InvalidInput,
    Overloaded,
    ServingError,
    Throttled,
    Unavailable,
)
from tests import servers

COUNTS = st.integers(0, 10**6)


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def with_retry_after(error: ServingError) -> ServingError:
    error.retry_after_s = 2.0
    return error


# The policy


@given(COUNTS, COUNTS, st.floats(1, 10))
def test_the_share_is_one(accepts, more, k):
    assert 0 <= refusal_probability(accepts + more, accepts, k) <= 1


@given(COUNTS, COUNTS, st.floats(1, 10))
def test_nothing_is_refused_while_enough_is_accepted(accepts, more, k):
    requests = accepts + more
    if requests <= k * accepts:
        assert refusal_probability(requests, accepts, k) == 0
    else:
        assert refusal_probability(requests, accepts, k) > 0


EVENTS = st.lists(st.tuples(st.floats(0, 3), st.sampled_from(["call", "call and refuse", "late accept"])), max_size=200)


@given(EVENTS, st.integers(0, 2**32))
def test_a_window_refuses_only_what_the_formula_lets_it(events, seed):
    clock, chance = Clock(), random.Random(seed)
    window = AcceptWindow(clock=clock, chance=chance.random)
    for passed_s, event in events:
        clock.now += passed_s
        counts = window.counts()
        assert min(counts.accepts, counts.refusals, counts.held) >= 0
        assert 0 <= window.probability() <= 1
        if event == "late accept":
            window.record(accepted=True)
            continue
        admitted = window.admit()
        if counts.requests <= K * counts.accepts or not counts.refusals:
            assert admitted
        if admitted:
            window.record(accepted=event == "call")


@given(EVENTS, st.integers(0, 2**32))
def test_a_window_after_the_last_refusal_all_is_sent_again(events, seed):
    clock, chance = Clock(), random.Random(seed)
    window = AcceptWindow(clock=clock, chance=chance.random)
    for passed_s, event in events:
        clock.now += passed_s
        if window.admit():
            window.record(accepted=event != "call and refuse")
    recovered_at = clock.now
    while clock.now < recovered_at + WINDOW_S:
        clock.now += 0.25
        if window.admit():
            window.record(accepted=True)
    assert window.probability() == 0
    assert all(window.admit() for _ in range(100))


@pytest.mark.parametrize("overload", [2, 5, 10])
def test_so_much_is_sent_as_is_accepted_and_as_much_again(overload):
    """A server that accepts 100 calls a second, callers who make several times as many."""
    clock, chance = Clock(), random.Random(7)
    window = AcceptWindow(clock=clock, chance=chance.random)
    step_s, places = 1 / (100 * overload), 0.0
    sent = accepted = 0
    for call in range(40 * 100 * overload):
        clock.now += step_s
        places = min(5.0, places + 100 * step_s)
        if window.admit():
            accept = places >= 1
            places -= accept
            window.record(accepted=accept)
            if call * step_s >= WINDOW_S:
                sent, accepted = sent + 1, accepted + accept
    assert accepted >= 0.95 * 100 * (40 - WINDOW_S)
    assert sent <= 1.15 * K * accepted
    assert overload == 2 or window.throttled > 0


def test_a_server_that_refuses_all_is_asked_now_and_then():
    clock, chance = Clock(), random.Random(7)
    window = AcceptWindow(clock=clock, chance=chance.random)
    sent = 0
    for _ in range(6000):
        clock.now += 0.01
        if window.admit():
            sent += 1
            window.record(accepted=False)
    assert 6 <= sent <= 100


def test_threads_lose_no_count():
    window = AcceptWindow(window_s=1e9, chance=lambda: 0.0)
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def work(_: int) -> int:
        held = 0
        for number in range(500):
            if window.admit():
                window.record(accepted=number % 3 == 0)
            else:
                held += 1
        return held

    try:
        with ThreadPoolExecutor(8) as pool:
            held = sum(pool.map(work, range(8)))
    finally:
        sys.setswitchinterval(interval_s)
    assert window.counts().requests == 8 * 500
    assert window.counts().held == window.throttled == held > 0


@pytest.mark.parametrize(
    ("error", "is_refusal"),
    [
        (None, False),
        (Overloaded("full"), True),
        (with_retry_after(Unavailable("shed")), True),
        (Unavailable("no model server answers"), False),
        (InvalidInput("bad"), False),
        (DeadlineExceeded("late"), False),
    ],
)
def test_only_overload_is_a_refusal(error, is_refusal):
    assert refuses(error) is is_refusal


def test_models_have_windows_of_their_own_and_not_too_many():
    throttle = Throttle("here", lambda: AcceptWindow(chance=lambda: 0.0))
    for _ in range(2):
        throttle.record("hot", Overloaded("full"))
    throttle.check("idle")
    with pytest.raises(Throttled):
        throttle.check("hot")
    assert throttle.counts() == {"hot": 1}
    for number in range(MODELS):
        throttle.record(str(number), None)
    assert len(throttle._windows) == MODELS
    throttle.check("hot")  # forgotten: it was asked least lately


def test_a_refusal_says_what_is_known_and_what_to_do():
    clock = Clock()
    throttle = Throttle("http://h:1", lambda: AcceptWindow(clock=clock, chance=lambda: 0.0))
    throttle.record("digits", None)
    for _ in range(3):
        throttle.record("digits", with_retry_after(Overloaded("full")))
    with pytest.raises(Throttled, match=re.escape("model 'digits' at http://h:1: not sent")) as caught:
        throttle.check("digits")
    said = str(caught.value)
    assert "refused 3 of the last 4 requests" in said
    assert "50% of the calls are refused here" in said  # (5 − 2·1) / 6
    assert "throttle=False" in said
    assert caught.value.retry_after_s == 2.0
    clock.now += 3
    throttle._windows["digits"]._chance = lambda: 0.0
    with pytest.raises(Throttled) as caught:
        throttle.check("digits")
    assert caught.value.retry_after_s is None


# The clients, on real servers


SIGNATURE = {
    "inputs": {"x": {"name": "x:0", "dtype": "DT_FLOAT", "tensorShape": {"dim": [{"size": "-1"}]}}},
    "outputs": {"y": {"name": "y:0", "dtype": "DT_FLOAT", "tensorShape": {"dim": [{"size": "-1"}]}}},
    "methodName": "tensorflow/serving/predict",
}
METADATA = {
    "model_spec": {"name": "m", "version": "1"},
    "metadata": {"signature_def": {"signature_def": {"serving_default": SIGNATURE}}},
}


@dataclass
class Refusing:
    """A model server over HTTP that answers predictions with a status of the test's choice."""

    status: int = 429
    retry_after: str = ""
    predictions: int = 0
    asked: int = 0
    paths: list[str] = field(default_factory=list)

    @contextmanager
    def __call__(self) -> Iterator[str]:
        refusing = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # an answer in one piece

            def do_GET(self) -> None:
                refusing.asked += 1
                self._answer(200, METADATA)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                refusing.asked += 1
                refusing.predictions += 1
                self._answer(refusing.status, {"outputs": [2.0]} if refusing.status == 200 else {"error": "no"})

            def _answer(self, status: int, document: object) -> None:
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                if refusing.retry_after and status != 200:
                    self.send_header("retry-after", refusing.retry_after)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        with servers.http_server(Handler) as url:
            yield url


INPUTS = {"x": [1.0]}
CALLS = 60


def throttled_after(client: Client) -> int:
    """Calls until the client refuses one itself."""
    for calls in range(CALLS):
        try:
            client.predict("m", INPUTS)
        except Throttled:
            return calls
        except ServingError:
            pass
    return CALLS


@pytest.mark.parametrize(("status", "retry_after"), [(429, ""), (429, "60"), (503, "60")])
def test_a_client_that_is_refused_stops_asking(status, retry_after):
    server = Refusing(status, retry_after)
    with server() as url, Client(url, retry=NEVER) as client:
        assert throttled_after(client) < 30
        client._server._throttle._windows["m"]._chance = lambda: 0.0
        asked = server.asked
        for _ in range(50):
            with pytest.raises(Throttled, match=re.escape(f"'m' at {url}")) as caught:
                client.predict("m", INPUTS)
            assert (caught.value.retry_after_s is not None) is bool(retry_after)
        assert server.asked == asked
        assert client.throttled["m"] >= 50


def test_another_model_is_asked_all_the_same():
    server = Refusing()
    with server() as url, Client(url, retry=NEVER) as client:
        throttled_after(client)
        server.status = 200
        assert client.predict("n", INPUTS)["y"].tolist() == [2.0]


@pytest.mark.parametrize("status", [200, 400, 404, 500, 503])
def test_what_is_no_refusal_is_sent_on(status):
    server = Refusing(status)
    with server() as url, Client(url, retry=NEVER) as client:
        assert throttled_after(client) == CALLS
        assert server.predictions == CALLS
        assert client.throttled == {}


def test_throttling_can_be_turned_off_for_copies_too():
    server = Refusing()
    with server() as url, Client(url, retry=NEVER, throttle=False) as client:
        with pickle.loads(pickle.dumps(client)) as copy:
            for one in (client, copy):
                assert throttled_after(one) == CALLS
        assert server.predictions == 2 * CALLS
        assert client.throttled == {}


def test_an_awaited_client_refuses_too():
    server = Refusing()

    async def ask(url: str) -> None:
        async with AsyncClient(url, retry=NEVER) as client:
            results = []
            for _ in range(10):
                calls = [client.predict("m", INPUTS) for _ in range(10)]
                results += await asyncio.gather(*calls, return_exceptions=True)
            held = sum(isinstance(result, Throttled) for result in results)
            assert held == client.throttled["m"] == 100 - server.predictions
            assert held > 30

    with server() as url:
        asyncio.run(ask(url))


def test_a_retry_is_still_sent_after_the_time_the_server_said():
    server = Refusing(429, "0")
    with server() as url, Client(url) as client:
        with pytest.raises(Overloaded):
            client.predict("m", INPUTS)
        assert server.predictions == 3


def test_frames_are_refused_before_their_signature_is_asked_for():
    pandas = pytest.importorskip("pandas")
    server = Refusing()
    frame = pandas.DataFrame({"x": [1.0]})
    with server() as url, Client(url, retry=NEVER) as client:
        throttled_after(client)
        client._server._throttle._windows["m"]._chance = lambda: 0.0
        asked = server.asked
        with pytest.raises(Throttled):
            client.predict_frame("m", frame)
        assert server.asked == asked


@pytest.mark.parametrize("code", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE])
def test_a_client_over_grpc_refuses_too_and_hears_when_to_come_back(code, metadata_message):
    predictions = 0
    lock = threading.Lock()

    def refuse(request: bytes, context: grpc.ServicerContext) -> bytes:
        nonlocal predictions
        with lock:
            predictions += 1
        context.set_trailing_metadata(((PUSHBACK, "1500"),))
        context.abort(code, "full")

    handlers = {
        "Predict": grpc.unary_unary_rpc_method_handler(refuse),
        "GetModelMetadata": grpc.unary_unary_rpc_method_handler(lambda request, context: metadata_message),
    }
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("tensorflow.serving.PredictionService", handlers)]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with GrpcClient(f"127.0.0.1:{port}", retry=NEVER) as client:
            with pytest.raises(ServingError) as caught:
                client.predict("mixed", {"x": np.ones(1, np.float32)})
            assert caught.value.retry_after_s == 1.5
            client._server._throttle._windows["mixed"]._chance = lambda: 0.0
            for _ in range(20):
                with pytest.raises(Throttled, match="'mixed' at 127"):
                    client.predict("mixed", {"x": np.ones(1, np.float32)})
            assert client.throttled == {"mixed": 20}
        assert predictions == 1
    finally:
        server.stop(None).wait()


@pytest.fixture(scope="module")
def metadata_message() -> bytes:
    """What a model server says of the model `mixed`."""
    from google.protobuf import json_format

    from signet.serving.tensors.protos import get_model_metadata_pb2

    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.model_spec.name = "mixed"
    response.model_spec.version.value = 1
    packed = get_model_metadata_pb2.SignatureDefMap()
    json_format.ParseDict({"signature_def": {"serving_default": SIGNATURE}}, packed)
    response.metadata["signature_def"].Pack(packed)
    return response.SerializeToString()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("9" * 5000, 999_999_999.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        ("Thu, 01 Jan 1970 00:00:05 GMT", 0.0),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("Thu, 01 Jan 99999 00:00:05 GMT", None),
        ("", None),
    ],
)
def test_when_to_come_back_is_a_number_or_a_date(text, seconds):
    assert http_messages.retry_after_s(text, 10.0) == seconds


@given(st.text())
def test_no_header_breaks_it(text):
    seconds = http_messages.retry_after_s(text, 10.0)
    assert seconds is None or seconds >= 0
