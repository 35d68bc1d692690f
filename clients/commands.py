"""`signet predict` and `signet models`: one call and a table, on a terminal or for another program to read."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from signet.clients.client import values
from signet.clients.client.connecting import Access
from signet.clients.client.http_client import Client
from signet.clients.client.http_messages import Model
from signet.serving.errors import NotFound, UsageError
from signet.serving.process.terminal import console
from signet.serving.tensors.arrays import Array, Arrays
from signet.serving.tensors.signature import TensorSpec

_WIDEST = 10_000
_COLUMNS = ("model", "versions", "signature", "inputs", "outputs")


@dataclass(frozen=True)
class Question:
    """What `signet predict` asks."""

    model: str
    inputs: str
    """JSON, @FILE with JSON, or - for standard input."""
    version: int | None = None
    label: str | None = None
    signature: str | None = None
    outputs: Sequence[str] = ()
    """The outputs that are wanted; none: all."""
    timeout_s: float = 30.0
    timing: bool = False
    """Whether to say on stderr how long the answer took."""


def predict(question: Question, url: str, access: Access) -> None:
    """Print the outputs for the inputs."""
    with Client.of(url, access, timeout_s=question.timeout_s) as client:
        named = read_inputs(question.inputs)
        began = time.monotonic()
        try:
            answer = client.predict(
                question.model,
                named,
                version=question.version,
                label=question.label,
                signature=question.signature,
                outputs=question.outputs,
            )
        except NotFound as error:
            told = NotFound(f"{error}{_versions_hint(client, question)}")
            told.request_id = error.request_id
            raise told from error
        took_s = time.monotonic() - began
    print(outputs_text(answer))
    if question.timing:
        version = "" if answer.version is None else f" by version {answer.version}"
        print(f"answered{version} in {took_s * 1000:.1f} ms, connection and signature included", file=sys.stderr)


def models(url: str, access: Access, as_json: bool = False) -> None:
    """Print what is served: as a table on a terminal, elsewhere a line for each signature, or as JSON."""
    with Client.of(url, access) as client:
        served = client.models()
    printed = console()
    if as_json:
        print(json.dumps(list(map(_document, served)), indent=2))
    elif not printed.is_terminal:
        print(models_lines(served))
    else:
        table = models_table(served)
        wanted = _wanted_width(table)
        if wanted <= printed.width:  # else names would be cut, which callers have to type
            printed.print(table)
        else:
            printed.print(models_list(served), markup=False, highlight=False, soft_wrap=True)


def _versions_hint(client: Client, question: Question) -> str:
    """The versions that there are, for who has asked for another one."""
    if question.version is None:
        return ""
    versions = [_versions(model) for model in client.models() if model.name == question.model]
    return f". Versions of {question.model!r} that answer: {versions[0]}" if versions else ""


def read_inputs(inputs: str) -> dict[str, Any]:
    """The object of named inputs that the option stands for. Raises `UsageError`."""
    place, text = _text(inputs)
    try:
        named = values.loads(text)
    except ValueError as error:
        raise UsageError(f"{place} is not JSON: {error}") from error
    if not isinstance(named, dict):
        raise UsageError(f'{place} holds no object; expected the inputs by name: {{"NAME": [ROW, …], …}}')
    return named


def outputs_text(outputs: Arrays) -> str:
    """The outputs as JSON, each on a line of its own."""
    lines = [f"  {_json(name)}: {_json(values.to_json(name, _wide(array)))}" for name, array in outputs.items()]
    return "{\n" + ",\n".join(lines) + "\n}"


def models_table(served: list[Model]) -> Table:
    """A line for each signature."""
    table = Table(*_COLUMNS, box=box.SIMPLE_HEAD, pad_edge=False)
    for model in served:
        versions = _versions(model)
        if not model.signatures:
            table.add_row(model.name, versions, "", model.problem)
        for i, (name, signature) in enumerate(model.signatures.items()):
            table.add_row(
                "" if i else model.name,
                "" if i else versions,
                name,
                "\n".join(map(str, signature.inputs.values())),
                "\n".join(map(str, signature.outputs.values())),
            )
    return table


def models_list(served: list[Model]) -> str:
    """The same for terminals that are too narrow for the table."""
    lines = []
    for model in served:
        lines.append(f"{model.name}, versions: {_versions(model)}{f': {model.problem}' if model.problem else ''}")
        for name, signature in model.signatures.items():
            lines.append(f"  {name}")
            lines += [f"    in   {spec}" for spec in signature.inputs.values()]
            lines += [f"    out  {spec}" for spec in signature.outputs.values()]
    return "\n".join(lines)


def models_lines(served: list[Model]) -> str:
    """The same for programs that read lines: columns with tabs between, all of them in each line."""
    lines: list[tuple[str, ...]] = [_COLUMNS]
    for model in served:
        for name, signature in model.signatures.items():
            sides = ("; ".join(map(str, side.values())) for side in (signature.inputs, signature.outputs))
            lines.append((model.name, _versions(model), name, *sides))
        if not model.signatures:
            lines.append((model.name, _versions(model), "", model.problem, ""))
    return "\n".join("\t".join(" ".join(cell.split()) for cell in line) for line in lines)


def _wanted_width(table: Table) -> int:
    """Columns in which nothing of it is cut."""
    wide = console()
    wide.width = _WIDEST
    return wide.measure(table).maximum


def _document(model: Model) -> dict[str, Any]:
    """A model for programs."""

    def tensors(specs: Mapping[str, TensorSpec]) -> dict[str, Any]:
        return {
            name: {"dtype": spec.dtype and spec.dtype.name, "shape": None if spec.shape is None else list(spec.shape)}
            for name, spec in specs.items()
        }

    return {
        "name": model.name,
        "versions": list(model.versions),
        "problem": model.problem or None,
        "signatures": {
            name: {"inputs": tensors(signature.inputs), "outputs": tensors(signature.outputs)}
            for name, signature in model.signatures.items()
        },
    }


def _versions(model: Model) -> str:
    return ", ".join(map(str, model.versions)) or "none"


def _text(inputs: str) -> tuple[str, bytes]:
    """Where the JSON is, for messages, and the JSON."""
    if inputs == "-":
        return "standard input", sys.stdin.buffer.read()
    if inputs.startswith("@"):
        path = Path(inputs[1:])
        try:
            return str(path), path.read_bytes()
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    return "--inputs", inputs.encode(errors="surrogateescape")


def _wide(array: Array) -> Array:
    """Of a dtype that JSON has."""
    wider = {"float16": np.float32, "bfloat16": np.float32, "uint16": np.int32}.get(array.dtype.name)
    return array if wider is None else array.astype(wider)


def _json(value: Any) -> str:
    return values.dumps(value).decode()
