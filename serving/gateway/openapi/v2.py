"""A model's inference by the Open Inference Protocol in the OpenAPI document.

DescribedModel ──▶ /v2/models/digits/infer and …/versions/{version}/infer, and the body and answer that they share

Only bodies that are JSON have a schema; what bytes may follow it is said in words.
"""

import math
from typing import Any
from urllib.parse import quote

from signet.serving.gateway.openapi import inference, tensors
from signet.serving.gateway.openapi.described_model import DescribedModel, Said
from signet.serving.gateway.openapi.parts import NUMERAL, TEXT, VERSION, array, closed, in_path, record, ref
from signet.serving.gateway.openapi.tensors import Schema
from signet.serving.json_arrays import values
from signet.serving.open_inference.bodies import HEADER
from signet.serving.open_inference.requests import BASE64, DATATYPES
from signet.serving.tensors.signature import DEFAULT, Signature, TensorSpec

_RULES = f"""The Open Inference Protocol (V2). Each tensor has its name, datatype and shape; `data` are its elements row \
by row, as one flat list or nested like the shape. `parameters.signature_name` chooses a signature.

As bytes: the parameter `binary_data_size` instead of `data` says how many bytes a tensor has; the bytes of all such \
tensors follow the JSON, and the header `{HEADER}` says how many bytes are JSON. They are little-endian; a string has its \
length before it, in four bytes. With the header at 0 the whole body is one row of the only input. \
`parameters.binary_data_output`, or `binary_data` of one output, asks for the same form of the answer."""

_SIZE: Schema = {"type": "integer", "minimum": 0}
_FLOATS = ("FP16", "BF16", "FP32", "FP64")

SCHEMAS: dict[str, Schema] = {
    "Number": {
        "description": "A number, or in words one that is not finite",
        "anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}],
    },
    "InferParameters": {
        "description": "Those that are not known are passed over",
        "type": "object",
        "properties": {
            "timeout": {"description": "Microseconds; 0: no limit", "type": "integer", "minimum": 0},
            "priority": {"description": "Accepted, and changes nothing"},
            "binary_data_output": {"description": "Outputs as bytes", "type": "boolean", "default": False},
            "non_finite": {**ref("NonFinite"), "default": "string"},
        },
    },
    "InputParameters": {
        "description": "Those that are not known are passed over",
        "type": "object",
        "properties": {
            "content_type": {"description": f"`{BASE64}`: the strings are bytes in base64", "type": "string"},
            "binary_data_size": False,
        },
    },
    "OutputParameters": {
        "description": "Those that are not known are passed over",
        "type": "object",
        "properties": {
            "binary_data": {"description": "This output as bytes", "type": "boolean"},
            "classification": {
                "description": "So many of the highest values of a row, as strings `value:index` or "
                "`value:index:label`; 0: the numbers",
                "type": "integer",
                "minimum": 0,
            },
            "content_type": {"description": f"`{BASE64}`: strings in base64", "type": "string"},
        },
    },
    "Classes": closed(
        "The highest values",
        {
            "name": TEXT,
            "datatype": {"const": "BYTES"},
            "shape": array(_SIZE, minItems=1, maxItems=2),
            "data": array({"type": "string", "pattern": "^[^:]+:[0-9]+(:|$)"}),
        },
    ),
}

HEADERS: dict[str, Schema] = {
    "JsonBytes": {
        "description": "Bytes of JSON at the start of the body; missing: all are",
        "schema": NUMERAL,
    }
}


def paths(model: DescribedModel) -> dict[str, Schema]:
    """Path -> its operations."""
    if not any(map(_carried, model.callable_signatures)):
        return {}
    start = f"/v2/models/{quote(model.name, safe='')}"
    text = inference.text(model, _RULES, _datatype_text, _not_carried)
    described = inference.by_reference(_key(model), text)
    return {
        path: {"post": inference.operation(model, "infer", place, parameters, described)}
        for place, path, parameters in (
            ("", f"{start}/infer", []),
            ("version", f"{start}/versions/{{version}}/infer", [_version(model)]),
        )
    }


def components(model: DescribedModel) -> dict[str, dict[str, Schema]]:
    """What the paths of the model share."""
    signatures = list(filter(_carried, model.callable_signatures))
    if not signatures:
        return {}
    asked: Schema = {"schema": {"oneOf": [_body(model, signature) for signature in signatures]}}
    answered: Schema = {"schema": {"anyOf": [_answer(model, signature) for signature in signatures]}}
    examples = {
        signature.name: model.infer_examples[signature.name]
        for signature in signatures
        if signature.name in model.infer_examples
    }
    if examples:
        asked["examples"] = {name: {"summary": name, "value": example.body} for name, example in examples.items()}
        answered["examples"] = {
            name: {"summary": name, "value": example.answer}
            for name, example in examples.items()
            if example.answer is not None
        }
    return {
        "requestBodies": {_key(model): {"required": True, "content": {"application/json": asked}}},
        "responses": {
            _key(model): {
                "description": "The outputs; as JSON with bytes after it where the request asks for bytes",
                "headers": {**inference.VERSION_HEADER, HEADER: {"$ref": "#/components/headers/JsonBytes"}},
                "content": {"application/json": answered, "application/octet-stream": {}},
            }
        },
    }


def _key(model: DescribedModel) -> str:
    return inference.component("infer", model.name)


def _version(model: DescribedModel) -> Schema:
    label: Schema = {"type": "string", "enum": list(model.labels)}
    texts = filter(None, (inference.versions_text(model), inference.labels_text(model)))
    return in_path(
        "version",
        {"anyOf": [VERSION, label]} if model.labels else VERSION,
        description=". ".join(texts),
        example=model.version,
    )


