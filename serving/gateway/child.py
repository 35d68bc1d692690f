"""One process of several of `signet serve`: a gateway whose connections and signals come from its parent.

parent hands over connections ──▶ models load ──▶ "started" ──▶ drain ──▶ stop: requests in flight end ──▶ exit 0
parent gone ──▶ drain, for connections that are kept ──▶ requests in flight end, exit 0
"""

import asyncio
from functools import partial

from signet.serving.gateway.app import Gateway
from signet.serving.gateway.processes import Argument
from signet.serving.gateway.server import (
    announcement,
    begin_drain,
    create_grpc_server,
    create_http_server,
    end,
    new_loop,
    run_until,
)
from signet.serving.process import gc_tuning, log_lines, output
from signet.serving.process.child import Parent, answered_in_loop, in_loop
from signet.serving.process.handing_over import GRPC, HTTP


def run(parent: Parent, argument: Argument) -> None:
    """Serve until the parent says stop, or is gone. Raises `UsageError` for what keeps it from starting."""
    settings = argument.settings
    output.log_to_stderr(settings.log_level.upper(), log_lines.formatter(settings.log_format, parent.place + 1))
    gateway = Gateway(settings, parent=parent)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_serve(gateway, parent, argument))


async def _serve(gateway: Gateway, parent: Parent, argument: Argument) -> None:
    settings, readiness = gateway.settings, gateway.readiness
    stop = asyncio.Event()
    tasks = {asyncio.create_task(parent.keep_telling(readiness.state))}

    def orphaned() -> None:
        begin_drain(gateway, server, grpc_server)
        readiness.service = readiness.state()  # nobody else tells any more
        asyncio.get_running_loop().call_later(settings.drain_s, stop.set)

    def look(_: object) -> None:
        gateway.look()
        task = asyncio.create_task(gateway.backend.poll_now())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def known(model: str) -> object:
        return gateway.releases.known(model) if gateway.releases else None

    def released(_: object) -> None:
        if gateway.releases:
            gateway.releases.look()

    readiness.service = {**readiness.state(), "ready": False}
    gateway.start()
    server = create_http_server(gateway, parent.closed(HTTP))
    grpc_server = create_grpc_server(gateway) if settings.grpc else None
    grpc_port = None
    takers = {HTTP: server.adopt}
    if grpc_server:
        grpc_port = await grpc_server.start(gateway.budget, gateway.shed, parent.closed(GRPC), listens=False)
        gateway.grpc_port = grpc_port
        takers[GRPC] = grpc_server.adopt
    await server.start(None)
    stop_soon = in_loop(lambda _: stop.set())
    handlers = {
        "counts": lambda _: gateway.probes.counts(),
        "service": in_loop(lambda state: setattr(readiness, "service", state)),
        "look": in_loop(look),
        "release": answered_in_loop(known),
        "released": in_loop(released),
        "drain": in_loop(lambda _: begin_drain(gateway, server, grpc_server)),
        "stop": stop_soon,
    }
    parent.listen(handlers, partial(in_loop(lambda _: orphaned()), None), argument.leave_s)
    taker = parent.take_connections(takers)
    try:
        await run_until(stop, gateway.backend.start())
        if not stop.is_set():
            gc_tuning.freeze_startup_objects()
            parent.tell("state", readiness.state())
            parent.tell("started", announcement(gateway, settings.host, argument.http_port, grpc_port))
            await stop.wait()
        await taker.ended.wait()
    finally:
        await end(gateway, server, grpc_server)
        for task in tasks:
            task.cancel()
