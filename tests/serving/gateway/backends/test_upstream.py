"""Calls to model servers from this process: retries, the budget, cancellation, deadlines, addresses that change."""

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import Any

import grpc
import numpy as np
import pytest

from signet.serving.errors import DeadlineExceeded, NotFound, Unavailable, UsageError
from signet.serving.gateway.backends.addresses import Address, Name
from signet.serving.gateway.backends.remote import RemoteBackend, create
from signet.serving.gateway.backends.retry_budget import RetryBudget
from signet.serving.gateway.backends.upstream import Upstream
from signet.serving.gateway.core.batching import Batcher
from signet.serving.gateway.core.joining import Joining
from signet.serving.gateway.observability.metrics import Metrics
from signet.serving.gateway.settings import Settings, read
from signet.serving.process.concurrency import settled
from signet.serving.process.supervision import Failures
from tests import servers

TWO_IN = {"a": np.array([[1, 2, 3]], np.float32), "b": np.array([[4, 5]], np.float32)}


@asynccontextmanager
async def connected(places, model, budget=None, poll_s=60.0):
    """A backend for one model, its upstream, and what a metric says."""
    metrics = Metrics("test")
    upstream = Upstream(places, metrics, budget=budget)
    backend = RemoteBackend([model], upstream, poll_s, Joining(Settings(batch_max_rows=1), Failures()))
    await backend.start()
    try:
        yield backend, upstream, lambda name, **labels: metrics.registry.get_sample_value(name, labels)
    finally:
        await backend.stop()


async def predict(backend: RemoteBackend, model: str, inputs: dict, timeout_s: float = 30) -> Any:
    lease = await settled(backend.lease(model, None))
    return await backend.run(lease, lease.signatures["serving_default"], inputs, (), timeout_s)


def dead() -> Address:
    return Address(f"127.0.0.1:{servers.free_port()}")


def was_there(upstream: Upstream) -> None:
    """The first server had what the second one has."""
    gone, works = upstream.servers
    gone.statuses = dict(works.statuses)
    for model, entries in works.statuses.items():
        for entry in entries:
            gone.hold(works.holds(model, entry.version))


def test_an_unreachable_server_costs_no_request_and_is_left_out(model_server_address):
    async def run():
        broken, works = dead(), Address(model_server_address)
        async with connected([broken, works], "two_in") as (backend, upstream, value):
            was_there(upstream)
            for _ in range(20):
                assert (await predict(backend, "two_in", TWO_IN))["output_0"].shape == (1, 1)
            assert value("signet_upstream_ejected", backend=broken.target) == 1
            assert value("signet_upstream_ejected", backend=works.target) == 0
            failed = value("signet_upstream_errors_total", model="two_in", grpc_code="UNAVAILABLE")
            assert 1 <= failed <= 3
            assert value("signet_upstream_retries_total", model="two_in") == failed
            assert value("signet_upstream_channel_requests_total", backend=works.target) >= 20
            assert backend.missing() == []

    asyncio.run(run())


def test_without_a_budget_errors_pass_through(model_server_address):
    async def run():
        places = [dead(), Address(model_server_address)]
        async with connected(places, "two_in", RetryBudget(0, 0, 0)) as (backend, upstream, value):
            was_there(upstream)
            outcomes = [await predict_or_error(backend) for _ in range(4)]
            assert sum(isinstance(outcome, Unavailable) for outcome in outcomes) in (1, 2)
            assert value("signet_upstream_retries_total", model="two_in") is None

    async def predict_or_error(backend):
        try:
            return await predict(backend, "two_in", TWO_IN)
        except Unavailable as error:
            return error

    asyncio.run(run())


def test_when_all_are_out_they_are_asked_anyway(model_server_address):
    async def run():
        async with connected([Address(model_server_address)], "two_in") as (backend, upstream, _):
            for _ in range(3):
                upstream.servers[0].ejection.failed(asyncio.get_running_loop().time())
            assert upstream.servers[0].is_ejected()
            assert backend.missing() == []
            assert (await predict(backend, "two_in", TWO_IN))["output_0"].shape == (1, 1)

    asyncio.run(run())


