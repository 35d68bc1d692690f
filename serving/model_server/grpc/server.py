"""The gRPC server around the services: addresses, TLS, health, reflection, channel arguments."""

import logging
import socket
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from google.protobuf import text_format

from signet.serving.errors import UsageError
from signet.serving.grpc_dialect import service_descriptors
from signet.serving.grpc_transport import channel_arguments, health, reflection
from signet.serving.grpc_transport.calls import Services
from signet.serving.grpc_transport.grpcio_server import GrpcioServer, followed_credentials
from signet.serving.grpc_transport.health import Health
from signet.serving.grpc_transport.own_server import OwnServer
from signet.serving.grpc_transport.server_limits import ServerLimits
from signet.serving.model_server import listeners
from signet.serving.model_server.config_messages import SSLConfig
from signet.serving.model_server.flags import Flags
from signet.serving.process.byte_budget import ByteBudget
from signet.serving.process.child import Parent
from signet.serving.process.cores import ALONE, Share
from signet.serving.process.handing_over import GRPC
from signet.serving.process.supervision import Failures
from signet.serving.tls import following
from signet.serving.tls.credentials import HTTP2, Credentials, server_context
from signet.serving.tls.following import Followed

log = logging.getLogger(__name__)

_UNLIMITED = {"grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1, "grpc.so_reuseport": 0}
"""Messages of any size, as the original takes them."""

_CONNECTIONS = 1024
_LIMITS = ServerLimits((1 << 32) - 1, request_s=120.0)
"""The same on our own server; a request has as long to come as over REST, and one connection too many replaces an idle one."""

_HEALTH_NAMES = ("", "ModelService", "PredictionService")


class GrpcServer:
    """Answers once it is started, where the flags say, or those whom its parent gives it."""

    def __init__(
        self, flags: Flags, services: Services, budget: ByteBudget, parent: Parent | None, failures: Failures
    ) -> None:
        """parent: of this process, where it is one of several. failures: counts those of following the SSL config file.

        Raises `UsageError` for channel arguments and an SSL config file that cannot be used.
        """
        self._flags = flags
        self._draining = False
        names = service_descriptors.describe()
        methods = dict(services)
        self._health = Health(self._state, lambda: self._draining, lambda _: "")
        if flags.enable_grpc_healthcheck_service:
            methods |= self._health.services()
            names = (*names, health.SERVICE)
        methods |= reflection.services(names)
        if not flags.port and not flags.grpc_socket_path:
            raise UsageError("neither --port nor --grpc_socket_path is set: there is nothing to listen on")
        arguments, tls = channel_arguments.parse(flags.grpc_channel_arguments), _tls(flags.ssl_config_file)
        self._following = following.follow(tls, failures) if tls else None
        self._server: _Own | _Grpcio
        if flags.grpc_transport == "grpcio":
            self._server = _Grpcio(methods, arguments, tls)
        else:
            self._server = _Own(methods, arguments, tls, budget, parent)

    async def start(self) -> None:
        """Open the port and the socket. Raises `UsageError` when one of them cannot be opened."""
        if self._flags.port:
            await self._server.open_port(self._flags.port)
        if path := self._flags.grpc_socket_path:
            await self._server.open_socket(path)
        await self._server.start()

    @property
    def connections(self) -> int:
        """How many there are; 0 with grpcio, which does not tell."""
        return self._server.connections

    def drain(self) -> None:
        """Turn NOT_SERVING and answer on; clients are told to make no more calls here, with grpcio in `stop` alone."""
        self._draining = True
        self._health.drain()
        self._server.drain()

    def adopt(self, accepted: socket.socket) -> None:
        """Take a connection that the parent has accepted, rather than to start."""
        assert isinstance(self._server, _Own), "connections of grpcio's are not handed over"
        self._server.adopt(accepted)

    async def stop(self, grace_s: float) -> None:
        """Take no new calls, let those in flight finish within `grace_s` seconds."""
        if self._following:
            self._following.stop()
        await self._server.stop(grace_s)

    def _state(self, service: str) -> int | None:
        if service not in _HEALTH_NAMES:
            return None
        return health.NOT_SERVING if self._draining else health.SERVING


class _Own:
    """On frames of our own."""

    def __init__(
        self,
        methods: Services,
        arguments: Mapping[str, int | str],
        tls: Followed | None,
        budget: ByteBudget,
        parent: Parent | None,
    ) -> None:
        share = Share(parent.place, parent.places) if parent else ALONE
        own = replace(_LIMITS, connections=share.of(_CONNECTIONS))
        limits, unused = channel_arguments.applied(own, arguments)
        if unused:
            log.warning("--grpc_channel_arguments: without meaning here: %s", ", ".join(unused))
        self._tls = partial(tls.context, HTTP2) if tls else None
        if parent:
            self._server = OwnServer(methods, limits, budget=budget, closed=parent.closed(GRPC))
            self._server.start()
        else:
            self._server = OwnServer(methods, limits, budget=budget)

    async def open_port(self, port: int) -> None:
        await self._server.listen(listeners.grpc_port(port), self._tls)

    async def open_socket(self, path: str) -> None:
        await self._server.listen(listeners.grpc_socket(path), self._tls)

    def adopt(self, accepted: socket.socket) -> None:
        self._server.adopt(accepted, self._tls)

    async def start(self) -> None:
        """It has since it was opened."""

    @property
    def connections(self) -> int:
        return len(self._server.connections)

    def drain(self) -> None:
        self._server.drain()

    async def stop(self, grace_s: float) -> None:
        await self._server.stop(grace_s)


class _Grpcio:
    """On grpcio's server."""

    def __init__(self, methods: Services, arguments: Mapping[str, int | str], tls: Followed | None) -> None:
        options = {**_UNLIMITED, **arguments}
        self._server = GrpcioServer(methods, list(options.items()))
        self._credentials = followed_credentials(tls) if tls else None

    async def open_port(self, port: int) -> None:
        await self._open(f"[::]:{port}")

    async def open_socket(self, path: str) -> None:
        listeners.take_over(path)
        await self._open(f"unix:{path}")

    async def _open(self, address: str) -> None:
        try:
            self._server.add_port(address, self._credentials)
        except RuntimeError as error:
            raise listeners.not_opened(address, error) from error

    async def start(self) -> None:
        await self._server.start()

    connections = 0

    def drain(self) -> None:
        """It tells clients when it stops."""

    async def stop(self, grace_s: float) -> None:
        await self._server.stop(grace_s)


def _tls(path: str) -> Followed | None:
    """What an SSLConfig file says, where keys and certificates stand as PEM text; None without a file. Raises `UsageError`."""
    if not path:
        return None
    return Followed("server", [Path(path)], lambda content: _credentials(path, content[0]), server_context, [HTTP2])


def _credentials(path: str, text: bytes) -> Credentials:
    config = SSLConfig()
    try:
        text_format.Parse(text.decode(), config)
    except (UnicodeDecodeError, text_format.ParseError) as error:
        raise UsageError(f"cannot read the SSL config file {path!r}: {error}") from error
    if not config.server_key or not config.server_cert:
        raise UsageError(f"the SSL config file {path!r} needs server_key and server_cert, as PEM text")
    if config.client_verify and not config.custom_ca:
        raise UsageError(f"the SSL config file {path!r} has client_verify, which needs custom_ca")
    roots = config.custom_ca.encode() if config.client_verify else None
    names = [f"{name} of the SSL config file {path!r}" for name in ("server_cert", "server_key", "custom_ca")]
    return Credentials(config.server_cert.encode(), config.server_key.encode(), roots, *names)
