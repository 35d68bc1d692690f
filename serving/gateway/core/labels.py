"""Names for versions, such as `stable`: from the model config file, or without one from MODEL/labels.json.

{"stable": 3, "canary": 4}      replaced by rename; read again when the file has changed
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from signet.serving.errors import UsageError
from signet.serving.gateway.settings import Settings
from signet.serving.models import model_config
from signet.serving.process.file_stamp import Stamp, stamp

log = logging.getLogger(__name__)

FILE = "labels.json"


class Labels:
    """The labels of all models, as the files say now. Only the event loop reads them."""

    def __init__(self, settings: Settings) -> None:
        self._config_file, self._models_dir = settings.model_config_file, settings.models_dir
        self._read: dict[Path, tuple[Stamp | None, Mapping[str, Mapping[str, int]]]] = {}

    def version(self, model: str, label: str) -> int | None:
        """The version that a label of a declared model stands for; None for one that no file knows."""
        return self.of(model).get(label)

    def of(self, model: str) -> Mapping[str, int]:
        """Label -> version, of a declared model, as its file says."""
        if self._config_file:
            return self._fresh(self._config_file).get(model, {})
        if self._models_dir:
            return self._fresh(self._models_dir / model / FILE).get(model, {})
        return {}

    def _fresh(self, path: Path) -> Mapping[str, Mapping[str, int]]:
        """What the file says; what it said before while it cannot be read."""
        seen = stamp(path)
        known_stamp, labels = self._read.get(path, (None, {}))
        if seen != known_stamp:
            try:
                labels = _labels(path) if seen else {}
            except (OSError, UsageError, ValueError) as error:
                log.error("the labels in %s are not used: %s", path, error)
            self._read[path] = seen, labels
        return labels


def _labels(path: Path) -> Mapping[str, Mapping[str, int]]:
    if path.name != FILE:
        return {model.name: model.labels for model in model_config.read(path)}
    document = json.loads(path.read_text())
    if not isinstance(document, dict) or not all(type(version) is int for version in document.values()):
        raise ValueError("expected an object of labels and version numbers")
    return {path.parent.name: document}
