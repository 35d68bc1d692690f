"""`signet model-server`: the engine behind TensorFlow Serving's gRPC API and flags.

    flags ──▶ models ──▶ repository loads them ──▶ port opens ──▶ SIGTERM: calls in flight finish, exit 0

The port opens only when every model has an available version. A start-up error prints
`Failed to start server. Error: …` and ends with 255, as the original does.
"""

import asyncio
import logging
import signal
import sys
from pathlib import Path

import grpc

from serving import model_config
from serving.engine.repository import Repository
from serving.engine.runner import Runner
from serving.errors import UsageError
from serving.model_config import ModelConfig
from serving.model_server import flags as flag_parser
from serving.model_server.flags import Flags
from serving.model_server.grpc_service import add_services
from serving.model_status import State

FAILED = 255
"""Exit status after a start-up error."""

DRAIN_S = 30.0
"""Seconds that calls in flight have to finish after SIGTERM."""

_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)]


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or Ctrl-C. Gives the exit status."""
    if "--help" in arguments:
        print(flag_parser.usage())
        return 0
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        flags, unknown = flag_parser.parse(arguments)
        if unknown:
            print(f"unknown arguments: {' '.join(unknown)}\n{flag_parser.usage()}", file=sys.stderr)
        return asyncio.run(serve(flags))
    except UsageError as error:
        print(f"Failed to start server. Error: {error}", flush=True)
        return FAILED


async def serve(flags: Flags) -> int:
    """Load the models, then answer until a signal comes."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    repository = Repository(
        _models(flags),
        poll_s=flags.file_system_poll_wait_seconds,
        load_retries=flags.max_num_load_retries,
        retry_interval_s=flags.load_retry_interval_micros / 1e6,
    )
    runner = Runner()
    repository.start()
    try:
        await _loaded(repository, stopped)
        if not stopped.is_set():
            await _answer(flags, repository, runner, stopped)
    finally:
        await asyncio.to_thread(repository.stop)
        runner.close()
    return 0


def _models(flags: Flags) -> list[ModelConfig]:
    if flags.model_config_file:
        return model_config.read(Path(flags.model_config_file))
    if not flags.model_base_path:
        raise UsageError("one of --model_base_path and --model_config_file is required")
    if not Path(flags.model_base_path).is_absolute():
        raise UsageError(f"--model_base_path is {flags.model_base_path!r}; expected an absolute path")
    return [ModelConfig(flags.model_name, Path(flags.model_base_path))]


async def _loaded(repository: Repository, stopped: asyncio.Event) -> None:
    """Until every model has an available version. Raises `UsageError` when one of them ended without."""
    while not stopped.is_set():
        ended = [
            f"{{name: {name} version: {status.version}}} due to error: {status.error_message}"
            for name in repository.models
            for status in repository.statuses(name)
            if status.state is State.END and not repository.versions(name)
        ]
        if ended:
            raise UsageError(f"{len(ended)} servable(s) did not become available: {{{', '.join(ended)}, }}")
        if all(repository.versions(name) for name in repository.models):
            return
        await asyncio.to_thread(repository.wait, _settled, 0.2)


def _settled(repository: Repository) -> bool:
    return all(
        repository.versions(name) or any(status.state is State.END for status in repository.statuses(name))
        for name in repository.models
    )


async def _answer(flags: Flags, repository: Repository, runner: Runner, stopped: asyncio.Event) -> None:
    server = grpc.aio.server(options=_UNLIMITED)
    add_services(server, repository, runner)
    try:
        server.add_insecure_port(f"[::]:{flags.port}")
    except RuntimeError as error:
        raise UsageError(f"port {flags.port} cannot be opened; is it in use? ({error})") from error
    await server.start()
    print(f"Running gRPC ModelServer at 0.0.0.0:{flags.port} ...", flush=True)
    await stopped.wait()
    await server.stop(DRAIN_S)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
