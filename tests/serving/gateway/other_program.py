"""A program behind the gateway that answers a model server's methods with bytes of a test's choice.

Model `m`: x (n, 2) float32 -> y (n, 2) float32.
"""

from contextlib import asynccontextmanager

import grpc
import numpy as np
import orjson

from signet.serving.gateway.app import Gateway
from signet.serving.gateway.backends.addresses import Address
from signet.serving.gateway.backends.remote import RemoteBackend
from signet.serving.gateway.backends.upstream import Upstream
from signet.serving.gateway.core.joining import Joining
from signet.serving.gateway.observability.metrics import Metrics
from signet.serving.gateway.settings import Settings, read
from signet.serving.http.server import Request
from signet.serving.offload.pool import Offload
from signet.serving.process.supervision import Failures
from signet.serving.tensors.arrays import to_proto, to_typed_proto
from signet.serving.tensors.protos import get_model_metadata_pb2, get_model_status_pb2, predict_pb2
from tests.serving.gateway.in_process import answered

ROWS = np.array([[1, 2], [3, 4]], np.float32)


def status(*versions, state=30, code=0):
    message = get_model_status_pb2.GetModelStatusResponse()
    for version in versions:
        entry = message.model_version_status.add(version=version, state=state)
        entry.status.error_code = code
    return message.SerializeToString()


def metadata(*names, version=1, shape=(-1, 2), field="signature_def", dtype=1):
    packed = get_model_metadata_pb2.SignatureDefMap()
    for name in names:
        for tensors, tensor in ((packed.signature_def[name].inputs, "x"), (packed.signature_def[name].outputs, "y")):
            tensors[tensor].name, tensors[tensor].dtype = f"{tensor}:0", dtype
            for size in shape:
                tensors[tensor].tensor_shape.dim.add(size=size)
    message = get_model_metadata_pb2.GetModelMetadataResponse()
    message.model_spec.version.value = version
    message.metadata[field].Pack(packed)
    return message.SerializeToString()


def predicted(**outputs):
    message = predict_pb2.PredictResponse()
    for name, array in outputs.items():
        message.outputs[name].CopyFrom(to_typed_proto(array))
    return message.SerializeToString()


def broken(array, **changes):
    message = predict_pb2.PredictResponse()
    message.outputs["y"].CopyFrom(to_proto(array))
    for name, value in changes.items():
        setattr(message.outputs["y"], name, value)
    return message.SerializeToString()


GOOD = {"Predict": predicted(y=ROWS), "GetModelMetadata": metadata("serving_default"), "GetModelStatus": status(1)}


@asynccontextmanager
async def program(port=0, told=None, **answers):
    """A server that answers the named methods with these bytes: its address, its answers and how often each was asked.

    told: a list that gets the metadata of each Predict.
    """
    said, asked = {**GOOD, **answers}, dict.fromkeys(GOOD, 0)

    def handler(name):
        async def answer(_, context):
            asked[name] += 1
            if name == "Predict" and told is not None:
                told.append(dict(context.invocation_metadata()))
            if isinstance(said[name], grpc.StatusCode):
                await context.abort(said[name], "an error")
            return said[name]

        return grpc.unary_unary_rpc_method_handler(answer)

    server = grpc.aio.server()
    for service, names in (
        ("PredictionService", ["Predict", "GetModelMetadata"]),
        ("ModelService", ["GetModelStatus"]),
    ):
        handlers = {name: handler(name) for name in names}
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(f"tensorflow.serving.{service}", handlers),)
        )
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield Address(f"127.0.0.1:{port}"), said, asked
    finally:
        await server.stop(None)


@asynccontextmanager
async def gateway_at(*places, poll_s=60.0):
    """A gateway of model `m` in front of them: how to ask it, its backend, and its upstream."""
    settings = read({"backend": "127.0.0.1:1", "models": "m"})
    metrics = Metrics("test")
    pool = Offload(1)
    upstream = Upstream(places, metrics, offload=pool)
    backend = RemoteBackend(["m"], upstream, poll_s, Joining(Settings(batch_max_rows=1), Failures()))
    gateway = Gateway(settings, backend)
    await backend.start()

    async def ask(path="/v1/models/m:predict", body=b'{"instances": [[1, 2], [3, 4]]}', method="POST", headers=None):
        response = await answered(gateway, Request(method, path.encode(), headers or {}, body, "1.1", True))
        return response.status, orjson.loads(response.body) if response.body.startswith(b"{") else response.body

    try:
        yield ask, backend, upstream
    finally:
        await gateway.stop()
        await pool.close()
