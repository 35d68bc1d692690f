"""What `fit` keeps and when it stops, on the digits; and the same training under JAX, on two devices, in bfloat16."""

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from signet.training import train
from signet.training.model import BadOption, Recipe
from tests.training import late
from tests.training.late import keras

digits = late.model("digits")
fit = late.Late("signet.training.fit")

# Keras reads and writes weights in a way that numpy 2 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")


class Silent:
    def batch(self, done):
        pass

    def epoch(self, done, logs):
        pass


def fitted(work, recipe, *, stop_after=None):
    """Learn the first 256 digits by `recipe`; with `stop_after` as a run that ends there and another that goes on."""
    data = digits.load(None, "quick", 0)
    rows = data.epoch(0)[:256]
    data = replace(data, epoch=lambda _: rows)
    run = {"seed": 0, "recipe": {"by_accuracy": recipe.by_accuracy}}
    work.mkdir(exist_ok=True)
    for epochs in filter(None, (stop_after, recipe.epochs)):
        keras.utils.set_random_seed(0)
        model = digits.build_model(data.config)
        digits.compile_model(model, recipe, steps=7 * recipe.epochs)
        history = fit.read_history(work, run)
        fit.fit(model, data, replace(recipe, epochs=epochs), history, work, Silent())
    return history, model, rows


def test_the_best_epochs_weights_are_kept(tmp_path):
    history, model, rows = fitted(
        tmp_path, Recipe(epochs=6, batch_rows=32, learning_rate=0.3)
    )  # too fast to get better
    losses = [epoch["val_loss"] for epoch in history.epochs]
    assert history.best_epoch == losses.index(min(losses)) + 1
    kept = sorted(path.name for path in tmp_path.glob("*.h5"))
    assert kept == sorted({history.best_weights, history.weights})
    model.load_weights(tmp_path / history.best_weights)
    validation = rows[fit.validation_rows(rows.rows)]
    again = model.evaluate(validation.inputs, validation.targets, verbose=0, return_dict=True)["loss"]
    assert again == pytest.approx(min(losses), rel=1e-4)


def test_the_best_epoch_may_be_that_of_the_greatest_accuracy():
    epochs = [{"val_accuracy": 0.5, "val_loss": 1.0}, {"val_accuracy": 0.9, "val_loss": 3.0},
              {"val_accuracy": 0.9, "val_loss": 2.0}]  # fmt: skip
    assert fit.History({"recipe": {"by_accuracy": True}}, epochs).best_epoch == 3
    assert fit.History({"recipe": {"by_accuracy": False}}, epochs).best_epoch == 1


def test_patience_ends_the_training(tmp_path):
    history, *_ = fitted(tmp_path, Recipe(epochs=200, batch_rows=32, learning_rate=0.3, patience=2))
    assert len(history.epochs) == history.best_epoch + 2 < 200


def test_going_on_gives_what_running_through_gives(tmp_path):
    recipe = Recipe(epochs=4, batch_rows=32, learning_rate=3e-3)
    through, model, _ = fitted(tmp_path / "through", recipe)
    resumed, other, _ = fitted(tmp_path / "resumed", recipe, stop_after=2)
    assert len(resumed.epochs) == len(through.epochs) == 4
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)


def test_the_history_is_a_csv_file(tmp_path):
    history, *_ = fitted(tmp_path, Recipe(epochs=3, batch_rows=32, learning_rate=3e-3))
    with (tmp_path / "history.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["epoch"] for line in lines] == ["1", "2", "3"]
    assert [float(line["val_loss"]) for line in lines] == [epoch["val_loss"] for epoch in history.epochs]


@pytest.mark.parametrize(("rows", "kept_out"), [(1, [0]), (2, [1]), (9, [8]), (100, list(range(90, 100)))])
def test_the_last_tenth_is_for_validation(rows, kept_out):
    assert list(range(rows))[fit.validation_rows(rows)] == kept_out


def signet_train(folder, *arguments, script, **environment):
    """`signet train digits` by a script that does more before, and what its export says of the training."""
    done = subprocess.run(
        [sys.executable, "-c", script, "train", "digits", "--epochs", "2", "--models-dir", folder / "models", *arguments],
        env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=280, cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    extra = folder / "models" / "digits" / "1" / "assets.extra"
    return json.loads((extra / "metrics.json").read_text())


ALONE_BEFORE = """
import json
from pathlib import Path
from signet.training import train
from signet.training.options import TrainOptions

class Silent:
    say = batch = epoch = start = lambda *_: None

work = Path("alone")
work.mkdir()
done = train.fitted("digits", TrainOptions(epochs=2), work, Silent())
Path("alone.json").write_text(json.dumps(done.history.epochs))
import signet.cli
signet.cli.main()
"""


@pytest.mark.long
def test_jax_trains_on_two_devices_and_tensorflow_exports(tmp_path):
    """The export is verified against the golden answers, by TensorFlow's own loader, before it is published."""
    devices = "--xla_force_host_platform_device_count=2"
    shared = signet_train(tmp_path, "--distribute", script=ALONE_BEFORE, KERAS_BACKEND="jax", XLA_FLAGS=devices)
    alone = json.loads((tmp_path / "alone.json").read_text())
    assert "jax" in shared["versions"]
    assert shared["distribute"]
    assert shared["epochs"][-1]["loss"] == pytest.approx(alone[-1]["loss"], rel=1e-3)


TWO_PROCESSORS = """
from signet.training import keras_start
keras_start.start()
import tensorflow as tf
(processor,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
from pathlib import Path
from signet.training import devices
try:
    devices.shared(True, 33).__enter__()
except devices.BadOption as error:
    Path("refused").write_text(str(error))
import signet.cli
signet.cli.main()
"""


def test_tensorflow_trains_on_two_devices_in_bfloat16_and_writes_for_tensorboard(tmp_path):
    board = tmp_path / "board"
    metrics = signet_train(tmp_path, "--distribute", "--mixed-precision", "--tensorboard", board, script=TWO_PROCESSORS)
    assert metrics["precision"] == "bfloat16"
    assert metrics["scores"][0]["value"] > 0.3
    assert {path.parent.name for path in board.rglob("events.out.*")} == {"train", "validation"}
    assert "a batch of 33 rows cannot be shared out among 2 devices" in (tmp_path / "refused").read_text()


@pytest.mark.parametrize(("backend", "problem"), [
    ("torch", "KERAS_BACKEND is 'torch'; models are trained with tensorflow or jax"),
])  # fmt: skip
def test_a_backend_that_cannot_train_is_refused(backend, problem, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", backend)
    with pytest.raises(BadOption, match=problem):
        train.check_backend()
