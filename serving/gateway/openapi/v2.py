"""A model's inference by the Open Inference Protocol in the OpenAPI document: what `dialect.py` needs to know of it.

Only bodies that are JSON have a schema; what bytes may follow it is said in words.
"""

import math
from functools import partial
from typing import get_args

from signet.serving.gateway.openapi import dialect, tensors
from signet.serving.gateway.openapi.described_model import DescribedModel, DescribedTensor, Examples, servable_outputs
from signet.serving.gateway.openapi.dialect import Dialect, Values
from signet.serving.gateway.openapi.named_schemas import NamedSchemas
from signet.serving.gateway.openapi.schemas import (
    BOOLEAN,
    NUMERAL,
    TEXT,
    Schema,
    any_of,
    array,
    closed,
    explained,
    only,
    record,
    ref,
    without,
)
from signet.serving.json_arrays import values
from signet.serving.json_arrays.non_finite import NonFinite
from signet.serving.open_inference.binary import HEADER
from signet.serving.open_inference.requests import BASE64, DATATYPES
from signet.serving.tensors.signature import DEFAULT, Signature, TensorSpec

_SIZE: Schema = {"type": "integer", "minimum": 0}

SCHEMAS: dict[str, Schema] = {
    "InputParameters": {
        "description": "Those that are not known are passed over",
        "type": "object",
        "properties": {"content_type": explained(f"`{BASE64}`: the strings are bytes in base64", TEXT)},
        **without("binary_data_size"),
    },
    "NonFiniteInWords": explained(
        "How NaN and infinity are written: `bare`, which is not strict JSON, as `null`, or as a `string`; without it as "
        "strings",
        only(*get_args(NonFinite)),
    ),
    "OutputParameters": {
        "description": "Those that are not known are passed over",
        "type": "object",
        "properties": {
            "binary_data": explained("This output as bytes", BOOLEAN),
            "classification": explained(
                "So many of the highest values of a row, as strings `value:index` or `value:index:label`; 0: the numbers",
                _SIZE,
            ),
            "content_type": explained(f"`{BASE64}`: strings in base64", TEXT),
        },
    },
    "Classes": explained(
        "The highest values",
        closed(
            {
                "name": TEXT,
                "datatype": only("BYTES"),
                "shape": array(_SIZE, minItems=1, maxItems=2),
                "data": array({"type": "string", "pattern": "^[^:]+:[0-9]+(:|$)"}),
            }
        ),
    ),
    "Base64Parameters": closed({"content_type": only(BASE64)}),
}

HEADERS: dict[str, Schema] = {
    "JsonBytes": explained("Bytes of JSON at the start of the body; missing: all are", {"schema": NUMERAL})
}


# Requests


def _bodies(model: DescribedModel, signature: Signature, named: NamedSchemas) -> list[Schema]:
    default = signature.name == DEFAULT
    parts = partial(dialect.parts, model, signature)
    name = only(DEFAULT, "") if default else only(signature.name)
    parameters = named.add(parts("InferParameters"), _parameters(name, required=not default))
    output = record({"name": only(*servable_outputs(signature))}, parameters=_or_null(ref("OutputParameters")))
    wanted = array(named.add(parts("RequestedOutput"), output), maxItems=len(servable_outputs(signature)))
    body = {
        "id": explained("The answer has it too", _or_null(TEXT)),
        "parameters": _or_null(parameters) if default else parameters,
        "inputs": _inputs(model, signature, named),
        "outputs": explained("Only these; none: all", _or_null(wanted)),
    }
    required = ["inputs"] if default else ["inputs", "parameters"]
    return [named.add(parts("TensorsRequest"), {"type": "object", "properties": body, "required": required})]


def _parameters(signature_name: Schema, *, required: bool) -> Schema:
    """Of a request."""
    properties: dict[str, Schema] = {
        "signature_name": signature_name,
        "timeout": explained("Microseconds; 0: no limit", _SIZE),
        "priority": {"description": "Accepted, and changes nothing"},
        "binary_data_output": explained("Outputs as bytes; without it: no", BOOLEAN),
        "non_finite": ref("NonFiniteInWords"),
    }
    return {
        "description": "Those that are not known are passed over",
        "type": "object",
        "properties": properties,
        "required": ["signature_name"] if required else [],
    }


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _inputs(model: DescribedModel, signature: Signature, named: NamedSchemas) -> Schema:
    """All of them, in any order."""
    lines = [
        named.add(dialect.parts(model, signature, tensor.spec.name, "Input"), _input(tensor))
        for tensor in model.inputs(signature)
    ]
    count = len(lines)
    if count <= 1:
        return array(lines[0] if lines else {}, minItems=count, maxItems=count)
    there = [{"contains": record({"name": only(name)})} for name in signature.inputs]
    line = named.any_of(dialect.parts(model, signature, "AnyInput"), *lines)
    return {**array(line, minItems=count, maxItems=count), "allOf": there}


