"""`signet model-server`: the engine behind TensorFlow Serving's API, flags and files.

    flags ──▶ models ──▶ repository loads them ──▶ ports open ──▶ SIGTERM: drain, calls in flight finish, exit 0

The ports open only when every model has an available version. A start-up error prints
`Failed to start server. Error: CODE: …` and ends with 255, as the original does.
"""

import asyncio
import logging
import sys
from dataclasses import replace
from pathlib import Path

import uvloop

from signet.serving.engine import tensorflow_c
from signet.serving.engine.following import Rules
from signet.serving.engine.loading import Loader
from signet.serving.engine.repository import Repository
from signet.serving.engine.runner import Runner
from signet.serving.errors import InvalidInput, ServingError, UsageError
from signet.serving.json_arrays.number_nests import READ_BY
from signet.serving.model_server import session_config, text_file
from signet.serving.model_server.flags import Flags, parse, usage
from signet.serving.model_server.grpc import handlers
from signet.serving.model_server.grpc.server import GrpcServer
from signet.serving.model_server.monitoring import Monitoring
from signet.serving.model_server.reload import Reloader, available, failures, listed, settled
from signet.serving.model_server.rest.server import start_server
from signet.serving.model_server.rest.service import RestService
from signet.serving.model_server.services import ModelService, PredictionService
from signet.serving.model_server.tfs_batching import parameters
from signet.serving.model_server.tfs_batching.parameters import BatchingSettings
from signet.serving.model_server.tfs_batching.scheduler import BatchScheduler
from signet.serving.models.model_config import ModelConfig
from signet.serving.offload.pool import Offload
from signet.serving.process import gc_tuning, output, signals
from signet.serving.process.byte_budget import ByteBudget
from signet.serving.process.draining import drain
from signet.serving.process.output import say
from signet.serving.release import running_version

log = logging.getLogger(__name__)

FAILED = 255
"""Exit status after a start-up error, and after the usage."""

SHUTDOWN_S = 30.0
"""Seconds that calls in flight have to finish once the server has drained."""

