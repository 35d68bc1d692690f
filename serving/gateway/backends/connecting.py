"""How the gateway connects to model servers, as its settings say: by which transport, in the clear or with TLS."""

from collections.abc import Callable
from functools import partial

from signet.serving.gateway.backends.addresses import Address
from signet.serving.gateway.settings import Settings
from signet.serving.grpc_transport.channel import OwnChannel
from signet.serving.grpc_transport.channels import Channel
from signet.serving.tls import following
from signet.serving.tls.credentials import HTTP2
from signet.serving.tls.following import Followed

Connect = Callable[[Address], Channel]
"""Gives the channel to a model server, which has not connected yet."""


def in_the_clear(address: Address) -> Channel:
    """A channel without TLS."""
    return OwnChannel(address.target)


def tls_of(settings: Settings) -> Followed | None:
    """Whose certificates are trusted, and what is shown; None without TLS. Raises `UsageError` for files that cannot be used."""
    if not settings.backend_ca_file:
        return None
    return following.of_client(
        settings.backend_ca_file, settings.backend_cert_file, settings.backend_key_file, protocol=HTTP2
    )


def connect_as(settings: Settings, tls: Followed | None) -> Connect:
    """The way that the settings say. tls: as `tls_of` gives it; of it each connection takes what holds when it is made."""
    if settings.grpc_transport == "grpcio":
        return _by_grpcio(tls)
    if not tls:
        return in_the_clear
    contexts = partial(tls.context, HTTP2)
    return lambda address: OwnChannel(address.target, contexts, address.server_name)


def _by_grpcio(tls: Followed | None) -> Connect:
    """With grpcio a channel keeps what held when it was made."""
    import grpc  # noqa: PLC0415  # not needed without it, and large

    from signet.serving.grpc_transport.grpcio_channel import GrpcioChannel  # noqa: PLC0415

    if not tls:
        return lambda address: GrpcioChannel(address.target)

    def connect(address: Address) -> Channel:
        now = tls.credentials
        credentials = grpc.ssl_channel_credentials(now.roots, now.key or None, now.certificate)
        return GrpcioChannel(address.target, credentials, address.server_name)

    return connect
