"""A served model as its documentation needs it: its signatures, and what its card says of them.

The card is a file that anybody may have written: what has another form than training's cards is as if it were not there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from signet.serving.models.independence import Verdict
from signet.serving.tensors.signature import DEFAULT, Signature, internal

FRIENDLY = ("from_text", "from_bytes", DEFAULT)
"""Signatures by how easily a person writes their inputs."""


@dataclass(frozen=True)
class Example:
    """A body that has been tried, and the answer it got."""

    body: Mapping[str, Any]
    answer: Mapping[str, Any] | None = None
    """None for one that is very long, or that strict JSON cannot carry: it holds NaN or infinity."""


@dataclass(frozen=True)
class Said:
    """What a card says of one tensor; empty where it says nothing."""

    meaning: str = ""
    unit: str = ""
    values: str = ""
    labels: tuple[str, ...] = ()
    """Of the places along the last axis, in order."""


@dataclass(frozen=True)
class DescribedModel:
    """The version of a model that unversioned requests get."""

    name: str
    version: int
    signatures: Mapping[str, Signature]
    signature_defs: Mapping[str, Any] = field(default_factory=dict)
    """The SignatureDef messages."""
    card: Mapping[str, Any] = field(default_factory=dict)
    """Empty: none is at hand."""
    labels: Mapping[str, int] = field(default_factory=dict)
    """Label -> version."""
    versions: Sequence[int] = ()
    """All that are available."""
    examples: Mapping[str, Example] = field(default_factory=dict)
    """Of predict, by signature; not each has one."""
    infer_examples: Mapping[str, Example] = field(default_factory=dict)
    """The same by the Open Inference Protocol."""

    joining: Mapping[str, Verdict] = field(default_factory=dict)
    """Of each signature whether rows of several requests share its calls, and why."""

    @property
    def callable_signatures(self) -> list[Signature]:
        """The friendly ones first, the others by name."""
        named = sorted(name for name in self.signatures if not internal(name))
        ordered = dict.fromkeys([*(name for name in FRIENDLY if name in named), *named])
        return [self.signatures[name] for name in ordered]

    @property
    def purpose(self) -> str:
        return _text(self.card, "purpose")

    @property
    def limits(self) -> list[str]:
        """What it cannot do, as sentences."""
        return _texts(self.card, "limits")

    def said(self, signature: str, kind: str, tensor: str) -> Said:
        """kind: `inputs` or `outputs`."""
        entry = _entry(_entry(_entry(_entry(self.card, "signatures"), signature), kind), tensor)
        labels = tuple(_texts(entry, "labels"))
        return Said(_text(entry, "meaning"), _text(entry, "unit"), _text(entry, "values"), labels)

    def declared_example(self, signature: str) -> Any:
        """The predict body that the card shows; None without."""
        return _entry(_entry(self.card, "signatures"), signature).get("example")


def _entry(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = parent.get(key)
    return value if isinstance(value, Mapping) else {}


def _text(parent: Mapping[str, Any], key: str) -> str:
    value = parent.get(key)
    return value if isinstance(value, str) else ""


def _texts(parent: Mapping[str, Any], key: str) -> list[str]:
    value = parent.get(key)
    return [str(text) for text in value] if isinstance(value, list) else []
