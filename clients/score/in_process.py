"""A SavedModel that is loaded into this process as the `Predictor` of a job: no service, TensorFlow's C library instead.

    models/digits/3/  ──load──▶  the embedded engine, each request by itself

The only file of the clients that imports the engine, and only when it is asked for.
"""

import hashlib
import threading
from functools import cache
from pathlib import Path

from signet.clients.score.predictor import Connection, PinnedVersion
from signet.serving.engine.loading import load
from signet.serving.engine.servable import Servable
from signet.serving.errors import UsageError
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.signature import nearest_hint, select

_PIECE_BYTES = 1 << 20


class InProcessPredictor:
    """A `Predictor` without a server; the threads of a job share it."""

    def __init__(self, models_dir: Path, connection: Connection) -> None:
        self._servable = _loaded(models_dir, connection.model, connection.version)
        self._signature = self._servable.signatures[connection.signature]
        self._gate = threading.Semaphore(connection.concurrency)

    def predict(self, arrays: Arrays) -> Arrays:
        with self._gate:
            return self._servable.predict(self._signature, arrays)

    def stop(self) -> None:
        """Do nothing: no request waits for long here."""

    def close(self) -> None:
        """Do nothing: the model stays loaded for the next part of the job that comes to this process."""


def pin(models_dir: Path, model: str, version: int | None, signature: str) -> PinnedVersion:
    """The version to load, where None stands for the highest. Raises `UsageError` for one that is not there."""
    folder = models_dir / model
    numbers = sorted(int(child.name) for child in folder.iterdir() if child.name.isdecimal()) if folder.is_dir() else []
    if not numbers:
        known = [child.name for child in models_dir.iterdir()] if models_dir.is_dir() else []
        raise UsageError(f"{folder} holds no version of a model{nearest_hint(model, known)}; expected {folder}/1")
    if version is not None and version not in numbers:
        raise UsageError(f"{folder} holds no version {version}, only {', '.join(map(str, numbers))}")
    number = numbers[-1] if version is None else version
    chosen = select(_loaded(models_dir, model, number).signatures, signature, model)
    return PinnedVersion(number, chosen, _digest(folder / str(number)))


@cache
def _loaded(models_dir: Path, model: str, version: int) -> Servable:
    return load(model, version, models_dir / model / str(version))


def _digest(folder: Path) -> str:
    """A hash of the graph and the weights."""
    found = hashlib.sha256()
    for path in [folder / "saved_model.pb", *sorted(folder.glob("variables/*"))]:
        found.update(path.name.encode())
        with path.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                found.update(piece)
    return found.hexdigest()
