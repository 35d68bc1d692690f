"""Whatever a stranger sends, what reads it gives a value or one of our errors."""

import json
import os
import subprocess
import sys

import pytest

from tests.fuzz.targets import TARGETS
from tests.servers import ROOT

MOST_BYTES = 4096


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory):
    """A program that has imported the targets, and forks a process for each run of one."""
    environment = {**os.environ, "TMPDIR": str(tmp_path_factory.mktemp("fuzz"))}
    command = [sys.executable, "-m", "tests.fuzz", "-"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=-1, stdout=-1, stderr=-3, text=True) as program:
        yield program
        program.stdin.close()


@pytest.mark.parametrize("runs", [2000, pytest.param(50_000, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
@pytest.mark.parametrize("name", TARGETS)
def test_nothing_but_our_errors_comes_of_any_bytes(fuzzer, name, runs, tmp_path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for i, seed in enumerate(TARGETS[name].seeds):
        (corpus / str(i)).write_bytes(seed)
    limits = (f"-runs={runs}", f"-max_len={MOST_BYTES}", "-seed=1", "-timeout=20", "-rss_limit_mb=2048")
    output = tmp_path / "output"
    arguments = [str(output), name, str(corpus), *limits, f"-artifact_prefix={tmp_path}/"]
    print(json.dumps(arguments), file=fuzzer.stdin, flush=True)
    status = fuzzer.stdout.readline()
    assert status == "0\n", output.read_text(errors="replace")[-4000:]
    assert f"Done {runs} runs" in output.read_text(errors="replace")
