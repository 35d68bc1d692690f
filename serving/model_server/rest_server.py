"""The port of the REST API: uvicorn in the event loop that gRPC uses, and libevent's answers to what is no HTTP."""

import asyncio
import contextlib
import logging
import re
import socket
from collections.abc import Iterator
from http import HTTPStatus

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.model_server.rest_service import RestService, html

log = logging.getLogger(__name__)

KEEP_ALIVE_S = 50
"""Seconds that a connection may be idle; libevent's default."""

_BACKLOG = 2048
_REQUEST_LINE = re.compile(rb"[A-Z]+ \S+ HTTP/1\.[01]\r?\n")


class RestServer:
    """Answers until `stop`."""

    def __init__(self, service: RestService, listener: socket.socket, drain_s: float) -> None:
        """drain_s: seconds that requests in flight have to finish in `stop`."""
        self._server = _Server(
            uvicorn.Config(
                service,
                log_config=None,
                log_level="warning",
                access_log=False,
                lifespan="off",
                ws="none",
                http=_Protocol,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=max(1, int(drain_s)),
            )
        )
        listener.listen(_BACKLOG)  # who connects from now on is answered
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))

    async def stop(self) -> None:
        """Take no new requests; give those in flight their time."""
        self._server.should_exit = True
        await self._serving


def start(service: RestService, port: int, grpc_port: int, drain_s: float) -> RestServer | None:
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
    server = RestServer(service, listener, drain_s)
    print(f"Exporting HTTP/REST API at:localhost:{port} ...", flush=True)
    return server


class _Server(uvicorn.Server):
    """uvicorn without its signal handling: the program's own drains both ports."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Protocol(HttpToolsProtocol):
    """uvicorn's connection, with libevent's pages for what cannot be parsed."""

    _received = b""

    def data_received(self, data: bytes) -> None:
        self._received = data
        super().data_received(data)

    def send_400_response(self, msg: str) -> None:
        well_formed = _REQUEST_LINE.match(self._received)  # then its method is not known
        status, body, headers = html(HTTPStatus.NOT_IMPLEMENTED if well_formed else HTTPStatus.BAD_REQUEST)
        phrase = HTTPStatus(status).phrase
        lines = [b"HTTP/1.1 %d %b" % (status, phrase.encode())]
        lines += [b"%b: %b" % header for header in (*headers, (b"content-length", b"%d" % len(body)))]
        self.transport.write(b"\r\n".join([*lines, b"", body]))
        self.transport.close()


def _listen(port: int) -> socket.socket:
    """A socket on all interfaces, for IPv6 and IPv4, or for IPv4 alone where there is nothing else."""
    if not socket.has_dualstack_ipv6():
        return socket.create_server(("", port))
    return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