# Signatures


def _datatype(spec: TensorSpec) -> str:
    """The protocol's name of the element type; empty when it has none."""
    return DATATYPES.get(spec.dtype.name, "") if spec.dtype else ""


def _datatype_text(spec: TensorSpec) -> str:
    return _datatype(spec) or "unsupported"


def _carried(signature: Signature) -> bool:
    """Whether the protocol can carry every input and at least one output."""
    return all(map(_datatype, signature.inputs.values())) and bool(_given(signature))


def _not_carried(signature: Signature) -> str:
    return "" if _carried(signature) else "It takes or gives a type that the protocol has no datatype for."


def _given(signature: Signature) -> dict[str, TensorSpec]:
    """The outputs that the protocol can carry."""
    return {name: spec for name, spec in signature.outputs.items() if _datatype(spec)}


# Requests


def _body(model: DescribedModel, signature: Signature) -> Schema:
    default = signature.name == DEFAULT
    name: Schema = {"enum": [DEFAULT, ""], "default": DEFAULT} if default else {"const": signature.name}
    chosen = record({}, signature_name=name) if default else record({"signature_name": name})
    said: Schema = {"allOf": [chosen, ref("InferParameters")]}
    given = _given(signature)
    wanted = record({"name": {"enum": list(given)}}, parameters=_or_null(ref("OutputParameters")))
    outputs = array(wanted, maxItems=len(given))
    body = {
        "id": {"description": "The answer has it too", **_or_null(TEXT)},
        "parameters": _or_null(said) if default else said,
        "inputs": _inputs(model, signature),
        "outputs": {"description": "Only these; none: all", **_or_null(outputs)},
    }
    return {
        "title": signature.name,
        "type": "object",
        "properties": body,
        "required": ["inputs"] if default else ["inputs", "parameters"],
    }


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _inputs(model: DescribedModel, signature: Signature) -> Schema:
    """All of them, in any order."""
    lines = [_input(spec, model.said(signature.name, "inputs", name)) for name, spec in signature.inputs.items()]
    count = len(lines)
    if count <= 1:
        return array(lines[0] if lines else {}, minItems=count, maxItems=count)
    there = [{"contains": record({"name": {"const": name}})} for name in signature.inputs]
    return {**array({"anyOf": lines}, minItems=count, maxItems=count), "allOf": there}


def _input(spec: TensorSpec, said: Said) -> Schema:
    properties = {
        "name": {"const": spec.name},
        "datatype": {"const": _datatype(spec)},
        "shape": _shape(spec),
        "data": _taken(spec, said),
    }
    return {"title": spec.name, **record(properties, parameters=_or_null(ref("InputParameters")))}


def _shape(spec: TensorSpec) -> Schema:
    """The dimensions of an input."""
    sizes = [_SIZE if known is None else {"const": known} for known in spec.shape or ()]
    return _rank(spec) | ({"prefixItems": sizes} if sizes else {})


def _rank(spec: TensorSpec) -> Schema:
    """As many sizes as the tensor has dimensions."""
    if spec.shape is None:
        return array(_SIZE, maxItems=values.MAX_DEPTH)
    return array(_SIZE, minItems=len(spec.shape), maxItems=len(spec.shape))


def _taken(spec: TensorSpec, said: Said) -> Schema:
    leaf = _leaf(spec, ref("Text"), ref("Number"))
    told = tensors.told(spec, said)
    if spec.shape is None:
        return {"type": "array", **told}
    flat = _flat(spec, leaf)
    if len(spec.shape) < 2:
        return flat | told
    return {"anyOf": [flat, tensors.nested(spec.shape, leaf)], **told}


def _flat(spec: TensorSpec, leaf: Schema) -> Schema:
    """The elements as one list."""
    sizes = spec.shape or ()
    if spec.shape is None or None in sizes:
        return array(leaf)
    count = math.prod(size for size in sizes if size is not None)
    return array(leaf, minItems=count, maxItems=count)


def _leaf(spec: TensorSpec, text: Schema, number: Schema) -> Schema:
    """One element. text, number: what strings and floats are."""
    assert spec.dtype is not None, "only tensors with a datatype are described"
    if spec.dtype.is_string:
        return text
    return number if _datatype(spec) in _FLOATS else tensors.whole(spec.dtype)


# Answers


def _answer(model: DescribedModel, signature: Signature) -> Schema:
    outputs = [_output(spec, model.said(signature.name, "outputs", name)) for name, spec in _given(signature).items()]
    count = len(outputs)
    return closed(
        signature.name,
        {
            "model_name": {"const": model.name},
            "model_version": NUMERAL,
            "outputs": array({"anyOf": [*outputs, ref("Classes")]}, minItems=1, maxItems=count),
        },
        id={"description": "The request's", **TEXT},
    )


def _output(spec: TensorSpec, said: Said) -> Schema:
    properties: dict[str, Any] = {
        "name": {"const": spec.name},
        "datatype": {"const": _datatype(spec)},
        "shape": _rank(spec),  # Schemathesis cannot check each size of an answer; `x-tensor` tells them
        "data": _flat(spec, _leaf(spec, TEXT, ref("Float"))) | tensors.told(spec, said),
    }
    if _datatype(spec) != "BYTES":
        return closed(spec.name, properties)
    return closed(spec.name, properties, parameters=closed("base64", {"content_type": {"const": BASE64}}))
