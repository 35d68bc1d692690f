"""Score a file: each row with the model's outputs, in the order of the rows.

    {"id": 7, "pixels": [0, 3, …]}                                               {"id": 7, "digit": [0.1, …]}
    IN.jsonl ──chunks──▶ lines ──parse──▶ rows ──group──▶ arrays ──predict──▶ outputs ──▶ lines ──▶ OUT.jsonl

A row holds the named inputs; its other keys are carried along and the outputs come after them. The inputs themselves
are left out. Rows whose inputs differ in shape go in requests of their own. A few chunks are in memory at a time.

All of it or nothing: the version that answers first scores the whole file; a row that the model does not take ends the
run with its line and what is wrong; OUT is written aside and renamed when complete. A server that is overloaded or
away is asked again for a while.
"""

import json
import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import orjson
from rich.console import Console

from clients import values
from clients.calls import Version
from clients.gateway_client import Client
from clients.gateway_messages import Model
from clients.progress import Progress
from serving.errors import (
    Cancelled,
    InvalidInput,
    NotFound,
    Overloaded,
    TooLarge,
    Unavailable,
    UsageError,
)
from serving.signature import DEFAULT, Signature, TensorSpec, select
from serving.tensors import Arrays

Predict = Callable[[Arrays], Arrays]

_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 5.0


@dataclass(frozen=True)
class Job:
    """What is to be scored, and how."""

    model: str
    source: Path
    target: Path
    url: str
    signature: str = DEFAULT
    batch_rows: int = 64
    """Most rows in a request."""
    concurrency: int = 4
    """Requests in flight."""
    prefix: str = ""
    """Stands before the name of each output."""
    overwrite: bool = False
    patience_s: float = 60.0
    """Seconds to go on asking a server that is overloaded or away."""


@dataclass(frozen=True)
class Summary:
    """What was done."""

    version: int
    rows: int
    seconds: float


@dataclass(frozen=True)
class Line:
    """A line of the source."""

    number: int
    text: bytes


@dataclass(frozen=True)
class Row:
    """What a line says."""

    line: int
    inputs: dict[str, Any]
    carried: dict[str, Any]
    has_booleans: bool


class BadRow(UsageError):
    """A row that cannot be scored."""

    def __init__(self, line: int, problem: object) -> None:
        super().__init__(f"line {line}: {problem}")


def score(job: Job, console: Console) -> Summary:
    """Do the job. Raises `UsageError` and `ServingError`; then the target is as it was before."""
    total_bytes = _check_paths(job)
    started = time.monotonic()
    with Client(job.url) as client:
        described = client.describe(job.model)
        signature = select(described.signatures, job.signature, job.model)
        _check_rows_possible(job.model, signature)
        try:
            with _written_aside(job.target) as out, Progress(console, job.model, total_bytes) as progress:
                rows = _score(job, client, described, signature, out, progress)
        except BadRow as error:
            raise UsageError(f"{job.source} {error}") from error
        except OSError as error:
            raise UsageError(f"{error.filename or job.target}: {error.strerror}") from error
    return Summary(described.number, rows, time.monotonic() - started)


def _score(
    job: Job, client: Client, described: Version, signature: Signature, out: BinaryIO, progress: Progress
) -> int:
    """Chunks side by side, their lines written in order; gives the number of rows."""
    stop = threading.Event()

    def predict(arrays: Arrays) -> Arrays:
        def once() -> Arrays:
            try:
                return client.predict(job.model, arrays, version=described.number, signature=signature.name)
            except NotFound as error:
                raise _why_missing(client.models(), described, error) from error

        return patiently(once, job.patience_s, stop.wait, progress.note)

    rows = 0
    with ThreadPoolExecutor(job.concurrency) as pool, job.source.open("rb") as source:
        work = partial(scored_lines, signature=signature, prefix=job.prefix, predict=predict)
        try:
            for lines, scored in in_order(pool, work, chunks(source, job.batch_rows), 2 * job.concurrency):
                out.write(scored)
                rows += len(lines)
                progress.advance(len(lines), sum(len(line.text) for line in lines))
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
    return rows


def in_order(
    pool: ThreadPoolExecutor, work: Callable[[list[Line]], bytes], parts: Iterable[list[Line]], ahead: int
) -> Iterator[tuple[list[Line], bytes]]:
    """Each part with what `work` makes of it, as they come; at most so many are taken ahead of a slow one."""
    waiting: deque[tuple[list[Line], Future[bytes]]] = deque()
    for part in parts:
        waiting.append((part, pool.submit(work, part)))
        if len(waiting) > ahead:
            first, done = waiting.popleft()
            yield first, done.result()
    for part, done in waiting:
        yield part, done.result()


