"""Whether rows of several requests may share a call: found out by asking the model.

    rows that it takes: at hand, or drawn by dtype ──alone──▶ answers ◀──as alone?── pairs, permuted batches, more sizes,
                                                                                    alone once more ──▶ Verdict

Softmax or sort over the rows, statistics of a batch, random numbers, a counter: all of them answer a row otherwise in
company, or a second time. What cannot be found out counts as not proven: too few rows taken, or all answered alike.
"""

import math
import struct
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from signet.serving.errors import Cancelled, DeadlineExceeded, InvalidInput, Overloaded, ServingError, Unavailable
from signet.serving.tensors.arrays import Array, Arrays
from signet.serving.tensors.signature import Signature, TensorSpec

Run = Callable[[Arrays], Arrays]
"""run(inputs) gives the outputs of one call, or raises `ServingError`."""

ROWS = 6
"""Rows that are asked for."""

FEWEST_ROWS = 4
"""Rows that a verdict needs."""

_DRAWS = 48
"""Most rows drawn."""

_MAX_BYTES = 16 << 20
"""Most bytes of a call's inputs."""

_MAX_CALL_S = 2.0
"""Most seconds of a call, as far as that can be told from a row's."""

_NO_ANSWER = (Cancelled, DeadlineExceeded, Overloaded, Unavailable)
"""Errors that say nothing of the row that was sent: they go to whoever asked for the verdict."""


@dataclass(frozen=True)
class Verdict:
    """Whether rows of several requests share calls, and the reason, as a sentence without its end."""

    joined: bool
    why: str


def probe(run: Run, signature: Signature, at_hand: Iterable[Arrays] = (), max_rows: int = 64, seed: int = 0) -> Verdict:
    """Ask about one signature whose first dimension is free in all inputs and outputs; some 30 calls, after 6 to 54 draws.

    at_hand: inputs that the model should take, of any number of rows. max_rows: the most that would be joined.
    Raises `Unavailable`, `DeadlineExceeded`, … when the model cannot be asked.
    """
    random = np.random.default_rng(seed)
    asked = _Asked(run, signature)
    problem = asked.find(at_hand, random)
    if problem:
        return Verdict(False, problem)
    sizes = set()
    for chosen in _batches(len(asked.rows), asked.most(max_rows), random):
        problem = asked.problem_of(chosen)
        if problem:
            return Verdict(False, problem)
        sizes.add(len(chosen))
    if asked.alike:
        return Verdict(False, f"not proven: all {len(asked.rows)} rows that were tried are answered alike")
    return Verdict(True, f"{len(asked.rows)} rows were answered alone as in batches of up to {max(sizes)} rows")


