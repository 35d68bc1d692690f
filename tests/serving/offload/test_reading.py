"""Large bodies: which are read in a thread beside others, and which by a worker; the answers are the same."""

import asyncio
import json

import numpy as np
import pytest

from signet.serving.errors import InvalidInput
from signet.serving.offload import large_bodies
from signet.serving.offload.pool import Offload
from signet.serving.offload.reading import Reading
from signet.serving.tensors import dtypes
from signet.serving.tensors.signature import Signature, TensorSpec
from tests.serving.json_arrays.compiled import WAYS, by_helper

FLOAT = dtypes.from_numpy(np.dtype(np.float32))
ROWS = Signature("serving_default", {"x": TensorSpec("x", FLOAT, (None, 64), "x:0")}, {})
VALUES = np.arange(64 * 500).reshape(500, 64) / 8
V1 = json.dumps({"instances": VALUES.tolist()}).encode()
V2 = json.dumps(
    {"inputs": [{"name": "x", "shape": [500, 64], "datatype": "FP32", "data": VALUES.reshape(-1).tolist()}]}
).encode()
STEPS = {
    "v1": (large_bodies.parse_predict, large_bodies.decode_predict, (V1,), (ROWS, None)),
    "v2": (large_bodies.parse_infer, large_bodies.decode_infer, (V2, None), (ROWS,)),
}


def read(steps, text, way):
    """The arrays, asked for twice, and whether a worker was needed."""
    parse, decode, body, arguments = steps

    async def both_steps():
        pool = Offload(1)
        large = Reading(pool, parse, decode, *body, text=text)
        try:
            await large.head()
            arrays = [await large.arrays(*arguments) for _ in range(2)]
            return arrays, bool(pool._idle or pool._busy)
        finally:
            large.close()
            await pool.close()

    with way():
        return asyncio.run(both_steps())


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("way", WAYS)
def test_a_body_of_numbers_is_read_in_a_thread_where_the_helper_is(steps, way):
    arrays, asked = read(steps, steps[2][0], WAYS[way])
    for each in arrays:
        assert each["x"].dtype == np.float32
        np.testing.assert_array_equal(each["x"], VALUES)
    assert asked == (way == "simdjson")


@pytest.mark.parametrize("more", [["a"], [True] * 64, [[1, 2]] * 9000], ids=["text", "booleans", "short lists"])
def test_a_body_with_something_wrong_is_refused_in_the_words_of_a_worker(more):
    body = json.dumps({"instances": [*VALUES.tolist(), more]}).encode()
    said = []
    for text in (body, None):
        with pytest.raises(InvalidInput) as caught:
            read((*STEPS["v1"][:2], (body,), (ROWS, None)), text, by_helper)
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_a_body_that_is_not_said_to_be_text_is_read_by_a_worker():
    assert read(STEPS["v1"], None, by_helper)[1]
