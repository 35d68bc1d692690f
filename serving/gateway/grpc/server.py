"""The gateway's gRPC port: TensorFlow Serving's services, the Open Inference Protocol's, health and reflection."""

from signet.serving.errors import UsageError
from signet.serving.gateway.core.readiness import Readiness
from signet.serving.gateway.grpc import v1, v2
from signet.serving.gateway.settings import Settings
from signet.serving.grpc_dialect import service_descriptors
from signet.serving.grpc_transport import health, reflection
from signet.serving.grpc_transport.calls import Services
from signet.serving.grpc_transport.grpcio_server import GrpcioServer
from signet.serving.grpc_transport.health import Health

SERVICES = (v1.PREDICTION_SERVICE, v1.MODEL_SERVICE, v2.SERVICE)

_IDLE_MS = 300_000
"""Milliseconds without a call after which a connection is closed; clients make another when they need it. grpcio has no
limit for the number of connections: only the limit of open files bounds those."""

_OTHER_CALLS = 1024
"""Calls at once that are no inferences, or that the admission refuses with its own words; gRPC refuses more by itself."""


class GrpcServer:
    """The gRPC port: listens once it is started, in the running event loop."""

    def __init__(self, settings: Settings, services: Services, readiness: Readiness) -> None:
        """services: the methods of `SERVICES`, as `GrpcV1.services` and `GrpcV2.services` make them."""
        self._host, self._port = settings.host, settings.grpc_port
        options = [
            ("grpc.max_receive_message_length", settings.max_body_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", int(settings.processes > 1)),
            ("grpc.max_connection_idle_ms", _IDLE_MS),
        ]
        service_descriptors.describe()
        methods = {
            **services,
            **_health(readiness).services(),
            **reflection.services((*SERVICES, health.SERVICE)),
        }
        self._server = GrpcioServer(methods, options, settings.max_in_flight + _OTHER_CALLS)

    async def start(self) -> int:
        """Open the port, and say which it is. Raises `UsageError` for one that cannot be opened."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        try:
            port = self._server.add_port(f"{host}:{self._port}")
        except RuntimeError as error:
            raise UsageError(
                f"cannot listen on {host}:{self._port} for gRPC; choose another with --grpc-port, or --no-grpc for none"
            ) from error
        await self._server.start()
        return port

    async def stop(self, grace_s: float) -> None:
        """Shut down gracefully: take no new calls, and give those in work that many seconds."""
        await self._server.stop(grace_s)


def _health(readiness: Readiness) -> Health:
    """Every service is as healthy as the gateway is ready."""

    def state(service: str) -> int | None:
        if service not in ("", *SERVICES):
            return None
        return health.SERVING if readiness.ready else health.NOT_SERVING

    def unknown(service: str) -> str:
        return f"no service {service[:100]!r}; there are {SERVICES}"

    return Health(state, lambda: readiness.draining, unknown)
