"""How the gateway connects to model servers, as its settings say: in the clear or with TLS."""

from collections.abc import Callable
from pathlib import Path

import grpc

from signet.serving.errors import UsageError
from signet.serving.gateway.backends.addresses import Address
from signet.serving.gateway.settings import Settings
from signet.serving.grpc_transport.channels import Channel
from signet.serving.grpc_transport.grpcio_channel import GrpcioChannel

Connect = Callable[[Address], Channel]
"""Gives the channel to a model server, which has not connected yet."""


def in_the_clear(address: Address) -> Channel:
    """A channel without TLS."""
    return GrpcioChannel(address.target)


def connect_as(settings: Settings) -> Connect:
    """The way that the settings say. Raises `UsageError` for files that are no certificates or keys."""
    if not settings.backend_ca_file:
        return in_the_clear
    credentials = grpc.ssl_channel_credentials(
        _read(settings.backend_ca_file), _read(settings.backend_key_file), _read(settings.backend_cert_file)
    )
    return lambda address: GrpcioChannel(address.target, credentials, address.server_name)


def _read(path: Path | None) -> bytes | None:
    try:
        return path.read_bytes() if path else None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
