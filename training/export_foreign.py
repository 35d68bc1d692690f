"""Any Keras 3 model as an export: loaded from its file, with the rows that prove it and its one signature.

    model.json of export_order.py ─▶ model ──export_calls──▶ Called ─▶ Endpoint: labels beside the scores, no rows for none
                                                               └▶ example rows, given or drawn ─▶ golden examples

**Example rows** are given by `--example`, or drawn: normally distributed numbers, small whole numbers, words. They only
prove that the export answers as the model does.
"""

import importlib.util
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from training import empty_batch, export, export_xla
from training.export_calls import Called, Renames, first_line, functional, reason, subclassed, tensors
from training.export_order import BadModel, read_example
from training.export_write import Exportable
from training.model import Array, Arrays, BadOption, Card, Endpoint, Meaning

LEAST_ROWS = 8
SIZES = (8, 32, 128, 300)
"""Tried in turn for free sizes beside the rows: some networks shrink what they see."""
WORDS = ("one", "two words", "", "and a few more words")
HALF = 1e-2
"""Tolerance of what is computed in 16 bits."""


def exportable(description: Mapping[str, Any]) -> Exportable:
    """The model of the file with its one signature."""
    file = Path(description["keras_file"])
    model = load(file, description["code"], description["allow_lambda"])
    example = read_example(Path(description["example"])) if description["example"] else {}
    renames = Renames(description["renames"])
    known = len(model.variables)
    symbolic = getattr(model, "inputs", None) and getattr(model, "outputs", None)
    called = (functional if symbolic else subclassed)(model, example, renames)
    renames.all_used()
    rows = filled(called)
    if len(model.variables) > known:
        restore(model, file)
    _check_outputs(called, rows)
    compiled = export_xla.compiled(called.call, called.inputs) if description["xla"] else called.call
    endpoint, labels = labelled(called, compiled, rows, description["labels"])
    tolerance = HALF if any(layer.compute_dtype in ("float16", "bfloat16") for layer in model._flatten_layers()) else 0
    return Exportable(
        description["name"],
        model,
        None,
        {"serving_default": with_empty_batches(endpoint, rows)},
        {"serving_default": rows},
        card(
            file,
            labels,
            "example" if description["example"] else "drawn",
            export_xla.LIMITS if description["xla"] else (),
        ),
        max(tolerance, export.RTOL),
        max(tolerance, export.ATOL) * scale(endpoint.reference(rows)),
        rounds_lengths=description["xla"],
    )


def scale(answers: Arrays) -> float:
    """How large answers are, from 1 on, as a power of ten: sums of large numbers differ in more than the last digit."""
    numbers = [array[np.isfinite(array)] for array in answers.values() if array.dtype.kind == "f"]
    largest = max((float(np.max(np.abs(array), initial=0)) for array in numbers), default=0.0)
    return 10.0 ** math.ceil(math.log10(max(largest, 1.0)))


def load(file: Path, code: str | None, allow_lambda: bool) -> keras.Model:
    """The model in a file. Raises BadModel."""
    if code:
        _execute(Path(code))
    try:
        return keras.saving.load_model(file, compile=False, safe_mode=not allow_lambda)
    except Exception as error:  # what a stranger's file does to Keras cannot be known
        raise BadModel(f"{file} cannot be loaded: {reason(str(error), error)}") from error


def restore(model: keras.Model, file: Path) -> None:
    """Load the weights of layers that were built by the first call only: Keras passes over them without a word."""
    try:
        model.load_weights(file)
    except Exception as error:  # what a stranger's file does to Keras cannot be known
        raise BadModel(f"the weights in {file} do not fit the model: {reason(str(error), error)}") from error


