"""Example requests: from a model's card or golden examples, else made up from its signature.

card, golden.json, signature ──candidates──▶ predict bodies, best first, which `trials.py` tries
inputs, outputs ──inference──▶ the same by the Open Inference Protocol
golden.json ──curl_commands──▶ lines to paste
"""

import base64
import contextlib
import json
import math
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import orjson

from signet.serving.gateway.openapi.described_model import (
    FRIENDLY,
    DescribedModel,
    DescribedTensor,
    Example,
    in_rows,
    servable_outputs,
)
from signet.serving.models import example_rows, small_file
from signet.serving.open_inference import bodies, requests
from signet.serving.open_inference.requests import InferRequest
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.signature import DEFAULT, Signature, TensorSpec

LONGEST = 1 << 16
"""Characters of an example; a longer one is not shown."""

_FREE_SIZE = 8
"""What a made-up example has where the signature leaves a size open: enough for a few convolutions, and short."""


def candidates(model: DescribedModel, signature: Signature, golden: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Predict bodies that the signature may take, best first; strings in them are as the schemas say.

    golden: name of a signature -> its first golden row.
    """
    tensors = model.inputs(signature)
    for body in _candidates(model, signature, golden):
        keys = [(key, layers) for key, layers in (("instances", 1), ("inputs", 0)) if key in body]
        yield body | {key: _in_form(tensors, body[key], layers) for key, layers in keys}


def _in_form(tensors: Sequence[DescribedTensor], value: Any, layers: int) -> Any:
    """Inputs by name, or the only one: text as text, bytes as base64. layers: of lists around them."""
    if layers and isinstance(value, list):
        return [_in_form(tensors, each, layers - 1) for each in value]
    if isinstance(value, dict) and value.keys() == {tensor.spec.name for tensor in tensors}:
        return {tensor.spec.name: _string_in_form(tensor, value[tensor.spec.name]) for tensor in tensors}
    return _string_in_form(tensors[0], value) if len(tensors) == 1 else value


def _string_in_form(tensor: DescribedTensor, value: Any, depth: int = 0) -> Any:
    if tensor.spec.dtype is None or not tensor.spec.dtype.is_string:
        return value
    if isinstance(value, list) and depth < len(tensor.spec.shape or ()):  # a card may have lists of any depth
        return [_string_in_form(tensor, each, depth + 1) for each in value]
    if tensor.holds_bytes:
        return {"b64": base64.b64encode(value.encode()).decode()} if isinstance(value, str) else value
    if isinstance(value, dict) and isinstance(value.get("b64"), str) and len(value) == 1:
        with contextlib.suppress(ValueError):
            return base64.b64decode(value["b64"], validate=True).decode()
    return value


def _candidates(model: DescribedModel, signature: Signature, golden: dict[str, Any]) -> Iterator[dict[str, Any]]:
    outputs = servable_outputs(signature)
    start: dict[str, Any] = {} if signature.name == DEFAULT else {"signature_name": signature.name}
    if len(outputs) < len(signature.outputs):
        start["output_filter"] = list(outputs)
    declared = model.declared_example(signature.name)
    if isinstance(declared, dict):
        yield declared
    if signature.name in golden:
        yield {**start, "instances": [golden[signature.name]]}
    count = next((spec.shape[0] for spec in signature.inputs.values() if spec.shape and spec.shape[0]), 1)
    shapes = {name: _example_shape(spec, count) for name, spec in signature.inputs.items()}
    if sum(map(math.prod, shapes.values())) > LONGEST // 4:  # as "1.0,"
        return
    columns = {name: np.full(shapes[name], _value(spec), object).tolist() for name, spec in signature.inputs.items()}
    if in_rows(signature) and columns:
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        yield {**start, "instances": rows}
    else:
        yield {**start, "inputs": columns}


def inference(
    model: DescribedModel, signature: Signature, inputs: Arrays, outputs: Arrays, wanted: Sequence[str]
) -> Example:
    """A request with such inputs and its answer, by the Open Inference Protocol. wanted: none means all outputs."""
    body: dict[str, Any] = {"inputs": _tensors(signature.inputs, inputs)}
    if signature.name != DEFAULT:
        body["parameters"] = {"signature_name": signature.name}
    if wanted:
        body["outputs"] = [{"name": name} for name in wanted]
    specs = {name: signature.outputs[name] for name in wanted or signature.outputs}
    version = {"model_name": model.name, "model_version": str(model.version)}
    return Example(body, {**version, "outputs": _tensors(specs, outputs)})


def _tensors(specs: Mapping[str, TensorSpec], arrays: Arrays) -> Any:
    """Tensors as the protocol writes them: inputs have the form of outputs."""
    written = requests.answer(InferRequest([]), Signature("", {}, specs), arrays, {})
    text, _ = bodies.encode("", "", "", written, "string")
    return orjson.loads(text)["outputs"]


def curl_commands(models_dir: Path, models: Iterable[str], url: str) -> list[str]:
    """One command for each model that has golden examples."""
    commands = []
    for model in models:
        body = example_body(models_dir / model)
        if body is not None:
            commands.append(
                f"curl -s {url}/v1/models/{quote(model, safe='')}:predict -d {shlex.quote(json.dumps(body))}"
            )
    return commands


def example_body(model_dir: Path) -> dict[str, Any] | None:
    """A predict body with the first golden example of the newest version; None when there is none to read."""
    if not model_dir.is_dir():
        return None
    versions = sorted(
        (child for child in model_dir.iterdir() if child.name.isdecimal()), key=lambda path: int(path.name)
    )
    for version in reversed(versions):
        rows = first_rows(version)
        for name in FRIENDLY:
            if name in rows:
                return {**({} if name == DEFAULT else {"signature_name": name}), "instances": [rows[name]]}
    return None


def first_rows(version_dir: Path) -> dict[str, dict[str, Any]]:
    """The first golden row of each signature of a version: {"from_text": {"text": "…"}}; empty when none can be read."""
    try:
        signatures = json.loads(small_file.read(version_dir / example_rows.GOLDEN))["signatures"]
        return {
            name: {key: column[0] for key, column in golden["inputs"].items()}
            for name, golden in signatures.items()
            if not any(isinstance(column, dict) for column in golden["inputs"].values())  # large: a digest and a sample
        }
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return {}


def _example_shape(spec: TensorSpec, rows: int) -> tuple[int, ...]:
    """The rows that the signature asks for, and sizes of `_FREE_SIZE` where others are left open."""
    if spec.shape is None:
        return (rows,)
    free = (rows, *[_FREE_SIZE] * len(spec.shape[1:]))
    return tuple(size or free[axis] for axis, size in enumerate(spec.shape))


def _value(spec: TensorSpec) -> Any:
    """One: a word number that every vocabulary has, and nothing that a division or a logarithm minds."""
    assert spec.dtype is not None, "only for signatures that JSON can carry"
    if spec.dtype.is_string:
        return "text"
    if spec.dtype.name == "bool":
        return True
    return 1.0 if spec.dtype.is_float else 1
