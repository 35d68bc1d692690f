"""The Pythons of this machine, by version: those on PATH and those of pyenv."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

VERSIONS = ("3.10", "3.11", "3.12", "3.13")
RUNNING = f"{sys.version_info[0]}.{sys.version_info[1]}"


@cache
def offered() -> dict[str, str]:
    """Version -> a program of that version, of those in `VERSIONS` that this machine has: at least the one that runs this."""
    found: dict[str, str] = {}
    for version in VERSIONS:
        for program in candidates(version):
            asked = [program, "-c", "import sys; print(*sys.version_info[:2], sep='.')"]
            said = subprocess.run(asked, check=False, capture_output=True, text=True)
            if said.stdout.strip() == version:  # pyenv's own `python3.x` on PATH may only say that it is not chosen
                found[version] = program
                break
    return found


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
