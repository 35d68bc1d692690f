"""Callers in an open loop, V1 and V2 over HTTP and gRPC in turn: each begins at its time, however long others take.

times at a steady rate ──▶ a task each ──▶ Outcome: when, how long, which status or code, whether the answer was right
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import grpc
import httpx
import numpy as np

from signet.serving.tensors.arrays import from_proto, to_proto
from signet.serving.tensors.protos import predict_pb2

DEADLINE_S = 2.0
HUNG_S = DEADLINE_S + 1.0
"""An answer that takes longer than its deadline and this much more has hung."""
INPUTS = {"a": np.array([[1, 2, 3]], np.float32), "b": np.array([[4, 5]], np.float32)}


@dataclass(frozen=True)
class Outcome:
    """What became of a request."""

    at_s: float
    """When it began, since the load began."""
    seconds: float
    code: str
    """200 or the status of an error; over gRPC its code."""
    late_s: float
    """How late the caller itself was."""

    @property
    def good(self) -> bool:
        return self.code in ("200", "OK")


class Callers:
    """Those of one gateway, which serves `two_in`."""

    def __init__(self, url: str, grpc_address: str, deadline_s: float = DEADLINE_S) -> None:
        """deadline_s: what each request may take, which is said with it."""
        self._deadline_s = deadline_s
        self._http = httpx.AsyncClient(
            base_url=url,
            timeout=httpx.Timeout(10 * deadline_s),
            limits=httpx.Limits(max_connections=400, max_keepalive_connections=400),
            headers={"X-Request-Timeout": f"{deadline_s:g}"},
        )
        self._channel = grpc.aio.insecure_channel(grpc_address)
        self._predict = self._channel.unary_unary(
            "/tensorflow.serving.PredictionService/Predict",
            predict_pb2.PredictRequest.SerializeToString,
            predict_pb2.PredictResponse.FromString,
        )
        self._message = predict_pb2.PredictRequest()
        self._message.model_spec.name = "two_in"
        for name, array in INPUTS.items():
            self._message.inputs[name].CopyFrom(to_proto(array))
        self._ways: list[Callable[[], Awaitable[tuple[str, float | None]]]] = [self._v1, self._v2, self._grpc]
        self._right: float | None = None
        self.wrong = 0
        """Answers that were other than the first one."""

    async def load(self, rate: float, seconds: float, began: float, done: asyncio.Event | None = None) -> list[Outcome]:
        """Ask so often a second, and wait for all outcomes. began: when time 0 is, by `perf_counter`. done: ends it earlier."""
        first, loop = time.perf_counter(), asyncio.get_running_loop()
        tasks = []
        for number in range(int(rate * seconds)):
            if done and done.is_set():
                break
            due = first + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(loop.create_task(self._ask(self._ways[number % len(self._ways)], due, began)))
        return list(await asyncio.gather(*tasks))

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()
        await self._channel.close()

    async def _ask(self, way: Callable[[], Awaitable[tuple[str, float | None]]], due: float, began: float) -> Outcome:
        started = time.perf_counter()
        code, value = await way()
        if value is not None:
            self._right = value if self._right is None else self._right
            if np.float32(value) != np.float32(self._right):
                self.wrong += 1
                code = "wrong"
        return Outcome(started - began, time.perf_counter() - due, code, started - due)

    async def _v1(self) -> tuple[str, float | None]:
        body = {"instances": [{name: array[0].tolist() for name, array in INPUTS.items()}]}
        answer = await self._post("/v1/models/two_in:predict", body)
        return str(answer.status_code), answer.json()["predictions"][0][0] if answer.status_code == 200 else None

    async def _v2(self) -> tuple[str, float | None]:
        inputs = [
            {"name": name, "shape": list(array.shape), "datatype": "FP32", "data": array.ravel().tolist()}
            for name, array in INPUTS.items()
        ]
        answer = await self._post("/v2/models/two_in/infer", {"inputs": inputs})
        return str(answer.status_code), answer.json()["outputs"][0]["data"][0] if answer.status_code == 200 else None

    async def _post(self, path: str, body: object) -> httpx.Response:
        try:
            return await self._http.post(path, content=json.dumps(body))
        except httpx.HTTPError as error:
            return httpx.Response(599, text=type(error).__name__)

    async def _grpc(self) -> tuple[str, float | None]:
        try:
            answer = await self._predict(self._message, timeout=self._deadline_s)
        except grpc.aio.AioRpcError as error:
            return error.code().name, None
        return "OK", float(from_proto(answer.outputs["output_0"])[0][0])
