"""The port of the REST API, in the event loop that gRPC uses."""

import logging
import socket
from dataclasses import replace

from signet.serving.http.server import HttpServer, Limits, answered_by
from signet.serving.model_server.rest.service import RestService
from signet.serving.process import open_files
from signet.serving.process.byte_budget import ByteBudget
from signet.serving.process.output import say

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 4096
"""Most connections: for one more the longest idle one is closed; from one address there may be half as many."""

LIMITS = Limits(body_bytes=1 << 30, request_s=120.0, address_connections=MAX_CONNECTIONS // 2, checks_host=False)
"""The original has no bounds but libevent's 50 s without a byte; `Host` is as optional as there (`no_host` is recorded)."""


async def start_server(service: RestService, port: int, grpc_port: int, budget: ByteBudget) -> HttpServer | None:
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
    limits = replace(LIMITS, connections=open_files.connections(MAX_CONNECTIONS))
    server = HttpServer(answered_by(service.answer), limits, service.refused, budget=budget)
    await server.start(listener)
    say(f"Exporting HTTP/REST API at:localhost:{port} ...")
    return server


def _listen(port: int) -> socket.socket:
    """A socket on all interfaces, for IPv6 and IPv4, or for IPv4 alone where there is nothing else."""
    if not socket.has_dualstack_ipv6():
        return socket.create_server(("", port))
    return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
