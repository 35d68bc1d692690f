"""The gRPC port as a bound socket, or a sentence when it cannot be had."""

import socket

from signet.serving.errors import NotDone
from signet.serving.gateway.settings import Settings
from signet.serving.process import ports


def listen(settings: Settings) -> socket.socket:
    """A socket bound to the port of the settings. Raises `NotDone`, which names the port and the option for another."""
    try:
        return ports.bound(settings.host, settings.grpc_port)
    except OSError as error:
        raise not_opened(settings) from error


def reserve(settings: Settings) -> socket.socket:
    """A socket that keeps the port for processes that share it. Raises `NotDone`."""
    try:
        return ports.reserve(settings.host, settings.grpc_port)
    except OSError as error:
        raise not_opened(settings) from error


def address(settings: Settings) -> str:
    """HOST:PORT."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{host}:{settings.grpc_port}"


def not_opened(settings: Settings) -> NotDone:
    """The error for a port that cannot be opened."""
    return NotDone(
        f"cannot listen on {address(settings)} for gRPC; choose another with --grpc-port, or --no-grpc for none"
    )
