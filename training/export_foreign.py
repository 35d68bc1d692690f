"""Any Keras 3 model as a SavedModel with named signatures: `signet export FILE.keras --name NAME`.

    order ──check──▶ a folder like that of a training, with the file's path in model.json ──export.export──▶ models/NAME/1/
             in the child: file ─▶ model ─▶ inputs and outputs by name, example rows ─▶ Exportable

**Names.** Inputs are called by the keys of the model's dict, or by its Input layers. Outputs by the keys of its dict, or
by the layers that make them, looked for inside nested models, too; what two outputs share is numbered: `encoded`,
`encoded_2`. A model whose `call` is Python code (subclassed) tells none of this: its inputs, with names, shapes and
dtypes, are those of `--example`. `--rename OLD=NEW` is for names that say nothing; they are refused otherwise.

**Example rows** are given by `--example`, or drawn: normally distributed numbers, small whole numbers, words. They only
prove that the export answers as the model does.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import math
import re
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.errors import UsageError
from serving.tensors import as_string_array
from training import export
from training.model import Array, Arrays, BadOption, Card, Endpoint, Meaning

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from training.export_write import Exportable

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
TENSOR_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LEAST_ROWS = 8
SIZES = (8, 32, 128, 300)
"""Tried in turn for free sizes beside the rows: some networks shrink what they see."""
WORDS = ("one", "two words", "", "and a few more words")
HALF = 1e-2
"""Tolerance of what is computed in 16 bits."""


class BadModel(UsageError):
    """The file does not hold a model that can be exported."""


@dataclass(frozen=True)
class Order:
    """What is to be exported, as the command line says it."""

    file: Path
    name: str
    models_dir: Path = Path("models")
    labels: Path | None = None
    example: Path | None = None
    renames: Sequence[str] = ()
    """OLD=NEW."""
    code: Path | None = None
    allow_lambda: bool = False
    xla: bool = False
    """Compile the network for sizes that are rounded up: export_xla.py."""
    allow_breaking: bool = False


# ---- Before TensorFlow is started.


def run(order: Order) -> Path:
    """Check the order, export; the folder of the new version. Raises BadOption, BadModel, ExportFailed."""
    description = describe(order)
    with tempfile.TemporaryDirectory(prefix="signet-") as folder:
        (Path(folder) / "model.json").write_text(json.dumps(description))
        return export.export(Path(folder), order.models_dir, allow_breaking=order.allow_breaking)


def describe(order: Order) -> dict[str, Any]:
    """The order as model.json, with its files read as far as that goes without TensorFlow."""
    if not MODEL_NAME.fullmatch(order.name):
        raise BadOption(
            f"--name {order.name!r}: a model's name is a part of addresses: letters, digits, '_', '-', '.', "
            "a letter or digit first"
        )
    _check_file(order.file)
    if order.example:
        read_example(order.example)
    return {
        "name": order.name,
        "keras_file": str(order.file.absolute()),
        "labels": read_labels(order.labels) if order.labels else None,
        "example": str(order.example.absolute()) if order.example else None,
        "renames": dict(_rename(text) for text in order.renames),
        "code": str(order.code.absolute()) if order.code else None,
        "allow_lambda": order.allow_lambda,
        "xla": order.xla,
    }


def _check_file(file: Path) -> None:
    if not file.exists():
        raise BadOption(f"there is no file {file}")
    if (file / "saved_model.pb").exists():
        raise BadOption(
            f"{file} is a SavedModel already, and is served as it is: copy the folder to MODELS_DIR/NAME/1 and no more"
        )
    if file.suffix not in (".keras", ".h5"):
        raise BadOption(f"{file} is not a Keras model: expected a file called .keras, or .h5 of older versions")
    if file.suffix == ".keras" and not zipfile.is_zipfile(file):
        raise BadModel(f"{file} is not a Keras model, or not a whole one: a .keras file is a zip archive")


def _rename(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not (old and equals and TENSOR_NAME.fullmatch(new)):
        raise BadOption(
            f"--rename {text!r}: expected OLD=NEW; a name has letters, digits and '_', and no digit in the first place"
        )
    return old, new


def read_labels(file: Path) -> dict[str, list[str]]:
    """Lines of text -> {"": lines}, for the output that has as many classes; JSON {"output": [labels]} -> the same."""
    text = _read_text("--labels", file)
    if file.suffix != ".json":
        labels = [line.strip() for line in text.splitlines() if line.strip()]
        if len(labels) < 2:
            raise BadOption(f"--labels {file}: expected a label in each line, at least two; found {len(labels)}")
        return {"": labels}
    content = _parse("--labels", file, text)
    by_output = {"": content} if isinstance(content, list) else content
    if not isinstance(by_output, dict) or not all(
        isinstance(labels, list) and len(labels) > 1 and all(isinstance(label, str) for label in labels)
        for labels in by_output.values()
    ):
        raise BadOption(f'--labels {file}: expected {{"output": ["label", "label", …]}}, or such a list for one output')
    return by_output


def read_example(file: Path) -> dict[str, Array]:
    """Rows by input, "" for one without a name. From JSON: numbers without a point are int32, others float32."""
    if file.suffix == ".npz":
        try:
            with np.load(file, allow_pickle=False) as arrays:
                example = dict(arrays)
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise BadOption(f"--example {file}: not a file of numpy.savez ({error})") from error
    else:
        content = _parse("--example", file, _read_text("--example", file))
        example = {name: _array(file, name, values) for name, values in _columns(file, content).items()}
    rows = {len(array) if array.ndim else 0 for array in example.values()}
    if len(rows) != 1 or 0 in rows:
        raise BadOption(f"--example {file}: expected at least one row, and as many in each input")
    return {name: as_string_array(array) if array.dtype.kind in "OSU" else array for name, array in example.items()}


def _columns(file: Path, content: Any) -> Mapping[str, Any]:
    """{"a": rows}, a predict body, or the rows of the only input."""
    if isinstance(content, dict) and set(content) - {"signature_name"} in ({"inputs"}, {"instances"}):
        content = content.get("inputs", content.get("instances"))
    if isinstance(content, list) and content and all(isinstance(row, dict) for row in content):
        names = {name: None for row in content for name in row}
        if any(set(row) != set(names) for row in content):
            raise BadOption(f"--example {file}: each row needs the same inputs: {', '.join(names)}")
        return {name: [row[name] for row in content] for name in names}
    if isinstance(content, list):
        return {"": content}
    if isinstance(content, dict) and content:
        return content
    raise BadOption(f'--example {file}: expected {{"input": [row, row, …]}}, or a predict request')


def _array(file: Path, name: str, values: Any) -> Array:
    try:
        array = np.array(values)
    except ValueError as error:
        raise BadOption(f"--example {file}: the rows of {name or 'the input'!r} differ in length") from error
    if array.dtype.kind == "i":
        return array.astype(np.int32)
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    if array.dtype.kind in "Ub":
        return array
    raise BadOption(f"--example {file}: expected numbers or texts for {name or 'the input'!r}")


def _read_text(option: str, file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BadOption(f"{option} {file}: cannot be read ({error})") from error


def _parse(option: str, file: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise BadOption(f"{option} {file}: not JSON ({error})") from error


# ---- In the child, with TensorFlow.


@dataclass(frozen=True)
class Called:
    """A model, and how to call it: tensors in the order of `inputs` in, named tensors out."""

    model: keras.Model
    inputs: Sequence[tf.TensorSpec]
    call: Callable[[Sequence[tf.Tensor]], dict[str, tf.Tensor]]
    example: Arrays = field(default_factory=dict)


def exportable(description: Mapping[str, Any]) -> Exportable:
    """The model of the file with its one signature."""
    from training import export_xla
    from training.export_write import Exportable

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
    import keras

    if code:
        _execute(Path(code))
    try:
        return keras.saving.load_model(file, compile=False, safe_mode=not allow_lambda)
    except Exception as error:  # what a stranger's file does to Keras cannot be known
        raise BadModel(f"{file} cannot be loaded: {_reason(str(error), error)}") from error


def restore(model: keras.Model, file: Path) -> None:
    """Load the weights of layers that were built by the first call only: Keras passes over them without a word."""
    try:
        model.load_weights(file)
    except Exception as error:  # what a stranger's file does to Keras cannot be known
        raise BadModel(f"the weights in {file} do not fit the model: {_reason(str(error), error)}") from error


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


def _reason(text: str, error: Exception) -> str:
    """What Keras says, in our words where they help more."""
    unknown = re.search(r"Could not locate (class|function) '([^']+)'", text)
    if unknown:
        return (
            f"it needs the {unknown[1]} {unknown[2]!r}, which is not in the file; --code FILE.py names the Python file "
            "that defines it, decorated with @keras.saving.register_keras_serializable()"
        )
    if "Lambda" in text and "safe_mode" in text:
        return "it has a Lambda layer, which carries Python code; if you trust the file, --allow-lambda runs that code"
    return _first_line(text) or repr(error)


def _first_line(text: str) -> str:
    """The first line that says something; Keras says first which layer it was, and in bold letters."""
    lines = (re.sub(r"\x1b\[\d*m", "", line).strip() for line in text.splitlines())
    return next((line for line in lines if line and not line.startswith("Exception encountered")), "").rstrip(".")


class Renames:
    """--rename OLD=NEW: gives names, refuses those that say nothing, and knows which renames were of use."""

    def __init__(self, renames: Mapping[str, str]) -> None:
        self._renames = dict(renames)
        self._known: set[str] = set()

    def suggest(self, old: str, new: str) -> None:
        """Another name for one that says nothing, where no rename was asked for."""
        from training.export_verify import generic

        if generic(old) and new:
            self._renames.setdefault(old, new)

    def apply(self, kind: str, names: Sequence[str]) -> list[str]:
        """The names meant. Raises BadModel for one that cannot stay."""
        from training.export_verify import generic

        self._known.update(names)
        given = [self._renames.get(name, name) for name in names]
        for old, name in zip(names, given, strict=True):
            if generic(name) or not TENSOR_NAME.fullmatch(name):
                problem = "says nothing to those who call it" if generic(name) else "cannot be a tensor's name"
                raise BadModel(
                    f"the name {name!r} of an {kind} {problem}: --rename {old}=NAME gives another, "
                    f"such as {_SUGGESTED[kind]} (the {kind}s are {', '.join(names)})"
                )
        twice = sorted({name for name in given if given.count(name) > 1})
        if twice:
            raise BadModel(f"two {kind}s are called {twice[0]!r}: --rename gives one of them another name")
        return given

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
    import keras
    import tensorflow as tf

    sequential = isinstance(model, keras.Sequential)
    taken = model.inputs[0] if sequential else model.input
    made = model.outputs[0] if sequential else model.output
    tensors = keras.tree.flatten(taken)
    for tensor in tensors:
        if getattr(tensor, "sparse", False) or getattr(tensor, "ragged", False):
            raise BadModel(f"input {_maker(tensor)!r} is sparse or ragged: such tensors have no name to be sent by")
    old = _names(taken)
    if len(old) == len(example) == 1:
        renames.suggest(old[0], next(iter(example)))
    names = renames.apply("input", old)
    outputs = renames.apply("output", _names(made))
    specs = [tf.TensorSpec(tensor.shape, tensor.dtype, name=name) for name, tensor in zip(names, tensors, strict=True)]

    def call(given: Sequence[tf.Tensor]) -> dict[str, tf.Tensor]:
        answers = model(keras.tree.pack_sequence_as(taken, list(given)), training=False)
        return dict(zip(outputs, keras.tree.flatten(answers), strict=True))

    return Called(model, specs, call, _fitted(example, old, specs))


def _names(structure: Any) -> list[str]:
    """A name for each tensor of a list, a dict or both within each other."""
    import keras

    found: list[str] = []
    for path, tensor in keras.tree.flatten_with_path(structure):
        name = path[-1] if path and isinstance(path[-1], str) else _maker(tensor)
        number = sum(1 for other in found if re.fullmatch(rf"{re.escape(name)}(_\d+)?", other))
        found.append(f"{name}_{number + 1}" if name in found else name)
    return found


def _maker(tensor: Any) -> str:
    """The layer that makes a tensor, inside nested models the innermost."""
    history = tensor._keras_history
    made = getattr(history.operation, "outputs", None)
    if made and hasattr(history.operation, "layers") and history.tensor_index < len(made):
        return _maker(made[history.tensor_index])
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
    import keras
    import tensorflow as tf

    if not example:
        raise BadModel(
            "the model does not tell its inputs, as its `call` is Python code: --example FILE gives some rows by name, "
            'such as {"pixels": [[0.5, 0.25]]}'
        )
    parameters = [name for name in inspect.signature(model.call).parameters if name not in _CONTEXT]
    old = [name or next(iter(parameters), "inputs") for name in example]
    names = renames.apply("input", old)
    rows = dict(zip(names, example.values(), strict=True))
    specs = [tf.TensorSpec([None, *array.shape[1:]], array.dtype, name=name) for name, array in rows.items()]
    tensors = [tf.constant(array) for array in rows.values()]
    style, answers = _first_that_works(model, old, parameters, tensors)
    outputs = renames.apply("output", _keys(answers))

    def call(given: Sequence[tf.Tensor]) -> dict[str, tf.Tensor]:
        return dict(zip(outputs, keras.tree.flatten(style(given)), strict=True))

    return Called(model, specs, call, rows)


def _keys(structure: Any) -> list[str]:
    """The dict keys of an answer's tensors; `output` for one without, which has to be renamed."""
    import keras

    paths = [path for path, _ in keras.tree.flatten_with_path(structure)]
    keys = [[part for part in path if isinstance(part, str)] for path in paths]
    return [key[-1] if key else f"output_{place}" for place, key in enumerate(keys)]


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
            failures.append(_first_line(str(error)) or repr(error))
    raise BadModel(f"the model does not take the example: {failures[0]}")


