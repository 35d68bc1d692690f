"""What both versions are asked: rows like those that callers send, and rows that are made up.

golden examples, warm-up requests, example requests of both ─┐
rows of a request log ───────────────────────────────────────┴▶ plausible: what is answered there is compared
by the signature, within what the card's reference has, and zeros ──▶ made up: has to be answered, by numbers, in shape
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from signet.serving.models import example_rows, model_card
from signet.serving.models.distribution import Column, Reference
from signet.serving.tensors.arrays import Array, Arrays
from signet.serving.tensors.signature import Signature, TensorSpec

GOLDEN, RECORDED, RANDOM, ZEROS = "golden", "recorded", "random", "zeros"
PLAUSIBLE = (GOLDEN, RECORDED)

MOST_ROWS = 64
"""In one request."""
MOST_RECORDED = 4096
"""Rows of a request log that are used."""
_MOST_BYTES = 64 << 20
_FREE_SIZE = 8
"""What is made up where the signature leaves a size open."""
_HIGHEST = 10
"""Whole numbers that are made up without a reference are below: small enough for most vocabularies."""
_WORDS = ("Mary", "John", "went", "to", "the", "garden", "kitchen", "where", "is", "a", "first", "day")


@dataclass(frozen=True, eq=False)
class Request:
    """One call of a signature."""

    signature: Signature
    source: str
    inputs: Arrays

    @property
    def rows(self) -> int:
        """Rows of it; 1 where the signature has none."""
        return len(next(iter(self.inputs.values()))) if self.signature.batched else 1

    @property
    def plausible(self) -> bool:
        """Whether it is like what callers send."""
        return self.source in PLAUSIBLE


def make(
    signature: Signature,
    folders: Sequence[Path],
    recorded: Iterable[Arrays],
    random_rows: int,
    seed: int,
) -> list[Request]:
    """All requests of one signature. folders: of versions whose examples are used, the first's reference for what is made up.

    recorded: inputs by name, as many rows as there are; what does not fit the signature is left out.
    """
    chosen = [Request(signature, GOLDEN, inputs) for inputs in _distinct(folders, signature)]
    rows = 0
    for arrays in recorded:
        for piece in _pieces(arrays, signature):
            if rows < MOST_RECORDED and _fits(piece, signature):
                request = Request(signature, RECORDED, piece)
                chosen.append(request)
                rows += request.rows
    reference = next(
        (found for folder in folders if (found := model_card.read(folder).reference(signature.name))), None
    )
    chance = np.random.default_rng(seed)
    for count in _counts(random_rows) if signature.batched else [1] * min(8, random_rows):
        inputs = _made_up(signature, count, reference, chance)
        if inputs is not None:
            chosen.append(Request(signature, RANDOM, inputs))
    zeros = _zeros(signature)
    return [*chosen, Request(signature, ZEROS, zeros)] if zeros is not None else chosen


def _distinct(folders: Sequence[Path], signature: Signature) -> Iterator[Arrays]:
    """Each row once, however often examples and warm-up requests repeat it: what is said of rows is said of different ones."""
    seen: set[bytes] = set()
    for folder in folders:
        for inputs in example_rows.to_compare(folder, signature):
            for piece in _pieces(inputs, signature):
                fresh = []
                for place, key in enumerate(_keys(piece, signature)):
                    if key not in seen:
                        seen.add(key)
                        fresh.append(place)
                if fresh:
                    yield {name: array[fresh] for name, array in piece.items()} if signature.batched else piece


def _keys(piece: Arrays, signature: Signature) -> Iterator[bytes]:
    """What tells one row from another, or one call of a signature without rows."""
    for place in range(min(map(len, piece.values()), default=1) if signature.batched else 1):
        digest = blake2b(digest_size=16)
        for array in piece.values():
            row = array[place : place + 1] if signature.batched else array
            digest.update(repr((row.shape, row.tolist())).encode() if row.dtype == object else row.tobytes())
        yield digest.digest()


def _pieces(arrays: Arrays, signature: Signature) -> Iterator[Arrays]:
    if not signature.batched or not arrays:
        yield arrays
        return
    rows = min(map(len, arrays.values()))
    for start in range(0, rows, MOST_ROWS):
        yield {name: array[start : min(rows, start + MOST_ROWS)] for name, array in arrays.items()}


def _fits(arrays: Arrays, signature: Signature) -> bool:
    return arrays.keys() == signature.input_names and all(
        spec.dtype is not None and arrays[name].dtype == spec.dtype.numpy and spec.fits(arrays[name].shape)
        for name, spec in signature.inputs.items()
    )


def _counts(rows: int) -> list[int]:
    """Rows of each request: one that is alone, too."""
    most = [min(16, rows - start) for start in range(0, rows, 16)]
    return [1, *most]


def _made_up(
    signature: Signature, rows: int, reference: Reference | None, chance: np.random.Generator
) -> Arrays | None:
    columns = reference.columns if reference else {}
    arrays = {}
    for name, spec in signature.inputs.items():
        shape = _shape(spec, rows)
        if spec.dtype is None or math.prod(shape) * 8 > _MOST_BYTES:
            return None
        arrays[name] = _random(name, spec, shape, columns, chance)
    return arrays


def _shape(spec: TensorSpec, rows: int) -> tuple[int, ...]:
    if spec.shape is None:
        return (rows, _FREE_SIZE)
    return tuple((_FREE_SIZE if axis else rows) if size is None else size for axis, size in enumerate(spec.shape))


def _random(
    name: str, spec: TensorSpec, shape: tuple[int, ...], columns: Mapping[str, Column], chance: np.random.Generator
) -> Array:
    assert spec.dtype is not None
    known = columns.get(name)
    if spec.dtype.is_string:
        if known is not None and known.categories:
            return _texts(chance.choice(known.categories, shape))
        return _texts(
            np.array([" ".join(some) for some in chance.choice(_WORDS, (math.prod(shape), 6))]).reshape(shape)
        )
    kind = spec.dtype.numpy.kind
    if kind == "b":
        return chance.integers(0, 2, shape).astype(bool)
    low, high = _range(name, columns) or ((0.0, _HIGHEST - 1.0) if kind in "iu" else (0.0, 1.0))
    if kind in "iu":
        limits = np.iinfo(spec.dtype.numpy)
        low, high = max(low, float(limits.min)), min(high, float(limits.max))
        return np.clip(np.rint(chance.uniform(low, high, shape)), low, high).astype(spec.dtype.numpy)
    return chance.uniform(low, high, shape).astype(spec.dtype.numpy)


def _range(name: str, columns: Mapping[str, Column]) -> tuple[float, float] | None:
    """From where to where a reference has an input; None where it does not tell."""
    lows: list[float] = []
    highs: list[float] = []
    for key, column in columns.items():
        if key not in (name, f"{name}.min", f"{name}.max") and not key.startswith(f"{name}["):
            continue
        if column.edges is not None:
            lows.append(column.facts.get("min", column.edges[0]))
            highs.append(column.facts.get("max", column.edges[-1]))
        else:
            numbers = [float(text) for text in column.categories if _is_number(text)]
            lows += numbers
            highs += numbers
    return (min(lows), max(highs)) if lows else None


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _zeros(signature: Signature) -> Arrays | None:
    arrays: Arrays = {}
    for name, spec in signature.inputs.items():
        shape = _shape(spec, 2)
        if spec.dtype is None or math.prod(shape) * 8 > _MOST_BYTES:
            return None
        arrays[name] = np.full(shape, b"", object) if spec.dtype.is_string else np.zeros(shape, spec.dtype.numpy)
    return arrays


def _texts(array: Any) -> Array:
    texts = np.empty(array.shape, object)
    texts.reshape(-1)[:] = [str(text).encode() for text in array.reshape(-1)]
    return texts
