"""The HTTP server of the REST API, in the event loop that gRPC uses."""

from dataclasses import replace

from signet.serving.http.server import HttpServer, Limits, Request, answered_by
from signet.serving.model_server.rest import routes
from signet.serving.model_server.rest.service import RestService
from signet.serving.model_server.tracing import Tracing
from signet.serving.process import open_files
from signet.serving.process.byte_budget import ByteBudget
from signet.serving.process.child import Parent
from signet.serving.process.cores import ALONE, Share
from signet.serving.process.handing_over import HTTP

MAX_CONNECTIONS = 4096
"""Most connections: for one more the longest idle one is closed; from one address there may be half as many."""

LIMITS = Limits(body_bytes=1 << 30, request_s=120.0, checks_host=False)
"""The original has no bounds but libevent's 50 s without a byte; `Host` is as optional as there (`no_host` is recorded)."""


def create_server(
    service: RestService, budget: ByteBudget, parent: Parent | None, tracing: Tracing | None
) -> HttpServer:
    """A server that listens nowhere yet. parent: of this process, where it is one of several. tracing: None where it is off."""
    share = Share(parent.place, parent.places) if parent else ALONE
    connections = share.of(MAX_CONNECTIONS)
    limits = replace(
        LIMITS, connections=open_files.connections(connections), address_connections=max(1, connections // 2)
    )
    return HttpServer(
        answered_by(tracing.rest(service.answer, _route) if tracing else service.answer),
        limits,
        service.refused,
        budget=budget,
        closed=parent.closed(HTTP) if parent else lambda: None,
    )


def _route(request: Request) -> str:
    """A path with names in the place of what differs."""
    target = routes.parse(request.method, request.path)
    return f"/v1/models/{{model}}:{target.verb}" if target else "unknown"
