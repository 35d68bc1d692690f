"""A stranger's Keras model, from its file: read with the classes that it needs, or refused in a sentence that helps.

    FILE.keras, .h5, .hdf5 ──classes of --code, or those that came with the model──▶ keras.Model

Keras 2 wrote arguments into `.h5` files that Keras 3 does not know. Those that have their default or matter only for
learning are left out; for others, and for what else Keras 3 cannot read, the way is a SavedModel written under Keras 2. One name
means another function now, `hard_sigmoid`, which old recurrent layers have as their default: they get the old one.
"""

import contextlib
import importlib.util
import inspect
import json
import pickle
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import keras

from signet.training.export.errors import BadModel, first_line
from signet.training.model import BadOption

UNDER_KERAS_2 = (
    "it was written by Keras 2, which Keras 3 cannot read: under Keras 2 (tf_keras, or TensorFlow up to 2.15) "
    "`tf.saved_model.save(model, 'FOLDER')` writes a SavedModel, which is served as it is: copy FOLDER to MODELS_DIR/NAME/1"
)

_DEFAULTS_OF_KERAS_2: Mapping[str, Any] = {"time_major": False, "groups": 1}
"""Arguments that Keras 2 wrote down and some layers of Keras 3 refuse, with the value that changes nothing."""
_ONLY_FOR_LEARNING = ("_initializer", "_regularizer", "_constraint")
"""Endings of arguments that matter for learning alone and change no answer."""
_TOLD_BY_CALLS = frozenset({"query_shape", "key_shape", "value_shape"})
"""What Keras 3 sees when a layer is called."""


def objects_of(description: Mapping[str, Any]) -> dict[str, Any]:
    """The classes and functions by name that came with a model from another Python process. Raises BadModel."""
    if not description["objects"]:
        return {}
    sys.path += [path for path in description["import_paths"] if path not in sys.path]
    try:
        return dict(pickle.loads(Path(description["objects"]).read_bytes()))  # noqa: S301  # nosec B301  # our own file
    except Exception as error:
        raise BadModel(f"the model's own classes cannot be made again in a fresh process: {error!r}") from error


def load(file: Path, code: str | None, objects: Mapping[str, Any], allow_lambda: bool) -> keras.Model:
    """The model in a file, not compiled. Raises BadModel and BadOption.

    code: a Python file of the user's, which is run. objects: classes and functions by name.
    """
    known = {**objects, **(_defined_in(_run(Path(code))) if code else {})}
    try:
        model = _read(file, known, allow_lambda)
    except Exception as error:  # what a stranger's file does to Keras cannot be known
        raise BadModel(f"{file} cannot be loaded: {_reason(file, error, code)}") from error
    if not isinstance(model, keras.Model):
        raise BadModel(f"{file} holds a {type(model).__name__}, not a Keras model")
    _refuse_state(model)
    return model


def restore(model: keras.Model, file: Path) -> None:
    """Load the weights of layers that were built by the first call only: Keras passes over them without a word."""
    try:
        model.load_weights(file)
    except Exception as error:  # what a stranger's file does to Keras cannot be known
        raise BadModel(f"the weights in {file} do not fit the model: {_reason(file, error, None)}") from error


def _read(file: Path, known: Mapping[str, Any], allow_lambda: bool) -> Any:
    def read(path: Path) -> Any:
        known_here = {**known, _HARD_SIGMOID: hard_sigmoid_of_keras_2}
        return keras.saving.load_model(path, custom_objects=known_here, compile=False, safe_mode=not allow_lambda)

    if file.suffix == ".keras":
        return read(file)
    by_keras_2 = _by_keras_2(file)
    with h5py.File(file) as content:
        if "model_config" not in content.attrs:
            raise BadModel(
                "the file holds weights only: `model.save('FILE.keras')` writes the whole model, or `model.load_weights` "
                "gives them to the model that they belong to"
            )
        converted = _converted(json.loads(content.attrs["model_config"]), by_keras_2)
    if converted is None:
        return read(file)
    if not by_keras_2:
        with contextlib.suppress(Exception):  # what Keras 3 wrote means what Keras 3 reads
            return read(file)
    with tempfile.TemporaryDirectory(prefix="signet-") as folder:
        copy = Path(folder) / "model.h5"
        shutil.copyfile(file, copy)
        with h5py.File(copy, "r+") as content:
            content.attrs["model_config"] = converted
        return read(copy)


