"""Who is measured: every server under test, all of them up at the same time.

    limit                        the engine's own loop: calls of the C API in one thread, no server around them
    embedded, embedded-2         the gateway with the engine inside, in one process and in two
    watched, watched-all         embedded, as strangers reach it: with keys, a line in the log for each request that fails, and
                                 one of a hundred kept with its tensors; with a line for each request
    remote                       the gateway in front of the model server
    model-server, -batching, -2  the model server, with --enable_batching, in two processes
    tfs, tfs-batching            $TFS_BIN, a tensorflow_model_server, at its default settings and with --enable_batching
    remote-tfs                   the gateway in front of it
    base-…                       the first three kinds as they were in another revision of the project

Two processes are measured where `--processes` is an option of the revision.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from signet.serving.tensors.arrays import Arrays
from tests import servers
from tests.bench.loads import Dialect, Load
from tests.bench.revision import Revision

GATEWAY: tuple[Dialect, ...] = ("rest", "v2-binary", "grpc")
MODEL_SERVER: tuple[Dialect, ...] = ("rest", "grpc")
LIMIT = "limit"
EMBEDDED, WATCHED, WATCHED_ALL = "embedded", "watched", "watched-all"


@dataclass(frozen=True)
class Contender:
    """A running server, or the engine's own loop."""

    name: str
    dialects: tuple[Dialect, ...]
    program: servers.Program
    url: str = ""
    grpc_address: str = ""
    behind: servers.Program | None = None
    """The model server that it asks."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """What it wants with each request, over gRPC as metadata."""

    def takes(self, load: Load) -> bool:
        return load.dialect in self.dialects


class Engine:
    """The process of the engine's own loop. One caller at a time."""

    def __init__(self, program: servers.Program, commands: int) -> None:
        self.program = program
        self._commands = commands

    def run(self, load: Load, seconds: float) -> dict[str, float]:
        """Call it for that long: requests, seconds, p50_s, p99_s."""
        return self._ask(f"run {load.model} {load.rows} {seconds}")

    def answer(self, load: Load, file: Path) -> Arrays:
        """The outputs for the load's rows; `file` is written."""
        self._ask(f"answer {load.model} {load.rows} {file}")
        with np.load(file) as found:
            return dict(found)

    def _ask(self, line: str) -> dict[str, float]:
        self.program.output = ""
        os.write(self._commands, f"{line}\n".encode())
        told: dict[str, float] = json.loads(self.program.read_until(r"(?m)^\{.*\}$", timeout_s=300)[0])
        return told


def engine(stack: ExitStack, models: Path) -> Engine:
    """Start the engine's own loop."""
    read_end, write_end = os.pipe()
    stack.callback(os.close, write_end)
    command = [sys.executable, "-m", "tests.bench.engine", str(models)]
    program = stack.enter_context(servers.started(command, {}, stdin=read_end))
    os.close(read_end)
    program.read_until("(?m)^ready$")
    program.output = ""
    return Engine(program, write_end)


@dataclass(frozen=True)
class Setting:
    """What servers are started of: the models, and the programs."""

    models: Path
    config: Path
    """A model config file of the same models."""
    base: Revision | None = None
    tfs: str = ""
    """The path of a tensorflow_model_server."""

    @property
    def names(self) -> list[str]:
        """The servers that there are in this setting, in order."""
        own = ["embedded", "remote", "model-server", "model-server-batching"]
        names = [*own, WATCHED, WATCHED_ALL]
        if has_processes("serve", servers.ROOT):
            names.insert(1, "embedded-2")
        if has_processes("model-server", servers.ROOT):
            names.append("model-server-2")
        if self.tfs:
            names += ["tfs", "tfs-batching", "remote-tfs"]
        return names + ([f"base-{name}" for name in own] if self.base else [])


def has_processes(command: str, checkout: Path) -> bool:
    """Whether the command of that checkout can run in several processes."""
    done = subprocess.run(
        [*servers.SIGNET, command, "--help"],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout), "COLUMNS": "200", "TERM": "dumb"},
        capture_output=True,
        text=True,
        check=False,
    )
    return "--processes" in done.stdout + done.stderr


def select(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Those whose names fit one of the patterns (of none: all). Raises ValueError when a pattern fits none."""
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ValueError(f"--servers {pattern!r} fits none; there are: {', '.join(names)}")
    return [name for name in names if not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)]


def start(stack: ExitStack, setting: Setting, names: Sequence[str]) -> Iterator[Contender]:
    """Start each of them, and the model servers that gateways among them ask."""
    started: dict[str, Contender] = {}
    for name in names:
        _start(stack, setting, name, started)
        yield started[name]


def _start(stack: ExitStack, setting: Setting, name: str, started: dict[str, Contender]) -> Contender:
    if name not in started:
        started[name] = _started(stack, setting, name, started)
        stack.callback(started[name].program.stop)
    return started[name]


def _started(stack: ExitStack, setting: Setting, name: str, started: dict[str, Contender]) -> Contender:
    prefix = "base-" if name.startswith("base-") else ""
    kind = name.removeprefix(prefix)
    checkout = setting.base.folder if prefix and setting.base else servers.ROOT
    processes = ["--processes", "2"] if kind.endswith("-2") else []
    if kind.startswith("tfs"):
        return _tensorflow_serving(stack, setting, name)
    if kind.startswith("model-server"):
        flags = ["--enable_batching"] if kind.endswith("-batching") else []
        flags += ["--processes=2"] if processes else []
        given = (f"--model_config_file={setting.config}", *flags)
        address, url, program = stack.enter_context(servers.both_apis(*given, checkout=checkout))
        return Contender(name, MODEL_SERVER, program, url, address)
    if kind in (WATCHED, WATCHED_ALL):
        return _watched(stack, setting, kind)
    behind = None
    given = ("--models-dir", str(setting.models), *processes)
    if kind.startswith("remote"):
        asked = {"remote": f"{prefix}model-server", "remote-tfs": "tfs"}[kind]
        behind = _start(stack, setting, asked, started)
        given = ("--backend", behind.grpc_address, *given)
    url, program = stack.enter_context(servers.gateway(*given, checkout=checkout))
    return Contender(name, GATEWAY, program, url, servers.grpc_address(program), behind.program if behind else None)


def _watched(stack: ExitStack, setting: Setting, name: str) -> Contender:
    """The lines go to a file: they would stay in the memory of whoever runs this else."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    keys = folder / "keys.jsonl"
    key = subprocess.run(
        [*servers.SIGNET, "keys", "add", "bench", "--file", str(keys)],
        cwd=servers.ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.strip()
    lines = ("--access-log", "all" if name == WATCHED_ALL else "failed", "--access-log-file", folder / "access")
    given = ("--models-dir", setting.models, "--keys", keys, "--request-log", folder / "requests", *lines)
    url, program = stack.enter_context(servers.gateway(*given))
    return Contender(name, GATEWAY, program, url, servers.grpc_address(program), headers={"x-api-key": key})


def _tensorflow_serving(stack: ExitStack, setting: Setting, name: str) -> Contender:
    port, rest_port = servers.free_port(), servers.free_port()
    command = [setting.tfs, f"--port={port}", f"--rest_api_port={rest_port}", f"--model_config_file={setting.config}"]
    if name == "tfs-batching":
        command.append("--enable_batching")
    program = stack.enter_context(servers.started(command, {}))
    program.read_until("Running gRPC ModelServer")
    program.read_until("Exporting HTTP/REST API")
    return Contender(name, MODEL_SERVER, program, f"http://127.0.0.1:{rest_port}", f"127.0.0.1:{port}")
