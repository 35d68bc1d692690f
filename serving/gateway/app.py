"""The gateway: which part answers a request.

    HTTP ──▶ Gateway ──POST …:predict, …/infer──▶ HttpExchange of V1, V2 ──▶ Inference ──▶ Backend
                     ──the rest──▶ FastAPI: status, metadata, probes, metrics, documentation

Inference is dispatched here, before FastAPI: routing and middleware would cost it most of its speed.
"""

import asyncio
import os
import re
import time
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from signet.serving.errors import ServingError, UsageError
from signet.serving.gateway import certificates
from signet.serving.gateway.access.access import Access
from signet.serving.gateway.access.identity import Identity
from signet.serving.gateway.access_log.access_log import AccessLog
from signet.serving.gateway.core.backend import Backend
from signet.serving.gateway.core.inference import Inference
from signet.serving.gateway.core.open_inference import OpenInference
from signet.serving.gateway.core.readiness import Readiness
from signet.serving.gateway.http import access, asgi, paths, v1, v1_exchange, v2, v2_routes
from signet.serving.gateway.http.access import Rule
from signet.serving.gateway.http.cors import Cors
from signet.serving.gateway.http.pipeline import (
    JSON,
    HttpExchange,
    HttpServices,
    count_refusal,
    refusal,
    refused,
    refused_at_the_door,
)
from signet.serving.gateway.http.probes import Probes
from signet.serving.gateway.http.security_headers import NOSNIFF, security_headers
from signet.serving.gateway.http.v1_routes import add_error_handlers, create_router, malformed
from signet.serving.gateway.observability.metrics import Metrics
from signet.serving.gateway.observability.tracing import Tracing
from signet.serving.gateway.openapi import fixed_routes, page
from signet.serving.gateway.openapi.document_cache import DocumentCache
from signet.serving.gateway.page import card_routes, row_routes
from signet.serving.gateway.page import routes as page_routes
from signet.serving.gateway.releases import http_routes, releases
from signet.serving.gateway.releases.label_file import LabelFile
from signet.serving.gateway.releases.releases import Releases
from signet.serving.gateway.request_log.request_log import RequestLog
from signet.serving.gateway.settings import Settings
from signet.serving.http.messages import without_body
from signet.serving.http.server import Reply, Request, Response, Work, answered_by
from signet.serving.models.model_config import ModelConfig, read
from signet.serving.models.models_folder import ModelsFolder
from signet.serving.offload.pool import Offload
from signet.serving.process import cores
from signet.serving.process.byte_budget import ByteBudget
from signet.serving.process.child import Parent
from signet.serving.process.supervision import Failures
from signet.serving.release import running_version
from signet.serving.rest_dialect import json_codec
from signet.serving.tls import following
from signet.serving.tracing import exporting
from signet.serving.tracing.exporting import FLUSH_S
from signet.serving.tracing.sampler import Sampler

if TYPE_CHECKING:
    from signet.serving.tracing.exporter import Exporter


