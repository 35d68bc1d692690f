"""One process's models, and TensorFlow Serving's APIs in front of them.

    flags, models ──▶ ModelServer: repository loads them ──▶ Apis ──▶ ports, or connections from the parent
    SIGTERM ──▶ drain ──▶ calls in flight finish

`serve` is a service of one process; `processes.py` and `child.py` are one of several.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from socket import socket

from signet.serving.engine.following import Rules
from signet.serving.engine.loading import Loader
from signet.serving.engine.repository import Repository
from signet.serving.engine.runner import Runner
from signet.serving.errors import InvalidInput, UsageError
from signet.serving.json_arrays.number_nests import READ_BY
from signet.serving.model_server import listeners, served_models, session_config
from signet.serving.model_server.all_processes import AllProcesses, OneOfSeveral, OnlyProcess
from signet.serving.model_server.flags import Flags
from signet.serving.model_server.grpc import handlers
from signet.serving.model_server.grpc.server import GrpcServer
from signet.serving.model_server.monitoring import Monitoring
from signet.serving.model_server.reload import Reloader, available, failures, listed, settled
from signet.serving.model_server.rest.server import create_server
from signet.serving.model_server.rest.service import RestService
from signet.serving.model_server.services import ModelService, PredictionService
from signet.serving.model_server.tfs_batching import parameters
from signet.serving.model_server.tfs_batching.parameters import BatchingSettings
from signet.serving.model_server.tfs_batching.scheduler import BatchScheduler
from signet.serving.model_server.tracing import Tracing
from signet.serving.models.model_config import ModelConfig
from signet.serving.offload.pool import Offload
from signet.serving.process import gc_tuning, signals
from signet.serving.process.byte_budget import ByteBudget
from signet.serving.process.child import Parent
from signet.serving.process.cores import ALONE, Share
from signet.serving.process.draining import drain
from signet.serving.process.handing_over import GRPC, HTTP
from signet.serving.release import running_version
from signet.serving.tracing import exporting
from signet.serving.tracing.sampler import Sampler

log = logging.getLogger(__name__)

SHUTDOWN_S = 30.0
"""Seconds that calls in flight have to finish once the server has drained."""

MAX_BUFFERED_BYTES = 1 << 30
"""Bytes of bodies, messages and unread answers held at once, by all processes; the original has no bound."""


async def serve(flags: Flags) -> None:
    """Load the models, then answer until a signal comes."""
    stopped, look = signals.Stop(), asyncio.Event()
    signals.install_handlers(stopped, lambda: None)
    server = ModelServer(flags, served_models.of_flags(flags))

    def hung_up() -> None:
        server.repository.look()
        look.set()

    signals.install_handlers(stopped, hung_up)
    server.repository.start()
    try:
        await server.loaded(stopped)
        if not stopped.is_set():
            apis = Apis(server)
            await apis.listen()
            work = served_models.poll(flags, look, server.reloader.apply, server.monitoring.failures)
            polling = asyncio.create_task(work)
            await stopped.wait()
            polling.cancel()
            apis.drain()
            log.info("stopping: %g seconds of drain, then calls in flight end", flags.drain_s)
            await drain(stopped, flags.drain_s, lambda: apis.connections)
            await apis.stop()
    finally:
        await server.stop()


class ModelServer:
    """The models of one process. For its event loop; `repository`, `reloader.check` and `monitoring.told` for any thread."""

    def __init__(self, flags: Flags, models: Sequence[ModelConfig], parent: Parent | None = None) -> None:
        """parent: of this process, where it is one of several.

        Raises `ServingError` and `UsageError` for flags, and files that they name, that cannot be used.
        """
        if flags.use_alts_credentials and flags.ssl_config_file:
            raise InvalidInput("use_alts_credentials and ssl_config_file are both set; expected one of them")
        log.info("long lists of numbers in JSON are read by %s", READ_BY)
        self.flags, self.parent = flags, parent
        self.share = Share(parent.place, parent.places) if parent else ALONE
        self.monitoring = Monitoring()
        self._exporter, self.tracing = None, None
        if flags.otlp:
            version, dropped = running_version(), self.monitoring.traces_dropped
            self._exporter = exporting.start(flags.otlp, "signet-model-server", os.environ, version, dropped)
            self.tracing = Tracing(Sampler(flags.otlp_sample), self._exporter.hand_over)
        self.runner = Runner(self.share.threads)
        if batching := _batching(flags, self.share):
            self.runner = BatchScheduler(self.runner, batching)
            self.runner.observe = self.monitoring.batch_ran
        rules = Rules(load_retries=flags.max_num_load_retries, retry_interval_s=flags.load_retry_interval_micros / 1e6)
        self.repository = Repository(
            models,
            poll_s=flags.file_system_poll_wait_seconds,
            rules=rules,
            load=_loader(flags, self.runner, self.monitoring),
            failures=self.monitoring.failures,
        )
        self.monitoring.watch(self.repository)
        self.reloader = Reloader(
            self.repository, allow_unavailable_labels=flags.allow_version_labels_for_unavailable_models
        )
        self.all_processes: AllProcesses = OnlyProcess(self.repository, self.reloader, self.monitoring)
        if parent:
            self.all_processes = OneOfSeveral(parent)

    async def loaded(self, stopped: asyncio.Event) -> None:
        """Until every model has an available version. Raises `UsageError` when one of them ended without."""
        repository = self.repository

        def done() -> bool:
            names = set(repository.models)
            if problems := failures(repository, names):
                raise UsageError(f"UNKNOWN: {len(problems)} servable(s) did not become available: {listed(problems)}")
            return available(repository, names)

        await self._until(done, stopped)

    async def looked_at(self, stopped: asyncio.Event) -> None:
        """Until every model has an available version, has failed, or there is nothing to load in its folder."""
        repository, first = self.repository, set(self.repository.models)

        def done() -> bool:
            looked_at = first if repository.first_pass.is_set() else set()
            return all(settled(repository, {name}) for name in set(repository.models) - looked_at)

        await self._until(done, stopped)

    async def _until(self, done: Callable[[], bool], stopped: asyncio.Event) -> None:
        while not (stopped.is_set() or await asyncio.to_thread(self.repository.wait, lambda _: done(), 0.2)):
            pass

    async def stop(self) -> None:
        """Unload everything."""
        await asyncio.to_thread(self.repository.stop)
        self.runner.close()
        if self._exporter:
            await asyncio.to_thread(self._exporter.stop, exporting.FLUSH_S)


class Apis:
    """gRPC and REST in front of the models, once they are loaded."""

    def __init__(self, server: ModelServer) -> None:
        """Raises `ServingError` and `UsageError` for flags, and files that they name, that cannot be used."""
        flags, repository, monitoring = server.flags, server.repository, server.monitoring
        self._flags, self._offload = flags, Offload(server.share.threads)
        prediction = PredictionService(flags, repository, server.runner, monitoring, self._offload)
        model = ModelService(server.all_processes)
        budget = ByteBudget(server.share.of(MAX_BUFFERED_BYTES))
        services = handlers.services(prediction, model, monitoring, budget, self._offload, server.tracing)
        self._grpc = GrpcServer(flags, services, budget, server.parent, monitoring.failures)
        self._rest = None
        if flags.rest_api_port:
            service = RestService(flags, repository, prediction, model, monitoring, server.all_processes, self._offload)
            self._rest = create_server(service, budget, server.parent, server.tracing)
        gc_tuning.freeze_startup_objects()

    async def listen(self) -> None:
        """Open the ports. Raises `UsageError` when one of gRPC's cannot be had."""
        await self._grpc.start()
        listeners.announce_grpc(self._flags)
        if self._rest and (listener := listeners.rest_port(self._flags)):
            await self._rest.start(listener)
            listeners.announce_rest(self._flags)

    async def adopt(self) -> Mapping[int, Callable[[socket], None]]:
        """What takes the connections that the parent hands over, by their kind."""
        takers = {GRPC: self._grpc.adopt}
        if self._rest:
            await self._rest.start(None)
            takers[HTTP] = self._rest.adopt
        return takers

    @property
    def connections(self) -> int:
        """How many there are."""
        return self._grpc.connections + (len(self._rest.connections) if self._rest else 0)

    def drain(self) -> None:
        """Answer on, and tell clients and load balancers to turn away."""
        self._grpc.drain()
        if self._rest:
            self._rest.drain()

    async def stop(self) -> None:
        """Take no new connections, and let the calls in flight finish."""
        await asyncio.gather(self._grpc.stop(SHUTDOWN_S), *([self._rest.stop(SHUTDOWN_S)] if self._rest else []))
        await self._offload.close()


def _batching(flags: Flags, share: Share) -> BatchingSettings | None:
    if flags.enable_batching:
        per_version = flags.enable_per_model_batching_parameters
        return parameters.read(flags.batching_parameters_file, per_version=per_version, share=share)
    if flags.batching_parameters_file:
        raise InvalidInput(
            "server_options.batching_parameters_file is set without setting server_options.enable_batching to true."
        )
    return None


def _loader(flags: Flags, runner: Runner, monitoring: Monitoring) -> Loader:
    loader = Loader(
        config=session_config.placed_softly(flags),
        tags=session_config.tags(flags),
        warmup_rounds=max(1, flags.num_request_iterations_for_warmup) if flags.enable_model_warmup else 0,
        warmed_up=monitoring.warmed_up,
    )
    if isinstance(runner, BatchScheduler):
        return replace(loader, admit=runner.admit, warmup_run=runner.alone)
    return loader
