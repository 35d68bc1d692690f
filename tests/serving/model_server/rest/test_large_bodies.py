"""Large REST bodies, which worker processes read: the same answers and the same words as small ones get."""

import httpx
import numpy as np
import pytest

from signet.serving.errors import InvalidInput
from signet.serving.json_arrays import number_arrays
from signet.serving.model_server.rest import predict_json
from signet.serving.offload.pool import LARGE_BYTES
from signet.serving.rest_dialect.json_text import loads
from signet.serving.tensors import dtypes
from signet.serving.tensors.signature import Signature, TensorSpec

FLOAT = dtypes.from_numpy(np.dtype(np.float32))
X = Signature("serving_default", {"x": TensorSpec("x", FLOAT, (None, 4), "x:0")}, {})


def body(last: bytes) -> bytes:
    return b'{"instances":[' + b",".join([*[b"[1,2,3,4]"] * 20_000, last]) + b"]}"


def ask(golden_server, text, verb="predict"):
    return httpx.post(f"{golden_server[1]}/v1/models/three_out:{verb}", content=text, timeout=60)


@pytest.mark.parametrize("last", [b"[1,2]", b"[1,2,3,true]", b'["a"]', b'{"x":[1,2,3,4]}', b"[1,2,3,4"])
def test_what_is_wrong_with_a_large_body_is_said_as_of_a_small_one(golden_server, last):
    text = body(last)
    assert len(text) > LARGE_BYTES
    with pytest.raises(InvalidInput) as expected:
        predict_json.decode(loads(text, number_arrays.loads), X, b"true" in text)
    answer = ask(golden_server, text)
    assert (answer.status_code, answer.json()["error"]) == (400, str(expected.value))


def test_large_bodies_are_answered_row_by_row(golden_server):
    few = ask(golden_server, b'{"instances":[[1,2,3,4],[4,3,2,1]]}').json()["predictions"]
    many = ask(golden_server, body(b"[4,3,2,1]")).json()["predictions"]
    assert len(many) == 20_001
    for row, expected in ((many[0], few[0]), (many[-1], few[1])):
        for name, values in expected.items():
            assert np.allclose(row[name], values, rtol=1e-5)  # sums of more rows are added in another order


def test_a_large_body_of_examples_is_read_too(golden_server):
    text = b'{"examples":[' + b",".join([b'{"a":[1.5,2]}'] * 20_000) + b"]}"
    small = ask(golden_server, b'{"examples":[{"a":[1.5,2]}]}', "classify")
    large = ask(golden_server, text, "classify")
    assert (large.status_code, large.text) == (small.status_code, small.text)
