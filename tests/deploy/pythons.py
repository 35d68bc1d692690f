"""The Pythons of this machine, by version: those on PATH and those of pyenv."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

VERSIONS = ("3.10", "3.11", "3.12", "3.13")
RUNNING = f"{sys.version_info[0]}.{sys.version_info[1]}"


@cache
def python(version: str) -> str:
    """A program of that version. Where there is none the test is skipped and says so."""
    for program in candidates(version):
        asked = [program, "-c", "import sys; print(*sys.version_info[:2], sep='.')"]
        said = subprocess.run(asked, check=False, capture_output=True, text=True)
        if said.stdout.strip() == version:  # pyenv's own `python3.x` on PATH may only say that it is not chosen
            return program
    return pytest.skip(f"there is no python{version} on PATH or among the versions of pyenv")


def candidates(version: str) -> Iterator[str]:
    if version == RUNNING:
        yield sys.executable
    found = shutil.which(f"python{version}")
    if found:
        yield found
    yield from sorted(map(str, pyenv().glob(f"versions/{version}.*/bin/python")))


def pyenv() -> Path:
    """The folder of pyenv, as it says itself where it can be asked."""
    if shutil.which("pyenv"):
        return Path(subprocess.run(["pyenv", "root"], capture_output=True, text=True, check=True).stdout.strip())
    return Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
