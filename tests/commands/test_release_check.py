"""`signet release check`, on versions that differ by what their files say."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from signet.commands.app import app
from signet.serving.models import compatibility
from signet.serving.tensors.protos import saved_model_pb2
from tests.serving.gateway.request_log.made import a_plan, record, write_log


@pytest.fixture
def models(tmp_path: Path, golden_models: Path) -> Path:
    """Version 2 as version 1; version 3 answers its largest output's place for another, by its signature alone."""
    for version in ("1", "2", "3"):
        shutil.copytree(golden_models / "two_in" / "1", tmp_path / "two_in" / version)
    path = tmp_path / "two_in" / "3" / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    outputs = saved.meta_graphs[0].signature_def["serving_default"].outputs
    outputs["score"].CopyFrom(outputs["output_0"])
    del outputs["output_0"]
    path.write_bytes(saved.SerializeToString())
    return tmp_path


def run(models: Path, *arguments: str) -> Result:
    return CliRunner().invoke(
        app, ["release", "check", "two_in", *arguments], env={"SIGNET_MODELS_DIR": str(models), "COLUMNS": "200"}
    )


def test_a_version_that_is_alike_passes_with_recorded_requests(models, tmp_path):
    contract = compatibility.read(models / "two_in" / "1")
    assert contract is not None
    signature = contract.signatures["serving_default"]
    chance = np.random.default_rng(0)
    inputs = {name: chance.random((60, spec.shape[1])).astype(np.float32) for name, spec in signature.inputs.items()}
    outputs = {"output_0": np.ones((60, 1), np.float32)}
    write_log(tmp_path / "log", [record(a_plan(signature, model="two_in"), inputs, outputs, 60)])
    done = run(models, "2", "--log", str(tmp_path / "log"), "--json", "--html", str(tmp_path / "report.html"))
    assert done.exit_code == 0, (done.output, done.exception)
    report = json.loads(done.output)
    assert (report["passed"], report["stable"], report["requests"]["recorded"]) == (True, 1, 60)
    figures = {(one["signature"], one["output"]): one["difference"] for one in report["outputs"]}
    assert figures == {("serving_default", "output_0"): 0}
    assert "two_in version 2 against version 1: passes" in (tmp_path / "report.html").read_text()


def test_a_version_that_lost_an_output_is_refused(models):
    done = run(models, "3", "--against", "1")
    assert done.exit_code == 1, done.exception
    assert "is refused, for" in done.output
    assert "REFUSED  signature: signature 'serving_default': output 'output_0' is gone" in done.output


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["7"], "there is no version 7 of 'two_in' in {}; there is 1, 2, 3"),
        (["2", "--against", "two"], "--against is 'two'; expected none, or a version: 1, 2, 3"),
        (["2", "--against", "2"], "--against 2 is the candidate itself"),
        (["2", "--accept", "clases"], "--accept: 'clases' is no check"),
        (["2", "--log", "{}/nowhere"], "{}/nowhere does not exist"),
    ],
)
def test_mistakes_are_said(models, arguments, problem):
    done = run(models, *(argument.format(models) for argument in arguments))
    assert problem.format(models) in str(done.exception)
    assert getattr(done.exception, "exit_code", None) == 2


def test_a_mistake_has_an_exit_code_of_its_own(tmp_path):
    command = [sys.executable, "-m", "signet", "release", "check", "shop", "2", "--models-dir", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("signet: there is no version of 'shop' in")


def test_what_is_kept_decides_at_the_gate(models):
    def release(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["release", *arguments, "--models-dir", str(models)], env={"COLUMNS": "200"})

    assert "--keep: there is no release of 'two_in'" in str(run(models, "2", "--keep", str(models)).exception)
    for words in (("start", "two_in", "--stable", "1"), ("start", "two_in", "3")):
        assert release(*words).exit_code == 0
    assert "gate       version 3 is not checked yet" in release("status", "two_in").output
    assert run(models, "3", "--keep", str(models)).exit_code == 1
    assert "gate       version 3 is refused: signature: " in release("status", "two_in").output
    said = json.loads(release("status", "two_in", "--json").output)["gate"]
    assert (said["progress"], said["report"]["passed"]) == ("refused", False)
    assert (models / "two_in" / "release-check.html").read_text().startswith("<!doctype html>")
    other = run(models, "3", "--against", "2", "--keep", str(models))
    assert "with version 2 as the stable one" in str(other.exception)
