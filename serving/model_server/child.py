"""One process of several of `signet model-server`: its models, and connections that come from its parent.

begin ──▶ models load ──▶ connections are taken, "started" ──▶ drain ──▶ stop: calls in flight finish ──▶ exit 0
parent gone ──▶ drain, for connections that are kept ──▶ calls in flight finish, exit 0
"""

import asyncio
from collections.abc import Mapping
from functools import partial

import uvloop

from signet.serving.model_server.processes import Argument
from signet.serving.model_server.server import Apis, ModelServer
from signet.serving.process import log_lines, output
from signet.serving.process.child import Parent, answered_in_loop, in_loop
from signet.serving.process.conversation import Handler


def run(parent: Parent, argument: Argument) -> None:
    """Serve until the parent says stop, or is gone. Raises `SignetError` for what keeps it from starting."""
    output.log_to_stderr("INFO", log_lines.formatter(log_lines.form(argument.flags.log_format), parent.place + 1))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(_serve(parent, argument))


async def _serve(parent: Parent, argument: Argument) -> None:
    stop = asyncio.Event()
    apis: Apis | None = None

    def drain() -> None:
        if apis:
            apis.drain()

    def orphaned() -> None:
        drain()
        asyncio.get_running_loop().call_later(argument.flags.drain_s, stop.set)

    server = ModelServer(argument.flags, argument.models, parent)
    repository = server.repository
    handlers: Mapping[str, Handler] = {
        "counts": lambda _: server.monitoring.told(),
        "statuses": repository.statuses,
        "check": server.reloader.check,
        "switch": answered_in_loop(server.reloader.switch),
        "look": lambda _: repository.look(),
        "drain": in_loop(lambda _: drain()),
        "stop": in_loop(lambda _: stop.set()),
    }
    repository.start()
    parent.listen(handlers, partial(in_loop(lambda _: orphaned()), None), argument.leave_s)
    telling = asyncio.create_task(parent.keep_telling(lambda: {"ready": apis is not None}))
    try:
        await (server.looked_at(stop) if argument.service_has_started else server.loaded(stop))
        if not stop.is_set():
            apis = Apis(server)
            taker = parent.take_connections(await apis.adopt())
            parent.tell("state", {"ready": True})
            parent.tell("started")
            await stop.wait()
            await taker.ended.wait()
            await apis.stop()
    finally:
        telling.cancel()
        await server.stop()
