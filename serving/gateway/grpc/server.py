"""The gateway's gRPC port: TensorFlow Serving's services, the Open Inference Protocol's, health and reflection."""

import socket
from collections.abc import Callable
from functools import partial

from signet.serving.gateway.core.readiness import Readiness
from signet.serving.gateway.grpc import port, v1, v2
from signet.serving.gateway.settings import Settings
from signet.serving.grpc_dialect import service_descriptors
from signet.serving.grpc_transport import health, reflection
from signet.serving.grpc_transport.calls import Method, Services
from signet.serving.grpc_transport.grpcio_server import GrpcioServer, followed_credentials
from signet.serving.grpc_transport.health import Health
from signet.serving.grpc_transport.own_server import OwnServer
from signet.serving.grpc_transport.server_limits import ServerLimits
from signet.serving.process.byte_budget import ByteBudget
from signet.serving.tls.credentials import HTTP2
from signet.serving.tls.following import Followed

SERVICES = (v1.PREDICTION_SERVICE, v1.MODEL_SERVICE, v2.SERVICE)

_IDLE_S = 300.0
"""Seconds without a call after which a connection is closed; clients make another when they need it."""

_CONNECTIONS = 1024
"""Connections at once, at most: they carry many calls each. `open_files` leaves room for so many."""

_OTHER_CALLS = 1024
"""Calls at once that are no inferences, or that the admission refuses with its own words; gRPC refuses more by itself."""


class GrpcServer:
    """The gRPC port: listens once it is started, or is given connections, in the running event loop."""

    def __init__(
        self,
        settings: Settings,
        services: Services,
        readiness: Readiness,
        guarded: Callable[[Method], Method],
        tls: Followed | None = None,
    ) -> None:
        """services: the methods of `SERVICES`, as `GrpcV1.services` and `GrpcV2.services` make them. tls: None: in the clear.

        guarded: as `GrpcServices.guarded`, for who asks which services there are; whoever asks for health needs no key.
        """
        self._settings, self._tls = settings, tls
        self._contexts = partial(tls.context, HTTP2) if tls else None
        service_descriptors.describe()
        self._health = _health(readiness)
        self._methods = {
            **services,
            **self._health.services(),
            **{path: guarded(method) for path, method in reflection.services((*SERVICES, health.SERVICE)).items()},
        }
        self._server: OwnServer | GrpcioServer | None = None

    async def start(
        self,
        budget: ByteBudget,
        shed: Callable[[str], None],
        closed: Callable[[], None] = lambda: None,
        *,
        listens: bool = True,
    ) -> int:
        """Open the port, and say which it is. Raises `UsageError` for one that cannot be opened.

        listens: False for a process whose parent does, and hands connections to `adopt`. budget, shed, closed: of `OwnServer`.
        """
        settings = self._settings
        if settings.grpc_transport == "grpcio":
            return await self._start_grpcio()
        connections = min(settings.max_connections, _CONNECTIONS)
        limits = ServerLimits(
            message_bytes=settings.max_body_bytes,
            calls=settings.max_in_flight + _OTHER_CALLS,
            connections=connections,
            address_connections=min(settings.max_connections_per_address, connections),
            request_s=settings.request_timeout_s,
            idle_s=_IDLE_S,
        )
        self._server = server = OwnServer(self._methods, limits, budget=budget, shed=shed, closed=closed)
        if not listens:
            server.start()
            return settings.grpc_port
        listener = port.listen(settings)
        await server.listen(listener, self._contexts)
        number: int = listener.getsockname()[1]
        return number

    def adopt(self, accepted: socket.socket) -> None:
        """Take a connection that the parent has accepted."""
        assert isinstance(self._server, OwnServer), "connections of grpcio's are not handed over"
        self._server.adopt(accepted, self._contexts)

    @property
    def connections(self) -> int:
        """How many there are; 0 with grpcio, which does not tell."""
        return len(self._server.connections) if isinstance(self._server, OwnServer) else 0

    def drain(self) -> None:
        """Answer on, and tell clients to make no more calls here. grpcio's server tells them in `stop` alone."""
        self._health.drain()
        if isinstance(self._server, OwnServer):
            self._server.drain()

    async def stop(self, grace_s: float) -> None:
        """Shut down gracefully: take no new calls, and give those in work that many seconds."""
        if self._server:
            await self._server.stop(grace_s)

    async def _start_grpcio(self) -> int:
        settings = self._settings
        options = [
            ("grpc.max_receive_message_length", settings.max_body_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", int(settings.processes > 1)),
            ("grpc.max_connection_idle_ms", int(_IDLE_S * 1000)),
        ]
        self._server = server = GrpcioServer(self._methods, options, settings.max_in_flight + _OTHER_CALLS)
        try:
            number = server.add_port(port.address(settings), followed_credentials(self._tls) if self._tls else None)
        except RuntimeError as error:
            raise port.not_opened(settings) from error
        await server.start()
        return number


def _health(readiness: Readiness) -> Health:
    """Every service is as healthy as the gateway is ready."""

    def state(service: str) -> int | None:
        if service not in ("", *SERVICES):
            return None
        return health.SERVING if readiness.ready else health.NOT_SERVING

    def unknown(service: str) -> str:
        return f"no service {service[:100]!r}; there are {SERVICES}"

    return Health(state, lambda: readiness.draining, unknown)
