"""JSON Schemas of tensors, and descriptions of tensors for people.

pixels: float (None, 64)  ──row──▶ array of 64 numbers   ──all rows──▶ array of arrays of 64 numbers
"""

from collections.abc import Iterator, Sequence

import numpy as np

from signet.serving.gateway.openapi.described_model import DescribedTensor
from signet.serving.gateway.openapi.schemas import Schema, array, closed, only, ref
from signet.serving.tensors.signature import TensorSpec

SCHEMAS: dict[str, Schema] = {
    "Bytes": {
        "description": "Bytes as base64; the name of an output that gives them ends in `_bytes`",
        **closed({"b64": {"type": "string", "contentEncoding": "base64"}}),
    },
    "NonFiniteNumber": {
        "description": "A number that is not finite, in words",
        **only("NaN", "Infinity", "-Infinity"),
    },
    "AnsweredNumber": {
        "description": "A number. One that is not finite comes as the request's `non_finite` says",
        "anyOf": [{"type": "number"}, {"type": "null"}, ref("NonFiniteNumber")],
    },
    "Number": {
        "description": "A number, or in words one that is not finite",
        "anyOf": [{"type": "number"}, ref("NonFiniteNumber")],
    },
}
"""Components that the schemas of tensors refer to."""

MOST_LABELS = 100
"""Labels of an output that a description lists; `x-tensor` has all."""


def schema_of(tensor: DescribedTensor, element: Schema, *, row: bool) -> Schema:
    """Lists in lists as the shape says, with its description. row: one row of the tensor rather than all."""
    shape = tensor.spec.shape
    schema = {} if shape is None else nested(shape[1:] if row else shape, element)  # of unknown rank: any value
    return schema | description_of(tensor)


def nested(shape: Sequence[int | None], element: Schema) -> Schema:
    """Lists in lists as the shape says."""
    schema = element
    for size in reversed(shape):
        schema = array(schema) if size is None else array(schema, minItems=size, maxItems=size)
    return schema


def element_of(spec: TensorSpec, text: Schema, number: Schema) -> Schema:
    """One element of a tensor. text, number: what strings and floats are."""
    assert spec.dtype is not None, "only servable signatures have schemas"
    if spec.dtype.is_string:
        return text
    if spec.dtype.is_float:
        return number
    if spec.dtype.name == "bool":
        return {"type": "boolean"}
    limits = np.iinfo(spec.dtype.numpy)
    return {"type": "integer", "minimum": int(limits.min), "maximum": int(limits.max)}


def description_of(tensor: DescribedTensor) -> Schema:
    """The keywords that describe a tensor: `description` for people, `x-tensor` for programs."""
    spec, doc, _ = tensor
    shape = None if spec.shape is None else [-1 if size is None else size for size in spec.shape]
    facts: dict[str, object] = {"dtype": dtype_text(spec), "shape": shape, "unit": doc.unit, "values": doc.values}
    if doc.labels:
        facts["labels"] = list(doc.labels)
    return {
        "description": ". ".join(_sentences(tensor)),
        "x-tensor": {key: value for key, value in facts.items() if value != ""},
    }


def _sentences(tensor: DescribedTensor) -> Iterator[str]:
    spec, doc, _ = tensor
    if doc.meaning:
        yield doc.meaning[:1].upper() + doc.meaning[1:] + (f", {doc.unit}" if doc.unit else "")
    if doc.values:
        yield f"Values: {doc.values}"
    if listed := labels_text(doc.labels):
        yield f"In order: {listed}"
    yield f"{dtype_text(spec)} {shape_text(spec)}"


def dtype_text(spec: TensorSpec) -> str:
    """The element type as numpy and people write it: float32 rather than TensorFlow's float."""
    if spec.dtype is None:
        return "unsupported"
    return {"float": "float32", "double": "float64", "half": "float16"}.get(spec.dtype.name, spec.dtype.name)


def shape_text(spec: TensorSpec) -> str:
    """The shape for people: `(n, 64)` for n rows; any other free size is `any`."""
    if spec.shape is None:
        return "any"
    names = ["n" if not axis else "any" for axis in range(len(spec.shape))]
    return f"({', '.join(names[i] if size is None else str(size) for i, size in enumerate(spec.shape))})"


def labels_text(labels: Sequence[str]) -> str:
    """Labels for people: `0 = no, 1 = yes`, cut when there are very many; empty when each is but its own place."""
    if list(labels) == [str(i) for i in range(len(labels))]:
        return ""
    listed = ", ".join(f"{i} = {label}" for i, label in enumerate(labels[:MOST_LABELS]))
    return listed + (f", … {len(labels)} in all" if len(labels) > MOST_LABELS else "")