def chunks(source: Iterable[bytes], rows: int) -> Iterator[list[Line]]:
    """The lines that are not blank, by so many."""
    lines = (Line(number, text) for number, text in enumerate(source, 1) if not text.isspace())
    while chunk := list(islice(lines, rows)):
        yield chunk


def scored_lines(lines: list[Line], signature: Signature, prefix: str, predict: Predict) -> bytes:
    """The lines of the target for these of the source. Raises `BadRow`."""
    rows = [parse(line, signature) for line in lines]
    for row in rows:
        for name in signature.outputs:
            if prefix + name in row.carried:
                raise BadRow(
                    row.line, f"it has a key {prefix + name!r}, as has the answer; give the outputs another --prefix"
                )
    columns: dict[str, list[Any]] = {prefix + name: [None] * len(rows) for name in signature.outputs}
    for places, arrays in group(rows, signature):
        outputs = _outputs([rows[place] for place in places], arrays, predict)
        for name, array in outputs.items():
            for place, value in zip(places, values.to_json_rows(name, array), strict=True):
                columns[prefix + name][place] = value
    return b"".join(
        _dumped(row.line, {**row.carried, **{name: column[i] for name, column in columns.items()}})
        for i, row in enumerate(rows)
    )


def parse(line: Line, signature: Signature) -> Row:
    """A line of JSON: an object with the inputs and more, or the bare value of a sole input. Raises `BadRow`."""
    text = line.text.removeprefix(b"\xef\xbb\xbf") if line.number == 1 else line.text
    try:
        document = values.loads(text)
    except ValueError as error:
        raise BadRow(line.number, f"it is not JSON: {error}") from error
    bare = not isinstance(document, dict) or document.keys() == {"b64"}
    if bare and len(signature.inputs) == 1:
        document = {next(iter(signature.inputs)): document}
    elif not isinstance(document, dict):
        expected = ", ".join(map(repr, signature.inputs))
        raise BadRow(line.number, f"it is no object; expected one with the inputs {expected}")
    if not signature.input_names <= document.keys():
        try:
            signature.check_names(document)
        except InvalidInput as error:
            raise BadRow(line.number, error) from error
    return Row(
        line.number,
        {name: document[name] for name in signature.inputs},
        _carried(line.number, document, text, signature),
        b"true" in text or b"false" in text,
    )


def group(rows: list[Row], signature: Signature) -> list[tuple[list[int], Arrays]]:
    """The inputs of the rows as arrays, together where the shapes agree, with the places of the rows among these.

    Raises `BadRow` for the first row that the signature does not take.
    """
    has_booleans = any(row.has_booleans for row in rows)
    try:
        stacked = {
            name: values.from_json(spec, [row.inputs[name] for row in rows], has_booleans=has_booleans)
            for name, spec in signature.inputs.items()
        }
        return [(list(range(len(rows))), stacked)]
    except InvalidInput:
        pass  # they differ in shape, or one of them is wrong
    specs = {name: _of_row(spec) for name, spec in signature.inputs.items()}
    groups: dict[tuple[tuple[int, ...], ...], list[tuple[int, Arrays]]] = {}
    for place, row in enumerate(rows):
        arrays = _arrays(row, specs)
        groups.setdefault(tuple(array.shape for array in arrays.values()), []).append((place, arrays))
    return [
        ([place for place, _ in members], {name: np.stack([arrays[name] for _, arrays in members]) for name in specs})
        for members in groups.values()
    ]


def patiently(
    ask: Callable[[], Arrays], patience_s: float, pause: Callable[[float], bool], note: Callable[[str], None]
) -> Arrays:
    """The answer, asked for again while the server is overloaded or away, at growing and random intervals.

    pause: waits so many seconds; true: give up. note: is told why there is a wait.
    """
    delay_s = _FIRST_DELAY_S
    deadline: float | None = None
    while True:
        try:
            return ask()
        except (Overloaded, Unavailable) as error:
            now = time.monotonic()
            deadline = deadline or now + patience_s
            if now >= deadline:
                raise type(error)(f"{error}; gave up after {patience_s:g} s") from error
            note(f"waiting: {error}")
            wait_s = min(random.uniform(delay_s / 2, delay_s), deadline - now)  # noqa: S311  # no secret
            delay_s = min(2 * delay_s, _LONGEST_DELAY_S)
        if pause(wait_s):
            raise Cancelled("another row ended the run")