class Gateway:
    """Answers the requests of the HTTP server, and holds the parts it is joined from."""

    grpc_port: int | None = None
    """Where gRPC calls come in; None: nowhere. Written once, by who opens that port, before anybody can ask."""

    def __init__(
        self,
        settings: Settings,
        backend: Backend | None = None,
        failures: Failures | None = None,
        parent: Parent | None = None,
    ) -> None:
        """failures: counts those of background work that has begun before. parent: of this process, if it is one of several.

        Raises `UsageError` when nobody says what to serve, and for a file of keys or certificates that cannot be used.
        """
        self.settings = settings
        failures = failures or Failures()
        self.metrics = Metrics(running_version(), failures)
        self.tls = certificates.of_settings(settings)
        """What both ports show; None: they speak in the clear."""
        self._following = following.follow(self.tls, failures) if self.tls else None
        if self.tls:
            self.metrics.watch_certificate(self.tls)
        workers = cores.threads(settings.processes) if settings.processes > 1 else None
        self.offload = Offload(workers, refused=self.metrics.shed.labels("large_bodies").inc)
        self.backend = backend or create_backend(settings, self.metrics, failures, self.offload)
        self.readiness = Readiness(self.backend)
        self.access = create_access(settings, self.backend, self.metrics, failures)
        """The door; None where nobody needs a key."""
        self._exporter = create_exporter(settings, self.metrics)
        tracing = Tracing(Sampler(settings.otlp_sample), self._exporter.hand_over) if self._exporter else None
        self.inference = Inference(settings, self.backend, self.metrics, tracing, self.access)
        self.releases = create_releases(settings, self.backend, self.inference, failures, self.metrics, parent)
        """None where nobody knows where the models lie."""
        if self.releases:
            self.readiness.releases = self.releases.routing
        self.request_log = RequestLog(settings, self.metrics, failures) if settings.request_log else None
        if self.request_log:
            self.inference.sample = self.request_log.sample
            self.inference.observers.append(self.request_log.observe)
            self.request_log.start()
        choice = settings.access_choice
        place = parent.place + 1 if parent else None
        self._access_log = AccessLog(settings, choice, self.metrics.access_log, failures, place) if choice else None
        if self._access_log:
            self.inference.observers.append(self._access_log.observe)
        self.probes = Probes(self.backend, self.readiness, self.metrics, self.inference.statistics, parent)
        self.budget = ByteBudget(settings.max_buffered_bytes, self.metrics.shed.labels("bytes").inc)
        self.metrics.watch_bytes(lambda: self.budget.held_bytes)
        self._services = HttpServices(self.inference, self.offload, self.budget, settings.max_body_bytes)
        self.open_inference = OpenInference(
            self.inference, self.backend, self.readiness, running_version(), settings.batch_max_rows, parent
        )
        self.fastapi = fixed_routes.create_app(running_version())
        self.documents = DocumentCache(self.backend, self.inference, self.fastapi)
        self.fastapi.include_router(page_routes.create_router())
        self.fastapi.include_router(create_router(self.backend, self.inference, self.probes, lambda: self.grpc_port))
        for router in (
            card_routes.create_router(self.backend, self.inference),
            row_routes.create_router(self.inference, self.offload),
        ):
            self.fastapi.include_router(router)
        if self.releases:
            self.fastapi.include_router(http_routes.create_router(self.releases, self.inference))
        self.fastapi.include_router(v2_routes.create_router(self.open_inference))
        self.fastapi.include_router(page.create_router(self.documents))
        add_error_handlers(self.fastapi)
        self._others = answered_by(self._by_fastapi)
        self._ids = self.inference.request_ids
        self._cors = Cors(settings.allowed_origins)

    def handle(self, request: Request, reply: Reply) -> Work | None:
        """Have any request of the HTTP port answered; this is the handler of the HTTP server."""
        self._name(request)
        if request.method == "OPTIONS" and (preflight := self._cors.preflight(request)):
            reply(preflight)
            return None
        route = _routed(request.path)
        request.path, first, second, _ = route
        if self.access is not None and (error := self._why_not(self.access, request, route, whole=True)):
            response = Response(error.http_status, *refusal(error))
            reply(response if request.method != "HEAD" else without_body(response))
            return None
        exchange: HttpExchange | None = None
        if first:
            if request.method == "POST":
                exchange = v1_exchange.exchange(self._services, first, request, reply)
            elif first[4] == b":":  # an escaped colon may as well be one of the model's name
                reply(method_not_allowed(request))
                return None
        elif second:
            if request.method != "POST":
                reply(method_not_allowed(request))
                return None
            exchange = v2.InferExchange(self._services, second, request, reply)
        if exchange is None:
            return self._others(request, reply)
        exchange.begin()
        return None if exchange.ended else exchange

    def door(self, request: Request) -> Response | None:
        """Why a request is refused before its body is read; None: it is not, or it is to be told of something else."""
        self._name(request)
        route = _routed(request.path)
        first, second = route.first, route.second
        if self.access is not None and (error := self._why_not(self.access, request, route, whole=False)):
            return refused(error)
        match = first or second
        if request.method != "POST" or match is None:
            return None
        return refused_at_the_door(self._services, v1.PROTOCOL if first else v2.PROTOCOL, match[1], request)

    def complete(self, request: Request, response: Response) -> bytes:
        """The headers that each answer of the HTTP port gets besides its own: here is the one place where all pass."""
        if not request.id:  # refused before anybody looked at it
            self._name(request)
        headers = b"X-Request-Id: %b\r\n" % request.id.encode()
        if self._cors.enabled:
            headers += self._cors.headers_for(request.headers.get(b"origin"))
        if request.logged:
            return headers + NOSNIFF
        if response.status >= HTTPStatus.BAD_REQUEST and self._access_log:
            self._access_log.refused(request, response, _name_of(request.key))
        return headers + security_headers(request, response, self.tls is not None)

    def call_failed(
        self, request_id: str, address: str, identity: Identity | None, path: str, error: ServingError
    ) -> None:
        """Tell the log of a call over gRPC that asked for no inference."""
        if self._access_log:
            self._access_log.refused_call(request_id, address, _name_of(identity), path, error)

    def _name(self, request: Request) -> None:
        sent = request.headers.get(_ID)
        request.id = self._ids.of(None if sent is None else sent.decode("latin-1"))

    def _why_not(self, access_: Access, request: Request, route: "_Route", *, whole: bool) -> ServingError | None:
        """Why a request may not come in; None: it may, and its key is noted. whole: whether its body is here too."""
        known, rule = request.known, route.rule
        if (
            known is not None
            and (seen := known.owner) is not None
            and seen.plain
            and not rule.admin
            and access_.holds(seen)
        ):
            request.key = seen  # as most of the time
            return None
        if rule.open:
            return None
        match = (route.first or route.second) if request.method == "POST" else None
        try:
            request.key = identity = access.identified(access_, request)
            if rule.admin:
                access_.check_admin(identity)
            if identity.plain:
                return None
            model = rule.model if match is None else paths.decoded(match[1])
            if model is not None:
                access_.check_model(identity, model)
            if whole and match is not None:
                return None  # an inference asks itself, and counts
            now = time.perf_counter()
            error: ServingError | None = access_.over_rate(identity, now)
            if error is None:
                if whole:
                    identity.began(now)
                return None
        except ServingError as raised:
            error = raised
        if match:
            count_refusal(self._services, v1.PROTOCOL if route.first else v2.PROTOCOL, request, error)
        return error

    async def _by_fastapi(self, request: Request) -> Response:
        response = await asgi.answer(self.fastapi, request)
        return response if request.method != "HEAD" else without_body(response)

    def shed(self, reason: str) -> None:
        """Count a connection that is turned away."""
        self.metrics.shed.labels(reason).inc()

    def look(self) -> None:
        """Look at once at the files that are followed beside the models'."""
        if self.access:
            self.access.look()
        if self.releases:
            self.releases.look()

    def start(self) -> None:
        """Begin to follow these files. The backend's are its own business."""
        if self.access:
            self.access.start()
        if self.releases:
            self.releases.start()

    async def stop(self) -> None:
        """Let go of the models and of the processes that read large bodies; write the last rows of the request log."""
        if self._following:
            self._following.stop()
        if self.access:
            self.access.stop()
        if self.releases:
            self.releases.forget()
            await asyncio.to_thread(self.releases.stop)
        await self.backend.stop()
        await self.offload.close()
        if self._access_log:
            await asyncio.to_thread(self._access_log.close)
        if self.request_log:
            await self.request_log.close()
        if self._exporter:
            await asyncio.to_thread(self._exporter.stop, FLUSH_S)

    def drain(self) -> None:
        """Begin the graceful shutdown: from now on /readyz says no, while requests are still answered."""
        self.readiness.draining = True
        self.metrics.draining.set(1)


