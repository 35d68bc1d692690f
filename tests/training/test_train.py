"""`signet train` as a program: resumed after a kill, refused options, exports that are whole or not at all."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from signet.serving.errors import UsageError
from signet.training import train
from signet.training.export import export, publish
from signet.training.export.errors import ExportFailed
from signet.training.export.steps import Steps
from tests import servers
from tests.training import late

digits = late.model("digits")


def run(*arguments, **options):
    command = [*servers.SIGNET, "train", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=280, **options)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A models folder with one quickly trained version of digits, and the work folder."""
    folder = tmp_path_factory.mktemp("trained")
    done = run("digits", "--models-dir", folder / "models", "--epochs", "2")
    assert done.returncode == 0, done.stderr
    assert "digits" in done.stdout
    return folder


def test_a_version_has_all_that_belongs_to_it(trained):
    version = trained / "models" / "digits" / "1"
    golden = json.loads((version / "assets.extra" / "golden.json").read_text())
    assert golden["format"] == 1
    assert len(golden["signatures"]["serving_default"]["inputs"]["pixels"]) >= 8
    metrics = json.loads((version / "assets.extra" / "metrics.json").read_text())
    assert metrics["seed"] == 0
    assert [child.name for child in version.parent.iterdir()] == ["1"]


def test_what_is_there_is_left_out_at_once(trained):
    done = run("digits", "--models-dir", trained / "models", "--if-missing")
    assert (done.returncode, done.stdout) == (0, "")
    assert run("digits", "--models-dir", trained / "models", "--if-missing", "--json").stdout == "[]\n"
    assert publish.versions(trained / "models" / "digits") == [1]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("digit",), "there is no model called 'digit'"),
        (("digits", "--preset", "slow"), "'slow' is not one of"),
        (("digits", "--epochs", "0"), "--epochs is a whole number from 1 on, not 0"),
        (("digits", "--seed", "-1"), "--seed is a whole number"),
        (("social_posts", "--data", "/no/such/file.csv"), "there is no file or folder /no/such/file.csv"),
    ],
)
def test_wrong_options_are_one_sentence(arguments, problem):
    done = run(*arguments)
    assert done.returncode == 2
    assert problem in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")  # Keras saving weights
def test_a_corrupted_export_publishes_nothing_and_says_what_differs(tmp_path, monkeypatch):
    """Before it is verified, an export gets the variables of an earlier version; which stays as it was."""
    trained = tmp_path / "trained"
    trained.mkdir()
    data = digits.load(None, "quick", 0)
    pixels = data.test.inputs["pixels"][:8].tolist()
    description = {"name": "digits", "config": asdict(data.config), "golden": {"serving_default": {"pixels": pixels}}}
    (trained / "model.json").write_text(json.dumps(description))
    (trained / "metrics.json").write_text("{}")
    (trained / "history.csv").write_text("")
    digits.build_model(data.config).save_weights(trained / "weights.weights.h5")
    models = tmp_path / "models"
    assert export.export(trained, models) == models / "digits" / "1"
    digits.build_model(data.config).save_weights(trained / "weights.weights.h5")  # other random weights

    run = Steps.run

    def corrupting(steps, step, *folders):
        run(steps, step, *folders)
        if step == "write":
            shutil.copytree(models / "digits/1/variables", Path(folders[1]) / "variables", dirs_exist_ok=True)

    monkeypatch.setattr(Steps, "run", corrupting)
    with pytest.raises(ExportFailed, match=r"signature 'serving_default', output 'digit' differs by up to 0\.\d+"):
        export.export(trained, models)
    assert [path.name for path in (models / "digits").iterdir()] == ["1"]


def test_folders_that_dead_processes_left_are_removed(tmp_path):
    (tmp_path / ".writing-1-999999").mkdir()
    publish.remove_stale(tmp_path)
    assert list(tmp_path.iterdir()) == []
    with publish.writing_folder(tmp_path) as folder:
        publish.remove_stale(tmp_path)
        assert folder.exists()


def test_a_work_folder_is_one_trainings_until_its_export_is_published(tmp_path):
    work = tmp_path / "work" / "digits"
    with train.locked(work):
        with (
            pytest.raises(UsageError, match=r"another training of digits is at work in .*--work-dir"),
            train.locked(work),
        ):
            raise AssertionError("two at once")
        shutil.rmtree(work)  # as at the end of a training
        with train.locked(work):  # a new folder: nobody's
            assert (work / "lock").exists()
    with train.locked(work):
        pass


def test_whoever_waits_at_the_lock_of_a_training_that_ends_gets_a_folder_of_its_own(tmp_path, monkeypatch):
    """The folder is removed between the opening of its lock and the locking."""
    work = tmp_path / "digits"
    flock = fcntl.flock
    removed = []

    def late(*arguments):
        if not removed:
            removed.append(shutil.rmtree(work))
        flock(*arguments)

    monkeypatch.setattr(train.fcntl, "flock", late)
    with train.locked(work):
        assert removed
        assert (work / "lock").exists()


def test_a_killed_training_goes_on_from_its_last_epoch(tmp_path):
    arguments = ("digits", "--models-dir", tmp_path / "models", "--epochs", "20")
    process = subprocess.Popen([*servers.SIGNET, "train", *map(str, arguments)], stdout=subprocess.DEVNULL)
    states = tmp_path / ".training"
    servers.wait_until(lambda: any(states.rglob("state.json")), 120, "a checkpoint")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not list((tmp_path / "models").rglob("saved_model.pb"))
    (state,) = states.rglob("state.json")
    done = len(json.loads(state.read_text())["epochs"])
    again = run(*arguments, "--json")
    assert again.returncode == 0, again.stderr
    assert done == 20 or "going on after epoch" in again.stderr
    metrics = json.loads((tmp_path / "models/digits/1/assets.extra/metrics.json").read_text())
    (reached,) = json.loads(again.stdout)
    assert (reached["model"], reached["version"]) == ("digits", str(tmp_path / "models/digits/1"))
    assert reached["scores"] == metrics["scores"]
    assert len(metrics["epochs"]) == 20
    assert not list(states.iterdir())  # the checkpoints have served


_AGAIN = """
import json, sys
from pathlib import Path
from signet.training import train
from signet.training.options import TrainOptions

class Silent:
    say = batch = epoch = start = lambda *_: None

done = train.fitted("digits", TrainOptions(epochs=2), Path(sys.argv[1]), Silent())
endpoint = done.module.endpoints(done.model, done.data.config)["serving_default"]
golden = done.module.golden(done.model, done.data)["serving_default"]
print(json.dumps(endpoint.reference(golden)["digit"].tolist()))
"""


def test_the_same_seed_gives_the_same_weights(trained, tmp_path):
    """A training in another process, up to where it would be exported, answers to the bit as the export does."""
    again = subprocess.run([sys.executable, "-c", _AGAIN, tmp_path], capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    golden = json.loads((trained / "models/digits/1/assets.extra/golden.json").read_text())["signatures"]
    exported, answered = golden["serving_default"]["outputs"]["digit"], json.loads(again.stdout)
    np.testing.assert_array_equal(np.array(exported, np.float32), np.array(answered, np.float32))