def test_a_version_that_a_server_does_not_have_is_asked_of_another(model_server_address):
    async def run(other):
        async with connected([Address(other), Address(model_server_address)], "two_in") as (backend, upstream, value):
            was_there(upstream)  # as the last poll would have told
            for _ in range(4):
                await predict(backend, "two_in", TWO_IN)
            assert upstream.servers[0].available("two_in") == []
            assert value("signet_upstream_errors_total", model="two_in", grpc_code="NOT_FOUND") == 1
            with pytest.raises(NotFound, match=r"Specific\(two_in, 7\)"):
                await settled(backend.lease("two_in", 7))

    with servers.model_server("--model_name=mlp", f"--model_base_path={servers.GOLDEN_MODELS / 'mlp'}") as (other, _):
        asyncio.run(run(other))


def test_the_version_that_most_servers_have_is_the_current_one(model_server_address):
    async def run():
        port = model_server_address.rpartition(":")[2]  # open on every address of this machine
        places = [Address(f"127.0.0.{host}:{port}") for host in (1, 2)]
        async with connected(places, "two_in") as (backend, upstream, _):
            one, two = upstream.servers
            (known,) = one.statuses["two_in"]
            newer = type(known)(2, known.state)
            for of_one, of_two, expected in (
                ([known], [known], 1),
                ([newer, known], [known], 1),
                ([newer], [known], 2),
                ([newer, known], [newer, known], 2),
                ([], [known], 1),
                ([], [], None),
            ):
                one.statuses["two_in"], two.statuses["two_in"] = of_one, of_two
                assert backend._majority_version("two_in") == expected

    asyncio.run(run())


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"backend_ca_file": "/none/ca.pem"}, "cannot read /none/ca.pem: No such file or directory"),
        ({"backend_cert_file": "c"}, "--backend-cert-file (SIGNET_BACKEND_CERT_FILE) and --backend-key-file"),
        ({"backend_cert_file": "c", "backend_key_file": "k"}, "(SIGNET_BACKEND_CERT_FILE) goes with --backend-ca-file"),
        ({"backend_ca_file": "c", "backend": ""}, "(SIGNET_BACKEND_CA_FILE) goes with --backend"),
        ({"backend": "localhost"}, "--backend (SIGNET_BACKEND): 'localhost' is not HOST:PORT"),
    ],
)
def test_wrong_settings_are_named(options, problem):
    with pytest.raises(UsageError) as caught:
        create(["m"], read({"backend": "localhost:8500", **options}), Metrics("test"))
    assert problem in str(caught.value)


@asynccontextmanager
async def hanging():
    """A server that answers no Predict before it is told to: its address, the time that each call has left, those that
    were cancelled, and what makes it answer."""
    calls: asyncio.Queue[float] = asyncio.Queue()
    cancelled: asyncio.Queue[None] = asyncio.Queue()
    answer = asyncio.Event()

    async def wait(_: bytes, context: Any) -> bytes:
        calls.put_nowait(context.time_remaining())
        try:
            await answer.wait()
        except asyncio.CancelledError:
            cancelled.put_nowait(None)
            raise
        return b""

    server = grpc.aio.server()
    handlers = {"Predict": grpc.unary_unary_rpc_method_handler(wait)}
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("tensorflow.serving.PredictionService", handlers),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield Address(f"127.0.0.1:{port}"), calls, cancelled, answer
    finally:
        await server.stop(None)


def test_the_call_is_cancelled_at_the_server_when_all_callers_have_left():
    async def run():
        async with hanging() as (address, calls, cancelled, _):
            upstream = Upstream([address], Metrics("test"))
            await upstream.start()
            batcher = Batcher(8, lambda _: 1)

            def call(_, timeout_s):
                return upstream.predict("m", 1, b"", timeout_s, bytes)

            callers = [asyncio.create_task(batcher.answer("k", call, TWO_IN, 1, wait_s)) for wait_s in (5.0, 20.0)]
            left_s = await calls.get()
            assert 5 < left_s <= 21  # gRPC rounds it up; that of the more patient one
            callers[0].cancel()
            await asyncio.wait(callers[:1])
            assert len(upstream.servers[0].calls) == 1
            callers[1].cancel()
            await asyncio.wait_for(cancelled.get(), 10)
            assert not upstream.servers[0].calls
            await asyncio.gather(*callers, return_exceptions=True)
            await upstream.stop()

    asyncio.run(run())


