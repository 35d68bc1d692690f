"""The gateway's gRPC port: TensorFlow Serving's services, the Open Inference Protocol's, health and reflection."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from signet.serving.errors import UsageError
from signet.serving.gateway.core.readiness import Readiness
from signet.serving.gateway.grpc import v1, v2
from signet.serving.gateway.settings import Settings
from signet.serving.grpc_dialect import service_descriptors

SERVICES = (v1.PREDICTION_SERVICE, v1.MODEL_SERVICE, v2.SERVICE)

_IDLE_MS = 300_000
"""Milliseconds without a call after which a connection is closed; clients make another when they need it. grpcio has no
limit for the number of connections: only the limit of open files bounds those."""

_OTHER_CALLS = 1024
"""Calls at once that are no inferences, or that the admission refuses with its own words; gRPC refuses more by itself."""

_WATCH_S = 1.0
"""Seconds between two looks of those who watch the health."""


class GrpcServer:
    """The gRPC port: listens once it is started, in the running event loop."""

    def __init__(self, settings: Settings, services: Sequence[Any], readiness: Readiness) -> None:
        """services: the handlers of `SERVICES`, as `GrpcV1.services` and `GrpcV2.services` make them."""
        self._host, self._port = settings.host, settings.grpc_port
        options = [
            ("grpc.max_receive_message_length", settings.max_body_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
            ("grpc.max_connection_idle_ms", _IDLE_MS),
        ]
        calls = settings.max_in_flight + _OTHER_CALLS
        self._server = grpc.aio.server(options=options, maximum_concurrent_rpcs=calls)
        self._server.add_generic_rpc_handlers(tuple(services))
        health_pb2_grpc.add_HealthServicer_to_server(HealthService(readiness), self._server)
        service_descriptors.describe()
        names = (*SERVICES, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)

    async def start(self) -> int:
        """Open the port, and say which it is. Raises `UsageError` for one that cannot be opened."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        try:
            port = self._server.add_insecure_port(f"{host}:{self._port}")
        except RuntimeError as error:
            raise UsageError(
                f"cannot listen on {host}:{self._port} for gRPC; choose another with --grpc-port, or --no-grpc for none"
            ) from error
        await self._server.start()
        return port

    async def stop(self, grace_s: float) -> None:
        """Shut down gracefully: take no new calls, and give those in work that many seconds."""
        await self._server.stop(grace_s)


class HealthService(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # it has no types
    """gRPC's health protocol: every service is as healthy as the gateway is ready."""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802  # gRPC's name
        if request.service not in ("", *SERVICES):
            await context.abort(
                grpc.StatusCode.NOT_FOUND, f"no service {request.service[:100]!r}; there are {SERVICES}"
            )
        return self._response(request.service)

    async def Watch(self, request: Any, _: Any) -> AsyncIterator[Any]:  # noqa: N802
        """The state now, and again whenever it is another, until the gateway stops."""
        told = None
        while True:
            stopping = self._readiness.draining
            response = self._response(request.service)
            if response != told:
                yield response
                told = response
            if stopping:
                return
            await asyncio.sleep(_WATCH_S)

    def _response(self, service: str) -> Any:
        states = health_pb2.HealthCheckResponse
        if service not in ("", *SERVICES):
            return states(status=states.SERVICE_UNKNOWN)
        return states(status=states.SERVING if self._readiness.ready else states.NOT_SERVING)
