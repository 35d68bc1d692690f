"""Models trained as users train them, with the quick presets: once a run of the suite, whatever worker asks first.

trained(base, names) ──a lock, so that one trains and the others wait──▶ base/trained-COUNT/models/NAME/1
"""

import fcntl
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests import servers

SMALL = ("digits", "question_answering")
"""Numbers and texts, half a minute of processor time together."""
ALL = (
    *SMALL,
    *("social_posts", "inception", "residual", "siamese_lstm", "two_cameras", "nested"),
)


def trained(factory: pytest.TempPathFactory, names: Sequence[str]) -> Path:
    """A folder with the models, shared by all workers of this run. Never write into it."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder = base / f"trained-{len(names)}" / "models"
    with (base / f"trained-{len(names)}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = [name for name in names if not (folder / name / "1").is_dir()]
        if missing:
            command = [*servers.SIGNET, "train", *missing, "--models-dir", str(folder)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200)
            assert done.returncode == 0, done.stdout + done.stderr
    return folder
