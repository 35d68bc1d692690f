"""A folder of models: which of the things in it are models. They come and go while a server runs.

models/digits/1/…                        a model: its folder has a version, or is empty and waits for one
models/.lock, notes.txt, lost+found/     passed over, with one line in the log
"""

import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from signet.serving.errors import UsageError
from signet.serving.models.model_config import ModelConfig

log = logging.getLogger(__name__)

BESIDE = frozenset(
    (
        "labels.json",
        "release.json",
        ".release.lock",
        "release-history.jsonl",
        "release-check.json",
        "release-check.html",
    )
)
"""What lies beside versions: names for them, their release, and what the gate has found."""

_NO_MODELS = frozenset({"lost+found"})
"""What file systems put at their top."""
_MOST_PASSED_OVER = 1000
"""Names of which it is remembered that they were told of."""


class PassedOver:
    """Says once of each name that it is passed over."""

    def __init__(self, where: str, what: str) -> None:
        """where: what the names are in. what: what they are not, such as `version`."""
        self._where, self._what = where, what
        self._told: set[str] = set()

    def tell(self, names: Iterable[str]) -> None:
        """Log those that are new. They are forgotten when there are too many: each is told again, rather than never."""
        for name in set(names) - self._told:
            if len(self._told) >= _MOST_PASSED_OVER:
                self._told.clear()
            self._told.add(name)
            log.info("%s: %r is no %s, and is passed over", self._where, name[:200], self._what)


def is_version(name: str) -> bool:
    """Whether a folder of that name holds a version of a model."""
    return name.isascii() and name.isdecimal() and int(name) < 1 << 63


class ModelsFolder:
    """Looks at one folder again and again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: set[str] = set()
        self._passed_over = PassedOver(f"models folder {str(path)!r}", "model")

    def models(self) -> list[ModelConfig]:
        """The configuration of each model that is there now, in the order of their names. Raises `UsageError`."""
        try:
            names = sorted(os.listdir(self.path))
        except OSError as error:
            missing = isinstance(error, FileNotFoundError | NotADirectoryError)
            why = "does not exist; `signet train` makes it" if missing else f"cannot be read: {error.strerror}"
            raise UsageError(f"the models folder {str(self.path)!r} {why}") from error
        models = [name for name in names if self._is_model(name)]
        self._passed_over.tell(set(names) - set(models))
        self._known = set(models)
        return [ModelConfig(name, self.path.absolute() / name) for name in models]

    def _is_model(self, name: str) -> bool:
        folder = self.path / name
        if name.startswith(".") or name in _NO_MODELS or not folder.is_dir():
            return False
        try:
            content = os.listdir(folder)
        except OSError:
            return True  # who serves it will say why it cannot be read
        return name in self._known or any(map(is_version, content)) or not set(content) - BESIDE


class FolderWatch:
    """Tells when the models of a folder are others than at the last look."""

    def __init__(self, folder: ModelsFolder, changed: Callable[[list[ModelConfig]], None], poll_s: float) -> None:
        """poll_s: seconds between two looks."""
        self._folder, self._changed, self._poll_s = folder, changed, poll_s
        self._names: list[str] | None = None
        self._problem = ""

    def step(self) -> float:
        """Look at the folder once, and tell the seconds until the next look. A folder that cannot be read changes nothing."""
        try:
            models = self._folder.models()
        except UsageError as error:
            if str(error) != self._problem:
                log.error("%s; what is served goes on", error)
            self._problem = str(error)
            return self._poll_s
        self._problem = ""
        names = [model.name for model in models]
        if names != self._names:
            self._changed(models)
            self._names = names
        return self._poll_s
