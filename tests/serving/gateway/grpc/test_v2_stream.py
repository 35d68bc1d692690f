"""ModelStreamInfer as a caller finds it, and its bounds."""

import asyncio

import grpc
import numpy as np
import pytest

from signet.serving.errors import InvalidInput
from signet.serving.gateway.grpc import v2_stream
from signet.serving.open_inference import open_inference_pb2 as pb2
from tests import servers
from tests.servers import GOLDEN_MODELS


def infer(rows, name="mlp", **fields):
    request = pb2.ModelInferRequest(model_name=name, **fields)
    request.inputs.add(name="x", datatype="FP32", shape=[rows, 16])
    request.raw_input_contents.append(np.zeros((rows, 16), np.float32).tobytes())
    return request


@pytest.mark.parametrize("transport", ["own", "grpcio"])
def test_answers_come_in_order_and_errors_end_nothing(transport):
    with (
        servers.gateway("--models-dir", GOLDEN_MODELS, "--grpc-transport", transport) as (_, running),
        grpc.insecure_channel(servers.grpc_address(running)) as channel,
    ):
        stream = channel.stream_stream(
            "/inference.GRPCInferenceService/ModelStreamInfer",
            request_serializer=pb2.ModelInferRequest.SerializeToString,
            response_deserializer=pb2.ModelStreamInferResponse.FromString,
        )
        rows = [1 + number % 5 for number in range(100)]
        asked = [infer(count, id=str(number)) for number, count in enumerate(rows)]
        asked[50] = infer(1, "nope", id="50")
        for request in asked[::2]:  # asks for answers without outputs, which are due where a request got no other
            request.parameters["triton_enable_empty_final_response"].bool_param = True
        answers = list(stream(iter(asked), timeout=60))
        assert [answer.infer_response.id for answer in answers] == [str(number) for number in range(100)]
        failed = answers.pop(50)
        assert failed.error_message.startswith("NOT_FOUND: ")
        assert not failed.infer_response.outputs
        del rows[50]
        assert [answer.infer_response.outputs[0].shape[0] for answer in answers] == rows
        assert not any(answer.error_message for answer in answers)
        assert all(answer.infer_response.parameters["triton_final_response"].bool_param for answer in answers)
        assert running.process.poll() is None


class Context:
    metadata, peer = (), "unix:"

    def time_remaining(self):
        return None


def test_no_more_than_the_bound_is_in_work_and_who_leaves_cancels_it():
    begun, cancelled = [], []

    def handle(request, call):
        begun.append(call)
        call.on_cancel = lambda: cancelled.append(call)

    async def endless():
        while True:
            yield b""

    async def test():
        answers = v2_stream.stream_handler(handle)(endless(), Context())
        first = asyncio.ensure_future(anext(answers))
        await asyncio.sleep(0.01)
        assert len(begun) == v2_stream.MOST_AT_ONCE
        begun[1].answer(b"second")  # it waits for the first
        await asyncio.sleep(0)
        assert not first.done()
        begun[0].answer(b"x" * 200)
        written = await first
        assert written == b"\x12\xe5\x01" + b"x" * 200 + v2_stream._FINAL  # 0x65 + 0x80 bytes
        await asyncio.sleep(0.01)
        assert len(begun) == v2_stream.MOST_AT_ONCE + 1
        await answers.aclose()
        assert cancelled == begun[2:]

    asyncio.run(test())


def test_requests_that_cannot_be_read_end_the_stream_with_their_error():
    async def broken():
        yield b"1"
        raise InvalidInput("no message")

    async def test():
        answers = v2_stream.stream_handler(lambda _, call: call.refuse("ABORTED", "so"))(broken(), Context())
        assert pb2.ModelStreamInferResponse.FromString(await anext(answers)).error_message == "ABORTED: so"
        with pytest.raises(InvalidInput, match="no message"):
            await anext(answers)

    asyncio.run(test())
