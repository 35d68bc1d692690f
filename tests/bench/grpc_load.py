"""Closed-loop load over gRPC: Predict calls, a given number in flight, from a process of its own.

    python -m tests.bench.grpc_load ADDRESS MODEL ROWS IN_FLIGHT SECONDS   prints calls per second, p50 and p99 in seconds

Python's gRPC costs about as much on this side as on the server's: on two cores it is half of the limit.
"""

import asyncio
import sys
import time

import grpc
import numpy as np
import uvloop

from serving.protos import predict_pb2
from serving.tensors import to_proto
from tests.bench import rows


async def load(address: str, model: str, row_count: int, in_flight: int, seconds: float) -> tuple[float, float, float]:
    """Calls per second, median and 99th percentile of their latencies in seconds."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    for name, array in rows.arrays(model, row_count).items():
        request.inputs[name].CopyFrom(to_proto(array))
    body = request.SerializeToString()
    latencies: list[float] = []
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        await call(body)
        end = time.perf_counter() + seconds

        async def caller() -> None:
            while (started := time.perf_counter()) < end:
                await call(body, timeout=30)
                latencies.append(time.perf_counter() - started)

        await asyncio.gather(*(caller() for _ in range(in_flight)))
    return len(latencies) / seconds, float(np.percentile(latencies, 50)), float(np.percentile(latencies, 99))


if __name__ == "__main__":
    print(*uvloop.run(load(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))))
