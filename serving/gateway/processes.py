"""`signet serve --processes N`: the parent of N processes, each a gateway with an engine of its own (`child.py`).

ports bound ──▶ N children ──▶ connections go to the child with the fewest ──▶ all ready: /readyz turns 200, addresses printed
SIGTERM, Ctrl-C ──▶ /readyz turns 503 everywhere ──▶ drain_s later no new connections ──▶ children end ──▶ exit 0
SIGHUP ──▶ all look                second SIGTERM, Ctrl-C ──▶ all are killed, exit 143, 130

The parent answers nothing but the admin port: it imports neither TensorFlow nor FastAPI, and takes a tenth of a child's memory.
The service is ready once all processes have been, and from then on while one is: connections go to those that are. So a
process that is restarted takes no traffic before its models are loaded, and takes none from the others.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import uvloop
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from signet.serving.gateway import certificates
from signet.serving.gateway.access import binding, key_file
from signet.serving.gateway.grpc import port as grpc_port
from signet.serving.gateway.http.admin import AdminServer
from signet.serving.gateway.http.json_response import json_response, metrics_response, ready_response, wants_openmetrics
from signet.serving.gateway.settings import Settings
from signet.serving.http.server import Request, Response
from signet.serving.models.model_store import ModelStore, following
from signet.serving.process import combining, log_lines, output, ports, signals
from signet.serving.process.child import ANSWERS_S
from signet.serving.process.children import Children
from signet.serving.process.concurrency import until
from signet.serving.process.draining import drain
from signet.serving.process.handing_over import GRPC, HTTP, HandingOver
from signet.serving.process.output import say
from signet.serving.process.ports import prepare
from signet.serving.process.supervision import Failures
from signet.serving.releases.store import pinned

log = logging.getLogger(__name__)

CHILD = "signet.serving.gateway.child:run"

_KNOWN_S = 2.0
"""Seconds in which a child says what it knows of a release."""

_LEAVE_S = 60.0
"""Seconds beyond `drain_s` and `shutdown_s` in which a child frees its models; then it is killed."""


def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises `UsageError` for what keeps it from starting, or from going on."""
    output.log_to_stderr(settings.log_level.upper(), log_lines.formatter(settings.log_format))
    signals.ignore_hangups()
    binding.check(settings)
    certificates.of_settings(settings)  # says what is wrong with them before there are processes
    if settings.keys:
        key_file.read(settings.keys)
    failures = Failures()
    store = (
        ModelStore(settings.model_store, settings.models_dir, pinned=pinned(settings.model_store, settings.models_dir))
        if settings.model_store and settings.models_dir
        else None
    )
    with (
        following(store, settings.store_poll_s, failures) if store else contextlib.nullcontext(),
        ports.listen(settings.host, settings.http_port, "--http-port") as listener,
        _grpc_port(settings) as grpc_listener,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_Service(settings, store, failures).serve(listener, grpc_listener))


def _grpc_port(settings: Settings) -> contextlib.AbstractContextManager[socket.socket | None]:
    """The gRPC port: what the parent accepts on, or what keeps it for children that do; None without gRPC."""
    if not settings.grpc:
        return contextlib.nullcontext()
    return grpc_port.reserve(settings) if settings.grpc_transport == "grpcio" else grpc_port.listen(settings)


class Argument(NamedTuple):
    """What each process is handed."""

    settings: Settings
    """Its share of the limits, and the gRPC port that all share."""
    http_port: int
    """Where the parent listens."""
    leave_s: float
    """Seconds after which it ends even with requests in flight, once its parent is gone."""


