"""Small real runs of `make bench`'s program: results, page and pictures come out, also when it is interrupted."""

import os
import shlex
import signal
import stat
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from tests import programs, servers
from tests.bench import contenders, export, results, revision

BENCH = [sys.executable, "-m", "tests.bench"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    programs.need("wrk")
    programs.need("h2load")
    folder = tmp_path_factory.mktemp("models")
    export.models(folder, ["digits"])
    return folder


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    """A tensorflow_model_server: here `signet model-server`, which takes the same flags."""
    script = tmp_path_factory.mktemp("bin") / "tensorflow_model_server"
    script.write_text(f'#!/bin/sh\nexec {shlex.join([*servers.SIGNET, "model-server"])} "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return script


def test_a_run_beside_another_revision_and_tensorflow_serving(models, twin, tmp_path):
    words = ["--base", "HEAD", "--models", models, "--out", tmp_path / "out", "--rounds", "2", "--seconds", "0.2"]
    words += ["--least-warming", "0.4"]
    words += ["--only", "digits rest 16", "--only", "digits grpc 1x16"]
    for name in ("embedded", "base-embedded", "tfs", "remote-tfs"):
        words += ["--servers", name]
    environment = {**os.environ, "TFS_BIN": str(twin)}
    command = list(map(str, [*BENCH, *words]))
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=servers.ROOT)
    assert done.returncode == 0, done.stderr
    found = results.read(tmp_path / "out" / results.FILE)
    assert [block.load.name for block in found.blocks] == ["digits rest 16", "digits grpc 1x16"]
    assert found.servers == ["embedded", "tfs", "remote-tfs", "base-embedded"]
    for block in found.blocks:
        assert not block.failures
        assert block.samples.keys() == {"limit", *found.servers}
        for name, samples in block.samples.items():
            assert [sample.round for sample in samples] == [0, 1]
            assert all(sample.requests > 10 for sample in samples)
            assert sum(sample.processor_s for sample in samples) > 0
            assert (sum(sample.behind_s for sample in samples) > 0) is (name == "remote-tfs")
    page = (tmp_path / "out" / "results.md").read_text()
    assert done.stdout == f"{page}\n"
    assert "| digits grpc 1x16 | embedded | ≥ 3.5 | " in page
    assert "| digits rest 16 | remote-tfs | ≥ 0.9 | " in page
    for name in ("base", "tfs", "limit", "processor"):
        assert f"]({name}.svg)" in page
        picture = ElementTree.parse(tmp_path / "out" / f"{name}.svg")
        texts = ["".join(element.itertext()) for element in picture.iter() if element.tag.endswith("}text")]
        assert {"digits rest 16", "digits grpc 1x16", "embedded"} <= set(texts)


def test_ctrl_c_leaves_what_was_measured(models, tmp_path):
    words = ["--models", models, "--out", tmp_path, "--rounds", "1000", "--seconds", "0.2"]
    words += ["--servers", "embedded", "--only", "digits rest 16"]
    with servers.started(list(map(str, [*BENCH, *words])), {}) as program:
        program.read_until("round 2 of 1000")
        assert program.stop(signal.SIGINT, timeout_s=60) == 130
    found = results.read(tmp_path / results.FILE)
    assert found.interrupted
    (block,) = found.blocks
    assert block.samples["embedded"][0].requests > 10
    assert "**interrupted**" in (tmp_path / "results.md").read_text()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--only", "digit"], "make bench: --only 'digit' fits no load; there are: digits rest 1, "),
        (
            ["--base", "no-such-revision"],
            "make bench: git rev-parse --verify --quiet no-such-revision^{commit} ended with",
        ),
    ],
)
def test_a_users_mistake_is_a_sentence(words, sentence):
    programs.need("wrk")
    programs.need("h2load")
    done = subprocess.run([*BENCH, *words], capture_output=True, text=True, check=False, cwd=servers.ROOT)
    assert done.returncode == 2
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1


def test_another_revision_runs_its_own_code():
    with revision.checked_out("HEAD") as found:
        folder = found.folder
        assert (folder / "serving/open_inference/open_inference_pb2.py").is_file()
        program = [sys.executable, "-c", "import signet.cli; print(signet.cli.__file__)"]
        environment = {**os.environ, "PYTHONPATH": str(folder)}
        done = subprocess.run(program, cwd=folder, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.startswith(str(folder))
    assert not folder.exists()
    worktrees = subprocess.run(
        ["git", "worktree", "list"], capture_output=True, text=True, check=True, cwd=servers.ROOT
    )
    assert str(folder) not in worktrees.stdout


def test_two_processes_are_measured_where_the_command_has_them():
    shown = subprocess.run(
        [*servers.SIGNET, "serve", "--help"], capture_output=True, text=True, check=True, cwd=servers.ROOT
    )
    assert contenders.has_processes("serve", servers.ROOT) is ("--processes" in shown.stdout)
    assert not contenders.has_processes("models", servers.ROOT)


def test_signet_load_is_measured_beside_wrk():
    programs.need("wrk")
    words = ["-m", "tests.bench.load_test", "--seconds", "0.3", "--connections", "2", "--rows", "1", "--rounds", "1"]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True, cwd=servers.ROOT)
    head, _, line = done.stdout.splitlines()
    assert line.count("|") == head.count("|")
    assert line.startswith("| 1 | 2 | ")
