"""The models of `tests/bench/models.py` in a folder; a process of its own imports TensorFlow for that."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.made_models import program


def models(folder: Path, names: Sequence[str] = ()) -> None:
    """Export the models of the benchmark that the folder lacks into it: those named, of none all."""
    if names and all((folder / name / "1").exists() for name in names):
        return
    print("exporting the models of tests/bench/models.py", file=sys.stderr)
    subprocess.run([*program("tests.bench.models"), folder, *names], check=True, stderr=subprocess.DEVNULL)