MAX_BUFFERED_BYTES = 1 << 30
"""Bytes of bodies, messages and unread answers held at once; the original has no bound."""


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or Ctrl-C. Gives the exit status."""
    output.log_to_stderr("INFO", "%(asctime)s %(levelname)s %(message)s")
    signals.ignore_hangups()
    if "--help" in arguments:
        print(usage())
        return FAILED
    try:
        flags, unknown = parse(arguments)
    except UsageError as error:
        log.error("%s", error)
        print(usage())
        return FAILED
    if flags.version:
        print(f"TensorFlow ModelServer: signet {running_version()}\nTensorFlow Library: {tensorflow_c.version()}")
        return 0
    for argument in unknown:
        print(f"unknown argument: {argument}")
    if unknown:
        print(usage(), flush=True)
    if ignored := flags.without_meaning():
        log.warning("accepted, but without meaning here: %s", ", ".join(f"--{name}" for name in ignored))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
            return loop.run(serve(flags))
    except UsageError as error:
        print(f"Failed to start server. Error: {error}", flush=True)
        return FAILED
    except ServingError as error:
        print(f"Failed to start server. Error: {error.grpc_code}: {error}", flush=True)
        return FAILED


async def serve(flags: Flags) -> int:
    """Load the models, then answer until a signal comes."""
    stopped, look = signals.Stop(), asyncio.Event()
    signals.install_handlers(stopped, lambda: None)
    if flags.use_alts_credentials and flags.ssl_config_file:
        raise InvalidInput("use_alts_credentials and ssl_config_file are both set; expected one of them")
    log.info("long lists of numbers in JSON are read by %s", READ_BY)
    monitoring = Monitoring()
    runner = Runner()
    if batching := _batching(flags):
        runner = BatchScheduler(runner, batching)
        runner.observe = monitoring.batch_ran
    repository = Repository(
        _models(flags),
        poll_s=flags.file_system_poll_wait_seconds,
        rules=Rules(load_retries=flags.max_num_load_retries, retry_interval_s=flags.load_retry_interval_micros / 1e6),
        load=_loader(flags, runner, monitoring),
        failures=monitoring.failures,
    )
    monitoring.watch(repository)

    def hung_up() -> None:
        repository.look()
        look.set()

    signals.install_handlers(stopped, hung_up)
    repository.start()
    try:
        await _loaded(repository, stopped)
        if not stopped.is_set():
            await _answer(flags, repository, runner, monitoring, stopped, look)
    finally:
        await asyncio.to_thread(repository.stop)
        runner.close()
    return 0


def _models(flags: Flags) -> list[ModelConfig]:
    """Raises `UsageError`, `NotFound` and `InvalidInput` for what the original does not start with, in its words."""
    if flags.model_config_file:
        models = text_file.models(Path(flags.model_config_file))
        labelled = [(model.name, number) for model in models for number in model.labels.values()]
        if labelled and not flags.allow_version_labels_for_unavailable_models:
            name, number = labelled[0]
            raise UsageError(
                f"FAILED_PRECONDITION: Request to assign label to version {number} of model {name}, "
                "which is not currently available for inference"
            )
        return models
    if not flags.model_base_path:
        raise UsageError(
            "INVALID_ARGUMENT: Both server_options.model_base_path and server_options.model_config_file are empty!"
        )
    if not Path(flags.model_base_path).is_absolute():
        raise UsageError(
            f"INVALID_ARGUMENT: Expected model {flags.model_name} to have an absolute path or URI; "
            f"got base_path()={flags.model_base_path}"
        )
    return [ModelConfig(flags.model_name, Path(flags.model_base_path))]


def _batching(flags: Flags) -> BatchingSettings | None:
    if flags.enable_batching:
        return parameters.read(flags.batching_parameters_file, per_version=flags.enable_per_model_batching_parameters)
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


async def _loaded(repository: Repository, stopped: asyncio.Event) -> None:
    """Until every model has an available version. Raises `UsageError` when one of them ended without."""
    names = set(repository.models)
    while not stopped.is_set():
        if problems := failures(repository, names):
            raise UsageError(f"UNKNOWN: {len(problems)} servable(s) did not become available: {listed(problems)}")
        if available(repository, names):
            return
        await asyncio.to_thread(repository.wait, lambda of: settled(of, names), 0.2)


async def _answer(
    flags: Flags,
    repository: Repository,
    runner: Runner,
    monitoring: Monitoring,
    stopped: signals.Stop,
    look: asyncio.Event,
) -> None:
    reloader = Reloader(repository, allow_unavailable_labels=flags.allow_version_labels_for_unavailable_models)
    offload = Offload()
    prediction = PredictionService(flags, repository, runner, monitoring, offload)
    model = ModelService(repository, reloader, monitoring)
    budget = ByteBudget(MAX_BUFFERED_BYTES)
    server = GrpcServer(flags, handlers.services(prediction, model, monitoring, budget, offload), budget)
    service = None
    if flags.rest_api_port:
        service = RestService(flags, repository, prediction, model, monitoring, offload)
    gc_tuning.freeze_startup_objects()
    await server.start()
    say(f"Running gRPC ModelServer at 0.0.0.0:{flags.port} ...")
    rest = await start_server(service, flags.rest_api_port, flags.port, budget) if service else None
    polling = None
    if flags.model_config_file:
        path, interval_s = Path(flags.model_config_file), flags.model_config_file_poll_wait_seconds
        polling = asyncio.create_task(reloader.poll(path, interval_s, look, monitoring.failures))
    await stopped.wait()
    if polling:
        polling.cancel()
    server.drain()
    if rest:
        rest.drain()
    log.info("stopping: %g seconds of drain, then calls in flight end", flags.drain_s)
    await drain(stopped, flags.drain_s, lambda: server.connections + (len(rest.connections) if rest else 0))
    await asyncio.gather(server.stop(SHUTDOWN_S), *([rest.stop(SHUTDOWN_S)] if rest else []))
    await offload.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