def _why_missing(served: list[Model], begun: Version, error: NotFound) -> Unavailable | UsageError:
    """Whether the version comes back: a server that has just started has none at first."""
    versions = next((model.versions for model in served if model.name == begun.model), ())
    if not versions or begun.number in versions:
        return Unavailable(str(error))
    others = ", ".join(map(str, versions))
    return UsageError(
        f"version {begun.number} of {begun.model!r}, with which this file was begun, is no longer served; "
        f"there is {others} now"
    )


def _outputs(rows: list[Row], arrays: Arrays, predict: Predict) -> Arrays:
    """The outputs of rows of one shape; when the server refuses them, finds out which row it is."""
    try:
        outputs = predict(arrays)
    except TooLarge as error:
        if len(rows) == 1:
            raise BadRow(rows[0].line, error) from error
        lines = f"lines {rows[0].line} to {rows[-1].line}"
        raise UsageError(f"{lines} are too much for one request: {error}; choose a smaller --batch-rows") from error
    except InvalidInput as error:
        if len(rows) == 1:
            raise BadRow(rows[0].line, error) from error
        alone = [
            _outputs([row], {name: array[i : i + 1] for name, array in arrays.items()}, predict)
            for i, row in enumerate(rows)
        ]
        return {name: np.concatenate([outputs[name] for outputs in alone]) for name in alone[0]}
    for name, array in outputs.items():
        if not array.ndim or len(array) != len(rows):
            raise UsageError(
                f"output {name!r} has shape {array.shape} for {len(rows)} rows: the model has no rows there"
            )
    return outputs


def _arrays(row: Row, specs: dict[str, TensorSpec]) -> Arrays:
    try:
        return {
            name: values.from_json(spec, row.inputs[name], has_booleans=row.has_booleans)
            for name, spec in specs.items()
        }
    except InvalidInput as error:
        raise BadRow(row.line, error) from error


def _of_row(spec: TensorSpec) -> TensorSpec:
    return replace(spec, shape=None if spec.shape is None else spec.shape[1:])


def _carried(line: int, document: dict[str, Any], text: bytes, signature: Signature) -> dict[str, Any]:
    """The keys that are no inputs, with values that are written as they were read."""
    carried = {key: value for key, value in document.items() if key not in signature.inputs}
    if all(isinstance(value, str | int | None) for value in carried.values()) and b"\\u" not in text:
        return carried
    # The quick parser makes floats of whole numbers beyond 64 bits and knows no half surrogate pairs.
    try:
        exact = json.loads(text)
        return {key: orjson.Fragment(_exact_text(exact[key])) for key in carried}
    except (ValueError, KeyError, RecursionError) as error:
        raise BadRow(line, f"what it holds beside the inputs cannot be carried along: {error}") from error


def _exact_text(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(value).encode()


def _dumped(line: int, document: dict[str, Any]) -> bytes:
    try:
        return values.dumps(document) + b"\n"
    except orjson.JSONEncodeError as error:
        raise BadRow(line, f"a key of it cannot be written: {error}") from error


def _check_rows_possible(model: str, signature: Signature) -> None:
    for spec in (*signature.inputs.values(), *signature.outputs.values()):
        if spec.shape is not None and not spec.batched:
            raise UsageError(
                f"signature {signature.name!r} of model {model!r} has no rows in {spec}; "
                "scoring needs a free first dimension everywhere"
            )
    if not signature.inputs:
        raise UsageError(f"signature {signature.name!r} of model {model!r} has no inputs to score")


def _check_paths(job: Job) -> int | None:
    """The size of the source, None when it is not known; `UsageError` for paths that cannot be."""
    source, target = job.source, job.target
    if not source.exists():
        raise UsageError(f"{source} does not exist")
    if source.is_dir():
        raise UsageError(f"{source} is a folder; expected a file with a JSON object in each line")
    if not target.parent.is_dir():
        raise UsageError(f"the folder {target.parent} does not exist, so {target} cannot be written")
    if target.exists():
        if not target.is_file():
            raise UsageError(f"{target} is not a file; the result would replace it")
        if target.samefile(source):
            raise UsageError(f"{target} is the source itself; choose another name for the result")
        if not job.overwrite:
            raise UsageError(f"{target} exists; choose another name, or replace it with --overwrite")
    return source.stat().st_size if source.is_file() else None


@contextmanager
def _written_aside(target: Path) -> Iterator[BinaryIO]:
    """A file beside the target that takes its place when all went well, and is gone otherwise."""
    aside = target.with_name(f".{target.name}.writing-{os.getpid()}")
    try:
        with aside.open("wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
