"""A served model as its documentation needs it: its signatures, and what its card says of them.

The card is a file that anybody may have written: what has another form than training's cards is as if it were not there.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from signet.serving.gateway.core.backend import Lease
from signet.serving.gateway.core.joining import verdicts
from signet.serving.json_arrays.inputs import JSON_DTYPES
from signet.serving.models.independence import Verdict
from signet.serving.models.model_status import State, VersionStatus
from signet.serving.tensors.signature import DEFAULT, Signature, TensorSpec, internal

FRIENDLY = ("from_text", "from_bytes", DEFAULT)
"""Signatures by how easily a person writes their inputs."""


class Example(NamedTuple):
    """A request body that a model has answered, and the answer."""

    body: Mapping[str, Any]
    answer: Mapping[str, Any] | None = None
    """None for one that is very long, or that strict JSON cannot carry: it holds NaN or infinity."""


class Examples(NamedTuple):
    """The same rows in each dialect."""

    predict: Example
    infer: Example


class TensorDoc(NamedTuple):
    """What a card says of one tensor; empty where it says nothing."""

    meaning: str = ""
    unit: str = ""
    values: str = ""
    labels: tuple[str, ...] = ()
    """Names of the places along the last axis, in order."""


class DescribedTensor(NamedTuple):
    """A tensor of a signature, and what the card says of it."""

    spec: TensorSpec
    doc: TensorDoc = TensorDoc()
    encoded: bool = False
    """Whether its signature takes strings that are files or messages."""

    @property
    def holds_bytes(self) -> bool:
        """Whether its strings are bytes rather than text: nothing but names tells."""
        return self.spec.name.endswith("_bytes") or self.encoded


@dataclass(frozen=True)
class DescribedModel:
    """A version of a model."""

    name: str
    version: int
    signatures: Mapping[str, Signature]
    signature_defs: Mapping[str, Any] = field(default_factory=dict)
    """The SignatureDef messages."""
    card: Mapping[str, Any] = field(default_factory=dict)
    """Empty when there is no card."""
    labels: Mapping[str, int] = field(default_factory=dict)
    """Label -> version."""
    versions: Sequence[int] = ()
    """All versions that are available."""
    examples: Mapping[str, Examples] = field(default_factory=dict)
    """Examples by signature; some signatures have none."""
    joining: Mapping[str, Verdict] = field(default_factory=dict)
    """By signature, whether rows of several requests share its calls, and why."""

    @property
    def callable_signatures(self) -> list[Signature]:
        """The signatures that requests can name: the friendly ones first, the others by name."""
        named = sorted(name for name in self.signatures if not internal(name))
        ordered = dict.fromkeys([*(name for name in FRIENDLY if name in named), *named])
        return [self.signatures[name] for name in ordered]

    @property
    def servable_signatures(self) -> list[Signature]:
        """The callable signatures whose inputs, and at least one output, the REST dialects can carry."""
        return [signature for signature in self.callable_signatures if servable(signature)]

    @property
    def purpose(self) -> str:
        return _text(self.card, "purpose")

    @property
    def limits(self) -> list[str]:
        """What the model cannot do, as sentences."""
        return _texts(self.card, "limits")

    def inputs(self, signature: Signature) -> list[DescribedTensor]:
        return self._tensors(signature, "inputs", signature.inputs.values())

    def outputs(self, signature: Signature) -> list[DescribedTensor]:
        return self._tensors(signature, "outputs", signature.outputs.values())

    def servable_outputs(self, signature: Signature) -> list[DescribedTensor]:
        return self._tensors(signature, "outputs", servable_outputs(signature).values())

    def declared_example(self, signature: str) -> Any:
        """The predict body that the card shows; None without one."""
        return _entry(_entry(self.card, "signatures"), signature).get("example")

    def _tensors(self, signature: Signature, kind: str, specs: Iterable[TensorSpec]) -> list[DescribedTensor]:
        """In the order of the card, which is the author's: a SavedModel has none."""
        entries = _entry(_entry(_entry(self.card, "signatures"), signature.name), kind)
        places = {name: place for place, name in enumerate(entries)}
        encoded = kind == "inputs" and self._takes_bytes(signature.name)
        return [
            DescribedTensor(spec, _tensor_doc(_entry(entries, spec.name)), encoded)
            for spec in sorted(specs, key=lambda spec: places.get(spec.name, len(places)))
        ]

    def _takes_bytes(self, signature: str) -> bool:
        """Whether it is one of `signet export`, which decodes files, or TensorFlow's own, which parses examples."""
        method = getattr(self.signature_defs.get(signature), "method_name", "")
        return signature.endswith("_bytes") or method.endswith(("/classify", "/regress"))


def of_lease(lease: Lease, labels: Mapping[str, int], statuses: Iterable[VersionStatus]) -> DescribedModel:
    """A version as it is served now, without its card and examples. labels, statuses: of its model."""
    versions = [status.version for status in statuses if status.state is State.AVAILABLE]
    return DescribedModel(
        lease.name,
        lease.version,
        lease.signatures,
        lease.signature_defs,
        labels=labels,
        versions=versions,
        joining=verdicts(lease),
    )


def servable(signature: Signature) -> bool:
    """Whether the REST dialects can carry every input and at least one output."""
    return all(map(_carried, signature.inputs.values())) and bool(servable_outputs(signature))


def servable_outputs(signature: Signature) -> dict[str, TensorSpec]:
    """The outputs that the REST dialects can carry, by name."""
    return {name: spec for name, spec in signature.outputs.items() if _carried(spec)}


def in_rows(signature: Signature) -> bool:
    """Whether the V1 dialect can take and give rows: every tensor has some, and there are not two fixed numbers of them."""
    specs = [*signature.inputs.values(), *servable_outputs(signature).values()]
    counts = {spec.shape[0] for spec in specs if spec.shape}
    return all(spec.shape != () for spec in specs) and len(counts - {None}) <= 1


def in_single_rows(signature: Signature) -> bool:
    """Whether a row alone is a request in the V1 dialect: `in_rows`, and their number is not fixed at another than one."""
    specs = [*signature.inputs.values(), *servable_outputs(signature).values()]
    return (
        bool(signature.inputs) and in_rows(signature) and {spec.shape[0] for spec in specs if spec.shape} <= {None, 1}
    )


def _carried(spec: TensorSpec) -> bool:
    return spec.dtype is not None and spec.dtype.name in JSON_DTYPES  # the V2 dialect has datatypes for the same


def _tensor_doc(entry: Mapping[str, Any]) -> TensorDoc:
    labels = tuple(_texts(entry, "labels"))
    return TensorDoc(_text(entry, "meaning"), _text(entry, "unit"), _text(entry, "values"), labels)


def _entry(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = parent.get(key)
    return value if isinstance(value, Mapping) else {}


def _text(parent: Mapping[str, Any], key: str) -> str:
    value = parent.get(key)
    return value if isinstance(value, str) else ""


def _texts(parent: Mapping[str, Any], key: str) -> list[str]:
    value = parent.get(key)
    return [str(text) for text in value] if isinstance(value, list) else []