def _name_of(identity: Identity | None) -> str:
    return identity.name if identity else ""


_ID = b"x-request-id"


class _Route(NamedTuple):
    path: bytes
    """Normalized."""
    first: re.Match[bytes] | None
    """As an inference of V1."""
    second: re.Match[bytes] | None
    """As an inference of V2."""
    rule: Rule
    """What keys it asks for, as anything else."""


def _route(path: bytes) -> _Route:
    path = paths.normalized(path)
    return _Route(path, v1.PATH.fullmatch(path), v2.PATH.fullmatch(path), access.rule(path))


_SHORT = 256
"""Bytes of a path up to which what was found of it is kept for a while."""

_known_route = lru_cache(1024)(_route)


def _routed(path: bytes) -> _Route:
    return _known_route(path) if len(path) <= _SHORT else _route(path)


def method_not_allowed(request: Request) -> Response:
    """The 405 for a request that is no POST on a path of an inference."""
    message = malformed(request.method, request.path.partition(b"?")[0].decode("latin-1"))  # a query may hold secrets
    response = Response(HTTPStatus.METHOD_NOT_ALLOWED, json_codec.encode_error(message), JSON + b"Allow: POST\r\n")
    return response if request.method != "HEAD" else without_body(response)


def create_access(settings: Settings, backend: Backend, metrics: Metrics, failures: Failures) -> Access | None:
    """The keys of the settings, which nobody follows yet. Raises `UsageError` for a file that is none."""
    if settings.keys is None:
        return None
    made = Access(
        settings.keys,
        1 / settings.processes,
        poll_s=settings.poll_s,
        served=lambda: backend.models,
        refused=lambda reason: metrics.access_refused.labels(reason).inc(),
        counter=metrics.key_requests,
        failures=failures,
    )
    metrics.watch_keys(lambda: len(made), lambda: made.up_to_date)
    return made


