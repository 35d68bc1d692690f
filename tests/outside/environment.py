"""Python environments for the clients of others, which may want other versions than the project does.

    tests/outside/NAME.lock ──▶ .venv-NAME, made once, and again when the lock file has changed

The lock files have hashes; `make lock` writes them. They leave out what a client's own code does not import.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.servers import ROOT

HERE = Path(__file__).parent


def python(name: str) -> Path:
    """The interpreter of the environment; fails when it cannot be made."""
    lock, folder = HERE / f"{name}.lock", ROOT / f".venv-{name}"
    interpreter, stamp = folder / "bin" / "python", folder / "made-from"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        shutil.rmtree(folder, ignore_errors=True)
        _uv("venv", "--python", sys.executable, folder)
        _uv("pip", "install", "--no-deps", "--require-hashes", "--python", interpreter, "--requirement", lock)
        stamp.write_text(digest)
    return interpreter


def _uv(*arguments: str | Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(
        [Path(sys.executable).with_name("uv"), *arguments], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
