"""Learning: batches in, weights out, one checkpoint an epoch, so that a killed run goes on from its last whole epoch.

Early stopping: after `patience` epochs in a row that were not the best on the validation rows the run ends; exported are the
best epoch's weights in any case.

    fit(model, data, recipe, history, work, listener) ──▶ History     work/state.json  names the files that belong to it
      a tenth of the rows is for validation                          work/epoch-0007  weights and the optimizer's state
      the rest is learnt from, in an order of each epoch's own       work/best-0005   those that did best on these rows
                                                                     work/history.csv loss and metrics, a line an epoch

What an epoch sees depends on the seed and its own number alone: going on gives what running through would have given.
"""

import csv
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np

from signet.serving.errors import SignetError
from signet.training.model import Arrays, Data, Recipe

VALIDATION = 10
"""One row in ten is held back from learning, for validation."""


class Diverged(SignetError):
    """The loss of an epoch is infinite or not a number."""


@dataclass
class History:
    """What a run has learnt so far: the content of state.json. Written by `CheckpointCallback` alone, after each epoch."""

    run: Mapping[str, Any]
    """What tells this run from another: a checkpoint of another run is of no use."""
    epochs: list[dict[str, float]] = field(default_factory=list)
    """Loss and metrics of each epoch that is done."""
    seconds: float = 0.0
    """Wall time of these epochs, those before an interruption included."""
    weights: str = ""
    """File name of the last epoch's checkpoint in the work folder."""
    best_weights: str = ""
    """File name of the best epoch's weights in the work folder."""

    @property
    def best_epoch(self) -> int:
        """The epoch that did best on the validation rows, from 1; 0 before the first."""
        by_accuracy = self.run["recipe"]["by_accuracy"]
        losses = [-epoch["val_accuracy"] if by_accuracy else epoch["val_loss"] for epoch in self.epochs]
        return len(losses) - losses[::-1].index(min(losses)) if losses else 0  # of equals the last, which learnt most

    def finished(self, recipe: Recipe) -> bool:
        """Whether all epochs are done, or early stopping ends the run: patience is at its end."""
        done = len(self.epochs)
        return done >= recipe.epochs or 0 < recipe.patience <= done - self.best_epoch


class ProgressListener(Protocol):
    """Hears how far the learning has come."""

    def batch(self, done: int) -> None:
        """Hear that `done` batches of the whole run are learnt from."""

    def epoch(self, done: int, logs: Mapping[str, float]) -> None:
        """Hear that `done` epochs of the whole run are over, with loss and metrics of the last one."""


def read_history(work: Path, run: Mapping[str, Any]) -> History:
    """Where this very run stopped; an empty history if there was none or it was another."""
    try:
        state = json.loads((work / "state.json").read_bytes())
    except FileNotFoundError:
        return History(run)
    if state["run"] != run:
        return History(run)
    return History(**state)


def write_history(work: Path, history: History, model: keras.Model) -> None:
    """Checkpoint: the weights first, then the file that names them, then the old weights go."""
    done = len(history.epochs)
    history.weights = f"epoch-{done:04}.weights.h5"
    model.save_weights(work / "writing.weights.h5")
    (work / "writing.weights.h5").rename(work / history.weights)
    if history.best_epoch == done:
        history.best_weights = f"best-{done:04}.weights.h5"
        (work / history.best_weights).unlink(missing_ok=True)
        (work / history.best_weights).hardlink_to(work / history.weights)
    with (work / "history.csv").open("w", newline="") as file:
        lines = csv.DictWriter(file, ["epoch", *history.epochs[0]])
        lines.writeheader()
        lines.writerows({"epoch": number, **logs} for number, logs in enumerate(history.epochs, 1))
    (work / "state.json.writing").write_text(json.dumps(asdict(history)))
    (work / "state.json.writing").rename(work / "state.json")
    for old in work.glob("*-*.weights.h5"):
        if old.name not in (history.weights, history.best_weights):
            old.unlink()


