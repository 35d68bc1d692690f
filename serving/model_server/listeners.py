"""The model server's ports as bound sockets: gRPC's, its UNIX socket, and REST's; and what is said when they are open."""

import logging
import socket
from pathlib import Path

from signet.serving.errors import UsageError
from signet.serving.model_server.flags import Flags
from signet.serving.process import ports
from signet.serving.process.output import say

log = logging.getLogger(__name__)


def grpc_port(port: int) -> socket.socket:
    """On all interfaces. Raises `UsageError` when it cannot be had."""
    try:
        return ports.on_all_interfaces(port)
    except OSError as error:
        raise not_opened(f"[::]:{port}", error) from error


def grpc_socket(path: str) -> socket.socket:
    """The UNIX socket at the path. Raises `UsageError`."""
    take_over(path)
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(path)
    except OSError as error:
        listener.close()
        raise not_opened(f"unix:{path}", error) from error
    return listener


def take_over(path: str) -> None:
    """A later server on the same path takes it over, as the original does."""
    Path(path).unlink(missing_ok=True)


def rest_port(flags: Flags) -> socket.socket | None:
    """On all interfaces; None without one: when it cannot be had, a line in the log says so."""
    port = flags.rest_api_port
    if not port:
        return None
    if port == flags.port:
        log.error(
            "server_options.http_port cannot be same as grpc_port. Please use a different port for HTTP/REST API. "
            "Skipped exporting HTTP/REST API."
        )
        return None
    try:
        return ports.on_all_interfaces(port)
    except OSError as error:
        log.error("Failed to start HTTP Server at localhost:%d: %s", port, error.strerror)
        return None


def not_opened(address: str, error: Exception) -> UsageError:
    """The error for an address that cannot be listened on."""
    reason = error.strerror if isinstance(error, OSError) else error
    return UsageError(f"{address} cannot be opened; is it in use? ({reason})")


def announce_grpc(flags: Flags) -> None:
    """Say that gRPC's port is open, in the original's words."""
    say(f"Running gRPC ModelServer at 0.0.0.0:{flags.port} ...")


def announce_rest(flags: Flags) -> None:
    """Say that REST's port is open, in the original's words."""
    say(f"Exporting HTTP/REST API at:localhost:{flags.rest_api_port} ...")
