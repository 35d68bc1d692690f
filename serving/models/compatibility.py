"""Two versions of a model side by side: may callers of the old one go on as they are?

    read(models/digits/1), read(models/digits/2) ─▶ signatures, labels ──changes──▶ [Change("output 'digit' …", breaking=True)]

A change breaks if a request that was answered is refused now, or if an answer no longer has the form that was promised.
A version may take more than the one before it and answer more exactly; never less.

    breaking       a name removed; a new input without default; another dtype, rank or method; an input's free size fixed,
                   or a fixed one changed; an output's fixed size changed or given up, such as the number of classes; other
                   labels; a second output, which gives `predictions` names that they did not have
    not breaking   a new signature; a further output; an input's fixed size freed; an output's free size fixed
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf.message import DecodeError

from signet.serving.tensors.protos import saved_model_pb2
from signet.serving.tensors.signature import Signature, TensorSpec, from_signature_def, internal, shape_text

Shape = tuple[int | None, ...] | None
Labels = Mapping[tuple[str, str], Sequence[str]]
"""(signature, output) -> what its classes are called, in their order."""


@dataclass(frozen=True)
class Change:
    """One difference, as a sentence without a full stop."""

    text: str
    breaking: bool

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Contract:
    """What callers of a version rely on."""

    signatures: Mapping[str, Signature]
    labels: Labels = field(default_factory=dict)


def read(version: Path) -> Contract | None:
    """The contract of a SavedModel's folder; None where there is none to read."""
    try:
        saved_model = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes())
    except (OSError, DecodeError):
        return None
    served = [graph for graph in saved_model.meta_graphs if "serve" in graph.meta_info_def.tags]
    found = {
        name: from_signature_def(name, proto)
        for graph in served[:1]
        for name, proto in graph.signature_def.items()
        if not internal(name)
    }
    return Contract(found, _labels(version / "assets.extra" / "model-card.json"))


def _labels(card: Path) -> Labels:
    try:
        described = json.loads(card.read_bytes())["signatures"]
        return {
            (signature, output): said["labels"]
            for signature, tensors in described.items()
            for output, said in tensors["outputs"].items()
            if said.get("labels")
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def changes(old: Contract, new: Contract) -> list[Change]:
    """What differs, breaking changes first."""
    return sorted(_changes(old, new), key=lambda change: not change.breaking)


def _changes(old: Contract, new: Contract) -> Iterator[Change]:
    for name in sorted(old.signatures.keys() | new.signatures.keys()):
        before, after = old.signatures.get(name), new.signatures.get(name)
        if after is None:
            yield Change(f"signature {name!r} is gone", True)
        elif before is None:
            yield Change(f"signature {name!r} is new", False)
        else:
            yield from _in_signature(before, after)
    for (name, output), labels in sorted(old.labels.items()):
        now = new.labels.get((name, output))
        if now is not None and list(now) != list(labels) and len(now) == len(labels):
            place = next(i for i, pair in enumerate(zip(labels, now, strict=True)) if pair[0] != pair[1])
            yield Change(
                f"signature {name!r}: class {place} of output {output!r} was called {labels[place]!r} "
                f"and is called {now[place]!r}",
                True,
            )


def _in_signature(old: Signature, new: Signature) -> Iterator[Change]:
    where = f"signature {old.name!r}: "
    if old.method_name != new.method_name:
        yield Change(f"{where}its method was {old.method_name!r} and is {new.method_name!r}", True)
    for name in sorted(old.inputs.keys() | new.inputs.keys()):
        if name not in new.inputs:
            yield Change(f"{where}input {name!r} is gone", True)
        elif name not in old.inputs:
            optional = name in new.defaults
            yield Change(f"{where}input {name!r} is new" + (", with a default" if optional else ""), not optional)
        else:
            yield from _in_tensor(f"{where}input {name!r}", old.inputs[name], new.inputs[name], _input_narrower)
    for name in sorted(old.outputs.keys() | new.outputs.keys()):
        if name not in new.outputs:
            yield Change(f"{where}output {name!r} is gone", True)
        elif name not in old.outputs:
            named = len(old.outputs) == 1
            why = ": each of 'predictions' was a bare value and gets names" if named else ""
            yield Change(f"{where}output {name!r} is new{why}", named)
        else:
            yield from _in_tensor(f"{where}output {name!r}", old.outputs[name], new.outputs[name], _output_wider)


def _in_tensor(
    where: str, old: TensorSpec, new: TensorSpec, breaks: Callable[[Shape, Shape], bool]
) -> Iterator[Change]:
    if old.dtype != new.dtype:
        yield Change(f"{where} was {_dtype(old)} and is {_dtype(new)}", True)
    if old.shape != new.shape:
        yield Change(
            f"{where} had shape {shape_text(old.shape)} and has {shape_text(new.shape)}", breaks(old.shape, new.shape)
        )


def _dtype(spec: TensorSpec) -> str:
    return spec.dtype.name if spec.dtype else "of a type that cannot be sent"


def _input_narrower(old: Shape, new: Shape) -> bool:
    """Whether arrays that fitted the old shape do not all fit the new one."""
    if new is None:
        return False
    if old is None or len(old) != len(new):
        return True
    return any(now is not None and now != before for before, now in zip(old, new, strict=True))


def _output_wider(old: Shape, new: Shape) -> bool:
    """Whether answers may have a shape that the old one excluded."""
    return _input_narrower(new, old)
