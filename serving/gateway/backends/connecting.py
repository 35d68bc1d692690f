"""How the gateway connects to model servers, as its settings say: by which transport, in the clear or with TLS."""

import ssl
from collections.abc import Callable
from pathlib import Path

from signet.serving.errors import UsageError
from signet.serving.gateway.backends.addresses import Address
from signet.serving.gateway.settings import Settings
from signet.serving.grpc_transport.channel import OwnChannel
from signet.serving.grpc_transport.channels import Channel

Connect = Callable[[Address], Channel]
"""Gives the channel to a model server, which has not connected yet."""


def in_the_clear(address: Address) -> Channel:
    """A channel without TLS."""
    return OwnChannel(address.target)


def connect_as(settings: Settings) -> Connect:
    """The way that the settings say. Raises `UsageError` for files that are no certificates or keys."""
    if settings.grpc_transport == "grpcio":
        return _by_grpcio(settings)
    if not settings.backend_ca_file:
        return in_the_clear
    tls = _tls(settings.backend_ca_file, settings.backend_cert_file, settings.backend_key_file)
    return lambda address: OwnChannel(address.target, tls, address.server_name)


def _by_grpcio(settings: Settings) -> Connect:
    import grpc  # noqa: PLC0415  # not needed without it, and large

    from signet.serving.grpc_transport.grpcio_channel import GrpcioChannel  # noqa: PLC0415

    if not settings.backend_ca_file:
        return lambda address: GrpcioChannel(address.target)
    ca, cert, key = settings.backend_ca_file, settings.backend_cert_file, settings.backend_key_file
    credentials = grpc.ssl_channel_credentials(_read(ca), _read(key) if key else None, _read(cert) if cert else None)
    return lambda address: GrpcioChannel(address.target, credentials, address.server_name)


def _tls(ca_file: Path, cert_file: Path | None, key_file: Path | None) -> ssl.SSLContext:
    """Roots that are those of the file alone, the certificate to show, and the protocol to agree on."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    try:
        context.load_verify_locations(cadata=_read(ca_file).decode())
    except (ssl.SSLError, ValueError) as error:
        raise UsageError(f"{ca_file} holds no certificates in PEM: {_words(error)}") from error
    if cert_file and key_file:
        _read(cert_file), _read(key_file)  # names the one that cannot be read
        try:
            context.load_cert_chain(cert_file, key_file, password=_no_password)
        except (ssl.SSLError, ValueError) as error:
            raise UsageError(f"{cert_file} and {key_file} are no certificate with its key: {_words(error)}") from error
    return context


def _no_password() -> str:
    """An encrypted key is refused rather than asked for at the terminal."""
    return ""


def _words(error: Exception) -> str:
    return (error.reason if isinstance(error, ssl.SSLError) else str(error)) or type(error).__name__


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