def create_backend(settings: Settings, metrics: Metrics, failures: Failures, offload: Offload) -> Backend:
    """The backend: remote model servers when the settings name addresses, else the embedded engine."""
    if settings.backend:
        from signet.serving.gateway.backends import remote  # noqa: PLC0415  # gRPC is not needed without it

        return remote.create(declared_models(settings), settings, metrics, failures, offload)
    from signet.serving.gateway.backends.embedded import EmbeddedBackend  # noqa: PLC0415  # loads TensorFlow's library

    return EmbeddedBackend(declared_configs(settings), settings, failures)


def create_releases(
    settings: Settings,
    backend: Backend,
    inference: Inference,
    failures: Failures,
    metrics: Metrics,
    parent: Parent | None = None,
) -> Releases | None:
    """The releases beside the versions of models, as far as it is known where those lie."""
    place = releases.places(settings, read(settings.model_config_file) if settings.model_config_file else ())
    if place is None:
        return None
    label_file = None
    if settings.write_labels and settings.model_config_file:
        from signet.serving.gateway.backends.remote import RemoteBackend  # noqa: PLC0415  # gRPC is not needed without it

        assert isinstance(backend, RemoteBackend), "the settings say so"
        label_file = LabelFile(settings.model_config_file, backend, failures)
    return Releases(settings, backend, inference, failures, place, metrics.registry, label_file, parent)


def create_exporter(settings: Settings, metrics: Metrics) -> "Exporter | None":
    """What brings traces to a collector, started, where the settings name one."""
    if not settings.otlp:
        return None
    return exporting.start(settings.otlp, "signet-gateway", os.environ, running_version(), metrics.drop_traces)


def declared_models(settings: Settings) -> list[str]:
    """The names to serve from a remote backend, which cannot be asked for them."""
    if settings.models:
        return [name.strip() for name in settings.models.split(",") if name.strip()]
    if settings.model_config_file or settings.models_dir:
        return [config.name for config in declared_configs(settings)]
    raise UsageError("say which models the backend serves: --models a,b, --model-config-file or --models-dir")


def declared_configs(settings: Settings) -> list[ModelConfig]:
    """The models to serve and where they lie. None in a folder that is empty, or that is allowed to be missing."""
    if settings.model_config_file:
        return read(settings.model_config_file)
    if settings.models_dir:
        if settings.allow_missing and not settings.models_dir.is_dir():
            return []
        return ModelsFolder(settings.models_dir).models()
    raise UsageError("say which models to serve: --models-dir or --model-config-file")
