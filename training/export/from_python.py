"""Exports from a notebook or at the end of a training script: a model that is in memory, by the same checks as a file.

    signet.export(model, "prices") ─▶ model.keras, its own classes pickled by value ──description──▶ models/prices/1
    model.fit(…, callbacks=[signet.ExportBest("prices")]) ─▶ the same, with the weights of the best epoch

The model is made again in a fresh process, as everywhere: what answers there does not hang on what else this process knows.
Classes and functions that were defined in the notebook go along; nothing has to be registered with Keras.
"""

import inspect
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cloudpickle
import keras
import numpy as np

from signet.training.export import card
from signet.training.export.description import export_file
from signet.training.export.errors import BadModel
from signet.training.export.names import check_name
from signet.training.export.options import ExportOptions
from signet.training.model import BadOption

Labels = Sequence[str] | Mapping[str, Sequence[str]]


class Exported(NamedTuple):
    """What an export made."""

    path: Path
    """The version's folder: MODELS_DIR/NAME/VERSION."""
    card: dict[str, Any]
    """Its model card: signatures, what was checked, the digest."""

    def __repr__(self) -> str:
        return f"<Exported {self.path}: {', '.join(self.card['signatures'])}>"


def export(
    model: keras.Model,
    name: str,
    models_dir: str | Path = "models",
    *,
    labels: Labels | None = None,
    scores: Literal["probability", "logit"] | None = None,
    example: Mapping[str, Any] | None = None,
    renames: Mapping[str, str] | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    xla: bool = False,
    not_batched: bool = False,
    allow_breaking: bool = False,
) -> Exported:
    """Publish a Keras 3 model as MODELS_DIR/NAME/VERSION, a SavedModel with named inputs and outputs that was checked.

    Each argument means what the option of `signet export` of that name does. labels: names of the classes, for the output
    that has so many, or by output. example: rows by input, {"pixels": array of (n, 64)}; a model whose `call` is Python
    code needs it. renames: {old name: new name}. custom_objects: classes and functions by name that are found neither in
    the model's layers nor registered with Keras. Raises `BadModel`, `BadOption` and `ExportFailed`, whose message says in one
    sentence what helps; then nothing is published.
    """
    if not isinstance(model, keras.Model):
        raise BadModel(f"expected a Keras 3 model, found {type(model).__module__}.{type(model).__name__}")
    check_name(name)
    with tempfile.TemporaryDirectory(prefix="signet-") as temporary:
        folder = Path(temporary)
        labels_file, example_file = _labels(labels, folder), _example(example, folder)
        file = folder / f"{model.name}.keras"
        try:
            model.save(file)
        except Exception as error:  # what layers of a stranger do when they are asked for their config cannot be known
            raise BadModel(f"Keras cannot save the model: {error}") from error
        objects = folder / "objects.pkl"
        objects.write_bytes(cloudpickle.dumps({**dict(_own_objects(model)), **(custom_objects or {})}))
        options = ExportOptions(
            file,
            name,
            Path(models_dir),
            labels=labels_file,
            example=example_file,
            rename=[f"{old}={new}" for old, new in (renames or {}).items()],
            allow_lambda=True,  # its code runs in this process already
            xla=xla,
            allow_breaking=allow_breaking,
            scores=scores,
            not_batched=not_batched,
            objects=objects,
            import_paths=[str(Path(path).absolute()) for path in sys.path],
            source=f"the model `{model.name}` in memory",
        )
        path = export_file(options)
    return Exported(path, json.loads((path / "assets.extra" / card.JSON_FILE).read_bytes()))


def _labels(labels: Labels | None, folder: Path) -> Path | None:
    if labels is None:
        return None
    file = folder / "labels.json"
    by_output = {key: list(value) for key, value in labels.items()} if isinstance(labels, Mapping) else list(labels)
    file.write_text(json.dumps(by_output))
    return file


def _example(example: Mapping[str, Any] | None, folder: Path) -> Path | None:
    if example is None:
        return None
    if not isinstance(example, Mapping):
        raise BadOption(f"example is {type(example).__name__}; expected rows by input, such as {{'pixels': array}}")
    file = folder / "example.npz"
    arrays = {name: np.asarray(rows) for name, rows in example.items()}
    # Texts as numpy's own fixed-width ones, which a file holds without pickles.
    texts = {
        name: array.astype(type(array.flat[0]))
        for name, array in arrays.items()
        if array.dtype == object and array.size
    }
    np.savez(file, **{**arrays, **texts})  # type: ignore[arg-type]  # names of arrays, not numpy's own options
    return file


def _own_objects(model: keras.Model) -> Iterator[tuple[str, Any]]:
    """Classes and functions of the model's layers that neither Keras nor TensorFlow brought, by the names Keras asks for."""
    for layer in model._flatten_layers():
        parts = [type(layer), *(value if inspect.isfunction(value) else type(value) for value in vars(layer).values())]
        for part in parts:
            if str(part.__module__).split(".")[0] not in _KNOWN and part.__name__ != "<lambda>":
                yield part.__name__, part
                yield keras.saving.get_registered_name(part), part


_KNOWN = frozenset({"keras", "tensorflow", "builtins", "numpy", "jax", "collections", "optree", "threading"})


class ExportBest(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Exports the weights of the best epoch when the training ends: `model.fit(…, callbacks=[ExportBest("prices")])`.

    Afterwards `exported` is what `export` gives, and `best_epoch` the epoch, from 1; the model itself keeps its last weights.
    """

    def __init__(
        self,
        name: str,
        models_dir: str | Path = "models",
        *,
        monitor: str = "val_loss",
        mode: Literal["auto", "min", "max"] = "auto",
        **options: Any,
    ) -> None:
        """monitor: the figure of each epoch that tells the best. mode: whether less or more is better; auto: more of
        figures such as accuracy, less of losses and errors. options: those of `export`.
        """
        super().__init__()
        self._name, self._models_dir, self._monitor, self._options = name, models_dir, monitor, options
        more = mode == "max" or (mode == "auto" and monitor.endswith(_MORE_IS_BETTER))
        self._sign = 1.0 if more else -1.0
        self._best: float | None = None
        self._weights: list[Any] = []
        self.best_epoch = 0
        self.exported: Exported | None = None

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Keep the weights if they are the best so far. Raises `BadOption` for a figure that no epoch reports."""
        if self._monitor not in (logs or {}):
            raise BadOption(
                f"ExportBest: the epochs report no {self._monitor!r}, only {', '.join(sorted(logs or {})) or 'nothing'}; "
                "monitor=… names one of them, and validation data are needed for val_…"
            )
        value = self._sign * float((logs or {})[self._monitor])
        if self._best is None or value > self._best:
            self._best, self.best_epoch = value, epoch + 1
            self._weights = self.model.get_weights()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Export the best weights."""
        if not self._weights:
            return
        last = self.model.get_weights()
        self.model.set_weights(self._weights)
        try:
            self.exported = export(self.model, self._name, self._models_dir, **self._options)
        finally:
            self.model.set_weights(last)


_MORE_IS_BETTER = ("acc", "accuracy", "auc", "precision", "recall", "f1_score")
