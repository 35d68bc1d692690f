"""A version's own golden examples: whether it still answers as it did when it was exported.

assets.extra/golden.json: outputs, rtol, atol; a large array as a sample of its values ──problems──▶ what differs
"""

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from signet.serving.models import example_rows, small_file
from signet.serving.tensors.arrays import Array, Arrays

_NOT_READ = (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError)


def expected(folder: Path, signature: str) -> Mapping[str, Any] | None:
    """The example of a signature as the file has it; None where it has none that can be read."""
    try:
        found = json.loads(small_file.read(folder / example_rows.GOLDEN))["signatures"][signature]
        return found if isinstance(found["outputs"], dict) and not found.get("random") else None
    except _NOT_READ:
        return None


def problems(answers: Arrays, example: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Output -> how it differs from what the example says, for those that do."""
    for name, due in example["outputs"].items():
        if name not in answers:
            continue  # the signature says so already
        try:
            problem = _problem(answers[name], due, float(example.get("rtol", 1e-5)), float(example.get("atol", 1e-5)))
        except _NOT_READ:
            continue
        if problem:
            yield name, problem


def _problem(answer: Array, due: Any, rtol: float, atol: float) -> str:
    if isinstance(due, dict):
        if list(answer.shape) != due["shape"]:
            return f"has shape {answer.shape}, and had {tuple(due['shape'])}"
        answer, due = answer.reshape(-1)[due["sample"]["indices"]], due["sample"]["values"]
    expected = _array(due, answer.dtype)
    if answer.shape != expected.shape:
        return f"has shape {answer.shape}, and had {expected.shape}"
    if answer.dtype == object or answer.dtype.kind == "b":
        wrong = int(np.sum(answer != expected))
        return f"is another one in {wrong} of {answer.size} values" if wrong else ""
    got, want = answer.astype(np.complex128), expected.astype(np.complex128)
    if np.allclose(got, want, rtol, atol, equal_nan=True):
        return ""
    if not np.isfinite(got[np.isfinite(want)]).all():
        return "is not finite, and was"
    return f"differs by up to {np.nanmax(np.abs(got - want)):.3g} (rtol {rtol:g}, atol {atol:g})"


def _array(value: Any, dtype: Any) -> Array:
    if dtype.kind != "O":
        return np.asarray(value, np.float64 if dtype.kind not in "cb" else dtype)
    array = np.asarray(value, object)
    for place, item in np.ndenumerate(array):
        array[place] = base64.b64decode(item["b64"]) if isinstance(item, dict) else str(item).encode()
    return array
