"""A model server that has other signatures under the same name and number: nothing is held against the old ones any more."""

import asyncio
import shutil
from contextlib import AsyncExitStack

import grpc
import httpx
import numpy as np
import pytest

from signet.serving.gateway.backends import signature_ledger
from tests import servers
from tests.serving.gateway.other_program import ROWS, gateway_at, metadata, predicted, program

OTHER = {
    "GetModelMetadata": metadata("serving_default", shape=(-1, 3)),
    "Predict": predicted(y=np.array([[5, 6, 7]], np.float32)),
}
OLD_BODY, NEW_BODY = b'{"instances": [[1, 2], [3, 4]]}', b'{"instances": [[1, 2, 3]]}'
OLD_ANSWER, NEW_ANSWER = {"predictions": ROWS.tolist()}, {"predictions": [[5, 6, 7]]}


@pytest.mark.parametrize("path", ["/v1/models/m:predict", "/v1/models/m/versions/1:predict"])
def test_a_server_that_restarts_with_other_signatures_is_noticed_by_the_first_request(path):
    async def run():
        async with AsyncExitStack() as stack:
            running = AsyncExitStack()
            address, *_ = await running.enter_async_context(program())
            port = int(address.target.rpartition(":")[2])
            ask, *_ = await stack.enter_async_context(gateway_at(address))
            assert await ask(path, OLD_BODY) == (200, OLD_ANSWER)
            for new, body, other_body, answer in (
                (OTHER, NEW_BODY, OLD_BODY, NEW_ANSWER),
                ({}, OLD_BODY, NEW_BODY, OLD_ANSWER),
            ):
                await running.aclose()
                assert (await ask(path, body))[0] == 503  # nobody knows what will come back
                _, _, asked = await running.enter_async_context(program(port, **new))
                async with asyncio.timeout(30):
                    while (got := await ask(path, body))[0] == 503:  # noqa: ASYNC110  # it connects again after a pause
                        await asyncio.sleep(0.01)
                assert got == (200, answer)
                wrong, told = await ask(path, other_body)
                assert (wrong, asked["Predict"]) == (400, 1), told
            await running.aclose()

    asyncio.run(run())


def test_a_version_that_is_replaced_in_a_running_server_is_noticed_by_an_answer_that_does_not_fit(monkeypatch):
    monkeypatch.setattr(signature_ledger, "_DOUBT_S", 0.0)

    async def run():
        async with program() as (address, said, asked), gateway_at(address) as (ask, *_):
            assert await ask(body=OLD_BODY) == (200, OLD_ANSWER)
            said.update(OTHER)
            got, told = await ask(body=OLD_BODY)  # it does not fit the new one
            assert (got, "shape (2, 2)" in told["error"]) == (400, True)
            assert await ask(body=NEW_BODY) == (200, NEW_ANSWER)
            assert asked["Predict"] == 3
            said["Predict"] = grpc.StatusCode.INVALID_ARGUMENT  # as for inputs that do not fit
            said["GetModelMetadata"] = metadata("serving_default")
            assert (await ask(body=NEW_BODY))[0] == 400
            said["Predict"] = predicted(y=ROWS)
            assert await ask(body=OLD_BODY) == (200, OLD_ANSWER)

    asyncio.run(run())


def test_answers_that_do_not_fit_cost_one_question_a_second():
    async def run():
        async with program(Predict=OTHER["Predict"]) as (address, _, asked), gateway_at(address) as (ask, *_):
            for _ in range(20):
                assert (await ask())[0] == 502
            assert asked["GetModelMetadata"] <= 3

    asyncio.run(run())


def test_a_server_with_other_signatures_than_most_answers_nobody():
    async def run():
        async with (
            program() as (one, *_),
            program(**OTHER) as (odd, _, asked),
            program() as (two, *_),
            gateway_at(one, odd, two) as (ask, _, upstream),
        ):
            for _ in range(12):
                assert await ask(body=OLD_BODY) == (200, OLD_ANSWER)
            assert (await ask(body=NEW_BODY))[0] == 400
            assert asked["Predict"] == 0
            assert upstream.servers[1].answers

    asyncio.run(run())


def test_the_signatures_of_most_servers_win_when_they_go_round():
    async def run():
        async with AsyncExitStack() as stack:
            running = [await stack.enter_async_context(program()) for _ in range(3)]
            ask, backend, _ = await stack.enter_async_context(gateway_at(*(address for address, *_ in running)))
            signature_of = [said for _, said, _ in running]
            for said in signature_of[:2]:
                said.update(OTHER)
                for server in backend._upstream.servers:
                    await backend._upstream.ledger.learn(server, "m", 1)
                await backend.refresh("m")
            assert await ask(body=NEW_BODY) == (200, NEW_ANSWER)
            assert running[2][2]["Predict"] == 0
            assert (await ask(body=OLD_BODY))[0] == 400

    asyncio.run(run())


def test_a_model_server_that_restarts_with_another_model_under_the_same_name(tmp_path):
    """Real programs: `mlp` in the place of `two_in`, both called m, version 1."""
    base = tmp_path / "m"
    shutil.copytree(servers.GOLDEN_MODELS / "two_in" / "1", base / "1")
    port = servers.free_port()
    arguments = (f"--port={port}", "--model_name=m", f"--model_base_path={base}")
    old_body, new_body = {"instances": [{"a": [1, 2, 3], "b": [4, 5]}]}, {"instances": [[0.5] * 16]}

    def ask(url, body):
        return httpx.post(f"{url}/v1/models/m:predict", json=body, timeout=30).status_code

    with servers.program("model-server", *arguments) as first:
        first.read_until("Running gRPC ModelServer")
        with servers.gateway("--backend", f"127.0.0.1:{port}", "--models", "m") as (url, gateway):
            assert (ask(url, old_body), ask(url, new_body)) == (200, 400)
            first.stop()
            shutil.rmtree(base)
            shutil.copytree(servers.GOLDEN_MODELS / "mlp" / "1", base / "1")
            with servers.program("model-server", *arguments) as second:
                second.read_until("Running gRPC ModelServer")
                servers.wait_until(lambda: ask(url, new_body) != 503, what="the model's return")
                assert (ask(url, new_body), ask(url, old_body)) == (200, 400)
            gateway.stop()
            assert "Traceback" not in gateway.output
            assert "has other signatures than before" in gateway.output
