"""How a stranger's model is called: what its inputs and outputs are, by names that say something.

    functional or Sequential ─▶ names, shapes and dtypes of its inputs and outputs ─┐
    subclassed, with example ─▶ those of the example; one call tells the outputs ───┴▶ Called: tensors in, named tensors out

Inputs are called by the keys of the model's dict, or by its Input layers. Outputs by the keys of its dict, or by the
layers that make them, looked for inside nested models, too; what two outputs share is numbered: `encoded`, `encoded_2`.
`--rename OLD=NEW` is for names that say nothing; they are refused otherwise.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from signet.training.export.class_labels import activation
from signet.training.export.errors import BadModel, first_line
from signet.training.export.names import TENSOR_NAME, generic
from signet.training.model import Array, Arrays, BadOption


@dataclass(frozen=True)
class Called:
    """A model, and how to call it: tensors in the order of `inputs` in, named tensors out."""

    model: keras.Model
    inputs: Sequence[tf.TensorSpec]
    call: Callable[[Sequence[tf.Tensor]], dict[str, tf.Tensor]]
    example: Arrays = field(default_factory=dict)
    activations: Mapping[str, str] = field(default_factory=dict)
    """Output -> the function that makes its numbers, such as `sigmoid`; as far as the model tells it."""

    def answers(self, rows: Arrays) -> dict[str, tf.Tensor]:
        """What the model answers to these rows, which are named as its inputs are."""
        return self.call([tf.constant(rows[spec.name], spec.dtype) for spec in self.inputs])


class Renames:
    """--rename OLD=NEW: gives names, refuses those that say nothing, and knows which renames were of use."""

    def __init__(self, renames: Mapping[str, str]) -> None:
        self._renames = dict(renames)
        self._known: set[str] = set()

    def suggest(self, old: str, new: str) -> None:
        """Another name for one that says nothing, where no rename was asked for."""
        if generic(old) and new:
            self._renames.setdefault(old, new)

    def apply(self, kind: str, names: Sequence[str]) -> list[str]:
        """The names meant. Raises BadModel for one that cannot stay."""
        self._known.update(names)
        renamed = [self._renames.get(name, name) for name in names]
        for old, name in zip(names, renamed, strict=True):
            if generic(name) or not TENSOR_NAME.fullmatch(name):
                problem = "says nothing to those who call it" if generic(name) else "cannot be a tensor's name"
                raise BadModel(
                    f"the name {name!r} of an {kind} {problem}: --rename {old}=NAME gives another, "
                    f"such as {_SUGGESTED[kind]} (the {kind}s are {', '.join(names)})"
                )
        twice = sorted({name for name in renamed if renamed.count(name) > 1})
        if twice:
            raise BadModel(f"two {kind}s are called {twice[0]!r}: --rename gives one of them another name")
        return renamed

    def all_used(self) -> None:
        """Raise BadOption for a rename of a name that there is not."""
        unknown = sorted(set(self._renames) - self._known)
        if unknown:
            raise BadOption(
                f"--rename {unknown[0]}: there is no such name; the model has {', '.join(sorted(self._known))}"
            )


_SUGGESTED = {"input": "pixels or text", "output": "digit or score"}


def functional(model: keras.Model, example: Mapping[str, Array], renames: Renames) -> Called:
    """A model that knows its inputs and outputs: functional, or Sequential."""
    sequential = isinstance(model, keras.Sequential)
    model_input = model.inputs[0] if sequential else model.input
    model_output = model._functional.output if sequential else model.output
    tensors = keras.tree.flatten(model_input)
    for tensor in tensors:
        if getattr(tensor, "sparse", False) or getattr(tensor, "ragged", False):
            raise BadModel(f"input {_maker(tensor)!r} is sparse or ragged: such tensors have no name to be sent by")
    old = _names(model_input)
    if len(old) == len(example) == 1:
        renames.suggest(old[0], next(iter(example)))
    names = renames.apply("input", old)
    outputs = renames.apply("output", _names(model_output))
    specs = [tf.TensorSpec(tensor.shape, tensor.dtype, name=name) for name, tensor in zip(names, tensors, strict=True)]

    def call(tensors: Sequence[tf.Tensor]) -> dict[str, tf.Tensor]:
        answers = model(keras.tree.pack_sequence_as(model_input, list(tensors)), training=False)
        return dict(zip(outputs, keras.tree.flatten(answers), strict=True))

    activations = {
        name: activation(tensor) for name, tensor in zip(outputs, keras.tree.flatten(model_output), strict=True)
    }
    return Called(model, specs, call, _fitted(example, old, specs), activations)


def _names(structure: Any) -> list[str]:
    """A name for each tensor of a list, a dict or both within each other.

    {"user": {"age": …}, "item": {"age": …}} -> user_age, item_age: the last key, or all of them where it is not enough.
    """
    keys = [[key for key in path if isinstance(key, str)] for path, _ in keras.tree.flatten_with_path(structure)]
    last = [key[-1] if key else "" for key in keys]
    names: list[str] = []
    for tensor, path in zip(keras.tree.flatten(structure), keys, strict=True):
        name = _maker(tensor) if not path else path[-1] if last.count(path[-1]) == 1 else "_".join(path)
        number = sum(1 for other in names if re.fullmatch(rf"{re.escape(name)}(_\d+)?", other))
        names.append(f"{name}_{number + 1}" if name in names else name)
    return names


def _maker(tensor: Any) -> str:
    """The layer that makes a tensor, inside nested models the innermost."""
    history = tensor._keras_history
    inner_outputs = getattr(history.operation, "outputs", None)
    if inner_outputs and hasattr(history.operation, "layers") and history.tensor_index < len(inner_outputs):
        return _maker(inner_outputs[history.tensor_index])
    return str(history.operation.name)


def _fitted(example: Mapping[str, Array], names: Sequence[str], specs: Sequence[tf.TensorSpec]) -> Arrays:
    """The example by the names of the specs, in their dtypes. Raises BadOption where it does not fit."""
    if not example:
        return {}
    new = [spec.name for spec in specs]
    known = {**dict(zip(names, new, strict=True)), **{name: name for name in new}}
    if len(new) == 1 and list(example) == [""]:
        known[""] = new[0]
    if {known.get(name) for name in example} != set(new):
        shown = ", ".join(sorted(example)) or "none"
        raise BadOption(f"--example: the model's inputs are {', '.join(new)}; the example has {shown}")
    rows = {known[name]: array for name, array in example.items()}
    for spec in specs:
        array = rows[spec.name]
        if (array.dtype == object) != (spec.dtype.as_numpy_dtype is object):
            raise BadOption(f"--example: input {spec.name!r} is {spec.dtype.name}; the example has {array.dtype}")
        if not spec.shape[1:].is_compatible_with(array.shape[1:]):
            raise BadOption(f"--example: input {spec.name!r} has shape {array.shape}; the model takes {spec.shape}")
        rows[spec.name] = array.astype(spec.dtype.as_numpy_dtype)
    return rows


def subclassed(model: keras.Model, example: Mapping[str, Array], renames: Renames) -> Called:
    """A model whose `call` is Python code: an example tells its inputs, and a call its outputs."""
    if not example:
        raise BadModel(
            "the model does not tell its inputs, as its `call` is Python code: --example FILE gives some rows by name, "
            'such as {"pixels": [[0.5, 0.25]]}'
        )
    parameters = [name for name in inspect.signature(model.call).parameters if name not in _CONTEXT]
    old = [name or next(iter(parameters), "inputs") for name in example]
    names = renames.apply("input", old)
    own = keras.backend.standardize_dtype(model.variable_dtype)
    rows = {
        # numpy makes doubles where nobody asked for them; the model computes in its own dtype.
        name: array.astype(own) if array.dtype == np.float64 else array
        for name, array in zip(names, example.values(), strict=True)
    }
    specs = [tf.TensorSpec([None, *array.shape[1:]], array.dtype, name=name) for name, array in rows.items()]
    tensors = [tf.constant(array) for array in rows.values()]
    style, answers = _first_that_works(model, old, parameters, tensors)
    outputs = renames.apply("output", _keys(answers))

    def call(tensors: Sequence[tf.Tensor]) -> dict[str, tf.Tensor]:
        return dict(zip(outputs, keras.tree.flatten(style(tensors)), strict=True))

    return Called(model, specs, call, rows)


def _keys(structure: Any) -> list[str]:
    """The dict keys of an answer's tensors; `output` for one without, which has to be renamed."""
    keys = [[part for part in path if isinstance(part, str)] for path, _ in keras.tree.flatten_with_path(structure)]
    last = [key[-1] if key else "" for key in keys]
    return [
        f"output_{place}" if not key else key[-1] if last.count(key[-1]) == 1 else "_".join(key)
        for place, key in enumerate(keys)
    ]


_CONTEXT = frozenset({"training", "mask", "self", "args", "kwargs"})


def _first_that_works(
    model: keras.Model, names: Sequence[str], parameters: Sequence[str], tensors: Sequence[tf.Tensor]
) -> tuple[Callable[[Any], Any], Any]:
    """How the model is to be called: by the names of its parameters, with one tensor, a dict or a list."""
    failures = []
    for style in _styles(model, names, parameters):
        try:
            return style, style(tensors)
        except Exception as error:  # noqa: BLE001  # whatever the model's own code raises
            failures.append(first_line(str(error)) or repr(error))
    raise BadModel(f"the model does not take the example: {failures[0]}")


def _styles(model: keras.Model, names: Sequence[str], parameters: Sequence[str]) -> Iterator[Callable[[Any], Any]]:
    if len(names) == 1:
        yield lambda tensors: model(tensors[0], training=False)
    if set(names) <= set(parameters):
        yield lambda tensors: model(**dict(zip(names, tensors, strict=True)), training=False)
    yield lambda tensors: model(dict(zip(names, tensors, strict=True)), training=False)
    yield lambda tensors: model(list(tensors), training=False)
