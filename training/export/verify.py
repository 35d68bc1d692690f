"""The second child of an export: what was written is loaded as a server loads it, and has to keep what the card says.

folder ──TensorFlow's graph-mode loader──▶ session
  operations   each is in TensorFlow's own registry, and none calls back into Python: any server can run it;
               those that touch files or the network are marked in the card
  names        those of golden.json; none that say nothing, such as `input_1`
  golden       answers as the Keras model gave them
  rows         one by one as in a batch: servers join the rows of several callers
  no rows      no answers, and no error                            } measured, and said in the card
  padding      more of the pad value on the right: who is changed? }
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from signet.serving.models import operations
from signet.serving.tensors.protos import saved_model_pb2
from signet.serving.tensors.signature import internal
from signet.training.export import card
from signet.training.export.golden import difference, take
from signet.training.export.names import generic
from signet.training.model import Array, Arrays

MORE = 7
"""Padding that is added to a row, to measure what it does."""


@dataclass(frozen=True)
class Loaded:
    """One signature of a SavedModel in a session."""

    session: Any
    inputs: Mapping[str, Any]
    """Name -> TensorInfo."""
    outputs: Mapping[str, Any]

    def __call__(self, arrays: Arrays) -> Arrays:
        """Run the signature on named rows."""
        feeds = {info.name: arrays[name] for name, info in self.inputs.items()}
        answers: Arrays = self.session.run({name: info.name for name, info in self.outputs.items()}, feeds)
        return answers

    @property
    def batched(self) -> bool:
        """Whether the number of rows is free."""
        shapes = [_shape(info) for info in (*self.inputs.values(), *self.outputs.values())]
        return all(shape and shape[0] is None for shape in shapes)

    @property
    def free(self) -> dict[str, list[int]]:
        """Inputs of numbers with a free size beside the rows, and which axes these are."""
        import tensorflow as tf

        axes = {
            name: [axis for axis, size in enumerate(_shape(info) or []) if axis and size is None]
            for name, info in sorted(self.inputs.items())
            if tf.as_dtype(info.dtype) != tf.string
        }
        return {name: found for name, found in axes.items() if found}


def _shape(info: Any) -> list[int | None] | None:
    if info.tensor_shape.unknown_rank:
        return None
    return [None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim]


def verify(folder: Path) -> str | None:
    """What is wrong, or None; then the card is complete."""
    import tensorflow as tf

    extra = folder / "assets.extra"
    golden = json.loads((extra / "golden.json").read_bytes())["signatures"]
    problem = unservable_operations(folder)
    if problem:
        return problem
    draft = json.loads((extra / card.JSON_FILE).read_bytes())
    proofs = take(folder)
    verified = {}
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta_graph = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(folder))
        signatures = {name for name in meta_graph.signature_def if not internal(name)}
        if signatures != set(golden):
            return f"the signatures are {sorted(signatures)}, not {sorted(golden)}"
        for name, published in golden.items():
            definition = meta_graph.signature_def[name]
            problem = names_problem(definition, published)
            if problem:
                return f"signature {name!r} {problem}"
            run = Loaded(session, definition.inputs, definition.outputs)
            inputs, due = proofs[name]
            example = {**published, "outputs": due}
            batched = run.batched and draft["batched"]
            answers = run(inputs)
            problem = difference(answers, example) or (rows_problem(run, inputs, answers, example) if batched else None)
            if problem:
                if draft["rounds_lengths"] and run.free:
                    problem += "; lengths are rounded up, which is for models that ignore padding"
                return f"signature {name!r}, {problem}"
            measured = run.free and draft["batched"]
            filling = padding(run, inputs, answers, example, draft["pad_value"]) if measured else None
            if filling and draft["rounds_lengths"] and not filling["safe"]:
                return f"signature {name!r}: lengths are rounded up, which changes answers"
            verified[name] = {
                "golden_rows": len(next(iter(inputs.values()))),
                "batched": batched,
                "random": bool(example.get("random")),
                "empty": batched and answers_no_rows(run, inputs),
                "padding": filling,
            }
    card.complete(folder, verified, marked_operations(folder, draft["operations"]["allowed"]))
    return None


def marked_operations(folder: Path, allowed: Collection[str]) -> dict[str, str]:
    """Operations that touch more than the model, and that nobody has allowed -> what they touch."""
    saved_model = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    reached = [operation for meta_graph in saved_model.meta_graphs for operation in operations.reaching_out(meta_graph)]
    return {operation.name: operation.touches for operation in reached if operation.name not in allowed}


def unservable_operations(folder: Path) -> str | None:
    """Names operations that a server does not have; None if it has all."""
    from tensorflow.python.framework import op_def_registry  # there is no public way to ask

    saved_model = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    names: set[str] = set()
    functions: set[str] = set()
    for meta_graph in saved_model.meta_graphs:
        library = meta_graph.graph_def.library
        functions |= {function.signature.name for function in library.function}
        for nodes in (meta_graph.graph_def.node, *(function.node_def for function in library.function)):
            names |= {node.op for node in nodes}
    in_python = sorted(name for name in names if operations.KINDS.get(name) == operations.PYTHON)
    if in_python:
        return f"the graph calls back into Python ({', '.join(in_python)}), which no server can do"
    unknown = sorted(name for name in names - functions if op_def_registry.get(name) is None)
    if unknown:
        return (
            f"the graph needs operations that are not TensorFlow's own, which servers do not have: {', '.join(unknown)}"
        )
    return None


def names_problem(definition: Any, example: Mapping[str, Any]) -> str | None:
    """Whether the names are those of the golden example, and say something."""
    if set(definition.inputs) != set(example["inputs"]):
        return f"takes {sorted(definition.inputs)}, not {sorted(example['inputs'])}"
    empty = sorted(name for name in (*definition.inputs, *definition.outputs) if generic(name))
    if empty:
        return f"has names that say nothing: {', '.join(empty)}"
    return None


def rows_problem(run: Loaded, inputs: Arrays, answers: Arrays, example: Mapping[str, Any]) -> str | None:
    """Where a row alone is answered otherwise than in its batch."""
    for row in range(len(next(iter(inputs.values())))):
        alone = run({name: array[row : row + 1] for name, array in inputs.items()})
        expected = {name: array[row : row + 1] for name, array in answers.items()}
        problem = difference(alone, {**example, "outputs": expected})
        if problem:
            return (
                f"row {row} alone is answered otherwise than in its batch: {problem}; "
                "servers join the rows of several callers, who would change each other's answers; "
                "--not-batched exports it for requests that go alone"
            )
    return None


def answers_no_rows(run: Loaded, inputs: Arrays) -> bool:
    """Whether a call without rows gives no answers, and no error."""
    return _fits(
        lambda: run({name: array[:0] for name, array in inputs.items()}),
        lambda answers: all(len(array) == 0 for array in answers.values()),
    )


def _fits(call: Callable[[], Arrays], condition: Callable[[Arrays], bool]) -> bool:
    import tensorflow as tf

    try:
        return condition(call())
    except tf.errors.OpError:
        return False


def padding(run: Loaded, inputs: Arrays, answers: Arrays, example: Mapping[str, Any], value: int) -> dict[str, Any]:
    """What filling up does: all inputs of free size together, and each alone where their sizes are not tied."""
    import tensorflow as tf

    facts = {"inputs": run.free, "value": value, "safe": True, "why": ""}
    for names in _choices(list(run.free)):
        padded = {
            name: _padded(array, run.free[name], value) if name in names else array for name, array in inputs.items()
        }
        try:
            outputs = run(padded)
        except tf.errors.OpError:
            if len(names) < len(run.free):
                continue
            return {**facts, "safe": False, "why": "Longer rows fail."}
        cut = {name: _cut(array, answers[name]) for name, array in outputs.items()}
        changed, largest = _changed(cut, answers, example)
        if changed:
            rows = len(next(iter(inputs.values())))
            why = f"{MORE} more on {' and '.join(names)}: {changed} of {rows} rows get other answers, by up to {largest:.1g}."
            return {**facts, "safe": False, "why": why}
    return facts


def _choices(names: list[str]) -> Iterator[list[str]]:
    yield names
    if len(names) > 1:
        yield from ([name] for name in names)


def _padded(array: Array, axes: list[int], value: int) -> Array:
    widths = [(0, MORE if axis in axes else 0) for axis in range(array.ndim)]
    return np.pad(array, widths, constant_values=array.dtype.type(value))


def _cut(output: Array, answer: Array) -> Array:
    """An output as long as the inputs, cut to what it was without padding."""
    if output.ndim != answer.ndim:
        return output
    return output[tuple(slice(size) for size in answer.shape)]


def _changed(outputs: Arrays, answers: Arrays, example: Mapping[str, Any]) -> tuple[int, float]:
    """How many rows have another answer, and the largest difference of a number."""
    rows: set[int] = set()
    largest = 0.0
    for name, answer in answers.items():
        if answer.dtype.kind not in "fiub" or outputs[name].shape != answer.shape:
            other = np.full(answer.shape, True) if outputs[name].shape != answer.shape else outputs[name] != answer
        else:
            other = ~np.isclose(outputs[name], answer, example["rtol"], example["atol"], equal_nan=True)
            largest = max(largest, float(np.max(np.abs(outputs[name].astype(float) - answer), initial=0.0)))
        rows |= set(np.flatnonzero(other.reshape(len(answer), -1).any(axis=1)).tolist())
    return len(rows), largest
