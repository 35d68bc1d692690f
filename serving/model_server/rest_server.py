"""The port of the REST API, in the event loop that gRPC uses."""

import logging
import socket

from serving.http_server import HttpServer, Limits
from serving.model_server.rest_service import RestService

log = logging.getLogger(__name__)

LIMITS = Limits(body_bytes=1 << 30, request_s=120.0, checks_host=False)
"""The original has no bounds but libevent's 50 s without a byte; `Host` is as optional as there (`no_host` is recorded)."""


async def start(service: RestService, port: int, grpc_port: int) -> HttpServer | None:
    """Open the port; when it cannot be had, a line in the log says so and the server goes on without it."""
    if port == grpc_port:
        log.error(
            "server_options.http_port cannot be same as grpc_port. Please use a different port for HTTP/REST API. "
            "Skipped exporting HTTP/REST API."
        )
        return None
    try:
        listener = _listen(port)
    except OSError as error:
        log.error("Failed to start HTTP Server at localhost:%d: %s", port, error.strerror)
        return None
    server = HttpServer(service.answer, LIMITS, service.refused)
    await server.start(listener)
    print(f"Exporting HTTP/REST API at:localhost:{port} ...", flush=True)
    return server


def _listen(port: int) -> socket.socket:
    """A socket on all interfaces, for IPv6 and IPv4, or for IPv4 alone where there is nothing else."""
    if not socket.has_dualstack_ipv6():
        return socket.create_server(("", port))
    return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
