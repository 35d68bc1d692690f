"""JSON Schemas of tensors: which values of JSON an input takes and an output gives.

pixels: float (None, 64)  ──row──▶ array of 64 numbers   ──column──▶ array of arrays of 64 numbers
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from signet.serving.gateway.openapi.described_model import Said
from signet.serving.rest_dialect.json_codec import JSON_DTYPES
from signet.serving.tensors.dtypes import DType
from signet.serving.tensors.signature import Signature, TensorSpec

Schema = dict[str, Any]

SCHEMAS: dict[str, Schema] = {
    "Text": {
        "description": "A string, or bytes as base64. An output is all bytes when one of its strings is not UTF-8",
        "anyOf": [{"type": "string"}, {"$ref": "#/components/schemas/Bytes"}],
    },
    "Bytes": {
        "description": "Bytes as base64; the name of an output that gives them ends in `_bytes`",
        "type": "object",
        "properties": {"b64": {"type": "string", "contentEncoding": "base64"}},
        "required": ["b64"],
        "additionalProperties": False,
    },
    "Float": {
        "description": "A number. One that is not finite comes as the request's `non_finite` says: bare, which is not "
        "strict JSON, as null, or as a string",
        "anyOf": [{"type": "number"}, {"type": "null"}, {"enum": ["NaN", "Infinity", "-Infinity"]}],
    },
}
"""Components that the schemas here refer to."""

MOST_LABELS = 100
"""Labels of an output that a description lists; `x-tensor` has all."""


def takes_json(signature: Signature) -> bool:
    """Whether JSON can carry every input and at least one output."""
    inputs = all(spec.dtype is not None and spec.dtype.name in JSON_DTYPES for spec in signature.inputs.values())
    return inputs and bool(given(signature))


def given(signature: Signature) -> dict[str, TensorSpec]:
    """The outputs that JSON can carry."""
    return {name: spec for name, spec in signature.outputs.items() if spec.dtype and _written(spec.dtype)}


def in_rows(signature: Signature) -> bool:
    """Whether every tensor has rows, and not two fixed numbers of them."""
    specs = [*signature.inputs.values(), *given(signature).values()]
    counts = {spec.shape[0] for spec in specs if spec.shape}
    return all(spec.shape != () for spec in specs) and len(counts - {None}) <= 1


def taken_row(spec: TensorSpec, said: Said) -> Schema:
    """One row of an input."""
    return _may_be_flat(spec, _schema(spec, spec.shape and spec.shape[1:], _taken(spec), said))


def taken_column(spec: TensorSpec, said: Said) -> Schema:
    """All rows of an input."""
    return _may_be_flat(spec, _schema(spec, spec.shape, _taken(spec), said))


def given_row(spec: TensorSpec, said: Said) -> Schema:
    """One row of an output."""
    return _schema(spec, spec.shape and spec.shape[1:], _given(spec), said)


def given_column(spec: TensorSpec, said: Said) -> Schema:
    """All rows of an output."""
    return _schema(spec, spec.shape, _given(spec), said)


def dtype_text(spec: TensorSpec) -> str:
    """The element type as numpy and people write it: float32 rather than TensorFlow's float."""
    if spec.dtype is None:
        return "unsupported"
    return {"float": "float32", "double": "float64", "half": "float16"}.get(spec.dtype.name, spec.dtype.name)


def shape_text(spec: TensorSpec) -> str:
    """`(n, 64)`: n rows, and any other free size as `any`."""
    if spec.shape is None:
        return "any"
    names = ["n" if not axis else "any" for axis in range(len(spec.shape))]
    return f"({', '.join(names[i] if size is None else str(size) for i, size in enumerate(spec.shape))})"


def labels_text(labels: Sequence[str]) -> str:
    """`0 = no, 1 = yes`, cut when there are very many; empty when labels are but their own places."""
    if list(labels) == [str(i) for i in range(len(labels))]:
        return ""
    listed = ", ".join(f"{i} = {label}" for i, label in enumerate(labels[:MOST_LABELS]))
    return listed + (f", … {len(labels)} in all" if len(labels) > MOST_LABELS else "")


def _written(dtype: DType) -> bool:
    return dtype.name in JSON_DTYPES


def _schema(spec: TensorSpec, shape: Sequence[int | None] | None, leaf: Schema, said: Said) -> Schema:
    schema = {} if shape is None else nested(shape, leaf)  # of unknown rank: any value
    return schema | told(spec, said)


def _may_be_flat(spec: TensorSpec, schema: Schema) -> Schema:
    """In words: a schema would allow a mixture."""
    if spec.shape and spec.shape[-1] == 1:
        schema["description"] += ". The last axis may be left out: a flat list of values will do"
    return schema


def nested(shape: Sequence[int | None], leaf: Schema) -> Schema:
    """Lists in lists, as the shape says."""
    schema = leaf
    for size in reversed(shape):
        schema = {"type": "array", "items": schema}
        if size is not None:
            schema |= {"minItems": size, "maxItems": size}
    return schema


def told(spec: TensorSpec, said: Said) -> Schema:
    """What a tensor is: for people, and for programs."""
    return {"description": ". ".join(_sentences(spec, said)), "x-tensor": _facts(spec, said)}


def _sentences(spec: TensorSpec, said: Said) -> Iterator[str]:
    if said.meaning:
        yield said.meaning[:1].upper() + said.meaning[1:] + (f", {said.unit}" if said.unit else "")
    if said.values:
        yield f"Values: {said.values}"
    if listed := labels_text(said.labels):
        yield f"In order: {listed}"
    yield f"{dtype_text(spec)} {shape_text(spec)}"


def _facts(spec: TensorSpec, said: Said) -> Schema:
    """The same for programs."""
    shape = None if spec.shape is None else [-1 if size is None else size for size in spec.shape]
    facts: Schema = {"dtype": dtype_text(spec), "shape": shape}
    for key in ("unit", "values", "labels"):
        if value := getattr(said, key):
            facts[key] = list(value) if key == "labels" else value
    return facts


def _taken(spec: TensorSpec) -> Schema:
    assert spec.dtype is not None, "only signatures that JSON can carry are described"
    if spec.dtype.is_string:
        return {"$ref": "#/components/schemas/Text"}
    if spec.dtype.is_float:
        return {"type": "number"}
    return whole(spec.dtype)


def _given(spec: TensorSpec) -> Schema:
    assert spec.dtype is not None, "only outputs that JSON can carry are described"
    if spec.dtype.is_string:
        return {"$ref": f"#/components/schemas/{'Bytes' if spec.name.endswith('_bytes') else 'Text'}"}
    if spec.dtype.is_float:
        return {"$ref": "#/components/schemas/Float"}
    return whole(spec.dtype)


def whole(dtype: DType) -> Schema:
    """A boolean or whole number of a type."""
    if dtype.name == "bool":
        return {"type": "boolean"}
    limits = np.iinfo(dtype.numpy)
    return {"type": "integer", "minimum": int(limits.min), "maximum": int(limits.max)}
