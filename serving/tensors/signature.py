"""Signatures: the named tensors that training, serving and clients agree on.

    SignatureDef (protobuf) ──from_signature_def──▶ Signature: inputs and outputs by name ──check──▶ arrays that fit

What does not fit raises `InvalidInput`, with a message that names the input, what the model takes and what came.
"""

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from signet.serving.errors import FailedPrecondition, InvalidInput, Unsupported
from signet.serving.tensors import dtypes
from signet.serving.tensors.arrays import Array, Arrays, as_string_array, from_proto
from signet.serving.tensors.html_table import table
from signet.serving.tensors.protos import meta_graph_pb2

DEFAULT = "serving_default"
_INTERNAL = "__saved_model"
"""How names of signatures start that TensorFlow keeps for itself: `__saved_model_init_op` is a SavedModel's initialisation."""


@dataclass(frozen=True)
class TensorSpec:
    """One named tensor of a signature."""

    name: str
    dtype: dtypes.DType | None
    """None: a type that cannot travel (quantised, variant …); the tensor is listed but cannot be sent."""
    shape: tuple[int | None, ...] | None
    """None in a place: any size there; None as a whole: any rank."""
    tensor: str
    """The name in the graph that is fed or fetched, such as `serving_default_pixels:0`."""

    def __str__(self) -> str:
        """The tensor as messages name it: `pixels: float (None, 64)`."""
        dtype = self.dtype.name if self.dtype else "unsupported"
        return f"{self.name}: {dtype} {shape_text(self.shape)}"

    def __repr__(self) -> str:
        return f"<TensorSpec {self}>"

    @property
    def batched(self) -> bool:
        """Whether the first dimension is free, so that rows of several callers may share a call."""
        return bool(self.shape) and self.shape is not None and self.shape[0] is None

    def fitted(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape, with the last axis that it may lack: (7,) is (7, 1) for (None, 1), and () is (1,) for (1,).

        That is the one rule by which a flat column fits a model whose inputs are columns. Only a last axis that the
        signature fixes at 1 is added, when all others are there: an open one is never guessed.
        """
        wanted = self.shape
        if wanted and wanted[-1] == 1 and len(shape) < len(wanted) and _fits(shape, wanted[:-1]):
            return (*shape, 1)
        return shape

    def check(self, array: Array) -> Array:
        """The array when it fits, as `fitted` says, strings as bytes; else `InvalidInput`. No other cast is made."""
        if self.dtype is None:
            raise Unsupported(f"input {self.name!r} has a type that cannot be sent")
        if self.dtype.enum == dtypes.STRING and array.dtype.kind in "OSU":
            array = as_string_array(array)
        if array.dtype != self.dtype.numpy:
            sent = dtypes.from_numpy(array.dtype).name
            problem = f"input {self.name!r} is {sent}; the model takes {self.dtype.name}"
            raise InvalidInput.text(self.name, problem) if sent == dtypes.TEXT else InvalidInput(problem)
        return self.in_shape(array)

    def in_shape(self, array: Array) -> Array:
        """The array in the shape that `fitted` gives it. Raises `InvalidInput` unless that is this tensor's."""
        shape = self.check_shape(array.shape)
        return array if shape == array.shape else array.reshape(shape)

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of that shape can be this tensor."""
        return self.shape is None or _fits(shape, self.shape)

    def check_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape, as `fitted` makes it. Raises `InvalidInput` unless it fits this one."""
        fitted = self.fitted(shape)
        if not self.fits(fitted):
            raise InvalidInput(f"input {self.name!r} has shape {shape}; the model takes {shape_text(self.shape)}")
        return fitted


@dataclass(frozen=True)
class Signature:
    """One way to call a model: named inputs in, named outputs out."""

    name: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    method_name: str = ""
    defaults: Arrays = field(default_factory=dict, compare=False)
    """Values for inputs that a gRPC caller leaves out."""

    def __str__(self) -> str:
        """Its tensors on a line: `ask: text: string (None,) → answer: string (None,)`."""
        return f"{self.name}: {_listed(self.inputs)} → {_listed(self.outputs)}"

    def __repr__(self) -> str:
        return f"<Signature {self}>"

    def _repr_html_(self) -> str:
        return as_html([self])

    @cached_property
    def batched(self) -> bool:
        """Whether requests may be joined along the first dimension of every input and cut again at every output."""
        specs = [*self.inputs.values(), *self.outputs.values()]
        return bool(self.inputs) and all(spec.batched for spec in specs)

    @cached_property
    def fixed_outputs(self) -> bool:
        """Whether the shape of every output, but for the rows, is known before the call."""
        return all(spec.shape is not None and None not in spec.shape[1:] for spec in self.outputs.values())

    @cached_property
    def input_names(self) -> frozenset[str]:
        return frozenset(self.inputs)

    @cached_property
    def sorted_inputs(self) -> tuple[str, ...]:
        return tuple(sorted(self.inputs))

    def check_names(self, names: Collection[str], where: str = "") -> None:
        """Raise `InvalidInput` unless exactly the inputs are there; says which are missing, unknown and expected."""
        if self.input_names == set(names):
            return
        missing = sorted(self.input_names.difference(names))
        unknown = sorted(set(names) - self.input_names)
        parts = []
        if missing:
            parts.append(f"missing {_plural('input', missing)}")
        if unknown:
            parts.append(f"unknown {_plural('input', unknown)}{_nearest(unknown, missing)}")
        expected = ", ".join(str(spec) for spec in self.inputs.values())
        raise InvalidInput(f"{where}{'; '.join(parts)}. Signature {self.name!r} takes: {expected}")

    def check_rows(self, arrays: Arrays) -> int:
        """The number of rows, the same in every input, or `InvalidInput`; 1 for a signature without rows."""
        if not self.batched:
            return 1
        rows = [len(array) for array in arrays.values()]
        if rows.count(rows[0]) != len(rows):
            counts = ", ".join(f"{name!r} has {len(array)}" for name, array in arrays.items())
            raise InvalidInput(f"the inputs have different numbers of rows: {counts}")
        return rows[0]

    def check(self, arrays: Mapping[str, Array]) -> Arrays:
        """The arrays when names, dtypes, shapes and rows fit; else `InvalidInput`."""
        if arrays.keys() != self.input_names:
            self.check_names(arrays)
        checked = {name: spec.check(np.asarray(arrays[name])) for name, spec in self.inputs.items()}
        self.check_rows(checked)
        return checked


def from_signature_def(name: str, proto: meta_graph_pb2.SignatureDef) -> Signature:
    """A SignatureDef message as Signature. Sparse and composite tensors are not listed: they cannot be sent by name."""
    return Signature(
        name=name,
        inputs=_specs(proto.inputs),
        outputs=_specs(proto.outputs),
        method_name=proto.method_name,
        defaults={alias: from_proto(value) for alias, value in proto.defaults.items()},
    )


def internal(name: str) -> bool:
    """Whether a signature of that name is none of a model's own: nobody is told of it, and nobody can call it."""
    return name.startswith(_INTERNAL)


def default_signature(signatures: Mapping[str, Signature]) -> Signature | None:
    """What the empty name stands for: `serving_default`, or the only signature there is; None where that is open."""
    known = [name for name in signatures if not internal(name)]
    return signatures[known[0]] if len(known) == 1 else signatures.get(DEFAULT)


def select(signatures: Mapping[str, Signature], name: str, model: str) -> Signature:
    """The signature of that name, the default for the empty name; `FailedPrecondition` lists those there are."""
    signature = signatures.get(name) if name else default_signature(signatures)
    if signature is None or internal(name):
        known = [known for known in sorted(signatures) if not internal(known)]
        raise FailedPrecondition(
            f"model {model!r} has no signature {name or DEFAULT!r}{_nearest([name], known)}; it has {_quoted(known)}"
        )
    return signature


def nearest_hint(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'digits'?)`, or nothing when no name is near."""
    return _nearest([name], list(known))


def with_text_hint(error: InvalidInput, chosen: str, signatures: Mapping[str, Signature]) -> InvalidInput:
    """The error; where strings came for numbers, it says which other signature takes strings for that input."""
    name = error.text_for
    for other, signature in signatures.items() if name else ():
        spec = signature.inputs.get(name)
        if other != chosen and spec is not None and spec.dtype is not None and spec.dtype.enum == dtypes.STRING:
            error.text_for = ""
            error.args = (f"{error}; signature {other!r} takes strings for it", *error.args[1:])
            break
    return error


def shape_text(shape: tuple[int | None, ...] | None) -> str:
    """A shape as people read it: `(None, 64)`, or `of any rank`."""
    return "of any rank" if shape is None else str(shape)


def as_html(signatures: Iterable[Signature], caption: str = "") -> str:
    """A table with a row for each tensor, as notebooks show it."""
    rows = [
        (signature.name, way, spec.name, spec.dtype.name if spec.dtype else "unsupported", shape_text(spec.shape))
        for signature in signatures
        for way, specs in (("input", signature.inputs), ("output", signature.outputs))
        for spec in specs.values()
    ]
    return table(("signature", "", "name", "dtype", "shape"), rows, caption)


def _listed(specs: Mapping[str, TensorSpec]) -> str:
    return ", ".join(map(str, specs.values())) or "nothing"


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    if len(shape) != len(wanted):
        return False
    for want, size in zip(wanted, shape, strict=True):  # noqa: SIM110  # a generator costs twice as much
        if want is not None and want != size:
            return False
    return True


def _specs(infos: Mapping[str, meta_graph_pb2.TensorInfo]) -> dict[str, TensorSpec]:
    return {alias: _spec(alias, info) for alias, info in sorted(infos.items()) if info.name}


def _spec(alias: str, info: meta_graph_pb2.TensorInfo) -> TensorSpec:
    try:
        dtype: dtypes.DType | None = dtypes.from_enum(info.dtype)
    except Unsupported:
        dtype = None
    dims = tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim)
    return TensorSpec(alias, dtype, None if info.tensor_shape.unknown_rank else dims, info.name)


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _plural(noun: str, names: list[str]) -> str:
    return f"{noun}{'s' if len(names) > 1 else ''} {_quoted(names)}"


def _nearest(unknown: list[str], known: list[str]) -> str:
    for name in unknown:
        close = difflib.get_close_matches(name[:100], known, n=1)
        if close:
            return f" (did you mean {close[0]!r}?)"
    return ""