def test_a_deadline_ends_the_call_and_says_nothing_against_the_server():
    async def run():
        async with hanging() as (address, _, cancelled, __):
            upstream = Upstream([address, dead()], Metrics("test"))
            await upstream.start()
            for _ in range(4):
                with pytest.raises((DeadlineExceeded, Unavailable)):
                    await upstream.predict("m", 1, b"", 0.1, bytes)
            await asyncio.wait_for(cancelled.get(), 10)
            assert not upstream.servers[0].is_ejected()
            with pytest.raises(DeadlineExceeded, match="before the model server was called"):
                await upstream.predict("m", 1, b"", 0, bytes)
            await upstream.stop()

    asyncio.run(run())


def test_servers_come_and_go_with_the_addresses_of_a_name(model_server_address, monkeypatch):
    port = int(model_server_address.rpartition(":")[2])  # open on every address of this machine
    hosts = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]

    def look_up(*_, **__):
        if not hosts:
            raise socket.gaierror("Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in hosts]

    async def run():
        async with connected([Name("service", port)], "two_in", poll_s=0.05) as (backend, upstream, value):

            def sent(host):
                return value("signet_upstream_channel_requests_total", backend=f"{host}:{port}")

            before = [sent(host) for host in hosts]
            for _ in range(9):
                await predict(backend, "two_in", TWO_IN)
            assert [sent(host) - was for host, was in zip(hosts, before, strict=True)] == [3, 3, 3]
            assert backend.slots("two_in") == 3

            stays = upstream.servers[1]
            hosts[:] = ["127.0.0.2", "127.0.0.4"]
            await upstream.resolve()
            assert [str(server) for server in upstream.servers] == [f"{host}:{port}" for host in hosts]
            assert upstream.servers[0] is stays
            assert sent("127.0.0.1") is None
            assert value("signet_upstream_ejected", backend=f"127.0.0.3:{port}") is None
            async with asyncio.timeout(30):
                while not upstream.servers[1].available("two_in"):  # noqa: ASYNC110  # the poll tells nobody
                    await asyncio.sleep(0.01)
            for _ in range(4):
                await predict(backend, "two_in", TWO_IN)
            assert sent("127.0.0.4") == 2

            hosts.clear()
            await upstream.resolve()
            assert len(upstream.servers) == 2

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    asyncio.run(run())


def test_a_call_on_a_server_that_leaves_the_name_is_still_answered(monkeypatch):
    async def run():
        async with hanging() as (address, calls, _, answer):
            port = int(address.target.rpartition(":")[2])
            hosts = ["127.0.0.1"]

            def look_up(*_, **__):
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in hosts]

            monkeypatch.setattr(socket, "getaddrinfo", look_up)
            upstream = Upstream([Name("service", port)], Metrics("test"))
            await upstream.start()
            call = upstream.predict("m", 1, b"", 20, bytes)
            await calls.get()
            hosts[:] = ["127.0.0.2"]
            await upstream.resolve()
            answer.set()
            assert await call == b""
            await upstream.stop()

    asyncio.run(run())


def test_slow_calls_run_side_by_side_and_quick_ones_together(model_server_address):
    async def run():
        async with connected([Address(model_server_address)], "two_in") as (backend, _, __):
            assert backend.slots("two_in") == 1
            for seconds, slots in ((0.001, 1), (1.0, 3), (1.0, 4), (0.015, 2), (0.001, 1)):
                backend._observe_duration("two_in", seconds)
                assert backend.slots("two_in") == slots

    asyncio.run(run())


def test_a_name_without_addresses_is_no_server(monkeypatch):
    async def run():
        async with connected([Name("nobody.invalid", 8500)], "two_in") as (backend, _, __):
            assert backend.missing() == ["two_in"]
            with pytest.raises(Unavailable, match="no model server"):
                await backend.statuses("two_in")
            with pytest.raises(NotFound):
                await settled(backend.lease("two_in", None))

    asyncio.run(run())
