"""Golden examples: rows, what the Keras model answered to them, and whether others answered the same.

    keep(folder, proofs)      the rows and answers as they are, for the verification alone
    bounded(arrays)           the same as JSON for golden.json: a large array as its digest and a sample
    difference(answers, …)    where two sets of answers differ by more than rounding

Of an array above MOST_BYTES golden.json has {"sha256": of its bytes, row by row, "dtype", "shape", "sample": {"indices":
places in the flat array, "values": what stands there}}: a picture as JSON would be forty times its size.
"""

import base64
import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from signet.training.model import Array, Arrays

MOST_BYTES = 1 << 20
SAMPLE = 16
"""Numbers of a large array that are written out."""
_FILE = ".proofs"


class Proof(NamedTuple):
    """Rows, and what the model answers to them."""

    inputs: Arrays
    outputs: Arrays


def keep(folder: Path, proofs: Mapping[str, Proof]) -> None:
    """Leave them in a version's folder for the process that verifies it."""
    (folder / _FILE).write_bytes(pickle.dumps({name: tuple(proof) for name, proof in proofs.items()}))


def take(folder: Path) -> dict[str, Proof]:
    """What `keep` left, which is gone then."""
    path = folder / _FILE
    proofs = {name: Proof(*proof) for name, proof in pickle.loads(path.read_bytes()).items()}  # noqa: S301  # nosec B301  # our own
    path.unlink()
    return proofs


def bounded(arrays: Arrays) -> dict[str, Any]:
    """`to_json`, with digests and samples in place of large arrays."""
    return {
        name: _digest(array) if byte_count(array) > MOST_BYTES else to_json({name: array})[name]
        for name, array in arrays.items()
    }


def byte_count(array: Array) -> int:
    """Bytes of an array's numbers or texts."""
    return sum(len(value) for value in array.flat) if array.dtype == object else array.nbytes


def _digest(array: Array) -> dict[str, Any]:
    flat = array.reshape(-1)
    places = np.unique(np.linspace(0, flat.size - 1, SAMPLE).astype(int))
    content = b"".join(map(bytes, flat)) if array.dtype == object else np.ascontiguousarray(array).tobytes()
    return {
        "sha256": hashlib.sha256(content).hexdigest(),
        "dtype": "string" if array.dtype == object else array.dtype.name,
        "shape": list(array.shape),
        "sample": {"indices": places.tolist(), "values": to_json({"": flat[places]})[""]},
    }


def to_json(arrays: Arrays) -> dict[str, Any]:
    """Named arrays as JSON values: bytes as {"b64": "…"}, as in TensorFlow Serving's dialect.

    A float32 with the fewest digits that give it back, whole numbers without a point.
    """
    return {name: _plain(array if array.dtype == np.float32 else array.tolist()) for name, array in arrays.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | list):
        return [_plain(item) for item in value]
    if isinstance(value, np.float32):
        return int(value) if value == np.rint(value) and abs(value) < 1e6 else float(str(value))
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    return value


def from_json(value: Any, dtype: Any) -> Array:
    """Undo `to_json` for one array."""
    array = np.asarray(value, dtype)
    if array.dtype == object:
        for place, item in np.ndenumerate(array):
            array[place] = base64.b64decode(item["b64"]) if isinstance(item, dict) else item
    return array


def difference(answers: Arrays, example: Mapping[str, Any]) -> str | None:
    """Where answers are not what a golden example expects: which output, and by how much; None where they agree.

    example: {"outputs": arrays or their JSON, "rtol", "atol", "random": whether only shapes and dtypes can be compared}
    """
    if set(answers) != set(example["outputs"]):
        return f"the outputs are {sorted(answers)}, not {sorted(example['outputs'])}"
    for name, answer in answers.items():
        due = example["outputs"][name]
        if example.get("random"):
            shapes = answer.shape, np.shape(due)
            problem = None if shapes[0] == shapes[1] else f"has shape {shapes[0]}, not {shapes[1]}"
        else:
            problem = _difference(answer, due, example["rtol"], example["atol"])
        if problem:
            return f"output {name!r} {problem}"
    return None


def _difference(answer: Array, due: Any, rtol: float, atol: float) -> str | None:
    expected = from_json(due, object) if answer.dtype == object else np.asarray(due)
    if answer.shape != expected.shape:
        return f"has shape {answer.shape}, not {expected.shape}"
    if answer.dtype == object:
        pairs = [(_text(got), _text(want)) for got, want in zip(answer.flat, expected.flat, strict=True)]
        wrong = [pair for pair in pairs if pair[0] != pair[1]]
        if wrong:
            return f"is {wrong[0][0]!r}, not {wrong[0][1]!r}, in {len(wrong)} of {answer.size} values"
    elif not np.allclose(answer, expected, rtol, atol, equal_nan=True):
        largest = float(np.max(np.abs(answer.astype(float) - expected)))
        return f"differs by up to {largest:.3g} (rtol {rtol:g}, atol {atol:g})"
    return None


def _text(value: str | bytes) -> str | bytes:
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value
