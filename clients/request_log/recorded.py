"""The inputs of recorded requests as arrays, to ask them again: the newest rows first, those of one shape together.

files of one signature ──pieces──▶ columns of inputs ──rows of one shape──▶ {"pixels": (n, 64), …}
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from signet.clients.request_log.files import LogFile
from signet.clients.score import formats, storage
from signet.serving.errors import UsageError
from signet.serving.tensors.arrays import Array, Arrays
from signet.serving.tensors.signature import Signature, TensorSpec

_PIECE_ROWS = 1024


def inputs_of(logs: Sequence[LogFile], signature: Signature, most_rows: int) -> Iterator[Arrays]:
    """Rows that hold all inputs of the signature, in the dtypes and shapes that it takes; others are left out.

    Raises `UsageError` for files that cannot be read.
    """
    formats.pyarrow("recorded requests")
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    names = list(signature.inputs)
    rows = 0
    for log in reversed(logs):
        try:
            with storage.of(log.path).open(log.path) as file:
                parquet = pq.ParquetFile(file)
                if set(names) - set(parquet.schema_arrow.names):
                    continue
                for batch in parquet.iter_batches(_PIECE_ROWS, columns=names):
                    for arrays in _arrays(batch.to_pylist(), signature):
                        count = min(most_rows - rows, len(arrays[names[0]]))
                        yield {name: array[:count] for name, array in arrays.items()}
                        rows += count
                        if rows >= most_rows:
                            return
        except (OSError, pa.ArrowException) as error:
            raise UsageError(f"{storage.shown(log.path)} cannot be read as Parquet: {error}") from error


def _arrays(rows: Sequence[dict[str, Any]], signature: Signature) -> Iterator[Arrays]:
    by_shapes: dict[tuple[tuple[int, ...], ...], list[list[Array]]] = {}
    for row in rows:
        arrays = [_array(row[name], spec) for name, spec in signature.inputs.items()]
        whole = [array for array in arrays if array is not None]
        if len(whole) == len(arrays):
            by_shapes.setdefault(tuple(array.shape for array in whole), []).append(whole)
    for several in by_shapes.values():
        yield {
            name: np.stack(column) for name, column in zip(signature.inputs, zip(*several, strict=True), strict=True)
        }


def _array(value: Any, spec: TensorSpec) -> Array | None:
    """One row of an input; None where the log lacks it (redacted), or has it in another form."""
    if value is None or spec.dtype is None:
        return None
    try:
        array = np.array(value, spec.dtype.numpy)
    except (ValueError, TypeError, OverflowError):
        return None
    if spec.dtype.is_string:
        flat = array.reshape(-1)
        flat[:] = [text.encode() if isinstance(text, str) else text for text in flat]
        if not all(isinstance(text, bytes) for text in flat):
            return None
    return array if spec.fits((1, *array.shape)) else None
