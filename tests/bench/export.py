"""The models of `tests/bench/models.py` in a folder; a process of its own imports TensorFlow for that."""

import subprocess
import sys
from pathlib import Path


def models(folder: Path) -> None:
    """Export every model of the benchmark into the folder."""
    print("exporting the models of tests/bench/models.py", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "tests.bench.models", folder], check=True, stderr=subprocess.DEVNULL)
