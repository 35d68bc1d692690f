"""KServe's Python client, V1 and V2 over REST and gRPC: `python kserve_checks.py HOST:PORT HOST:GRPC_PORT`."""

import asyncio
import logging
import sys
from functools import partial

import grpc
import httpx
import numpy as np
import reporting
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

URL, ADDRESS = f"http://{sys.argv[1]}", sys.argv[2]
EXPECTED = 2.7005463
A, B = np.float32([[1, 2, 3]]), np.float32([[4, 5]])
ROW = {"a": [1, 2, 3], "b": [4, 5]}


def tensor(name, datatype, array, binary):
    made = InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def request(binary, **options):
    inputs = [tensor("a", "FP32", A, binary), tensor("b", "FP32", B, binary)]
    return InferRequest(model_name="two_in", infer_inputs=inputs, request_id="7", **options)


async def v1_health(v1):
    assert await v1.is_server_live(URL)
    assert await v1.is_model_ready(URL, "two_in")


async def v1_rows_and_columns(v1):
    answer = await v1.infer(URL, {"instances": [ROW]}, model_name="two_in")
    np.testing.assert_allclose(answer["predictions"], [[EXPECTED]], rtol=1e-5)
    answer = await v1.infer(URL, {"inputs": {"a": A.tolist(), "b": B.tolist()}}, model_name="two_in")
    np.testing.assert_allclose(answer["outputs"], [[EXPECTED]], rtol=1e-5)


async def v1_bad_requests(v1):
    await refused(v1.infer(URL, {"instances": [{"a": [1]}]}, model_name="two_in"), "missing input 'b'", 400)
    await refused(v1.infer(URL, {"instances": [ROW]}, model_name="two_inn"), "did you mean 'two_in'?", 404)
    await refused(v1.is_model_ready(URL, "nope"), "nope", 404)


async def v2_health(v2):
    assert await v2.is_server_live(URL)
    assert await v2.is_server_ready(URL)
    assert await v2.is_model_ready(URL, "two_in")
    assert not await v2.is_model_ready(URL, "nope")


async def v2_json(v2):
    answer = await v2.infer(URL, request(False), model_name="two_in")
    np.testing.assert_allclose(answer.outputs[0].as_numpy(), [[EXPECTED]], rtol=1e-5)
    assert (answer.id, answer.model_name) == ("7", "two_in")  # it drops the version


async def v2_bytes(v2):
    wanted = [RequestedOutput("output_0", parameters={"binary_data": True})]
    answer = await v2.infer(URL, request(True, request_outputs=wanted), model_name="two_in")
    np.testing.assert_allclose(answer.outputs[0].as_numpy(), [[EXPECTED]], rtol=1e-5)


async def v2_strings(v2):
    for binary in (False, True):
        inputs = [tensor("s", "BYTES", np.array([b"ab", b"c"], object), binary)]
        asked = InferRequest("mixed", inputs, parameters={"signature_name": "s", "binary_data_output": binary})
        answer = await v2.infer(URL, asked, model_name="mixed")
        echo = {output.name: output.as_numpy().tolist() for output in answer.outputs}["echo"]
        assert [text if isinstance(text, bytes) else text.encode() for text in echo] == [b"ab", b"c"]


async def v2_bad_requests(v2):
    wrong = InferRequest("two_in", [tensor("a", "FP32", A, False)])
    await refused(v2.infer(URL, wrong, model_name="two_in"), "missing input 'b'", 400)
    await refused(v2.infer(URL, request(True), model_name="two_inn"), "did you mean 'two_in'?", 404)
    narrow = InferRequest("two_in", [tensor("a", "FP32", A, True), tensor("b", "FP32", B[:, :1], True)])
    await refused(v2.infer(URL, narrow, model_name="two_in"), "input 'b' has shape (1, 1)", 400)


async def grpc_health(client):
    assert await client.is_server_live()
    assert await client.is_server_ready()
    assert await client.is_model_ready("two_in")


async def grpc_typed_and_raw(client):
    for binary in (False, True):
        answer = await client.infer(request(binary))
        np.testing.assert_allclose(answer.outputs[0].as_numpy(), [[EXPECTED]], rtol=1e-5)
        assert (answer.id, answer.model_version) == ("7", "1")


async def grpc_bad_requests(client):
    assert not await client.is_model_ready("nope")
    error = await raised(client.infer(InferRequest("two_in", [tensor("a", "FP32", A, True)])), grpc.RpcError)
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "missing input 'b'" in error.details()


async def refused(call, message, status):
    error = await raised(call, httpx.HTTPStatusError)
    assert (error.response.status_code, message in str(error)) == (status, True), error


async def raised(call, kind):
    try:
        await call
    except kind as error:
        return error
    raise AssertionError("it was not refused")


CHECKS = [
    v1_health, v1_rows_and_columns, v1_bad_requests, v2_health, v2_json, v2_bytes, v2_strings, v2_bad_requests,
    grpc_health, grpc_typed_and_raw, grpc_bad_requests,
]  # fmt: skip


async def main():
    logging.disable()  # the client logs the errors that it raises
    clients = {
        "v1": InferenceRESTClient(RESTConfig(protocol="v1")),
        "v2": InferenceRESTClient(RESTConfig(protocol="v2")),
        "grpc": InferenceGRPCClient(ADDRESS),
    }
    loop = asyncio.get_running_loop()

    def run(check):
        client = clients[check.__name__.partition("_")[0]]
        asyncio.run_coroutine_threadsafe(check(client), loop).result(30)

    await asyncio.to_thread(reporting.run, {check.__name__: partial(run, check) for check in CHECKS})
    for client in clients.values():
        await client.close()


if __name__ == "__main__":
    asyncio.run(main())
