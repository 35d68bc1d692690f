"""The gRPC server around the services: addresses, TLS, health, reflection, channel arguments."""

from pathlib import Path

import grpc
from google.protobuf import text_format
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health  # type: ignore[attr-defined]
from grpc_reflection.v1alpha import reflection

from signet.serving.errors import UsageError
from signet.serving.grpc_dialect import service_descriptors
from signet.serving.model_server.config_messages import SSLConfig
from signet.serving.model_server.flags import Flags

_HEALTH_NAMES = ("", "ModelService", "PredictionService")
_HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name


class GrpcServer:
    """Listens where the flags say; answers once services are added and it is started."""

    def __init__(self, flags: Flags) -> None:
        """Raises `UsageError` for an address that cannot be opened and for bad certificates."""
        self._flags = flags
        self.server = grpc.aio.server(options=_options(flags.grpc_channel_arguments))
        self._health: health.HealthServicer | None = None
        if flags.enable_grpc_healthcheck_service:
            self._health = health.HealthServicer()
            health_pb2_grpc.add_HealthServicer_to_server(self._health, self.server)
        names = (*service_descriptors.describe(), *([_HEALTH] if self._health else []), reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self.server)

    async def start(self) -> None:
        """Open the port and the socket. Raises `UsageError` when one of them cannot be opened."""
        credentials = _credentials(self._flags.ssl_config_file)
        for address in self._addresses():
            try:
                if credentials:
                    self.server.add_secure_port(address, credentials)
                else:
                    self.server.add_insecure_port(address)
            except RuntimeError as error:
                raise UsageError(f"{address} cannot be opened; is it in use? ({error})") from error
        await self.server.start()
        await self._say(health_pb2.HealthCheckResponse.SERVING)

    async def stop(self, grace_s: float) -> None:
        """Turn NOT_SERVING, take no new calls, let those in flight finish within `grace_s` seconds."""
        await self._say(health_pb2.HealthCheckResponse.NOT_SERVING)
        await self.server.stop(grace_s)

    def _addresses(self) -> list[str]:
        addresses = [f"[::]:{self._flags.port}"] if self._flags.port else []
        if self._flags.grpc_socket_path:
            # A later server on the same path takes it over; gRPC alone would refuse.
            Path(self._flags.grpc_socket_path).unlink(missing_ok=True)
            addresses.append(f"unix:{self._flags.grpc_socket_path}")
        if not addresses:
            raise UsageError("neither --port nor --grpc_socket_path is set: there is nothing to listen on")
        return addresses

    async def _say(self, status: int) -> None:
        if self._health:
            for name in _HEALTH_NAMES:
                await self._health.set(name, status)


def _options(arguments: str) -> list[tuple[str, int | str]]:
    """Unlimited messages, as the original has them, and `k=v,k=v`: integers as integers, the rest as text."""
    options: list[tuple[str, int | str]] = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),
    ]
    for item in filter(None, arguments.split(",")):
        name, equals, value = item.partition("=")
        if not equals:
            raise UsageError(f"--grpc_channel_arguments: {item!r} has no value; expected name=value")
        options.append((name, int(value) if value.lstrip("-").isdecimal() else value))
    return options


def _credentials(path: str) -> grpc.ServerCredentials | None:
    """The credentials in an SSLConfig file, where keys and certificates stand as PEM text; None without a file."""
    if not path:
        return None
    config = SSLConfig()
    try:
        text_format.Parse(Path(path).read_text(), config)
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise UsageError(f"cannot read the SSL config file {path!r}: {error}") from error
    if not config.server_key or not config.server_cert:
        raise UsageError(f"the SSL config file {path!r} needs server_key and server_cert, as PEM text")
    if config.client_verify and not config.custom_ca:
        raise UsageError(f"the SSL config file {path!r} has client_verify, which needs custom_ca")
    return grpc.ssl_server_credentials(
        [(config.server_key.encode(), config.server_cert.encode())],
        root_certificates=config.custom_ca.encode() or None,
        require_client_auth=config.client_verify,
    )