class _Service:
    """All processes together. For the parent's event loop, but for `state`, which any thread may read."""

    def __init__(self, settings: Settings, store: ModelStore | None, failures: Failures) -> None:
        self._settings, self._store, self._failures = settings, store, failures
        self._was_ready = self._draining = False
        self.state: Mapping[str, Any] = service_state([], 0, was_ready=False, draining=False)
        """What /readyz tells; replaced as a whole."""
        self.paths: Mapping[bytes, Callable[[Request], Response]] = {
            b"/livez": lambda _: json_response({"live": True}),
            b"/readyz": lambda _: ready_response(self.state),
            b"/metrics": self._metrics,
        }
        """The answers of the admin port, whose thread asks."""
        self._loop: asyncio.AbstractEventLoop | None = None

    async def serve(self, listener: socket.socket, grpc_listener: socket.socket | None) -> None:
        settings, stop, self._loop = self._settings, signals.Stop(), asyncio.get_running_loop()
        own = settings
        if grpc_listener:
            own = settings.model_copy(update={"grpc_port": grpc_listener.getsockname()[1]})
        http_port, leave_s = listener.getsockname()[1], settings.drain_s + settings.shutdown_s + _LEAVE_S
        children = self._children = Children(
            CHILD,
            [Argument(own.of_process(place), http_port, leave_s) for place in range(settings.processes)],
            {
                "release": lambda model: children.in_loop(children.ask("release", model, _KNOWN_S)),
                "released": lambda _: children.tell("released"),
            },
            self._changed,
        )
        if self._store:
            children.registry.register(_StoreMetrics(self._store, self._failures))
        signals.install_handlers(stop, lambda: children.tell("look"), children.kill)
        handing_over = HandingOver(lambda: children.recipients)
        prepare(listener)
        async with self._admin():
            children.start()
            handing_over.listen(listener, HTTP)
            if grpc_listener and settings.grpc_transport == "own":
                prepare(grpc_listener)
                handing_over.listen(grpc_listener, GRPC)
            try:
                await until(stop, children.first_start)
                if not stop.is_set():
                    await self._announce(children.first_start.result()[0])
                    await until(stop, children.failed)
                    self._draining = True
                    self._changed()
                    children.drain()
                    log.info("stopping: %g seconds of drain, then requests in flight end", settings.drain_s)
                    await drain(stop, settings.drain_s, lambda: children.connections)
            finally:
                handing_over.stop()
                await children.stop(leave_s)

    async def _announce(self, text: str) -> None:
        """Say what the first process says, once all know that the service is ready."""
        self._changed()
        await self._children.ask("service", self.state)
        say(text)
        say(self._children.cost())

    def _changed(self) -> None:
        """The state of a process is another, or the service's own."""
        living = [{**one.state, "ready": one.ready} for one in self._children.all if one.state and not one.gone]
        state = service_state(living, self._children.count, was_ready=self._was_ready, draining=self._draining)
        self._was_ready |= bool(state["ready"])
        if state != self.state:
            self.state = state
            self._children.tell("service", state)

    def _metrics(self, request: Request) -> Response:
        """In the thread of the admin port."""
        assert self._loop, "the port opens when the loop runs"
        try:
            counts = asyncio.run_coroutine_threadsafe(self._children.counts(), self._loop).result(ANSWERS_S)
        except TimeoutError:
            return json_response({"error": "the processes of this service do not tell their counts in time"}, 503)
        openmetrics = wants_openmetrics(request.headers.get(b"accept"))
        return metrics_response(combining.text(counts["metrics"], openmetrics=openmetrics), openmetrics=openmetrics)

    @contextlib.asynccontextmanager
    async def _admin(self) -> AsyncIterator[None]:
        """The port of probes, if one is wanted; it answers until all else has ended."""
        settings = self._settings
        if settings.admin_port is None:
            yield
            return
        with ports.listen(settings.host, settings.admin_port, "--admin-port") as listener:
            admin = AdminServer(self, listener)
            admin.start()
            beating = asyncio.create_task(admin.heartbeat())
            try:
                yield
            finally:
                beating.cancel()
                await asyncio.to_thread(admin.stop)  # its thread may be waiting for this loop


def service_state(
    states: Sequence[Mapping[str, Any]], processes: int, *, was_ready: bool, draining: bool
) -> Mapping[str, Any]:
    """What /readyz tells of a service, from what it would tell of each living process.

    was_ready: whether all of its `processes` have been ready once: from then on one is enough.
    """
    ready_ones = [state for state in states if state["ready"]]
    ready = not draining and (bool(ready_ones) if was_ready else len(ready_ones) == processes)
    models = dict.fromkeys(model for state in states for model in state["models"])
    missing = dict.fromkeys(model for state in states for model in state["missing"])
    why = dict.fromkeys(reason for state in states for reason in state["why"])
    lacks = {"missing": [], "why": []} if ready else {"missing": list(missing), "why": list(why)}
    told = {"ready": ready, "draining": draining, "models": list(models), **lacks}
    releases = dict.fromkeys(problem for state in states for problem in state.get("releases", ()))
    return {**told, "releases": list(releases)} if releases else told


class _StoreMetrics(Collector):
    """What the parent, which alone follows the store, tells of that."""

    def __init__(self, store: ModelStore, failures: Failures) -> None:
        self._store, self._failures = store, failures

    def collect(self) -> Iterator[Metric]:
        synced = GaugeMetricFamily(
            "signet_model_store_synced_timestamp_seconds",
            "When the folder of models was last as the store is, in seconds since 1970.",
        )
        synced.add_metric([], self._store.synced_s)
        yield synced
        yield self._failures.family()
