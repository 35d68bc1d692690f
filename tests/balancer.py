"""Callers behind a balancer, in one event loop: replicas are asked whether they are ready, and get requests while they are.

    replicas ──/readyz, gRPC health, every 0.2 s──▶ ready ones ──▶ 32 connections of HTTP, 8 callers over gRPC ──▶ `Outcome`

Nothing is tried again: a request that has been sent and is not answered with 200, or OK, has failed. (grpcio takes a call that
it has not sent yet, when GOAWAY comes, to another connection.)
"""

import asyncio
import contextlib
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import grpc
import numpy as np
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from signet.serving.tensors.arrays import to_proto
from signet.serving.tensors.protos import predict_pb2

PERIOD_S = 0.2
"""Seconds between two looks at whether a replica is ready."""

_REQUESTS = 100
"""Requests of one connection, so that a replica that has come back gets connections again."""

_BODY = b'{"instances": [[1, 1, 1, 1]]}'
_PATH = "/v1/models/m:predict"
_TIMEOUT_S = 30
"""Without a word a busy model refuses what it foresees to take much longer than usual."""
_HEAD = (
    f"POST {_PATH} HTTP/1.1\r\nHost: x\r\nX-Request-Timeout: {_TIMEOUT_S}\r\nContent-Length: {len(_BODY)}\r\n\r\n"
).encode()
_CONFIG = {"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}}
_ROUND_ROBIN = [
    ("grpc.service_config", json.dumps(_CONFIG)),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.use_local_subchannel_pool", 1),
]


@dataclass(frozen=True)
class Replica:
    """Where a server of model `m` is."""

    http_port: int
    grpc_port: int
    has_readyz: bool
    """Whether /readyz tells its readiness; else gRPC's health service does."""


@dataclass
class Outcome:
    """What the callers got so far."""

    good: Counter[str] = field(default_factory=Counter)
    """By protocol, and of HTTP by port."""
    failed: list[str] = field(default_factory=list)


class _Refused(Exception):
    """The replica is not there: nothing has been sent."""


class Balancer:
    """Callers of several replicas. Everything is of the event loop that runs."""

    def __init__(self, replicas: Sequence[Replica], connections: int = 32, grpc_callers: int = 8) -> None:
        self.replicas, self.outcome = replicas, Outcome()
        self.ready: set[Replica] = set()
        self._numbers = (connections, grpc_callers)
        self._turns = itertools.count()
        self._stopping = False

    @contextlib.asynccontextmanager
    async def calling(self) -> AsyncIterator["Balancer"]:
        """Callers who ask one question after the other until the end of the block."""
        connections, grpc_callers = self._numbers
        target = "ipv4:" + ",".join(f"127.0.0.1:{replica.grpc_port}" for replica in self.replicas)
        async with grpc.aio.insecure_channel(target, _ROUND_ROBIN) as channel, asyncio.TaskGroup() as tasks:
            watching = [tasks.create_task(self._watch(replica)) for replica in self.replicas]
            await self.until(lambda: len(self.ready) == len(self.replicas))
            callers = [tasks.create_task(self._call_http(number % 4 * 0.005)) for number in range(connections)]
            callers += [tasks.create_task(self._call_grpc(channel)) for _ in range(grpc_callers)]
            try:
                yield self
            finally:
                self._stopping = True
                await asyncio.wait(callers)
                for one in watching:
                    one.cancel()

    async def until(self, condition: object, timeout_s: float = 120.0) -> None:
        """Until it is so. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while not condition():  # noqa: ASYNC110 - it may be anything
                await asyncio.sleep(0.01)

    # Readiness

    async def _watch(self, replica: Replica) -> None:
        while True:
            ready = await (_readyz(replica) if replica.has_readyz else _health(replica))
            (self.ready.add if ready else self.ready.discard)(replica)
            await asyncio.sleep(PERIOD_S)

    # Callers

    async def _call_http(self, pause_s: float) -> None:
        """One kept connection after the other, each to a replica that is ready, until that says `close` or is not."""
        while not self._stopping:
            choice = sorted(self.ready, key=lambda one: one.http_port)
            if not choice:
                await asyncio.sleep(0.01)
                continue
            replica = choice[next(self._turns) % len(choice)]
            with contextlib.suppress(_Refused):
                await self._keep_asking(replica, pause_s)

    async def _keep_asking(self, replica: Replica, pause_s: float) -> None:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", replica.http_port)
        except OSError as error:
            self.outcome.failed.append(f"HTTP: no connection: {error}")
            raise _Refused from error
        try:
            for _ in range(_REQUESTS):
                if replica not in self.ready or self._stopping:
                    return
                try:
                    status, closes, body = await _post(reader, writer)
                except (OSError, EOFError) as error:
                    self.outcome.failed.append(f"HTTP: {error!r}")
                    return
                if status == 200:
                    self.outcome.good["HTTP"] += 1
                    self.outcome.good[str(replica.http_port)] += 1
                else:
                    self.outcome.failed.append(f"HTTP: {status} of port {replica.http_port}: {body.decode()}")
                if closes:
                    return
                if pause_s:
                    await asyncio.sleep(pause_s)
        finally:
            writer.close()

    async def _call_grpc(self, channel: grpc.aio.Channel) -> None:
        predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        request = predict_request().SerializeToString()
        while not self._stopping:
            try:
                await predict(request, timeout=_TIMEOUT_S)
            except grpc.aio.AioRpcError as error:
                self.outcome.failed.append(f"gRPC: {error.code().name} {error.details()}")
                await asyncio.sleep(0.01)
            else:
                self.outcome.good["gRPC"] += 1


def predict_request() -> Message:
    """What the callers over gRPC ask."""
    request = predict_pb2.PredictRequest(model_spec={"name": "m"})
    request.inputs["x"].CopyFrom(to_proto(np.ones((1, 4), np.float32)))
    return request


async def _post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[int, bool, bytes]:
    """The status of an answer, whether the connection ends with it, and its body."""
    writer.write(_HEAD + _BODY)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    size = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    body = await reader.readexactly(size)
    return int(head.split(b" ", 2)[1]), b"\r\nconnection: close\r\n" in head, body


async def _readyz(replica: Replica) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", replica.http_port)
    except OSError:
        return False
    try:
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        return (await reader.readline()).split(b" ")[1] == b"200"
    except (OSError, IndexError):
        return False
    finally:
        writer.close()


async def _health(replica: Replica) -> bool:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{replica.grpc_port}", _ROUND_ROBIN[-1:]) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        try:
            answer = health_pb2.HealthCheckResponse.FromString(await check(b"", timeout=5))
        except grpc.aio.AioRpcError:
            return False
    return answer.status == health_pb2.HealthCheckResponse.SERVING