class _Asked:
    """The rows that a model takes, and its answers to each of them alone."""

    def __init__(self, run: Run, signature: Signature) -> None:
        self._run, self._signature = run, signature
        self.rows: list[Arrays] = []
        self._answers: list[Arrays] = []
        self._scales: dict[str, float] = {}
        self._seconds = math.inf
        """What a row takes, the first call of a graph aside."""

    def find(self, at_hand: Iterable[Arrays], random: np.random.Generator) -> str:
        """Collect them. Gives why there is nothing more to ask, or nothing."""
        refusal: ServingError | None = None
        try:
            for row in _candidates(self._signature, at_hand, self.rows, random):
                started = time.perf_counter()
                try:
                    answer = self._run(row)
                except _NO_ANSWER:
                    raise
                except ServingError as error:
                    refusal = error
                    continue
                for name, array in answer.items():
                    if not array.ndim or len(array) != 1:
                        return f"output {name!r} has shape {array.shape} for one row"
                self._seconds = min(self._seconds, time.perf_counter() - started)
                self.rows.append(row)
                self._answers.append(answer)
        except InvalidInput as error:
            return f"not proven: {error}"
        if len(self.rows) < FEWEST_ROWS:
            said = f"; the last one was refused: {str(refusal)[:200]}" if refusal else ""
            return f"not proven: the model took {len(self.rows)} of the rows that were tried, too few{said}"
        for name in self._answers[0]:
            arrays = [_numbers(answer[name]) for answer in self._answers]
            self._scales[name] = max([_magnitude(array) for array in arrays if array is not None], default=0.0)
        return ""

    def most(self, max_rows: int) -> int:
        """The size of the largest batch that is worth its memory and its time."""
        row_bytes = max(sum(_bytes(array) for array in row.values()) for row in self.rows)
        return max(2, min(max_rows, _MAX_BYTES // max(1, row_bytes), int(_MAX_CALL_S / self._seconds)))

    def problem_of(self, chosen: Sequence[int]) -> str:
        """What differs when these rows go together, or nothing."""
        joint = {name: np.concatenate([self.rows[i][name] for i in chosen]) for name in self._signature.inputs}
        try:
            outputs = self._run(joint)
        except _NO_ANSWER:
            raise
        except ServingError as error:
            return f"{len(chosen)} rows that are answered alone are refused together: {str(error)[:200]}"
        for name, array in outputs.items():
            if not array.ndim or len(array) != len(chosen):
                return f"output {name!r} has shape {array.shape} for {len(chosen)} rows"
            for place, i in enumerate(chosen):
                if not self._equal(name, array[place : place + 1], self._answers[i][name]):
                    company = f"among {len(chosen)} rows" if len(chosen) > 1 else "when it is asked again"
                    return f"output {name!r} of a row is another {company}"
        return ""

    @property
    def alike(self) -> bool:
        """Whether one answer is that of all."""
        first = self._answers[0]
        return all(self._equal(name, answer[name], first[name]) for answer in self._answers[1:] for name in first)

    def _equal(self, name: str, one: Array, other: Array) -> bool:
        """Sums differ in the last digits by the number of rows: that is no difference, measured by what is usual there."""
        if one.shape != other.shape or one.dtype != other.dtype:
            return False
        numbers, others = _numbers(one), _numbers(other)
        if numbers is None or others is None:
            return np.array_equal(one, other)
        rtol = 1e-4 if one.dtype.itemsize >= 4 else 2e-2
        return np.allclose(numbers, others, rtol, rtol / 10 * self._scales[name], equal_nan=True)


def _numbers(array: Array) -> Array | None:
    """Floats as doubles, to be compared with a tolerance; None for what has to be equal exactly."""
    if array.dtype.kind == "c":
        return array.astype(np.complex128)
    return array.astype(np.float64) if array.dtype.kind == "f" or array.dtype.name == "bfloat16" else None


def _magnitude(array: Array) -> float:
    finite = np.abs(array[np.isfinite(array)])
    return float(finite.max(initial=0.0))


def _batches(count: int, most: int, random: np.random.Generator) -> Iterator[list[int]]:
    """Rows to send together, by their numbers; last each by itself again."""
    everybody = list(range(count))
    for size in (2, 3):
        for start in everybody[::size]:
            chosen = [(start + k) % count for k in range(size)]
            yield chosen
            yield chosen[::-1]
    for _ in range(3):
        yield random.permutation(count).tolist()
    for size in (most, most // 2, most):
        if size > count:
            yield random.permutation(np.resize(everybody, size)).tolist()
    for i in everybody:
        yield [i]


def _bytes(array: Array) -> int:
    return sum(map(len, array.reshape(-1).tolist())) if array.dtype == object else array.nbytes


# Rows


def _candidates(
    signature: Signature, at_hand: Iterable[Arrays], taken: list[Arrays], random: np.random.Generator
) -> Iterator[Arrays]:
    """Rows to try, as long as too few are taken; those at hand first, and drawn ones that can go together with them."""
    seen: set[bytes] = set()
    for arrays in at_hand:
        for i in range(signature.check_rows(signature.check(arrays))):
            if len(taken) >= ROWS:
                return
            row = {name: array[i : i + 1] for name, array in arrays.items()}
            if (not taken or _shapes(row) == _shapes(taken[0])) and _is_new(row, seen):
                yield row
    for attempt in range(_DRAWS):
        if len(taken) >= ROWS:
            return
        row = {
            name: _draw(spec, taken[0][name].shape[1:] if taken else None, attempt, random)
            for name, spec in signature.inputs.items()
        }
        if _is_new(row, seen) or attempt > _DRAWS // 2:  # there may be few: two of a truth value
            yield row


def _shapes(row: Arrays) -> list[tuple[int, ...]]:
    return [array.shape for array in row.values()]


def _is_new(row: Arrays, seen: set[bytes]) -> bool:
    content = repr([array.tolist() if array.dtype == object else array.tobytes() for array in row.values()]).encode()
    key = content if len(content) < 64 else zlib.crc32(content).to_bytes(4, "big")
    found = key in seen
    seen.add(key)
    return not found


_FREE_SIZES = (8, 32, 1, 3)
"""Sizes that are tried, by turns, where the signature leaves one open."""

_RANGES = ((0, 10), (0, 2), (1, 4), (-3, 4), (0, 100))
"""Ranges that whole numbers are drawn from, by turns: indexes, flags, counts, measurements."""

_WORDS = ("good", "seven", "the red house", "no", "7", "John went to the kitchen", "a", "what is it?")


def _draw(spec: TensorSpec, inner: tuple[int, ...] | None, attempt: int, random: np.random.Generator) -> Array:
    """One row for an input. Raises `InvalidInput` for one that nothing can be drawn for."""
    if spec.dtype is None or spec.shape is None or spec.dtype.numpy.kind == "c":
        raise InvalidInput(f"no row can be made up for input {spec.name!r}")
    free = _FREE_SIZES[attempt // len(_RANGES) % len(_FREE_SIZES)]
    shape = (1, *(inner if inner is not None else [free if size is None else size for size in spec.shape[1:]]))
    count = int(np.prod(shape, dtype=np.float64))
    if count * max(8, spec.dtype.numpy.itemsize) > _MAX_BYTES:
        raise InvalidInput(f"input {spec.name!r} is too large for a row to be made up")
    if spec.dtype.is_string:
        texts = [_text(attempt, random) for _ in range(count)]
        array = np.empty(count, object)
        array[:] = texts
        return array.reshape(shape)
    low, high = _RANGES[attempt % len(_RANGES)]
    if low < 0 and spec.dtype.numpy.kind in "ub":
        low = 0
    return random.integers(low, high, shape).astype(spec.dtype.numpy)


def _text(attempt: int, random: np.random.Generator) -> bytes:
    """Words, and every third time a tiny picture: that is what texts hold, or bytes."""
    if attempt % 3 == 2:
        return _png(random.integers(0, 256, (4, 4), np.uint8))
    return _WORDS[random.integers(len(_WORDS))].encode()


def _png(grey: Array) -> bytes:
    """A PNG file of grey values (height, width) uint8."""
    height, width = grey.shape
    lines = b"".join(b"\0" + line.tobytes() for line in grey)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
