"""Bound sockets for a server's ports, and a sentence when a port cannot be had."""

import socket

from signet.serving.errors import UsageError


def listen(host: str, port: int, option: str) -> socket.socket:
    """A bound socket. Raises `UsageError`, which names the port and the option for another."""
    listener = _socket(host)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise UsageError(f"cannot listen on {host}:{port}: {error.strerror}; choose another with {option}") from error
    return listener


def reserve(host: str, port: int) -> socket.socket:
    """A bound socket that never listens, for a port on which the processes of a service do, by SO_REUSEPORT.

    Raises `OSError` when somebody has the port, also where they share it among themselves.
    """
    with _socket(host) as alone:
        alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        alone.bind((host, port))
        port = alone.getsockname()[1]
    shared = _socket(host)
    try:
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        shared.bind((host, port))
    except OSError:
        shared.close()
        raise
    return shared


def _socket(host: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
