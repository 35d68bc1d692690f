"""Learning: batches in, weights out, one checkpoint an epoch, so that a killed run goes on from its last whole epoch.

    fit(model, data, recipe, run, work) -> History      work/state.json names the checkpoint that belongs to it
                                                        work/epoch-0007.weights.h5: weights and the optimizer's state

What an epoch sees depends on the seed and its own number alone: going on gives what running through would have given.
"""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np

from serving.errors import SignetError
from training.model import Arrays, Data, Recipe


class Diverged(SignetError):
    """The loss is no longer a number."""


@dataclass
class History:
    """What has been learnt so far."""

    run: Mapping[str, Any]
    """What tells this run from another: a checkpoint of another run is of no use."""
    epochs: list[dict[str, float]] = field(default_factory=list)
    """Loss and metrics of each epoch that is done."""
    seconds: float = 0.0
    """Wall time of these epochs, those before an interruption included."""
    weights: str = ""
    """File name of the checkpoint."""


class Watcher(Protocol):
    """Is told how far the learning has come."""

    def batch(self, done: int) -> None:
        """So many batches of the whole run are done."""

    def epoch(self, done: int, logs: Mapping[str, float]) -> None:
        """So many epochs of the whole run are done; loss and metrics of the last one."""


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
    history.weights = f"epoch-{len(history.epochs):04}.weights.h5"
    model.save_weights(work / "writing.weights.h5")
    (work / "writing.weights.h5").rename(work / history.weights)
    (work / "state.json.writing").write_text(json.dumps(asdict(history)))
    (work / "state.json.writing").rename(work / "state.json")
    for old in work.glob("epoch-*.weights.h5"):
        if old.name != history.weights:
            old.unlink()


def fit(model: keras.Model, data: Data[Any], recipe: Recipe, history: History, work: Path, watcher: Watcher) -> History:
    """Train a compiled `model` up to `recipe.epochs`, from where `history` ends. Raises Diverged."""
    if history.weights:
        model.optimizer.build(model.trainable_variables)
        model.load_weights(work / history.weights)
    done = len(history.epochs)
    if done < recipe.epochs:
        batches = Batches(data, recipe.batch_rows, int(history.run["seed"]), done)
        keeper = Keeper(history, work, watcher, len(batches))
        model.fit(batches, epochs=recipe.epochs, initial_epoch=done, verbose=0, callbacks=[keeper])
    return history


def steps_per_epoch(rows: int, batch_rows: int) -> int:
    """Whole batches only: XLA compiles anew for every shape. At least one, however few the rows."""
    return max(1, rows // batch_rows)


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
        self._rows = self._data.epoch(epoch)
        self._order = np.random.default_rng([self._seed, epoch]).permutation(self._rows.rows)

    def __len__(self) -> int:
        return steps_per_epoch(self._rows.rows, self._batch_rows)

    def __getitem__(self, index: int) -> tuple[Arrays, Arrays]:
        rows = self._rows[self._order[index * self._batch_rows : (index + 1) * self._batch_rows]]
        return rows.inputs, rows.targets

    def on_epoch_end(self) -> None:
        self._start(self._epoch + 1)


class Keeper(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes the checkpoint after each epoch and tells the watcher."""

    def __init__(self, history: History, work: Path, watcher: Watcher, steps: int) -> None:
        super().__init__()
        self._history = history
        self._work = work
        self._watcher = watcher
        self._steps = steps
        self._since = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        self._watcher.batch(len(self._history.epochs) * self._steps + batch + 1)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        logs = {name: float(value) for name, value in (logs or {}).items()}
        if not math.isfinite(logs["loss"]):
            raise Diverged(
                f"the loss became {logs['loss']} in epoch {epoch + 1}: look for extreme values in the data, or try another --seed"
            )
        now = time.monotonic()
        self._history.seconds += now - self._since
        self._since = now
        self._history.epochs.append(logs)
        write_history(self._work, self._history, self.model)
        self._watcher.epoch(epoch + 1, logs)