def fit(
    model: keras.Model,
    data: Data[Any],
    recipe: Recipe,
    history: History,
    work: Path,
    listener: ProgressListener,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> History:
    """Train a compiled `model` by `recipe`, from where `history` ends. The best weights are in a file then.

    Raises Diverged.
    """
    if history.weights:
        model.optimizer.build(model.trainable_variables)
        model.load_weights(work / history.weights)
    if not history.finished(recipe):
        done = len(history.epochs)
        batches = Batches(data, recipe.batch_rows, int(history.run["seed"]), done)
        checkpoints = CheckpointCallback(history, recipe, work, listener, len(batches))
        validation = data.epoch(0)[validation_rows(data.epoch(0).rows)]
        model.fit(
            batches,
            epochs=recipe.epochs,
            initial_epoch=done,
            validation_data=(validation.inputs, validation.targets),
            validation_batch_size=min(validation.rows, 256),
            shuffle=False,  # Keras would shuffle the batches, in an order that a resumed run does not know
            verbose=0,
            callbacks=[checkpoints, *callbacks],
        )
    return history


def tensorboard(folder: Path | None, name: str) -> list[keras.callbacks.Callback]:
    """The callback that writes for `tensorboard --logdir folder`, if it was asked for."""
    return [] if folder is None else [keras.callbacks.TensorBoard(folder / name)]


def validation_rows(rows: int) -> slice:
    """Which rows of each epoch are not learnt from: the last tenth, one at least where there are two.

    The first epoch's choose the best weights. Rows that belong together lie together: questions of one story.
    """
    return slice(rows - max(1, rows // VALIDATION), rows) if rows > 1 else slice(0, 1)


def steps_per_epoch(rows: int, batch_rows: int) -> int:
    """Whole batches only: XLA compiles anew for every shape. At least one, however few the rows."""
    return max(1, (validation_rows(rows).start or rows) // batch_rows)


class Batches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """The rows of each epoch in an order of that epoch's own."""

    def __init__(self, data: Data[Any], batch_rows: int, seed: int, first_epoch: int) -> None:
        super().__init__()
        self._data = data
        self._batch_rows = batch_rows
        self._seed = seed
        self._start(first_epoch)

    def _start(self, epoch: int) -> None:
        self._epoch = epoch
        rows = self._data.epoch(epoch)
        self._rows = rows[: validation_rows(rows.rows).start or rows.rows]
        self._order = np.random.default_rng([self._seed, epoch]).permutation(self._rows.rows)

    def __len__(self) -> int:
        return max(1, self._rows.rows // self._batch_rows)

    def __getitem__(self, index: int) -> tuple[Arrays, Arrays]:
        rows = self._rows[self._order[index * self._batch_rows : (index + 1) * self._batch_rows]]
        return rows.inputs, rows.targets

    def on_epoch_end(self) -> None:
        self._start(self._epoch + 1)


class CheckpointCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """After each epoch writes the checkpoint, tells the listener, and stops the run early when patience is at its end."""

    def __init__(self, history: History, recipe: Recipe, work: Path, listener: ProgressListener, steps: int) -> None:
        super().__init__()
        self._history = history
        self._recipe = recipe
        self._work = work
        self._listener = listener
        self._steps = steps
        self._since = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        self._listener.batch(len(self._history.epochs) * self._steps + batch + 1)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        logs = {name: float(value) for name, value in (logs or {}).items()}
        if not all(map(math.isfinite, logs.values())):
            raise Diverged(
                f"the loss became {logs['loss']} in epoch {epoch + 1}, {logs['val_loss']} on the validation rows: "
                "look for extreme values in the data, or try another --seed"
            )
        now = time.monotonic()
        self._history.seconds += now - self._since
        self._since = now
        self._history.epochs.append(logs)
        write_history(self._work, self._history, self.model)
        self._listener.epoch(epoch + 1, logs)
        self.model.stop_training = self._history.finished(self._recipe)
