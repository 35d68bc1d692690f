"""`signet serve`: the gateway on its ports, from start to drained stop.

ports bound ──▶ /livez answers ──▶ models load ──▶ /readyz turns 200, addresses printed
SIGTERM, Ctrl-C ──▶ /readyz turns 503 ──▶ drain_s later no new connections ──▶ requests in flight end ──▶ exit 0
"""

import asyncio
import contextlib
import logging
import signal
import socket
from contextlib import AbstractContextManager

from serving import garbage, log_lines
from serving.errors import UsageError
from serving.gateway import examples
from serving.gateway.app import Gateway
from serving.gateway.frame import refused
from serving.gateway.grpc_server import GrpcServer
from serving.gateway.settings import Settings
from serving.http_server import HttpServer, Limits
from serving.model_store import ModelStore, following

log = logging.getLogger(__name__)

_MAX_HEAD_BYTES = 1 << 16
"""Most bytes of a request's line and headers."""


def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises `UsageError` for what keeps it from starting."""
    log_lines.log_to_stderr(settings.log_level.upper(), "%(levelname)s %(message)s")
    with _store(settings):
        gateway = Gateway(settings)
        with _listen(settings.host, settings.http_port) as listener, asyncio.Runner(loop_factory=_loop) as runner:
            runner.run(_serve(gateway, listener))


def _store(settings: Settings) -> AbstractContextManager[None]:
    """The folder of models is there and follows the store, if there is one."""
    if not settings.model_store or settings.models_dir is None:
        return contextlib.nullcontext()
    return following(ModelStore(settings.model_store, settings.models_dir), settings.store_poll_s)


def _loop() -> asyncio.AbstractEventLoop:
    import uvloop  # noqa: PLC0415

    return uvloop.new_event_loop()


async def _serve(gateway: Gateway, listener: socket.socket) -> None:
    settings = gateway.settings
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = HttpServer(gateway.answer, limits(settings), refused)
    grpc_server = GrpcServer(gateway) if settings.grpc else None
    grpc_port = await grpc_server.start() if grpc_server else None
    await server.start(listener)
    try:
        await _until(stop, gateway.backend.start())
        if not stop.is_set():
            garbage.leave_out_what_is_there()
            _announce(gateway, listener, grpc_port)
            await stop.wait()
        gateway.drain()
        log.info("stopping: %d seconds of drain, then requests in flight end", settings.drain_s)
        await asyncio.sleep(settings.drain_s)
    finally:
        stops = [server.stop(settings.shutdown_s), *([grpc_server.stop(settings.shutdown_s)] if grpc_server else [])]
        await asyncio.gather(*stops)
        await gateway.stop()


def limits(settings: Settings) -> Limits:
    """What the HTTP server takes of a stranger."""
    return Limits(
        head_bytes=_MAX_HEAD_BYTES,
        body_bytes=settings.max_body_bytes,
        request_s=settings.request_timeout_s,
        connections=settings.max_connections,
        cancels=True,
    )


async def _until(stop: asyncio.Event, work: object) -> None:
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


def _listen(host: str, port: int) -> socket.socket:
    """A bound socket; `UsageError` names the port that is in use."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise UsageError(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another with --http-port"
        ) from error
    return listener


def _announce(gateway: Gateway, listener: socket.socket, grpc_port: int | None) -> None:
    host, port = listener.getsockname()[:2]
    name = "localhost" if host in ("127.0.0.1", "0.0.0.0") else host  # noqa: S104  # a comparison
    url = f"http://{name}:{port}"
    places = url if grpc_port is None else f"{url} (gRPC: {name}:{grpc_port})"
    models = log_lines.one_line(", ".join(gateway.backend.models))
    if missing := log_lines.one_line(", ".join(gateway.backend.missing())):
        print(f"Signet is at {places}, not ready yet: no version of {missing} is available.", flush=True)
    else:
        print(f"Signet is ready at {places}, serving {models}. Ctrl-C stops it.", flush=True)
    if gateway.settings.models_dir:
        commands = examples.curl_commands(gateway.settings.models_dir, gateway.backend.models, url)
        if commands:
            print("\nTry:\n\n  " + "\n\n  ".join(commands) + "\n", flush=True)
