"""What requests carry: named arrays that fit a signature, some dozens of different requests that are sent in turn.

golden      the model's own examples, MODELS_DIR/NAME/VERSION/assets.extra/golden.json
a file      rows as `signet score` reads them, one JSON object a line or Parquet, or one predict request
a folder    the request log that `signet serve --request-log` writes
signature   random values of the right dtypes and shapes
"""

import json
import random
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from signet.clients.client import values
from signet.clients.client.calls import Version
from signet.clients.load_test.plan.mix import MixEntry
from signet.clients.request_log import files
from signet.clients.score import formats
from signet.serving.errors import InvalidInput, UsageError
from signet.serving.tensors.arrays import Array, Arrays
from signet.serving.tensors.signature import Signature, TensorSpec, select

AUTO, GOLDEN, SIGNATURE = "auto", "golden", "signature"
DISTINCT = 64
"""Different requests: one and the same would find every cache warm."""
_MOST_ROWS = 10_000
_HIGHEST = 10
"""Random whole numbers are below: small enough for most vocabularies."""
_WORDS = ("Mary", "John", "went", "to", "the", "garden", "kitchen", "where", "is", "a", "first", "day")


def read(
    entry: MixEntry, described: Version, source: str, models_dir: Path, *, rows: int, size: int, chance: random.Random
) -> tuple[str, list[Arrays]]:
    """Where the bodies come from, and the bodies. Raises `UsageError` for files that do not fit.

    rows: in each request. size: of dimensions that the signature leaves open.
    """
    signature = select(described.signatures, entry.signature, entry.model)
    if source in (AUTO, GOLDEN):
        path = models_dir / entry.model / str(described.number) / "assets.extra" / "golden.json"
        examples = _golden(path, entry.signature) if path.exists() else None
        if examples is not None:
            return GOLDEN, _of_rows(path, examples, signature, rows)
        if source == GOLDEN:
            raise UsageError(f"{entry}: no golden examples in {path}; they lie in --models-dir")
    if source in (AUTO, SIGNATURE):
        return SIGNATURE, [_random(signature, rows, size, chance) for _ in range(DISTINCT)]
    path = Path(source)
    if path.is_dir() or path.suffix in (".parquet", ".pq"):
        return str(path), _of_rows(path, _from_parquet(path, entry, signature), signature, rows)
    return str(path), _of_rows(path, _from_file(path, signature), signature, rows)


def _golden(path: Path, signature: str) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_text())
        examples = document["signatures"].get(signature)
        inputs = examples and examples["inputs"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} holds no golden examples: {error!r}") from error
    if inputs and any(isinstance(column, dict) for column in inputs.values()):
        return None  # a large input, of which the file has a digest only
    return inputs or None


def _from_file(path: Path, signature: Signature) -> dict[str, Any]:
    """The inputs by name, each with a list of rows."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UsageError(f"--bodies {path}: {error.strerror}; expected auto, golden, signature or a file") from error
    try:
        document = values.loads(text)
    except ValueError:
        lines = [line for line in text.splitlines() if line.strip()][:_MOST_ROWS]
        return _columns(path, [_loaded(path, number, line) for number, line in enumerate(lines, 1)], signature)
    if isinstance(document, dict) and isinstance(document.get("inputs"), dict):
        return dict(document["inputs"])
    if isinstance(document, dict) and isinstance(document.get("instances"), list):
        return _columns(path, document["instances"], signature)
    return _columns(path, [document], signature)


def _from_parquet(path: Path, entry: MixEntry, signature: Signature) -> dict[str, Any]:
    """The last rows of a Parquet file, or of what a request log has of the model in a folder, each with all inputs."""
    if path.is_dir():
        logs = files.of(files.found(str(path)), entry.model, signature.name)
        paths = [log.path for log in reversed(logs)]
    else:
        paths = [str(path)]
    names = list(signature.inputs)
    formats.pyarrow(str(path))
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    columns: dict[str, list[Any]] = {name: [] for name in names}
    for file in paths:
        try:
            with pq.ParquetFile(file) as parquet:
                if missing := set(names) - set(parquet.schema_arrow.names):
                    raise UsageError(f"{file} has no column {min(missing)!r}; expected the inputs {', '.join(names)}")
                for batch in parquet.iter_batches(batch_size=1024, columns=names):
                    rows = [row for row in batch.to_pylist() if None not in row.values()]  # redacted
                    for name in names:
                        columns[name] += [row[name] for row in rows[: _MOST_ROWS - len(columns[name])]]
                    if len(columns[names[0]]) >= _MOST_ROWS:
                        return columns
        except (OSError, pa.ArrowException) as error:
            raise UsageError(f"--bodies {file} cannot be read as Parquet: {error}") from error
    if not columns[names[0]]:
        raise UsageError(f"--bodies {path} has no row with all inputs: {', '.join(names)}")
    return columns


def _loaded(path: Path, number: int, line: bytes) -> Any:
    try:
        return values.loads(line)
    except ValueError as error:
        raise UsageError(f"{path} line {number} is not JSON: {error}") from error


def _columns(path: Path, rows: list[Any], signature: Signature) -> dict[str, Any]:
    names = list(signature.inputs)
    columns: dict[str, Any] = {name: [] for name in names}
    for number, row in enumerate(rows, 1):
        bare = not isinstance(row, dict) or row.keys() == {"b64"}
        named = {names[0]: row} if bare and len(names) == 1 else row
        for name in names:
            if (bare and len(names) > 1) or name not in named:
                raise UsageError(f"{path} row {number} has no {name!r}; expected the inputs {', '.join(names)}")
            columns[name].append(named[name])
    return columns


def _of_rows(path: Path, columns: Mapping[str, Any], signature: Signature, rows: int) -> list[Arrays]:
    """Requests of so many rows, in the order of the source and round again."""
    try:
        if not signature.batched:
            return [values.to_arrays(columns, signature)]
        count = min(map(len, columns.values()), default=0)
        if not count:
            raise UsageError(f"{path} holds no rows")
        return [
            values.to_arrays(
                {name: [column[row % count] for row in places] for name, column in columns.items()}, signature
            )
            for places in _places(count, rows)
        ]
    except (InvalidInput, TypeError) as error:
        raise UsageError(f"{path}: {error}") from error


def _places(count: int, rows: int) -> Iterator[range]:
    """Which rows each request takes: all of them are used, at most `DISTINCT` requests are made."""
    return islice((range(start, start + rows) for start in range(0, max(count, rows), rows)), DISTINCT)


def _random(signature: Signature, rows: int, size: int, chance: random.Random) -> Arrays:
    generator = np.random.default_rng(chance.getrandbits(32))
    return {name: _random_array(spec, rows, size, generator) for name, spec in signature.inputs.items()}


def _random_array(spec: TensorSpec, rows: int, size: int, generator: np.random.Generator) -> Array:
    if spec.dtype is None:
        raise UsageError(f"input {spec.name!r} has a type that cannot be sent")
    dims = (None, None) if spec.shape is None else spec.shape
    shape = tuple((size if place else rows) if dim is None else dim for place, dim in enumerate(dims))
    if spec.dtype.is_string:
        words = generator.choice(_WORDS, (*shape, 6))
        return np.array([" ".join(some).encode() for some in words.reshape(-1, 6)], object).reshape(shape)
    kind = spec.dtype.numpy.kind
    if kind == "b":
        return generator.integers(0, 2, shape).astype(bool)
    if kind in "iu":
        return generator.integers(0, _HIGHEST, shape).astype(spec.dtype.numpy)
    return generator.random(shape).astype(spec.dtype.numpy)
