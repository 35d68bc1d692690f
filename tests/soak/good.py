"""Good callers: what they ask is answered, rightly, whatever others send meanwhile.

inputs drawn once ──asked alone, in one dialect──▶ expected answers
each of them again and again, in every dialect, at every place ──▶ the same answers
"""

import json
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import urlsplit

import grpc
import httpx
import numpy as np
from numpy.typing import ArrayLike

from signet.serving.open_inference import open_inference_pb2 as v2
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.protos import get_model_status_pb2, model_service_pb2_grpc
from tests import answers
from tests.servers import Program
from tests.serving.gateway.test_dialects import DIALECTS, Gateway

PATIENCE_S = 60.0


@dataclass(frozen=True)
class Place:
    """A program that is asked, over HTTP and over gRPC."""

    name: str
    url: str
    address: str
    """The address of the program's gRPC port."""
    running: Program
    is_gateway: bool = True
    """Whether it is a gateway; a model server has no V2, no metrics and no health over HTTP."""


@dataclass(frozen=True)
class Question:
    """Rows that no other question has, so that an answer to another is told."""

    model: str
    signature: str
    inputs: Arrays


def questions(count: int = 20) -> list[Question]:
    """Questions of every kind of tensor: floats, whole numbers up to 64 bits, strings, booleans; one to five rows."""
    random = np.random.default_rng(13)
    asked = []
    for i in range(count):
        rows = i % 5 + 1
        words = np.array([f"{i} é {k}".encode() for k in range(rows)], object)
        tensors = (random.random((rows, width), np.float32) for width in (3, 2, 4))
        a, b, x = tensors
        asked += [
            Question("two_in", "", {"a": a, "b": b}),
            Question("three_out", "", {"x": x}),
            Question("mixed", "i64", {"i": random.integers(-(2**62), 2**62, rows)}),
            Question("mixed", "s", {"s": words}),
            Question("mixed", "d1", {"x": random.random(rows)}),
            Question("mixed", "b", {"b": random.random(rows) < 0.5}),
        ]
    return asked


class Caller:
    """Asks the places what it knows the answers to. For one thread."""

    def __init__(self, places: list[Place], expected: list[tuple[Question, Arrays]]) -> None:
        self._expected = expected
        self._asked = [(place, Gateway(place.url, place.address)) for place in places]

    def close(self) -> None:
        for _, gateway in self._asked:
            gateway.close()

    def kinds(self) -> list[tuple[str, Callable[[Random], None]]]:
        """Everything that this caller can ask, by name."""
        found: list[tuple[str, Callable[[Random], None]]] = []
        for place, gateway in self._asked:
            dialects = DIALECTS if place.is_gateway else ("grpc_v1",)
            found += [(f"{place.name}: {dialect}", self._asking(gateway, dialect)) for dialect in dialects]
            pages = PAGES if place.is_gateway else MODEL_SERVER_PAGES
            found += [(f"{place.name}: {method} {page}", getting(gateway, method, page)) for method, page in pages]
            found.append((f"{place.name}: rows", self._posting(gateway.http)))
            found.append((f"{place.name}: GetModelStatus", status(gateway.channel)))
            if place.is_gateway:
                found.append((f"{place.name}: ModelReady", ready(gateway.channel)))
                found.append((f"{place.name}: half-closed", self._half_closed(place)))
        return found

    def _asking(self, gateway: Gateway, dialect: str) -> Callable[[Random], None]:
        def ask(random: Random) -> None:
            question, expected = random.choice(self._expected)
            got = getattr(gateway, dialect)(question.model, question.signature, question.inputs)
            assert_right(got, expected)

        return ask

    def _posting(self, http: httpx.Client) -> Callable[[Random], None]:
        """Ask with rows without names, which a model server takes as well."""

        def post(random: Random) -> None:
            question, expected = random.choice([pair for pair in self._expected if pair[0].model == "two_in"])
            rows = [{"a": a.tolist(), "b": b.tolist()} for a, b in zip(*question.inputs.values(), strict=True)]
            answer = http.post("/v1/models/two_in:predict", content=json.dumps({"instances": rows}))
            assert answer.status_code == 200, answer.text
            answers.assert_close(answer.json()["predictions"], expected["output_0"])

        return post

    def _half_closed(self, place: Place) -> Callable[[Random], None]:
        """Ask as a caller who has closed its side of the connection, as `nc` does at the end of its input."""

        def post(random: Random) -> None:
            question, expected = random.choice([pair for pair in self._expected if pair[0].model == "three_out"])
            body = json.dumps({"inputs": question.inputs["x"].tolist()}).encode()
            head = (
                f"POST /v1/models/three_out:predict?from=nc HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            address = urlsplit(place.url)
            with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
                connection.sendall(head.encode() + body)
                connection.shutdown(socket.SHUT_WR)
                answer = connection.makefile("rb").read()
            answer = answer.replace(
                b"HTTP/1.1 100 Continue\r\n\r\n", b""
            )  # whether somebody still reads is found out so
            assert answer.startswith(b"HTTP/1.1 200 "), answer
            assert_right(json.loads(answer.partition(b"\r\n\r\n")[2])["outputs"], expected)

        return post


def assert_right(got: Mapping[str, ArrayLike], expected: Arrays) -> None:
    """Compare floats but for the order of sums, everything else exactly."""
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        if array.dtype.kind == "f":
            answers.assert_close(got[name], array)
        else:
            assert np.array_equal(got[name], array)


PAGES = (
    ("GET", "/livez"),
    ("HEAD", "/livez"),
    ("HEAD", "/v1/models"),
    ("GET", "/v1/models/three%5Fout"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/mixed/versions/1/metadata"),
    ("GET", "/v2/models/two_in"),
    ("GET", "/docs"),
)
MODEL_SERVER_PAGES = (("GET", "/v1/models/mixed"), ("GET", "/v1/models/mixed/versions/1/metadata"))


def getting(gateway: Gateway, method: str, page: str) -> Callable[[Random], None]:
    def get(_: Random) -> None:
        answers = []

        def answered() -> bool:
            answers.append(gateway.http.request(method, page))
            return answers[-1].status_code == 200

        eventually(answered, lambda: f"{answers[-1].text} after {len(answers)} times")

    return get


def eventually(answered: Callable[[], bool], problem: Callable[[], str]) -> None:
    """Wait until something is answered as it should be, which is at once where nobody else is asked.

    What a gateway tells of its model servers it may not know for a while: a starved machine answers it late, and its
    patience with them is short.
    """
    deadline = time.monotonic() + PATIENCE_S
    while not answered():
        assert time.monotonic() < deadline, problem()
        time.sleep(0.2)


def status(channel: grpc.Channel) -> Callable[[Random], None]:
    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "mixed"

    def get(_: Random) -> None:
        problems = []

        def answered() -> bool:
            try:
                (version,) = stub.GetModelStatus(request, timeout=30).model_version_status
            except grpc.RpcError as error:
                problems.append(error)
                return False
            assert version.State.Name(version.state) == "AVAILABLE"
            return True

        eventually(answered, lambda: str(problems[-1]))

    return get


def ready(channel: grpc.Channel) -> Callable[[Random], None]:
    call: Any = channel.unary_unary(
        "/inference.GRPCInferenceService/ModelReady",
        request_serializer=v2.ModelReadyRequest.SerializeToString,
        response_deserializer=v2.ModelReadyResponse.FromString,
    )

    def get(_: Random) -> None:
        assert call(v2.ModelReadyRequest(name="two_in"), timeout=30).ready

    return get
