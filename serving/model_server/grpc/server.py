"""The gRPC server around the services: addresses, TLS, health, reflection, channel arguments."""

from pathlib import Path

import grpc
from google.protobuf import text_format

from signet.serving.errors import UsageError
from signet.serving.grpc_dialect import service_descriptors
from signet.serving.grpc_transport import health, reflection
from signet.serving.grpc_transport.calls import Services
from signet.serving.grpc_transport.grpcio_server import GrpcioServer
from signet.serving.grpc_transport.health import Health
from signet.serving.model_server.config_messages import SSLConfig
from signet.serving.model_server.flags import Flags

_HEALTH_NAMES = ("", "ModelService", "PredictionService")


class GrpcServer:
    """Listens where the flags say; answers once it is started."""

    def __init__(self, flags: Flags, services: Services) -> None:
        """Raises `UsageError` for channel arguments that cannot be read."""
        self._flags = flags
        self._stopping = False
        names = service_descriptors.describe()
        methods = dict(services)
        if flags.enable_grpc_healthcheck_service:
            methods |= Health(self._state, lambda: self._stopping, lambda _: "").services()
            names = (*names, health.SERVICE)
        methods |= reflection.services(names)
        self._server = GrpcioServer(methods, _options(flags.grpc_channel_arguments))

    async def start(self) -> None:
        """Open the port and the socket. Raises `UsageError` when one of them cannot be opened."""
        credentials = _credentials(self._flags.ssl_config_file)
        for address in self._addresses():
            try:
                self._server.add_port(address, credentials)
            except RuntimeError as error:
                raise UsageError(f"{address} cannot be opened; is it in use? ({error})") from error
        await self._server.start()

    async def stop(self, grace_s: float) -> None:
        """Turn NOT_SERVING, take no new calls, let those in flight finish within `grace_s` seconds."""
        self._stopping = True
        await self._server.stop(grace_s)

    def _addresses(self) -> list[str]:
        addresses = [f"[::]:{self._flags.port}"] if self._flags.port else []
        if self._flags.grpc_socket_path:
            # A later server on the same path takes it over; gRPC alone would refuse.
            Path(self._flags.grpc_socket_path).unlink(missing_ok=True)
            addresses.append(f"unix:{self._flags.grpc_socket_path}")
        if not addresses:
            raise UsageError("neither --port nor --grpc_socket_path is set: there is nothing to listen on")
        return addresses

    def _state(self, service: str) -> int | None:
        if service not in _HEALTH_NAMES:
            return None
        return health.NOT_SERVING if self._stopping else health.SERVING


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
