"""The predict path: plain ASGI, because every millisecond here is paid by every request.

    body ──▶ lease a version ──▶ decode by its signature ──▶ batcher, backend ──▶ encode ──▶ answer

Everything that takes time is bounded: bytes, requests in flight, seconds.
"""

import logging
import re
import time
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Any

from serving import json_codec, signature
from serving.batching import Batcher
from serving.errors import Internal, NotFound, Overloaded, ServingError, Unavailable
from serving.gateway.backend import Backend, Lease
from serving.gateway.limits import read_body
from serving.gateway.metrics import UNKNOWN, Metrics
from serving.gateway.settings import Settings
from serving.json_codec import PredictBody
from serving.signature import Signature
from serving.tensors import Arrays

log = logging.getLogger(__name__)

PATH = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d{1,19}))?:predict", re.ASCII)
_PROTOCOL = "v1"
_MAX_VERSION = (1 << 63) - 1

Scope = dict[str, Any]
Send = Callable[[Any], Awaitable[None]]


class Request:
    """What is known of a request so far; errors and metrics are told with it."""

    __slots__ = ("bytes", "model", "signature", "stages", "started", "version")

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.model = self.version = self.signature = UNKNOWN
        self.stages: list[tuple[str, float]] = []
        self.bytes = 0


class Predictor:
    """Answers predict requests over HTTP."""

    def __init__(self, settings: Settings, backend: Backend, metrics: Metrics) -> None:
        self._settings, self._backend, self._metrics = settings, backend, metrics
        self._batcher = Batcher(settings.batch_max_rows, lambda: backend.slots, metrics.batch_observer(_model_of))
        self._in_flight = 0
        metrics.in_flight.labels(_PROTOCOL).set_function(lambda: self._in_flight)

    async def __call__(self, scope: Scope, receive: Any, send: Send) -> None:
        """One POST whose path matches `PATH`."""
        request = Request()
        code = "OK"
        headers: list[tuple[bytes, bytes]] = []
        try:
            status, answer = 200, await self._answer(scope, receive, request)
        except ServingError as error:
            status, code, answer = error.http_status, error.grpc_code, json_codec.encode_error(str(error))
            if isinstance(error, Overloaded):
                headers.append((b"retry-after", b"1"))
        except Exception:
            log.exception("a predict request failed")
            message = "internal error; the gateway's log says more"
            status, code, answer = Internal.http_status, Internal.grpc_code, json_codec.encode_error(message)
        if request.version != UNKNOWN:
            headers.append((b"x-signet-model-version", request.version.encode()))
        await _send(send, status, answer, headers)
        self._count(request, code, len(answer))

    async def _answer(self, scope: Scope, receive: Any, request: Request) -> bytes:
        if self._in_flight >= self._settings.max_in_flight:
            self._metrics.shed.labels("in_flight").inc()
            raise Overloaded(f"{self._in_flight} requests are in work, which is the most; try again in a second")
        self._in_flight += 1
        try:
            settings = self._settings
            body = await read_body(receive, dict(scope["headers"]), settings.max_body_bytes, settings.request_timeout_s)
            request.bytes = len(body)
            self._stage(request, "read", request.started)
            return await self._predict(scope["path"], body, request)
        finally:
            self._in_flight -= 1

    async def _predict(self, path: str, text: bytes, request: Request) -> bytes:
        started = time.perf_counter()
        body = json_codec.parse(text)
        parsed_s = time.perf_counter() - started
        model, version = _target(path)
        self._check_declared(model)
        request.model = model
        try:
            outputs = await self._run(model, version, body, request, parsed_s)
        except NotFound:
            if version is not None:
                raise
            # The version that unversioned requests get was unloaded under this one: there is a newer one.
            await self._backend.refresh(model)
            outputs = await self._run(model, None, body, request, parsed_s)
        started = time.perf_counter()
        answer = json_codec.encode(outputs, body.layout)
        self._stage(request, "encode", started)
        return answer

    async def _run(
        self, model: str, version: int | None, body: PredictBody, request: Request, parsed_s: float
    ) -> Arrays:
        lease = await self._lease(model, version)
        try:
            request.version = str(lease.version)
            chosen = signature.select(lease.signatures, body.signature_name, model)
            request.signature = chosen.name
            started = time.perf_counter()
            inputs = json_codec.decode(body, chosen)
            request.stages.append(("decode", time.perf_counter() - started + parsed_s))
            started = time.perf_counter()
            left_s = self._settings.request_timeout_s - (started - request.started)
            outputs = await self._batcher.submit(*self._call(lease, chosen, inputs), left_s)
            self._stage(request, "run", started)
            return outputs
        finally:
            lease.release()

    def _call(
        self, lease: Lease, chosen: Signature, inputs: Arrays
    ) -> tuple[Hashable, Callable[[Arrays, float], Any], Arrays, int | None]:
        """The batcher's key, call, inputs and rows; requests of one version, signature and inner shapes go together."""
        rows = chosen.check_rows(inputs) if chosen.batched else None
        shapes = tuple(array.shape[1:] for array in inputs.values())
        key = (lease.name, lease.version, chosen.name, shapes)
        return key, partial(self._backend.run, lease, chosen), inputs, rows

    async def _lease(self, model: str, version: int | None) -> Lease:
        try:
            return await self._backend.lease(model, version)
        except NotFound:
            if model in self._backend.missing():
                raise Unavailable(f"model {model!r} has no version that is available yet") from None
            raise

    def _check_declared(self, model: str) -> None:
        if model not in self._backend.models:
            hint = signature.nearest_hint(model, self._backend.models)
            served = ", ".join(self._backend.models)
            raise NotFound(f"Servable not found for request: Latest({model[:100]}){hint}. Served models: {served}")

    def _stage(self, request: Request, stage: str, started: float) -> None:
        request.stages.append((stage, time.perf_counter() - started))

    def _count(self, request: Request, code: str, response_bytes: int) -> None:
        seconds = time.perf_counter() - request.started
        metrics = self._metrics
        metrics.observe_request(_PROTOCOL, request.model, request.version, request.signature, code, seconds)
        metrics.observe_stages(request.model, request.stages)
        metrics.observe_sizes(_PROTOCOL, request.bytes, response_bytes)


def _target(path: str) -> tuple[str, int | None]:
    match = PATH.fullmatch(path)
    assert match is not None, "the app sends only paths that match"
    version = int(match[2]) if match[2] else None
    if version is not None and version > _MAX_VERSION:
        raise NotFound(f"Servable not found for request: Specific({match[1][:100]}, {version})")
    return match[1], version


def _model_of(key: Hashable) -> str:
    assert isinstance(key, tuple)
    return str(key[0])


async def _send(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
