"""How much of a large request is done in the event loop: less than what `offload` calls large, whatever is sent.

The hooks count bytes and numbers, not seconds: those are `tests/bench/blocking.py`'s.
"""

import asyncio
import gzip
import threading

import numpy as np
import orjson
import pytest

from signet.serving.gateway.core import open_inference
from signet.serving.gateway.http import v1, v2
from signet.serving.http.server import Request
from signet.serving.json_arrays import parsing
from signet.serving.offload import large_bodies
from signet.serving.offload.pool import LARGE_BYTES, LARGE_ELEMENTS
from signet.serving.open_inference import bodies, requests
from signet.serving.rest_dialect import json_codec, json_text
from tests.servers import GOLDEN_MODELS
from tests.serving.gateway import in_process

ROWS = 30_000
V1, V2 = "/v1/models/three_out:predict", "/v2/models/three_out/infer"


def v1_rows(last: bytes = b"[1,2,3,4]", rows: int = ROWS) -> bytes:
    return b'{"instances":[' + b",".join([*[b"[1,2,3,4]"] * (rows - 1), last]) + b"]}"


def v2_flat(last: bytes = b"1,2,3,4", rows: int = ROWS) -> bytes:
    head = b'{"inputs":[{"name":"x","shape":[%d,4],"datatype":"FP32","data":[' % rows
    return head + b",".join([*[b"1,2,3,4"] * (rows - 1), last]) + b"]}]}"


BODIES = {
    "rows": (V1, v1_rows(), 200),
    "columns": (V1, b'{"inputs":' + v1_rows().removeprefix(b'{"instances":'), 200),
    "named rows": (V1, v1_rows(rows=20_000).replace(b"[1,2,3,4]", b'{"x":[1,2,3,4]}'), 200),
    "NaN at the end": (V1, v1_rows(b"[1,2,3,NaN]"), 200),
    "ragged at the end": (V1, v1_rows(b"[1,2]"), 400),
    "true at the end": (V1, v1_rows(b"[1,2,3,true]"), 400),
    "text at the end": (V1, v1_rows(b'["a"]'), 400),
    "an object at the end": (V1, v1_rows(b'{"x":[1,2,3,4]}'), 400),
    "half a body": (V1, v1_rows()[:-2], 400),
    "brackets": (V1, b'{"instances":' + b"[" * 300_000, 400),
    "closed brackets": (V1, b'{"instances":' + b"[" * 150_000 + b"]" * 150_000 + b"}", 400),
    "a list": (V1, b"[" + b"1," * 150_000 + b"1]", 400),
    "no signature of that name": (V1, v1_rows()[:-1] + b',"signature_name":"none"}', 400),
    "examples": ("/v1/models/three_out:classify", b'{"examples":[' + b'{"a":[1.5,2]},' * 30_000 + b'{"a":1}]}', 400),
    "V2": (V2, v2_flat(), 200),
    "V2 NaN at the end": (V2, v2_flat(b"1,2,3,NaN"), 200),
    "V2 true at the end": (V2, v2_flat(b"1,2,3,true"), 400),
    "V2 too few": (V2, v2_flat(b"1,2,3"), 400),
    "V2 brackets": (V2, b'{"inputs":' + b"[" * 300_000, 400),
}


class Inline:
    """The most that the thread of the event loop reads and writes by itself in one go."""

    def __init__(self, monkeypatch):
        self.bytes = self.elements = 0
        self._thread = threading.get_ident()
        readers = [(json_codec, "parse"), (json_text, "loads"), (parsing, "loads"), (bodies, "parse")]
        for place, name in readers:
            monkeypatch.setattr(place, name, self.counted(getattr(place, name), "bytes", lambda body, *_: len(body)))
        encode = self.counted(json_codec.encode, "elements", lambda outputs, *_: large_bodies.elements(outputs))
        monkeypatch.setattr(json_codec, "encode", encode)
        encode = self.counted(bodies.encode, "elements", lambda *answer: sum(tensor.array.size for tensor in answer[3]))
        monkeypatch.setattr(bodies, "encode", encode)

    def counted(self, function, kind, size):
        def inline(*arguments, **named):
            if threading.get_ident() == self._thread:
                setattr(self, kind, max(getattr(self, kind), size(*arguments)))
            return function(*arguments, **named)

        return inline


@pytest.fixture(scope="module")
def running():
    with in_process.gateway(models_dir=GOLDEN_MODELS, request_timeout_s=300) as started:
        yield started