def _styles(model: keras.Model, names: Sequence[str], parameters: Sequence[str]) -> Iterator[Callable[[Any], Any]]:
    if len(names) == 1:
        yield lambda tensors: model(tensors[0], training=False)
    if set(names) <= set(parameters):
        yield lambda tensors: model(**dict(zip(names, tensors, strict=True)), training=False)
    yield lambda tensors: model(dict(zip(names, tensors, strict=True)), training=False)
    yield lambda tensors: model(list(tensors), training=False)


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
            called.call(_tensors(rows, called))
        except Exception as error:  # noqa: BLE001  # whatever the model's own code raises
            failure = failure or _first_line(str(error)) or repr(error)
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


def _tensors(rows: Arrays, called: Called) -> list[tf.Tensor]:
    import tensorflow as tf

    return [tf.constant(rows[spec.name], spec.dtype) for spec in called.inputs]


def _check_outputs(called: Called, rows: Arrays) -> None:
    for name, tensor in called.call(_tensors(rows, called)).items():
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
    import tensorflow as tf

    answers = called.call(_tensors(rows, called))
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
        given = {name: tensor.numpy() for name, tensor in called.call(_tensors(inputs, called)).items()}
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
    import tensorflow as tf

    kind = tf.saved_model.experimental.TrackableResource
    return [value for layer in model._flatten_layers() for value in vars(layer).values() if isinstance(value, kind)]


def with_empty_batches(endpoint: Endpoint, rows: Arrays) -> Endpoint:
    """The endpoint itself if it answers no rows with no rows; else one that does, where the number of rows is free.

    Whether convolutions are joined with what follows, and then fail, depends on who loads them: they are never trusted.
    """
    import tensorflow as tf

    from training import empty_batch

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
