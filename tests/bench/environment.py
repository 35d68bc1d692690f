"""On what was measured: machine, interpreter with how it was built, versions; nothing that names a host or a path.

A figure of Python's work hangs on the build: an interpreter without profile-guided optimisation (PGO) is a quarter slower.
"""

import os
import platform
import re
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tests.servers import ROOT

_PACKAGES = ("tensorflow", "numpy", "protobuf", "grpcio", "uvloop", "httptools", "orjson", "pysimdjson")


@dataclass(frozen=True)
class Interpreter:
    """How Python was built."""

    version: str
    pgo: bool
    """--enable-optimizations: by the profile of a run."""
    lto: bool
    """--with-lto: across the files of its source, when it was linked."""
    level: str
    """The compiler's, such as -O3."""

    @property
    def optimised(self) -> bool:
        return self.pgo and self.lto


def interpreter(arguments: str, flags: str) -> Interpreter:
    """From the arguments of its `configure`, and the compiler's flags."""
    return Interpreter(
        f"{platform.python_implementation()} {platform.python_version()}",
        pgo="--enable-optimizations" in arguments,
        lto=re.search(r"--with-lto(?!=no)", arguments) is not None or "-flto" in flags,
        level=(re.findall(r"-O\w+", flags) or ["unknown"])[-1],
    )


@dataclass(frozen=True)
class Environment:
    """What a run's figures hang on."""

    processor: str
    cores: int
    memory_gb: int
    system: str
    interpreter: Interpreter
    revision: str
    """Of the project; with a + where files differ from it."""
    versions: dict[str, str]


def look() -> Environment:
    """The environment of this run."""
    variables = [str(sysconfig.get_config_var(name) or "") for name in ("CONFIG_ARGS", "PY_CFLAGS")]
    return Environment(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        memory_gb=round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9),
        system=f"{platform.system()} {platform.release().partition('-')[0]}",
        interpreter=interpreter(variables[0], variables[1]),
        revision=_revision(),
        versions={name: version(name) for name in _PACKAGES} | _programs(),
    )


def _processor() -> str:
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return found[1].strip() if found else platform.machine()


def _revision() -> str:
    """Of a checkout without git, as in an image: unknown."""
    if not shutil.which("git"):
        return "unknown"
    words = ["git", "describe", "--always", "--exclude=*", "--abbrev=10", "--dirty=+"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _programs() -> dict[str, str]:
    """Versions of the load generators that are here."""
    found = {}
    for program, words in {"wrk": ["wrk", "-v"], "h2load": ["h2load", "--version"]}.items():
        if shutil.which(program):
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if told := re.search(r"\d+(?:\.\d+)+", done.stdout):
                found[program] = told[0]
    return found


def server_version(program: str) -> str:
    """What a tensorflow_model_server says of itself."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    told = re.search(r"ModelServer: (\S+)", done.stdout)
    return told[1] if told else "unknown"
