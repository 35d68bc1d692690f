"""Models that tests need, written by TensorFlow in a process of its own: once in a run, whichever worker asks first.

a fixture of several workers ──made(script)──▶ BASE/made/HASH/models/…        the first to hold HASH/lock runs the script
"""

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import ROOT

_START = "from signet.training import keras_start\nkeras_start.start()\n"
"""Each script imports TensorFlow: the quick way."""


def program(module: str) -> list[str]:
    """The command that runs a module as `python -m` does, whose imports of TensorFlow and Keras are then quick."""
    code = f"{_START}import runpy, sys\nrunpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    return [sys.executable, "-c", code]


def made(factory: pytest.TempPathFactory, script: str) -> Path:
    """The folder that the script has filled, whose path it finds in `sys.argv[1]`. Others read it, too: leave it as it is."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # all workers'
    home = base / "made" / hashlib.sha256(script.encode()).hexdigest()[:16]
    models, whole = home / "models", home / "whole"
    models.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists():
            file = home / "script.py"  # TensorFlow turns loops into graphs from their source
            file.write_text(_START + script)
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            done = subprocess.run(
                [sys.executable, file, models], capture_output=True, text=True, check=False, env=environment
            )
            assert done.returncode == 0, done.stderr
            whole.touch()
    return models
