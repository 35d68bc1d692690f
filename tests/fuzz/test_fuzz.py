"""Whatever a stranger sends, what reads it gives a value or one of our errors."""

import os
import subprocess
import sys

import pytest

from tests.fuzz.targets import TARGETS
from tests.servers import ROOT

MOST_BYTES = 4096


@pytest.mark.parametrize("runs", [2000, pytest.param(50_000, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
@pytest.mark.parametrize("name", TARGETS)
def test_nothing_but_our_errors_comes_of_any_bytes(name, runs, tmp_path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for i, seed in enumerate(TARGETS[name].seeds):
        (corpus / str(i)).write_bytes(seed)
    limits = (f"-runs={runs}", f"-max_len={MOST_BYTES}", "-seed=1", "-timeout=20", "-rss_limit_mb=2048")
    command = [sys.executable, "-m", "tests.fuzz", name, corpus, *limits, f"-artifact_prefix={tmp_path}/"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, errors="replace", check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
