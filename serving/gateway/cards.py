"""What models say of themselves: `assets.extra/model-card.json` of a version, where the folder of models is at hand.

TensorFlow Serving does not serve these files: without `--models-dir` there are no cards, and nothing is padded.
"""

import json
import logging
from functools import lru_cache
from pathlib import Path
from typing import Any

from serving.fill import Fill
from serving.gateway import examples
from serving.gateway.backend import Lease
from serving.signature import Signature

log = logging.getLogger(__name__)

FILE = Path("assets.extra") / "model-card.json"


class Cards:
    """The cards of the versions in a folder of models; each is read once."""

    def __init__(self, models_dir: Path | None) -> None:
        self._models_dir = models_dir
        self.card = lru_cache(256)(self._card)
        self._fill = lru_cache(1024)(self._declared_fill)

    def _card(self, model: str, version: int) -> dict[str, Any]:
        """The card of a served version; empty when there is none to read."""
        if self._models_dir is None:
            return {}
        path = self._models_dir / model / str(version) / FILE
        try:
            card = json.loads(path.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            log.warning("the card %s cannot be read: %s", path, error)
            return {}
        return card if isinstance(card, dict) else {}

    def first_rows(self, model: str, version: int) -> dict[str, dict[str, Any]]:
        """The first golden row of each signature of a served version; empty when there are none to read."""
        return examples.first_rows(self._models_dir / model / str(version)) if self._models_dir else {}

    def digest(self, model: str, version: int) -> str:
        """SHA-256 of the graph and the weights of a served version; empty where the card does not tell it."""
        try:
            return str(self.card(model, version)["digest"]["sha256"])
        except (KeyError, TypeError):
            return ""

    def labels(self, lease: Lease, signature: str) -> dict[str, list[str]]:
        """Names of the classes of each output, in order, where the card has them."""
        try:
            outputs = self.card(lease.name, lease.version)["signatures"][signature]["outputs"]
            return {name: list(said["labels"]) for name, said in outputs.items() if said.get("labels")}
        except (KeyError, TypeError, AttributeError):
            return {}

    def padding(self, model: str, version: int, signature: Signature) -> Fill | None:
        """How rows of that signature may be made longer without changing an answer; None where they may not.

        Not where an output grows with its inputs either: nobody could tell where to cut it.
        """
        return self._fill(model, version, signature.name) if signature.fixed_outputs else None

    def _declared_fill(self, model: str, version: int, signature: str) -> Fill | None:
        try:
            padding = self.card(model, version)["signatures"][signature]["padding"]
            if not padding or not padding["safe"]:
                return None
            return Fill(padding["value"], {name: tuple(axes) for name, axes in padding["inputs"].items()})
        except (KeyError, TypeError, ValueError):
            return None