def _input(tensor: DescribedTensor) -> Schema:
    sizes = [_SIZE if size is None else {"type": "integer", "const": size} for size in tensor.spec.shape or ()]
    properties = {
        **_start(tensor.spec),
        "shape": _rank(tensor.spec) | ({"prefixItems": sizes} if sizes else {}),
        "data": _input_data(tensor),
    }
    return record(properties, parameters=_or_null(ref("InputParameters")))


def _input_data(tensor: DescribedTensor) -> Schema:
    """The elements as one list or as lists in lists; numbers may be in words.

    Lists of plain numbers are forms of their own: generated clients take nothing else for an element of a list in a union.
    """
    description, shape = tensors.description_of(tensor), tensor.spec.shape
    if tensor.holds_bytes:
        description["description"] += f". In base64, where `parameters.content_type` is `{BASE64}`"
    if shape is None:
        return {"type": "array", **description}
    elements = [tensors.element_of(tensor.spec, TEXT, number) for number in ({"type": "number"}, ref("Number"))]
    forms = [
        form
        for element in (elements if elements[0] != elements[1] else elements[:1])
        for form in (_flat(tensor.spec, element), *([tensors.nested(shape, element)] if len(shape) > 1 else []))
    ]
    return any_of(*forms) | description


def _start(spec: TensorSpec) -> dict[str, Schema]:
    """What inputs and outputs begin with."""
    return {"name": only(spec.name), "datatype": only(_datatype(spec))}


def _rank(spec: TensorSpec) -> Schema:
    """As many sizes as the tensor has dimensions."""
    if spec.shape is None:
        return array(_SIZE, maxItems=values.MAX_DEPTH)
    return array(_SIZE, minItems=len(spec.shape), maxItems=len(spec.shape))


def _flat(spec: TensorSpec, element: Schema) -> Schema:
    """The elements as one list."""
    if spec.shape is None or None in spec.shape:
        return array(element)
    count = math.prod(size for size in spec.shape if size is not None)
    return array(element, minItems=count, maxItems=count)


def _datatype(spec: TensorSpec) -> str:
    """The protocol's name of the element type; `unsupported` when it has none."""
    return DATATYPES.get(spec.dtype.name, "unsupported") if spec.dtype else "unsupported"


# Answers


def _answers(model: DescribedModel, named: NamedSchemas) -> list[Schema]:
    """One form with the outputs of all signatures: the fields of each say which it is."""
    tensors = [(each, model.servable_outputs(each)) for each in model.servable_signatures]
    outputs = [
        named.add(dialect.parts(model, signature, tensor.spec.name, "Output"), _output(tensor))
        for signature, of_signature in tensors
        for tensor in of_signature
    ]
    answer = {
        "model_name": only(model.name),
        "model_version": NUMERAL,
        "outputs": array(
            named.any_of((model.name, "AnyOutput"), *outputs, ref("Classes")),
            minItems=1,
            maxItems=max(len(of_signature) for _, of_signature in tensors),
        ),
    }
    return [named.add((model.name, "InferAnswer"), closed(answer, id=explained("The request's", TEXT)))]


def _output(tensor: DescribedTensor) -> Schema:
    spec = tensor.spec
    properties = {
        **_start(spec),
        "shape": _rank(spec),  # Schemathesis cannot check each size of an answer; `x-tensor` tells them
        "data": _flat(spec, tensors.element_of(spec, TEXT, ref("AnsweredNumber"))) | tensors.description_of(tensor),
    }
    if _datatype(spec) != "BYTES":
        return closed(properties)
    return closed(properties, parameters=ref("Base64Parameters"))


def _examples(signature: Signature, examples: Examples) -> tuple[Values, Values]:
    body, answer = examples.infer
    return {signature.name: body}, {} if answer is None else {signature.name: answer}


INFER = Dialect(
    base="/v2/models/",
    colon="/",
    verb="infer",
    label_paths=False,
    rules=f"""The Open Inference Protocol (V2). Each tensor has its name, datatype and shape; `data` are its elements row \
by row, as one flat list or nested like the shape. `parameters.signature_name` chooses a signature.

As bytes: the parameter `binary_data_size` instead of `data` says how many bytes a tensor has; the bytes of all such \
tensors follow the JSON, and the header `{HEADER}` says how many bytes are JSON. They are little-endian; a string has its \
length before it, in four bytes. With the header at 0 the whole body is one row of the only input. \
`parameters.binary_data_output`, or `binary_data` of one output, asks for the same form of the answer.""",
    refusal="It takes or gives a type that the protocol has no datatype for.",
    dtype=_datatype,
    bodies=_bodies,
    answers=_answers,
    examples=_examples,
    answer={
        "description": "The outputs; as JSON with bytes after it where the request asks for bytes",
        "headers": {**dialect.VERSION_HEADER, HEADER: {"$ref": "#/components/headers/JsonBytes"}},
        "content": {"application/octet-stream": {}},
    },
    errors=dialect.ERRORS,
)
