"""The reference of an export: how inputs and outputs are distributed in rows like those that callers send; the card has it.

training: held-out rows ──keep──▶ trained/reference.pickle ──take──▶ Exportable.reference
--example FILE: its rows ───────────────────────────────────────────▶ Exportable.reference ──described──▶ the card
"""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from signet.serving.errors import Unsupported
from signet.serving.models import distribution
from signet.serving.tensors import dtypes
from signet.serving.tensors.signature import Signature, TensorSpec
from signet.training.model import Array, Arrays, Endpoint

if TYPE_CHECKING:
    from signet.training.export.exportable import Exportable

MOST_ROWS, MOST_BYTES = 2048, 32 << 20
"""Of the rows: so many tell how they are distributed."""
_FILE = "reference.pickle"


def keep(trained: Path, inputs: Arrays) -> None:
    """Leave held-out rows to the export."""
    (trained / _FILE).write_bytes(pickle.dumps(bounded(inputs)))


def take(trained: Path, endpoints: Mapping[str, Endpoint]) -> dict[str, Arrays]:
    """The rows that training left, for each signature that takes them as they are."""
    path = trained / _FILE
    if not path.exists():
        return {}
    rows: Arrays = pickle.loads(path.read_bytes())  # noqa: S301  # nosec B301  # our own
    return {name: taken for name, endpoint in endpoints.items() if (taken := _of(endpoint, rows))}


def bounded(inputs: Arrays) -> Arrays:
    """At most so many rows, taken evenly from all."""
    rows = len(next(iter(inputs.values())))
    each = sum(array.nbytes for array in inputs.values()) // max(rows, 1)
    most = max(1, min(rows, MOST_ROWS, MOST_BYTES // max(each, 1)))
    chosen = np.linspace(0, rows - 1, most).astype(int)
    return {name: array[chosen] for name, array in inputs.items()}


def described(
    exportable: "Exportable",
    name: str,
    tensors: tuple[Mapping[str, tuple[int, Any]], Mapping[str, tuple[int, Any]]],
    source: str,
) -> dict[str, Any] | None:
    """The card's entry of one signature; None where there are no rows, or too few. tensors: name -> (enum of dtype, shape)."""
    rows = exportable.reference.get(name)
    if not rows:
        return None
    inputs, outputs = ({tensor: _spec(tensor, *facts) for tensor, facts in side.items()} for side in tensors)
    answers = exportable.endpoints[name].reference(rows)
    made = distribution.reference(Signature(name, inputs, outputs), rows, answers, exportable.card.pad_value, source)
    return made.to_json() if made else None


def _of(endpoint: Endpoint, rows: Arrays) -> Arrays | None:
    taken = {}
    for spec in endpoint.inputs:
        array = rows.get(spec.name)
        if array is None or not _takes(spec, array):
            return None
        taken[spec.name] = array.astype(spec.dtype.as_numpy_dtype)
    return taken


def _takes(spec: Any, array: Array) -> bool:
    texts = spec.dtype.as_numpy_dtype is object
    if texts != (array.dtype == object) or spec.shape.rank != array.ndim:
        return False
    return all(size in (None, given) for size, given in zip(spec.shape.as_list(), array.shape, strict=True))


def _spec(name: str, dtype: int, shape: Any) -> TensorSpec:
    try:
        return TensorSpec(name, dtypes.from_enum(dtype), tuple(shape), "")
    except Unsupported:
        return TensorSpec(name, None, tuple(shape), "")
