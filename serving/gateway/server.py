"""`signet serve`: the gateway on its ports, from start to graceful shutdown.

ports bound ──▶ /livez answers ──▶ models load ──▶ /readyz turns 200, addresses printed
SIGTERM, Ctrl-C ──▶ /readyz turns 503, connections end with their next answer ──▶ drain_s later no new ones ──▶ requests in
                    flight end ──▶ exit 0; after Ctrl-C the drain is over when nobody is connected
SIGHUP ──▶ versions are looked at once       second SIGTERM, Ctrl-C ──▶ exit 143, 130 at once

Several processes: `processes.py` is their parent's part of this, `child.py` that of each.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterator
from functools import partial

from signet.serving.gateway.access import binding
from signet.serving.gateway.app import Gateway
from signet.serving.gateway.grpc.pipeline import GrpcServices
from signet.serving.gateway.grpc.server import GrpcServer
from signet.serving.gateway.grpc.v1 import GrpcV1
from signet.serving.gateway.grpc.v2 import GrpcV2
from signet.serving.gateway.http.admin import AdminServer
from signet.serving.gateway.http.pipeline import refused
from signet.serving.gateway.openapi import examples
from signet.serving.gateway.settings import Settings
from signet.serving.http.server import HttpServer, Limits
from signet.serving.json_arrays.number_nests import READ_BY
from signet.serving.models.model_store import ModelStore, following
from signet.serving.process import gc_tuning, log_lines, open_files, output, ports, signals
from signet.serving.process.draining import drain
from signet.serving.process.output import say
from signet.serving.process.supervision import Failures
from signet.serving.releases.store import pinned
from signet.serving.tls.credentials import HTTP1

log = logging.getLogger(__name__)

_MAX_HEAD_BYTES = 1 << 16
"""Most bytes of a request's line and headers."""


