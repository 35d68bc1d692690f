"""The backend that is one or several TensorFlow Servings: named arrays over gRPC.

A poll asks each declared model's status; the highest available version becomes the one that unversioned requests get,
as soon as its signatures are here. Every Predict names its version, so that arrays meet the signature they were held
against. Calls go round the addresses; one that is UNAVAILABLE is tried once on the next.
"""

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from serving import signature as signatures
from serving import tensors
from serving.errors import CODE_NAMES, InvalidInput, NotFound, ServingError, Unavailable, from_code
from serving.gateway.backend import Lease
from serving.model_status import State, VersionStatus
from serving.protos import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from serving.signature import Signature
from serving.tensors import Arrays

log = logging.getLogger(__name__)

_OPTIONS = [
    ("grpc.max_receive_message_length", -1),  # the 4 MiB default is the client's, not the server's
    ("grpc.max_send_message_length", -1),
    ("grpc.max_reconnect_backoff_ms", 2000),
]
_STATUS_TIMEOUT_S = 2.0
_MAX_VERSIONS = 8
"""Versions of a model whose signatures are kept."""


@dataclass(frozen=True, eq=False)
class RemoteVersion:
    """The signatures of a version that a model server holds; nothing here keeps it loaded there."""

    name: str
    version: int
    signatures: Mapping[str, Signature]
    signature_defs: Mapping[str, Any]

    def release(self) -> None:
        """Nothing to give back: the model server decides."""


class _Server:
    """The stubs of one address."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.model = model_service_pb2_grpc.ModelServiceStub(self.channel)


class RemoteBackend:
    """Serves what model servers at the given addresses hold."""

    slots = 4

    def __init__(self, models: Sequence[str], addresses: Sequence[str], poll_s: float) -> None:
        self.models = list(models)
        self._addresses, self._poll_s = list(addresses), poll_s
        self._latest: dict[str, RemoteVersion] = {}
        self._known: dict[tuple[str, int], RemoteVersion] = {}
        self._refreshing = {name: asyncio.Lock() for name in self.models}

    async def start(self) -> None:
        self._servers = [_Server(address) for address in self._addresses]
        self._next = itertools.cycle(range(len(self._servers)))
        await self._refresh_all()
        self._poller = asyncio.create_task(self._poll())

    async def stop(self) -> None:
        self._poller.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._poller
        for server in self._servers:
            await server.channel.close(None)

    def missing(self) -> list[str]:
        return [name for name in self.models if name not in self._latest]

    async def lease(self, model: str, version: int | None) -> Lease:
        if version is None:
            latest = self._latest.get(model)
            if latest is None:
                await self.refresh(model)
                latest = self._latest.get(model)
            if latest is None:
                raise NotFound(f"Servable not found for request: Latest({model})")
            return latest
        return self._known.get((model, version)) or await self._fetch(model, version)

    def run(
        self, lease: Lease, signature: Signature, inputs: Arrays, outputs: Sequence[str], timeout_s: float
    ) -> Awaitable[Arrays]:
        return self._predict(lease, signature, inputs, outputs, timeout_s)

    async def labelled(self, model: str, label: str) -> int | None:
        """As the model server knows it."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name, request.model_spec.version_label = model, label
        try:
            response = await self._call(lambda server: server.prediction.GetModelMetadata, request, _STATUS_TIMEOUT_S)
        except InvalidInput:
            return None
        return int(response.model_spec.version.value)

    def keep(self, model: str, version: int, seconds: float) -> None:
        """The model server decides; its version policy can keep a version."""

    async def statuses(self, model: str) -> list[VersionStatus]:
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = model
        response = await self._call(lambda server: server.model.GetModelStatus, request, _STATUS_TIMEOUT_S)
        return [
            VersionStatus(
                status.version,
                State(status.state),
                CODE_NAMES[status.status.error_code],
                status.status.error_message,
            )
            for status in response.model_version_status
            if status.state in set(State)
        ]

    async def refresh(self, model: str) -> None:
        """Ask for the versions; an unreachable server changes nothing, an unloaded model is missing from now on."""
        async with self._refreshing[model]:
            try:
                statuses = await self.statuses(model)
                available = [status.version for status in statuses if status.state is State.AVAILABLE]
                if not available:
                    self._latest.pop(model, None)
                    return
                if model not in self._latest or self._latest[model].version != max(available):
                    self._latest[model] = await self._fetch(model, max(available))
                    log.info("model %r is at version %d", model, max(available))
            except NotFound:
                self._latest.pop(model, None)
            except ServingError as error:
                log.warning("the status of model %r is not to be had: %s", model, error)

    async def _refresh_all(self) -> None:
        await asyncio.gather(*(self.refresh(name) for name in self.models))

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._poll_s)
            await self._refresh_all()

    async def _fetch(self, model: str, version: int) -> RemoteVersion:
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = model
        request.model_spec.version.value = version
        response = await self._call(lambda server: server.prediction.GetModelMetadata, request, _STATUS_TIMEOUT_S)
        packed = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(packed)
        defs = dict(packed.signature_def)
        known = RemoteVersion(
            model, version, {name: signatures.from_proto(name, proto) for name, proto in defs.items()}, defs
        )
        mine = [key for key in self._known if key[0] == model]
        if len(mine) >= _MAX_VERSIONS:
            del self._known[mine[0]]
        self._known[model, version] = known
        return known

    async def _predict(
        self, lease: Lease, signature: Signature, inputs: Arrays, outputs: Sequence[str], timeout_s: float
    ) -> Arrays:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = lease.name
        request.model_spec.version.value = lease.version
        request.model_spec.signature_name = signature.name
        for name, array in inputs.items():
            request.inputs[name].CopyFrom(tensors.to_proto(array))
        request.output_filter.extend(outputs)
        try:
            response = await self._call(lambda server: server.prediction.Predict, request, timeout_s)
        except NotFound:
            self._known.pop((lease.name, lease.version), None)
            raise
        return {name: tensors.from_proto(response.outputs[name]) for name in outputs or signature.outputs}

    async def _call(self, method: Any, request: Any, timeout_s: float) -> Any:
        """One RPC; on UNAVAILABLE once more on the next server, within the same time."""
        deadline = time.monotonic() + timeout_s
        attempts = min(2, len(self._servers))
        for attempt in range(attempts):
            server = self._servers[next(self._next)]
            try:
                return await method(server)(request, timeout=max(0.001, deadline - time.monotonic()))
            except grpc.aio.AioRpcError as error:
                translated = from_code(error.code().name, error.details() or error.code().name)
                if not isinstance(translated, Unavailable) or attempt + 1 == attempts:
                    raise translated from error
        raise AssertionError("unreachable")
