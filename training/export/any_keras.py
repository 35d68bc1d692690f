"""Any Keras 3 model as an export: loaded from its file, with the rows that prove it and its one signature.

    model.json of description.py ──keras_file──▶ model ──model_call──▶ Called
        ─▶ Endpoint: labels beside the scores (class_labels), no rows for none
        ─▶ example rows, given or drawn ─▶ golden examples

**Example rows** are given by `--example`, or drawn: normally distributed numbers, small whole numbers, words. They only
prove that the export answers as the model does.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from signet.training.export import class_labels, reference, xla
from signet.training.export.description import NOT_BATCHED, read_example
from signet.training.export.errors import BadModel, first_line
from signet.training.export.exportable import ATOL, RTOL, Exportable
from signet.training.export.keras_file import load, objects_of, restore
from signet.training.export.model_call import Called, Renames, functional, subclassed
from signet.training.model import Array, Arrays, Card, Endpoint, Meaning
from signet.training.models import empty_batch

LEAST_ROWS = 8
SIZES = (8, 32, 128, 300)
"""Tried in turn for free sizes beside the rows: some networks shrink what they see."""
WORDS = ("one", "two words", "", "and a few more words")
HALF = 1e-2
"""Tolerance of what is computed in 16 bits."""
PROOF_BYTES = 8_000_000
"""Most bytes of rows and answers that an export is verified by: pictures of a megabyte are compared in fewer rows."""


def exportable(description: Mapping[str, Any]) -> Exportable:
    """The model of the file with its one signature. Raises BadModel and BadOption."""
    file = Path(description["keras_file"])
    model = load(file, description["code"], objects_of(description), description["allow_lambda"])
    example = read_example(Path(description["example"])) if description["example"] else {}
    renames = Renames(description["renames"])
    known = len(model.variables)
    symbolic = getattr(model, "inputs", None) and getattr(model, "outputs", None)
    called = (functional if symbolic else subclassed)(model, example, renames)
    renames.all_used()
    rows = filled(called)
    if len(model.variables) > known:
        restore(model, file)
    answers = _answers(called, rows)
    rows = _affordable(called, rows, answers)
    random = _is_random(called, rows)
    batched = not description["not_batched"]
    if batched:
        _refuse_what_is_no_row(called, rows, random)
    compiled = xla.compiled(called.call, called.inputs) if description["xla"] else called.call
    endpoint, meanings = labelled(called, compiled, rows, description["labels"], description["scores"])
    tolerance = HALF if any(layer.compute_dtype in ("float16", "bfloat16") for layer in model._flatten_layers()) else 0
    return Exportable(
        description["name"],
        model,
        None,
        {"serving_default": with_empty_batches(endpoint, rows) if batched else endpoint},
        {"serving_default": rows},
        card(
            description["source"],
            meanings,
            "example" if description["example"] else "drawn",
            xla.LIMITS if description["xla"] else (),
        ),
        max(tolerance, RTOL),
        max(tolerance, ATOL) * scale(endpoint.reference(rows)),
        reference={"serving_default": reference.bounded(called.example)} if called.example else {},
        rounds_lengths=description["xla"],
        batched=batched,
        random=random,
    )


def scale(answers: Arrays) -> float:
    """How large answers are, from 1 on, as a power of ten: sums of large numbers differ in more than the last digit."""
    numbers = [array[np.isfinite(array)] for array in answers.values() if array.dtype.kind == "f"]
    largest = max((float(np.max(np.abs(array), initial=0)) for array in numbers), default=0.0)
    return 10.0 ** math.ceil(math.log10(max(largest, 1.0)))


# ---- Rows to prove it by.


def filled(called: Called) -> Arrays:
    """Make at least LEAST_ROWS rows for each input: of the example, repeated, or drawn at random. Raises BadModel."""
    fixed = next((spec.shape[0] for spec in called.inputs if spec.shape[0] is not None), None)
    if called.example:
        rows = max(LEAST_ROWS, len(next(iter(called.example.values())))) if fixed is None else fixed
        return {name: array[np.arange(rows) % len(array)] for name, array in called.example.items()}
    failure = ""
    for size in SIZES:
        rows = _drawn(called, fixed or LEAST_ROWS, size)
        try:
            called.answers(rows)
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


def _answers(called: Called, rows: Arrays) -> Arrays:
    """What the model answers to these rows. Raises BadModel for an output that is no tensor."""
    answers = {}
    for name, tensor in called.answers(rows).items():
        if not hasattr(tensor, "shape") or not hasattr(tensor, "numpy"):
            raise BadModel(
                f"output {name!r} is {type(tensor).__name__}, which has no name to be asked for; expected a tensor"
            )
        answers[name] = tensor.numpy()
    return answers


def _affordable(called: Called, rows: Arrays, answers: Arrays) -> Arrays:
    """Keep as many rows as PROOF_BYTES has room for; two at least, to tell them apart."""
    if any(spec.shape[0] is not None for spec in called.inputs):
        return rows
    count = len(next(iter(rows.values())))
    each = sum(array.nbytes for array in (*rows.values(), *answers.values())) // count
    most = max(2, min(count, PROOF_BYTES // max(each, 1)))
    return {name: array[:most] for name, array in rows.items()}


def _is_random(called: Called, rows: Arrays) -> bool:
    """Whether the same rows get other answers when they are asked again."""
    first, second = _answers(called, rows), _answers(called, rows)
    return any(
        array.dtype.kind == "f" and not np.allclose(array, second[name], HALF, HALF, equal_nan=True)
        for name, array in first.items()
    )


def _refuse_what_is_no_row(called: Called, rows: Arrays, random: bool) -> None:
    """Servers join the rows of several callers and part the answers again, which needs a row for each."""
    if random:
        raise BadModel(
            "the same rows get other answers each time: a layer is random when the model predicts; "
            f"{NOT_BATCHED} exports it all the same, marked so"
        )
    if any(spec.shape[0] is not None for spec in called.inputs):
        return
    two = {name: array[:2] for name, array in rows.items()}
    for name, array in _answers(called, two).items():
        if not array.ndim or len(array) != 2:
            raise BadModel(
                f"output {name!r} has shape {array.shape} for 2 rows: not a row for each; "
                f"{NOT_BATCHED} exports it for requests that go alone"
            )


# ---- The signature.


def labelled(
    called: Called,
    compiled: Callable[[Sequence[tf.Tensor]], dict[str, tf.Tensor]],
    rows: Arrays,
    wanted: Mapping[str, Sequence[str]] | None,
    scores: class_labels.Scores | None,
) -> tuple[Endpoint, dict[str, Meaning]]:
    """The endpoint, and what is known of its outputs: those with labels give `NAME_label` beside the scores."""
    answers = {name: tensor.numpy() for name, tensor in called.answers(rows).items()}
    labels = class_labels.assigned(wanted or {}, {name: array.shape for name, array in answers.items()})
    rules = class_labels.score_rules(labels, answers, called.activations, scores)

    def graph(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = compiled(tensors)
        return {**outputs, **class_labels.in_graph(outputs, labels, rules)}

    def reference(inputs: Arrays) -> Arrays:
        outputs = {name: tensor.numpy() for name, tensor in called.answers(inputs).items()}
        return {**outputs, **class_labels.expected(outputs, labels, rules)}

    endpoint = Endpoint(called.inputs, graph, reference, resources(called.model))
    return endpoint, class_labels.meanings(labels, rules)


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


def card(source: str, outputs: Mapping[str, Meaning], rows: str, limits: Sequence[str]) -> Card:
    """Describe a model of somebody else, of which only the file is known."""
    shown = "given by its author" if rows == "example" else "drawn at random, and no proof of sense"
    return Card(
        purpose=f"Exported from {source}; what it is for was not said.",
        data="What it learnt from was not said.",
        inputs={},
        outputs=outputs,
        limits=[f"Its meaning, units and quality are unknown here. The example rows were {shown}.", *limits],
    )
