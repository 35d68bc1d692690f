"""`signet export FILE.keras --name NAME`: what is asked for, checked before TensorFlow is started.

ExportOptions(file, name, labels, example, …) ──describe──▶ model.json in a folder like that of a training
    ──export.export──▶ models/NAME/1/        in its first child the model is loaded by any_keras.py
"""

import json
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from signet.serving.tensors.arrays import as_string_array
from signet.training.export import export
from signet.training.export.errors import BadModel
from signet.training.export.names import TENSOR_NAME, check_name
from signet.training.export.options import ExportOptions
from signet.training.model import Array, BadOption

NOT_BATCHED = "--not-batched"


def export_file(options: ExportOptions, say: Callable[[str], None] = lambda _: None) -> Path:
    """Check the options, export; the folder of the new version. Raises BadOption, BadModel, ExportFailed.

    say: told what is done next.
    """
    description = describe(options)
    with tempfile.TemporaryDirectory(prefix="signet-") as folder:
        (Path(folder) / "model.json").write_text(json.dumps(description))
        return export.export(Path(folder), options.models_dir, allow_breaking=options.allow_breaking, say=say)


def describe(options: ExportOptions) -> dict[str, Any]:
    """The options as model.json, with its files read as far as that goes without TensorFlow."""
    check_name(options.name)
    _check_file(options.file)
    if options.scores not in (None, "probability", "logit"):
        raise BadOption(f"--scores {options.scores}: expected probability or logit")
    if options.example:
        read_example(options.example)
    return {
        "name": options.name,
        "keras_file": str(options.file.absolute()),
        "source": options.source or f"`{options.file.name}`",
        "labels": read_labels(options.labels) if options.labels else None,
        "example": str(options.example.absolute()) if options.example else None,
        "renames": dict(_rename(text) for text in options.rename),
        "code": str(options.code.absolute()) if options.code else None,
        "allow_lambda": options.allow_lambda,
        "xla": options.xla,
        "scores": options.scores,
        "not_batched": options.not_batched,
        "allow_ops": options.allow_ops,
        "import_paths": list(options.import_paths),
        "objects": str(options.objects.absolute()) if options.objects else None,
    }


def _check_file(file: Path) -> None:
    if not file.exists():
        raise BadOption(f"there is no file {file}")
    if (file / "saved_model.pb").exists():
        raise BadOption(
            f"{file} is a SavedModel already, and is served as it is: copy the folder to MODELS_DIR/NAME/1 and no more"
        )
    if file.suffix not in (".keras", ".h5", ".hdf5"):
        raise BadOption(
            f"{file} is not a Keras model: expected a file called .keras, or .h5 or .hdf5 of older versions"
        )
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
        return file.read_text("utf-8-sig")  # editors of Windows put a byte order mark before the first label
    except (OSError, UnicodeDecodeError) as error:
        raise BadOption(f"{option} {file}: cannot be read ({error})") from error


def _parse(option: str, file: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise BadOption(f"{option} {file}: not JSON ({error})") from error
