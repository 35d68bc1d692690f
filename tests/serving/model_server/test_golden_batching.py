"""Every recorded exchange of a real TensorFlow Serving with batching on, replayed: same code, answer and message."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from signet.serving.tensors.arrays import from_proto, to_proto
from signet.serving.tensors.protos import predict_pb2, prediction_service_pb2_grpc
from tests import servers
from tests.answers import assert_close
from tests.serving.model_server.test_golden_grpc import (
    REQUESTS,
    assert_recorded_answer,
    assert_recorded_error,
    stubs_of,
)
from tests.serving.model_server.test_golden_rest import ask, assert_same_body, bytes_of

FOLDER = Path(__file__).parents[2] / "golden" / "tfserving"
RPCS, EXCHANGES = (
    json.loads((FOLDER / f"{name}.json").read_text())["cases"] for name in ("grpc_batching", "rest_batching")
)
PARAMETERS = """
max_batch_size { value: 64 }
batch_timeout_micros { value: 0 }
num_batch_threads { value: 2 }
max_enqueued_batches { value: 1000 }
"""
"""What the recordings were made with."""

DIFFERENT = {
    "deadline_tiny": "a microsecond is over before the call is; the original lost that race once and won it once",
}
"""Cases that differ on purpose, and why."""


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The gRPC address and the REST URL."""
    folder = tmp_path_factory.mktemp("batching")
    config = servers.write_model_config(folder / "models.config", servers.GOLDEN_MODELS)
    (folder / "batching.config").write_text(PARAMETERS)
    flags = (
        f"--model_config_file={config}",
        "--enable_batching",
        f"--batching_parameters_file={folder}/batching.config",
    )
    with servers.both_apis(*flags, environment=servers.AS_RECORDED) as (address, url, _):
        yield address, url


@pytest.fixture(scope="module")
def stubs(urls: tuple[str, str]) -> Iterator[dict[str, Any]]:
    with grpc.insecure_channel(urls[0]) as channel:
        yield stubs_of(channel)


def test_few_cases_differ():
    names = [case["name"] for case in [*RPCS, *EXCHANGES]]
    assert set(DIFFERENT) <= set(names)
    assert len(DIFFERENT) < 0.03 * len(names)


@pytest.mark.parametrize(
    "case",
    [case for case in RPCS if case["rpc"] in REQUESTS and case["name"] not in DIFFERENT],
    ids=lambda case: case["name"],
)
def test_the_recorded_call(case, stubs):
    if case["code"] == "OK":
        assert_recorded_answer(case, stubs)
    else:
        assert_recorded_error(case, stubs)


@pytest.mark.parametrize("case", [case for case in RPCS if case["rpc"].startswith("/")], ids=lambda case: case["name"])
def test_what_is_no_request_gets_the_recorded_code(case, urls):
    with grpc.insecure_channel(urls[0]) as channel:
        call = channel.unary_unary(case["rpc"], request_serializer=bytes, response_deserializer=bytes)
        with pytest.raises(grpc.RpcError) as caught:
            call(bytes.fromhex(case["request"]), timeout=30)
    assert caught.value.code().name == case["code"]


@pytest.mark.parametrize("case", EXCHANGES, ids=lambda case: case["name"])
def test_the_recorded_exchange(case, urls):
    request, expected = case["request"], case["response"]
    response = ask(urls[1], request["method"], request["path"], request["headers"], bytes_of(request))
    assert response.status == expected["status"], response.body
    assert_same_body(response.body, bytes_of(expected), expected["status"])


def test_batched_and_unbatched_servers_give_the_same_answers_to_concurrent_calls(urls, recorded_server):
    """Mixes of filters and rows, all in flight at once."""
    random = np.random.default_rng(0)
    requests = []
    for i in range(150):
        request = predict_pb2.PredictRequest(output_filter=random.permutation(list("pqr"))[: i % 3 + 1])
        request.model_spec.name = "three_out"
        request.inputs["x"].CopyFrom(to_proto(random.random((i % 5 + 1, 4), np.float32)))
        requests.append(request)

    async def answers(address):
        async with grpc.aio.insecure_channel(address) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            return await asyncio.gather(*(stub.Predict(request, timeout=30) for request in requests))

    batched, unbatched = (asyncio.run(answers(address)) for address in (urls[0], recorded_server[0]))
    for ours, expected in zip(batched, unbatched, strict=True):
        assert ours.outputs.keys() == expected.outputs.keys()
        for name in expected.outputs:
            assert_close(from_proto(ours.outputs[name]), from_proto(expected.outputs[name]))
