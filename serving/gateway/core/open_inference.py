"""The Open Inference Protocol's part of the gateway that REST and gRPC share: everything but reading and writing.

InferRequest ──InferSteps──▶ Outcome
metadata, config, statistics, index: values, which go out as JSON or as messages
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from signet.serving.errors import InvalidInput, NotFound, ServingError, Unavailable, from_code
from signet.serving.gateway.access.identity import Identity, visible
from signet.serving.gateway.core.backend import Backend, Lease, releasing
from signet.serving.gateway.core.inference import MAX_VERSION, Decoded, Inference, InferenceRequest, LeasedSignature
from signet.serving.gateway.core.joining import verdicts
from signet.serving.gateway.core.readiness import Readiness
from signet.serving.gateway.observability.statistics import Statistics
from signet.serving.models.model_status import State, VersionStatus
from signet.serving.offload.pool import LARGE_BYTES
from signet.serving.open_inference import metadata
from signet.serving.open_inference.requests import InferRequest, decode, servable_outputs
from signet.serving.process.child import Parent
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.signature import Signature, default_signature, select

INDEX_STATES = {
    State.START: "LOADING",
    State.LOADING: "LOADING",
    State.AVAILABLE: "READY",
    State.UNLOADING: "UNLOADING",
    State.END: "UNAVAILABLE",
}


class Outcome(NamedTuple):
    """What a model has answered, and what the answer needs to be written."""

    signature: Signature
    labels: Mapping[str, Sequence[str]]
    """Output -> names of its classes, where the request asks for classes."""
    outputs: Arrays


class InferSteps:
    """What an inference by this protocol does between reading and writing, in whichever form it came. For one request."""

    __slots__ = ("_arrays", "_labels", "_signature", "request")

    def __init__(self, request: InferRequest, arrays: Callable[[Signature], Awaitable[Arrays]] | None = None) -> None:
        """arrays: gives the inputs where the request itself does not have them."""
        self.request = request
        self._arrays = arrays
        self._signature: Signature | None = None
        self._labels: Mapping[str, Sequence[str]] = {}

    def decode(self, leased: LeasedSignature) -> Decoded | Awaitable[Decoded]:
        """The inputs and the outputs wanted; awaited for a large request."""
        request, signature = self.request, leased.signature
        labelled = any(output.classes for output in request.outputs)
        self._signature = signature
        self._labels = leased.lease.card.labels(signature.name) if labelled else {}
        if self._arrays is not None or raw_string_bytes(request) >= LARGE_BYTES:
            return self._decode_large(signature)
        return decode(request, signature), request.wanted or servable_outputs(signature)

    async def _decode_large(self, signature: Signature) -> Decoded:
        read = self._arrays or (lambda signature: asyncio.to_thread(decode, self.request, signature))
        return await read(signature), self.request.wanted or servable_outputs(signature)

    def outcome(self, outputs: Arrays) -> Outcome:
        """What the model has answered, after `decode`."""
        assert self._signature is not None, "it was decoded"
        return Outcome(self._signature, self._labels, outputs)


class OpenInference:
    """The Open Inference Protocol of one gateway, in values that REST and gRPC write in their own form."""

    def __init__(
        self,
        inference: Inference,
        backend: Backend,
        readiness: Readiness,
        version: str,
        max_rows: int,
        parent: Parent | None = None,
    ) -> None:
        """version: the gateway's own. max_rows: most rows joined into one call. parent: where there are several processes."""
        self._parent = parent
        self._inference, self._backend, self._readiness = inference, backend, readiness
        self._version, self._max_rows = version, max_rows

    # Readiness

    def ready(self) -> bool:
        """Whether the gateway should get traffic."""
        return self._readiness.ready

    async def model_ready(self, model: str, version: str) -> bool:
        """Whether there is such a model, and it has that version or label, or any version for the empty one."""
        try:
            with releasing(await self._lease(model, version)):
                return True
        except (InvalidInput, NotFound, Unavailable):
            return False

    def check_declared(self, model: str) -> None:
        """Raise `NotFound`, with the names there are, for a model that is not served."""
        self._inference.check_declared(model)

    # Metadata

    def server(self) -> dict[str, Any]:
        """Name, version and extensions of the server."""
        return metadata.server(self._version)

    async def metadata(self, model: str, version: str, signature_name: str = "") -> dict[str, Any]:
        with releasing(await self._lease(model, version)) as lease:
            chosen = _described_signature(lease, signature_name, model)
            return metadata.model(model, await self._versions(model), chosen, lease.signatures)

    async def config(self, model: str, version: str) -> dict[str, Any]:
        with releasing(await self._lease(model, version)) as lease:
            chosen = _described_signature(lease, "", model)
            joining = verdicts(lease)[chosen.name] if chosen else None
            return metadata.config(model, chosen, self._max_rows, joining)

    async def statistics(self, model: str, version: str, identity: Identity | None = None) -> dict[str, Any]:
        """The statistics of one version, of all that are available, or for the empty name of all models that the caller sees."""
        statistics = self._inference.statistics
        if self._parent:
            statistics = Statistics.from_families(await self._parent.told("statistics"))
        lines: list[dict[str, Any]] = []
        for name in [model] if model else visible(identity, self._backend.models):
            versions = await self._versions(name)
            if version:
                with releasing(await self._lease(name, version)) as lease:
                    versions = [lease.version]
            lines += statistics.of(name, versions)
        return {"model_stats": lines}

    async def index(self, only_ready: bool, identity: Identity | None = None) -> list[dict[str, str]]:
        """Every known version of every declared model that the caller sees, and its state."""
        lines = []
        for name in visible(identity, self._backend.models):
            for status in sorted(await self._statuses(name), key=lambda status: status.version):
                if status.state is State.AVAILABLE or not only_ready:
                    state = INDEX_STATES[status.state]
                    line = {"name": name, "version": str(status.version), "state": state}
                    lines.append({**line, "reason": status.error_message})
        return lines

    def refuse_change(self, verb: str, model: str) -> NoReturn:
        """Raise the refusal of loading or unloading a model over the network."""
        message = (
            f"cannot {verb} {model[:100]!r} by request: what is served is declared where the gateway starts, "
            "and a new version is loaded when it appears in the model's folder"
        )
        raise from_code("PERMISSION_DENIED", message)

    async def _lease(self, model: str, version: str) -> Lease:
        number, label = version_or_label(model, version)
        return await self._inference.lease(InferenceRequest(model, number, label))

    async def _versions(self, model: str) -> list[int]:
        """The available ones, lowest first."""
        self._inference.check_declared(model)
        return sorted(status.version for status in await self._statuses(model) if status.state is State.AVAILABLE)

    async def _statuses(self, model: str) -> list[VersionStatus]:
        try:
            return await self._backend.statuses(model)
        except ServingError:
            return []


def _described_signature(lease: Lease, name: str, model: str) -> Signature | None:
    """The signature whose tensors are told; None for the default of a model that has several and no `serving_default`."""
    if not name:
        return default_signature(lease.signatures)
    return select(lease.signatures, name, model)


def raw_string_bytes(request: InferRequest) -> int:
    """Bytes of strings that came as bytes: they are cut one by one."""
    return sum([len(tensor.raw) for tensor in request.inputs if tensor.raw and tensor.datatype == "BYTES"])


def version_or_label(model: str, version: str) -> tuple[int | None, str | None]:
    """The version or the label that a version's text stands for: "" neither, "3" version 3, "stable" a label.

    Raises `NotFound` for a number that no version can have.
    """
    if not version:
        return None, None
    if not (version.isascii() and version.isdigit()):
        return None, version
    if len(version) > len(str(MAX_VERSION)) or int(version) > MAX_VERSION:
        raise NotFound(f"Servable not found for request: Specific({model[:100]}, {version[:40]})")
    return int(version), None
