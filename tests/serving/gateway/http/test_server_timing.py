"""What a request that asks for it is told of its time."""

import json
import re

import pytest

from tests.servers import GOLDEN_MODELS
from tests.serving.gateway.in_process import InProcess, gateway, header

ASKS = {b"x-signet-timing": b"on"}
X = [[1.0, 2.0, 3.0, 4.0]]
PREDICT = b"/v1/models/three_out:predict", json.dumps({"inputs": {"x": X}}).encode()
TENSOR = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": X[0]}
INFER = b"/v2/models/three_out/infer", json.dumps({"inputs": [TENSOR]}).encode()
ALL = ["read", "decode", "queue", "model", "encode", "total"]


@pytest.fixture(scope="module")
def running():
    with gateway(models_dir=GOLDEN_MODELS) as running:
        yield running


def told(
    running: InProcess, path: bytes, body: bytes, headers: dict[bytes, bytes], status: int = 200
) -> dict[str, float]:
    answer = running.ask("POST", path, body, headers)
    assert answer.status == status, answer.body
    value = header(answer, "Server-Timing")
    if value is None:
        return {}
    stages = re.findall(r"([a-z]+);dur=(\d+\.\d{3})", value)
    assert ", ".join(f"{name};dur={ms}" for name, ms in stages) == value
    return {name: float(ms) for name, ms in stages}


@pytest.mark.parametrize(("path", "body"), [PREDICT, INFER], ids=["V1", "V2"])
@pytest.mark.parametrize("more", [{}, {b"accept-encoding": b"gzip"}, {b"accept": b"text/csv"}], ids=repr)
def test_all_stages_are_told(running, path, body, more):
    if b"accept" in more and path == INFER[0]:
        more = {}
    stages = told(running, path, body, ASKS | more)
    assert list(stages) == ALL
    assert 0 < sum(stages[name] for name in ALL[:-1]) <= stages["total"] + 0.003  # each is rounded
    assert stages["model"] > 0


@pytest.mark.parametrize(("path", "body"), [PREDICT, INFER], ids=["V1", "V2"])
@pytest.mark.parametrize("headers", [{}, {b"x-signet-timing": b"off"}, {b"x-signet-timing": b"\xff"}], ids=repr)
def test_nobody_is_told_who_does_not_ask(running, path, body, headers):
    assert told(running, path, body, headers) == {}


def test_errors_tell_as_far_as_they_came(running):
    path, body = PREDICT
    assert list(told(running, path, b"{", ASKS, 400)) == ["total"]
    assert list(told(running, path, b'{"inputs": {"x": "text"}}', ASKS, 400)) == ["read", "total"]
    unknown = json.dumps({"inputs": {"x": X}, "output_filter": ["nothing"]}).encode()
    assert list(told(running, path, unknown, ASKS, 400)) == ["read", "decode", "total"]
    assert list(told(running, b"/v1/models/nothing:predict", body, ASKS, 404)) == ["read", "total"]