def _converted(config: Any, by_keras_2: bool) -> str | None:
    """A model's description as Keras 3 reads it to mean what Keras 2 meant; None if it does so as it is."""
    changed = False

    def convert(value: Any) -> Any:
        nonlocal changed
        if isinstance(value, list):
            return [convert(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "class_name" in value and isinstance(value.get("config"), dict):
            surplus = {key for key in value["config"] if _is_surplus(value["class_name"], key, value["config"][key])}
            changed = changed or bool(surplus)
            value = {**value, "config": {key: item for key, item in value["config"].items() if key not in surplus}}
        converted = {}
        for key, item in value.items():
            if by_keras_2 and key.endswith("activation") and item == "hard_sigmoid":
                converted[key], changed = _HARD_SIGMOID, True
            else:
                converted[key] = convert(item)
        return converted

    result = convert(config)
    return json.dumps(result) if changed else None


_HARD_SIGMOID = "hard_sigmoid_of_keras_2"


def hard_sigmoid_of_keras_2(x: Any) -> Any:
    """0.2 x + 0.5 between 0 and 1. Keras 3 calls another function by the old name: x / 6 + 0.5."""
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)


def _is_surplus(kind: str, argument: str, value: Any) -> bool:
    """Whether a layer of Keras 3 does not take that argument, and its value is the one that changes nothing."""
    layer = getattr(keras.layers, kind, None)
    if layer is None or argument in inspect.signature(layer).parameters:
        return False
    if argument.endswith(_ONLY_FOR_LEARNING) or argument in _TOLD_BY_CALLS:
        return True
    return argument in _DEFAULTS_OF_KERAS_2 and bool(value == _DEFAULTS_OF_KERAS_2[argument])


def _run(path: Path) -> ModuleType:
    """Run the user's own code, which defines classes and may register them with Keras."""
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
    return module


def _defined_in(module: ModuleType) -> dict[str, Any]:
    """Classes and functions by name, for files that were saved without registering them."""
    return {
        name: value
        for name, value in vars(module).items()
        if (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__ == module.__name__
    }


def _refuse_state(model: keras.Model) -> None:
    """A layer that remembers the last call would give one caller's rows to the next."""
    for layer in model._flatten_layers():
        if getattr(layer, "stateful", False):
            raise BadModel(
                f"layer {layer.name!r} is stateful: it goes on where the last call ended, and callers of a server would "
                "share that state; build the model with stateful=False, and pass states in and out by name if they are needed"
            )


# ---- What Keras says, in our words where they help more.


def _reason(file: Path, error: Exception, code: str | None) -> str:
    if isinstance(error, BadModel):
        return str(error)
    text = str(error)
    if "Lambda" in text and "safe_mode" in text:
        return "it has a Lambda layer, which carries Python code; if you trust the file, --allow-lambda runs that code"
    unknown = re.search(r"Could not (?:locate|deserialize|find) (?:class|function|object)? ?'([^']+)'", text)
    if unknown and not _by_keras_2(file):
        where = f"--code {code} does not define it" if code else "--code FILE.py names the Python file that defines it"
        return f"it needs {unknown[1]!r}, which is not in the file; {where}"
    if _by_keras_2(file):
        return f"{UNDER_KERAS_2} (Keras 3 says: {first_line(text) or repr(error)})"
    return first_line(text) or repr(error)


def _by_keras_2(file: Path) -> bool:
    """Whether the file says that Keras 1 or 2 wrote it."""
    return any(version.startswith(("1.", "2.")) for version in _versions(file))


def _versions(file: Path) -> Iterator[str]:
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                yield str(json.loads(archive.read("metadata.json")).get("keras_version", ""))
        else:
            with h5py.File(file) as content:
                version = content.attrs.get("keras_version", b"")
                yield version.decode() if isinstance(version, bytes) else str(version)
    except (OSError, KeyError, ValueError):
        return