def ask(running, path, body, headers=None):
    """The answer to a request, before which the gateway has answered /livez."""

    async def both():
        request = Request("POST", path.encode(), headers or {}, body, "1.1", True)
        large = asyncio.create_task(running.answer(request))
        await asyncio.sleep(0)
        alive = await running.answer(Request("GET", b"/livez", {}, b"", "1.1", True))
        assert alive.status == 200
        assert not large.done()
        return await large

    return running._runner.run(both())


@pytest.mark.parametrize("kind", BODIES)
def test_a_large_body_is_read_and_answered_beside_the_loop_as_a_small_one_is_within(running, monkeypatch, kind):
    path, body, status = BODIES[kind]
    assert len(body) > LARGE_BYTES
    inline = Inline(monkeypatch)
    answer = ask(running, path, body)
    assert answer.status == status, answer.body[:300]
    assert inline.bytes < LARGE_BYTES
    assert inline.elements < LARGE_ELEMENTS
    with monkeypatch.context() as within:
        for dialect in (v1, v2):
            within.setattr(dialect, "LARGE_BYTES", 1 << 40)
            within.setattr(dialect, "LARGE_ELEMENTS", 1 << 40)
        expected = running.ask("POST", path.encode(), body)
    assert (answer.status, answer.headers, answer.body) == (expected.status, expected.headers, expected.body)


def test_a_bomb_is_read_beside_the_loop(running, monkeypatch):
    inline = Inline(monkeypatch)
    answer = ask(running, V1, gzip.compress(v1_rows(b"[1,2]")), {b"content-encoding": b"gzip"})
    assert answer.status == 400
    assert inline.bytes < LARGE_BYTES


def test_strings_as_bytes_are_cut_in_a_thread(running, monkeypatch):
    """V2's binary strings: each has its length before it."""
    strings = (b"\2\0\0\0ab" * 40_000)[: 6 * 40_000]
    tensor = {"name": "x", "shape": [40_000], "datatype": "BYTES", "parameters": {"binary_data_size": len(strings)}}
    head = orjson.dumps({"inputs": [tensor]})
    header = {b"inference-header-content-length": b"%d" % len(head)}
    threads = []

    def decode(request, signature):
        threads.append(threading.get_ident())
        return requests.decode(request, signature)

    monkeypatch.setattr(open_inference, "decode", decode)
    answer = running.ask("POST", V2.encode(), head + strings, header)
    assert (answer.status, b"datatype 'BYTES'" in answer.body) == (400, True)
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()


def test_the_time_of_a_request_holds_for_reading_too(running):
    answer = running.ask("POST", V1.encode(), v1_rows(), {b"x-request-timeout": b"0.000001"})
    assert answer.status == 504
    assert b"the request timed out after" in answer.body
    assert ask(running, V1, v1_rows()).status == 200


@pytest.mark.long
@pytest.mark.parametrize("kind", ["ragged", "nan", "good"])
def test_sixty_megabytes_are_read_beside_the_loop(running, monkeypatch, kind):
    last = {"ragged": b"[1,2]", "nan": b"[1,2,3,NaN]", "good": b"[1,2,3,4]"}[kind]
    inline = Inline(monkeypatch)
    answer = ask(running, V1, v1_rows(last, 6_000_000)[:-1] + b',"output_filter":["q"]}')
    assert answer.status == (400 if kind == "ragged" else 200), answer.body[:300]
    assert inline.bytes < LARGE_BYTES
    assert inline.elements < LARGE_ELEMENTS


@pytest.mark.parametrize("binary", [False, True])
def test_numbers_as_bytes_go_in_at_once_and_come_out_as_asked(running, monkeypatch, binary):
    numbers = np.arange(160_000, dtype=np.float32)
    tensor = {"name": "x", "shape": [40_000, 4], "datatype": "FP32", "parameters": {"binary_data_size": numbers.nbytes}}
    head = orjson.dumps({"inputs": [tensor], "parameters": {"binary_data_output": binary}})
    header = {b"inference-header-content-length": b"%d" % len(head)}
    inline = Inline(monkeypatch)
    answer = running.ask("POST", V2.encode(), head + numbers.tobytes(), header)
    assert answer.status == 200
    assert (inline.elements >= LARGE_ELEMENTS) is binary
    assert (in_process.header(answer, "Content-Type") == "application/octet-stream") is binary
