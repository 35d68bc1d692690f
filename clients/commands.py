"""`signet predict` and `signet models`: one call and a table, on a terminal or for another program to read."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from signet.clients.client import values
from signet.clients.client.connecting import Access
from signet.clients.client.http_client import Client
from signet.clients.client.http_messages import Model
from signet.serving.errors import UsageError
from signet.serving.process.terminal import console
from signet.serving.tensors.arrays import Array, Arrays

_WIDEST = 10_000


def predict(
    model: str, inputs: str, *, url: str, access: Access, version: int | None, signature: str | None, timeout_s: float
) -> None:
    """Print the outputs for the inputs: JSON, @FILE with JSON, or - for standard input."""
    with Client.of(url, access, timeout_s=timeout_s) as client:
        named = read_inputs(inputs)
        print(outputs_text(client.predict(model, named, version=version, signature=signature)))


def models(url: str, access: Access) -> None:
    """Print what is served."""
    with Client.of(url, access) as client:
        served = client.models()
    table = models_table(served)
    printed = console()
    if not printed.is_terminal:  # who reads a pipe wants whole lines
        printed.width = _WIDEST
        printed.width = printed.measure(table).maximum
    printed.print(table)


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
    table = Table("model", "versions", "signature", "inputs", "outputs", box=box.SIMPLE_HEAD, pad_edge=False)
    for model in served:
        versions = ", ".join(map(str, model.versions)) or "none"
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
