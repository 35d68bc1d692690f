"""What a version says of itself: `assets.extra/model-card.json` in its folder, which training wrote.

    folder ──read──▶ Card: digest, names of classes, what may be filled up, whether rows are independent

A card is read when its version is loaded or leased first, and lives and dies with it: another version under the same
number has another card. TensorFlow Serving does not serve these files: without a folder of models there are no cards.
What has another form than training's cards is as if it were not there.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from signet.serving.models import small_file
from signet.serving.models.distribution import Reference, reference_of_json
from signet.serving.tensors.padding import PaddingRule
from signet.serving.tensors.signature import Signature

FILE = Path("assets.extra") / "model-card.json"

_FEWEST_ROWS = 2
"""Golden rows that show whether a row is answered alone as in company."""


@dataclass(frozen=True, eq=False)
class Card:
    """The card of one version; empty when there is none to read."""

    content: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    """The version's folder, where it is at hand."""
    problem: str = ""
    """Why there is no card although there is something in its place."""

    @property
    def digest(self) -> str:
        """SHA-256 of the graph and the weights; empty where the card does not tell it."""
        found = _entry(self.content, "digest").get("sha256")
        return found if isinstance(found, str) else ""

    def labels(self, signature: str) -> dict[str, list[str]]:
        """Names of the classes of each output, in order, where the card has them."""
        outputs = _entry(self._signature(signature), "outputs")
        found = {name: _entry(outputs, name).get("labels") for name in outputs}
        return {name: list(map(str, labels)) for name, labels in found.items() if isinstance(labels, list) and labels}

    def padding(self, signature: Signature) -> PaddingRule | None:
        """How rows of that signature may be made longer without changing an answer; None where they may not.

        Not where an output grows with its inputs either: nobody could tell where to cut it.
        """
        padding = _entry(self._signature(signature.name), "padding")
        if not signature.fixed_outputs or padding.get("safe") is not True:
            return None
        try:
            axes = {str(name): tuple(map(int, axes)) for name, axes in padding["inputs"].items()}
            return PaddingRule(float(padding["value"]), axes)
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
            return None

    def reference(self, signature: str) -> Reference | None:
        """How inputs and outputs were distributed in rows like those that callers send; None where the card does not tell."""
        return reference_of_json(self._signature(signature).get("reference"))

    def independent(self, signature: str) -> bool | None:
        """Whether the export was seen to answer rows alone as in a batch; None where the card does not tell.

        False: it was exported for requests that go alone.
        """
        said = self._signature(signature)
        batched, rows = said.get("batched"), said.get("golden_rows")
        if batched is False:
            return False
        # It would not have been published, had a row been answered otherwise.
        return True if batched is True and isinstance(rows, int) and rows >= _FEWEST_ROWS else None

    def _signature(self, name: str) -> Mapping[str, Any]:
        return _entry(_entry(self.content, "signatures"), name)


NONE = Card()


def read(folder: Path | None) -> Card:
    """The card of the version in a folder; whatever lies there, it costs at most the card."""
    if folder is None:
        return NONE
    try:
        content = json.loads(small_file.read(folder / FILE))
    except FileNotFoundError:
        return Card(folder=folder)
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        return Card(folder=folder, problem=f"the card {folder / FILE} cannot be read: {error}")
    if not isinstance(content, dict):
        return Card(folder=folder, problem=f"the card {folder / FILE} is no JSON object")
    return Card(content, folder)


def _entry(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = parent.get(key)
    return value if isinstance(value, Mapping) else {}