def _execute(path: Path) -> None:
    """Run the user's own code, which registers classes with Keras."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.exists():
        raise BadOption(f"--code {path}: expected a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise BadModel(f"--code {path} cannot be run: {error!r}") from error


# ---- Rows to prove it by.


def filled(called: Called) -> Arrays:
    """At least LEAST_ROWS rows for each input: the example, repeated, or drawn ones. Raises BadModel."""
    fixed = next((spec.shape[0] for spec in called.inputs if spec.shape[0] is not None), None)
    if called.example:
        rows = max(LEAST_ROWS, len(next(iter(called.example.values())))) if fixed is None else fixed
        return {name: array[np.arange(rows) % len(array)] for name, array in called.example.items()}
    failure = ""
    for size in SIZES:
        rows = _drawn(called, fixed or LEAST_ROWS, size)
        try:
            called.call(tensors(rows, called))
        except Exception as error:  # noqa: BLE001  # whatever the model's own code raises
            failure = failure or first_line(str(error)) or repr(error)
        else:
            return rows
        if all(size is not None for spec in called.inputs for size in spec.shape[1:]):
            break
    raise BadModel(f"the model does not take rows that were made up: {failure}; --example FILE gives it real ones")


def _drawn(called: Called, rows: int, size: int) -> Arrays:
    random = np.random.default_rng(0)
    numbers = min(
        (layer.input_dim for layer in called.model._flatten_layers() if hasattr(layer, "input_dim")), default=2
    )

    def drawn(spec: tf.TensorSpec) -> Array:
        shape = (rows, *(size if known is None else known for known in spec.shape[1:]))
        dtype = spec.dtype.as_numpy_dtype
        if dtype is object:
            return np.array([word.encode() for word in WORDS], object)[random.integers(len(WORDS), size=shape)]
        if spec.dtype.is_bool:
            return random.integers(2, size=shape).astype(bool)
        if spec.dtype.is_integer:
            return random.integers(256 if spec.dtype.name == "uint8" else numbers, size=shape).astype(dtype)
        return random.normal(size=shape).astype(dtype)

    return {spec.name: drawn(spec) for spec in called.inputs}


def _check_outputs(called: Called, rows: Arrays) -> None:
    for name, tensor in called.call(tensors(rows, called)).items():
        if not hasattr(tensor, "shape") or not hasattr(tensor, "numpy"):
            raise BadModel(
                f"output {name!r} is {type(tensor).__name__}, which has no name to be asked for; expected a tensor"
            )


# ---- The signature.


def labelled(
    called: Called,
    compiled: Callable[[Sequence[tf.Tensor]], dict[str, tf.Tensor]],
    rows: Arrays,
    wanted: Mapping[str, Sequence[str]] | None,
) -> tuple[Endpoint, dict[str, list[str]]]:
    """The endpoint; for outputs with labels it gives `NAME_label` beside the scores: the likeliest class's."""
    answers = called.call(tensors(rows, called))
    labels = _assigned(wanted or {}, {name: tensor.shape.as_list() for name, tensor in answers.items()})

    def graph(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        given = compiled(tensors)
        named = {}
        for name, classes in labels.items():
            scores = given[name]
            best = tf.cast(scores[..., 0] > 0.5, tf.int64) if scores.shape[-1] == 1 else tf.argmax(scores, axis=-1)
            named[f"{name}_label"] = tf.gather(tf.constant(classes), best)
        return {**given, **named}

    def reference(inputs: Arrays) -> Arrays:
        given = {name: tensor.numpy() for name, tensor in called.call(tensors(inputs, called)).items()}
        for name, classes in labels.items():
            scores = given[name]
            best = (scores[..., 0] > 0.5).astype(int) if scores.shape[-1] == 1 else scores.argmax(axis=-1)
            given[f"{name}_label"] = np.array(classes, object)[best]
        return given

    return Endpoint(called.inputs, graph, reference, resources(called.model)), labels


def _assigned(wanted: Mapping[str, Sequence[str]], shapes: Mapping[str, Sequence[int]]) -> dict[str, list[str]]:
    """Labels by output; those without a name go to the only output with so many classes. Raises BadOption."""
    assigned = {}
    for name, labels in wanted.items():
        fitting = [output for output, shape in shapes.items() if _classes(shape) == len(labels)]
        known = ", ".join(f"{output} ({_classes(shape)} classes)" for output, shape in shapes.items())
        if name and name not in shapes:
            raise BadOption(f"--labels: there is no output {name!r}; the outputs are {known}")
        if (name and name not in fitting) or not fitting:
            raise BadOption(f"--labels: there are {len(labels)} labels; the outputs are {known}")
        if not name and len(fitting) > 1:
            raise BadOption(
                f'--labels: {len(labels)} labels fit {" and ".join(fitting)}; JSON says which: {{"{fitting[0]}": […]}}'
            )
        output = name or fitting[0]
        if f"{output}_label" in shapes:
            raise BadOption(f"--labels: the model has an output {output}_label already")
        assigned[output] = list(labels)
    return assigned


def _classes(shape: Sequence[int]) -> int:
    """How many classes an output tells apart: one number tells two."""
    if len(shape) < 2:
        return 0
    return 2 if shape[-1] == 1 else shape[-1]


def resources(model: keras.Model) -> list[Any]:
    """Lookup tables and the like in the layers, which the SavedModel has to hold on to."""
    kind = tf.saved_model.experimental.TrackableResource
    return [value for layer in model._flatten_layers() for value in vars(layer).values() if isinstance(value, kind)]


def with_empty_batches(endpoint: Endpoint, rows: Arrays) -> Endpoint:
    """The endpoint itself if it answers no rows with no rows; else one that does, where the number of rows is free.

    Whether convolutions are joined with what follows, and then fail, depends on who loads them: they are never trusted.
    """
    if any(spec.shape[0] is not None for spec in endpoint.inputs):
        return endpoint
    function = tf.function(endpoint.graph, input_signature=list(endpoint.inputs)).get_concrete_function()
    graph_def = function.graph.as_graph_def()
    nodes = (graph_def.node, *(inner.node_def for inner in graph_def.library.function))
    if not any("Conv" in node.op for part in nodes for node in part):
        none = [tf.constant(rows[spec.name][:0], spec.dtype) for spec in endpoint.inputs]
        try:
            if all(len(answer) == 0 for answer in function(*none).values()):
                return endpoint
        except tf.errors.OpError:
            pass

    def graph(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        answers = endpoint.graph(*empty_batch.filled(*tensors))
        return {name: empty_batch.emptied(answer, tensors[0]) for name, answer in answers.items()}

    return Endpoint(endpoint.inputs, graph, endpoint.reference, endpoint.tables)


def card(file: Path, labels: Mapping[str, Sequence[str]], rows: str, limits: Sequence[str]) -> Card:
    """What can be said of a stranger's model."""
    outputs = {name: Meaning("scores of the classes", labels=list(classes)) for name, classes in labels.items()}
    outputs |= {f"{name}_label": Meaning(f"the class with the highest `{name}`") for name in labels}
    shown = "given by its author" if rows == "example" else "drawn at random, and no proof of sense"
    return Card(
        purpose=f"Exported from `{file.name}`; what it is for was not said.",
        data="What it learnt from was not said.",
        inputs={},
        outputs=outputs,
        limits=[f"Its meaning, units and quality are unknown here. The example rows were {shown}.", *limits],
    )
