"""Replicas restart one after the other, under load behind a balancer: no request fails.

A gateway and a model server are the two replicas: they answer the same requests, and drain by the same code.
"""

import asyncio
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from tests import servers
from tests.balancer import Balancer, Replica
from tests.servers import GOLDEN_MODELS, Program


@contextmanager
def gateway(models, replica, *more: str) -> Iterator[Program]:
    ports = ("--http-port", str(replica.http_port), "--grpc-port", str(replica.grpc_port))
    with servers.program("serve", "--models-dir", models, "--drain-s", "2", *ports, *more) as running:
        running.read_until("Signet is ready")
        yield running


@contextmanager
def model_server(models, replica) -> Iterator[Program]:
    ports = (f"--port={replica.grpc_port}", f"--rest_api_port={replica.http_port}", "--drain_s=2")
    model = ("--model_name=m", f"--model_base_path={models / 'm'}", "--enable_grpc_healthcheck_service")
    with servers.program("model-server", *ports, *model) as running:
        running.read_until("Exporting HTTP/REST API")
        yield running


@contextmanager
def processes(models, replica) -> Iterator[Program]:
    with gateway(models, replica, "--processes", "2") as running:
        yield running


STARTS = {"gateway": gateway, "model server": model_server, "processes": processes}


async def takes_calls(replica: Replica) -> None:
    """Until the callers' channel has found the replica again, so that the other one may go."""
    text, called = "", re.compile(r'^signet_requests_total\{[^}]*protocol="grpc_v1".* [1-9]', re.MULTILINE)
    async with asyncio.timeout(60), httpx.AsyncClient() as client:
        while not called.search(text):
            await asyncio.sleep(0.1)
            text = (await client.get(f"http://127.0.0.1:{replica.http_port}/metrics")).text


@pytest.mark.server
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(
    ("kinds", "restarts"),
    [
        (("gateway", "model server"), 3),
        pytest.param(("gateway", "model server"), 100, marks=pytest.mark.long),
        pytest.param(("processes", "gateway"), 20, marks=pytest.mark.long),
    ],
)
def test_restarts_fail_no_request(tmp_path, kinds, restarts):
    models = tmp_path / "models"
    shutil.copytree(GOLDEN_MODELS / "three_out" / "1", models / "m" / "1")
    replicas = [Replica(servers.free_port(), servers.free_port(), kind != "model server") for kind in kinds]

    async def test() -> None:
        with ExitStack() as first, ExitStack() as second:
            stacks, running = [first, second], []
            for stack, kind, replica in zip(stacks, kinds, replicas, strict=True):
                running.append(stack.enter_context(STARTS[kind](models, replica)))
            async with Balancer(replicas).calling() as balancer:
                outcome = balancer.outcome
                await balancer.until(lambda: outcome.good["HTTP"] and outcome.good["gRPC"])
                for turn in range(restarts):
                    place = turn % 2
                    replica, port = replicas[place], str(replicas[place].http_port)
                    assert await asyncio.to_thread(running[place].stop) == 0
                    stacks[place].close()
                    start = stacks[place].enter_context
                    running[place] = await asyncio.to_thread(start, STARTS[kinds[place]](models, replica))
                    before = outcome.good[port]
                    await balancer.until(lambda port=port, before=before: outcome.good[port] > before)
                    await takes_calls(replica)
                    print(f"{turn + 1} restarts: {dict(outcome.good)} good, {len(outcome.failed)} failed")
                    assert not outcome.failed
        assert not outcome.failed

    asyncio.run(test())