def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises `UsageError` for what keeps it from starting."""
    output.log_to_stderr(settings.log_level.upper(), log_lines.formatter(settings.log_format))
    signals.ignore_hangups()
    binding.check(settings)
    failures = Failures()
    store = _store(settings)
    with following(store, settings.store_poll_s, failures) if store else contextlib.nullcontext():
        gateway = Gateway(settings, failures=failures)
        if store:
            gateway.metrics.watch_store(store)
        with (
            ports.listen(settings.host, settings.http_port, "--http-port") as listener,
            _admin(gateway) as admin,
            asyncio.Runner(loop_factory=new_loop) as runner,
        ):
            runner.run(_serve(gateway, listener, admin))


def _store(settings: Settings) -> ModelStore | None:
    """What the folder of models follows."""
    if not settings.model_store or settings.models_dir is None:
        return None
    return ModelStore(
        settings.model_store, settings.models_dir, pinned=pinned(settings.model_store, settings.models_dir)
    )


def new_loop() -> asyncio.AbstractEventLoop:
    """The kind of event loop that servers run in."""
    import uvloop  # noqa: PLC0415

    return uvloop.new_event_loop()


@contextlib.contextmanager
def _admin(gateway: Gateway) -> Iterator[AdminServer | None]:
    """The port of probes, if one is wanted; it answers until all else has ended."""
    settings = gateway.settings
    if settings.admin_port is None:
        yield None
        return
    with ports.listen(settings.host, settings.admin_port, "--admin-port") as listener:
        admin = AdminServer(gateway.probes, listener)
        admin.start()
        try:
            yield admin
        finally:
            admin.stop()


async def _serve(gateway: Gateway, listener: socket.socket, admin: AdminServer | None) -> None:
    settings = gateway.settings
    stop = signals.Stop()
    tasks: set[asyncio.Task[None]] = set()

    def poll_now() -> None:
        """What files say of labels needs no look: it is read anew when they change."""
        task = asyncio.create_task(gateway.backend.poll_now())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def look() -> None:
        gateway.look()
        poll_now()

    signals.install_handlers(stop, look)
    gateway.start()
    if admin:
        tasks.add(asyncio.create_task(admin.heartbeat()))
    server = create_http_server(gateway)
    grpc_server = create_grpc_server(gateway) if settings.grpc else None
    grpc_port = await grpc_server.start(gateway.budget, gateway.shed) if grpc_server else None
    gateway.grpc_port = grpc_port
    await server.start(listener)
    try:
        await run_until(stop, gateway.backend.start())
        if not stop.is_set():
            gc_tuning.freeze_startup_objects()
            log.info("long lists of numbers in JSON are read by %s", READ_BY)
            _announce(gateway, listener, grpc_port)
            await stop.wait()
            begin_drain(gateway, server, grpc_server)
            log.info("stopping: %g seconds of drain, then requests in flight end", settings.drain_s)
            await drain(stop, settings.drain_s, lambda: connections(server, grpc_server))
    finally:
        await end(gateway, server, grpc_server)
        for task in tasks:
            task.cancel()


def create_http_server(gateway: Gateway, closed: Callable[[], None] = lambda: None) -> HttpServer:
    """The HTTP port of a gateway. closed: told when a connection has ended."""
    settings = gateway.settings
    return HttpServer(
        gateway.handle,
        limits(settings, open_files.connections(settings.max_connections)),
        refused,
        budget=gateway.budget,
        shed=gateway.shed,
        door=gateway.door,
        completion=gateway.complete,
        closed=closed,
        tls=partial(gateway.tls.context, HTTP1) if gateway.tls else None,
    )


def begin_drain(gateway: Gateway, server: HttpServer, grpc_server: GrpcServer | None) -> None:
    """Say everywhere that this server is about to stop: readiness, health, answers, GOAWAY."""
    gateway.drain()
    server.drain()
    if grpc_server:
        grpc_server.drain()


def connections(server: HttpServer, grpc_server: GrpcServer | None) -> int:
    """How many connections there are on both ports."""
    return len(server.connections) + (grpc_server.connections if grpc_server else 0)


async def end(gateway: Gateway, server: HttpServer, grpc_server: GrpcServer | None) -> None:
    """Let the requests in flight end, then let go of everything."""
    gateway.drain()
    grace_s = gateway.settings.shutdown_s
    await asyncio.gather(server.stop(grace_s), *([grpc_server.stop(grace_s)] if grpc_server else []))
    await gateway.stop()


def create_grpc_server(gateway: Gateway) -> GrpcServer:
    """The gRPC port of a gateway: both dialects behind one pipeline."""
    shared = GrpcServices(gateway.inference, gateway.offload, gateway.budget, gateway.call_failed)
    v1, v2 = GrpcV1(gateway.inference, gateway.backend), GrpcV2(gateway.open_inference)
    services = {**v1.services(shared), **v2.services(shared)}
    return GrpcServer(gateway.settings, services, gateway.readiness, shared.guarded, gateway.tls)


def limits(settings: Settings, connections: int) -> Limits:
    """What the HTTP server takes of a stranger. connections: as many as there is room for."""
    return Limits(
        head_bytes=_MAX_HEAD_BYTES,
        body_bytes=settings.max_body_bytes,
        request_s=settings.request_timeout_s,
        connections=connections,
        address_connections=min(settings.max_connections_per_address, connections),
        cancels=True,
    )


async def run_until(stop: asyncio.Event, work: object) -> None:
    """Do the work, unless the stop comes first."""
    task = asyncio.ensure_future(work)  # type: ignore[call-overload]
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if task.done():
        task.result()
        return
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _announce(gateway: Gateway, listener: socket.socket, grpc_port: int | None) -> None:
    host, port = listener.getsockname()[:2]
    say(announcement(gateway, host, port, grpc_port))


def announcement(gateway: Gateway, host: str, port: int, grpc_port: int | None) -> str:
    """What is said when the models have been looked at: addresses, and what is served or why not; then commands to try."""
    name = "localhost" if host in ("127.0.0.1", ports.EVERYWHERE) else host
    url = f"{'https' if gateway.tls else 'http'}://{name}:{port}"
    places = url if grpc_port is None else f"{url} (gRPC: {name}:{grpc_port})"
    missing = gateway.backend.missing()
    served = [model for model in gateway.backend.models if model not in missing]
    if gateway.readiness.own:
        text = f"Signet is ready at {places}, serving {log_lines.one_line(', '.join(served))}. Ctrl-C stops it."
    else:
        reasons = [gateway.backend.why_missing(model) for model in gateway.backend.unready()]
        why = "; ".join(reasons) or f"there is no model in {gateway.settings.models_dir} yet"
        text = f"Signet is at {places}, not ready yet: {log_lines.one_line(why)}"
    text += f"\nPage: {url}"
    if gateway.settings.models_dir:
        commands = examples.curl_commands(gateway.settings.models_dir, served, url)
        if commands:
            text += "\n\nTry:\n\n  " + "\n\n  ".join(commands) + "\n"
    return text
