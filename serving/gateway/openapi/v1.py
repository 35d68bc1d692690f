"""A model's routes in TensorFlow Serving's REST dialect in the OpenAPI document: predict, classify and regress.

DescribedModel ──▶ predict by the one builder of `dialect.py`, and classify and regress where a signature allows them
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import get_args

from signet.serving.errors import InvalidInput
from signet.serving.gateway.openapi import dialect, tensors
from signet.serving.gateway.openapi.described_model import (
    DescribedModel,
    DescribedTensor,
    Examples,
    in_rows,
    servable_outputs,
)
from signet.serving.gateway.openapi.dialect import Dialect, Values
from signet.serving.gateway.openapi.schemas import BOOLEAN, TEXT, Schema, array, closed, ref
from signet.serving.grpc_dialect import example_inference
from signet.serving.json_arrays.non_finite import NonFinite
from signet.serving.tensors.signature import DEFAULT, Signature

SCHEMAS: dict[str, Schema] = {
    "NamedOutputs": {"description": "Whether also the only output gets its name", **BOOLEAN, "default": False},
    "NonFinite": {
        "description": "How NaN and infinity are written: bare, which is not strict JSON, as null, or as a string",
        "type": "string",
        "enum": list(get_args(NonFinite)),
        "default": "bare",
    },
    "Example": {
        "description": "One tf.Example: the features by name, each a value or a list of them. The literal decides the "
        "type: 2.0 is a float, 2 and true are integers, strings and base64 are bytes",
        "type": "object",
        "additionalProperties": {"anyOf": [ref("Feature"), array(ref("Feature"))]},
    },
    "Feature": {"anyOf": [{"type": ["number", "boolean"]}, ref("Text")]},
}


def paths(model: DescribedModel) -> dict[str, Schema]:
    """Path -> its operations."""
    return dialect.paths(model, PREDICT) | _classify(model) | _regress(model)


# Predict


def _bodies(model: DescribedModel, signature: Signature) -> list[Schema]:
    counts = [spec.shape[0] for spec in signature.inputs.values() if spec.shape and spec.shape[0] is not None]
    limits = {"minItems": counts[0], "maxItems": counts[0]} if counts else {"minItems": 1}
    rows = [array(row, **limits) for row in _inputs(model, signature, row=True)]
    columns = _inputs(model, signature, row=False)
    return [
        *([_body(signature, "rows", "instances", rows, "inputs")] if in_rows(signature) else []),
        _body(signature, "columns", "inputs", columns, "instances"),
    ]


def _inputs(model: DescribedModel, signature: Signature, *, row: bool) -> list[Schema]:
    """The value of the only input, and the inputs by name."""
    schemas = {tensor.spec.name: input_schema(tensor, row=row) for tensor in model.inputs(signature)}
    return [*(schemas.values() if len(schemas) == 1 else ()), closed("by name", schemas)]


def input_schema(tensor: DescribedTensor, *, row: bool) -> Schema:
    """One row of an input, or all."""
    element = tensors.element_of(tensor.spec, ref("Text"), {"type": "number"})
    schema = tensors.schema_of(tensor, element, row=row)
    if tensor.spec.shape and tensor.spec.shape[-1] == 1:  # in words: a schema would allow a mixture
        schema["description"] += ". The last axis may be left out: a flat list of values will do"
    return schema


def _body(signature: Signature, layout: str, key: str, values: list[Schema], other: str) -> Schema:
    """values: the forms that the value of the key may have. other: a key that must not be there."""
    default = signature.name == DEFAULT
    outputs = list(servable_outputs(signature))
    return {
        "title": f"{signature.name}, {layout}",
        "type": "object",
        "properties": {
            "signature_name": {"const": signature.name} | ({"default": DEFAULT} if default else {}),
            key: values[0] if len(values) == 1 else {"anyOf": values},
            other: False,
            "output_filter": {
                "description": "Only these outputs; empty: all",
                **array({"type": "string", "enum": outputs}),
                "uniqueItems": True,
            },
            "named_outputs": ref("NamedOutputs"),
            "non_finite": ref("NonFinite"),
        },
        "required": [key] if default else ["signature_name", key],
    }


def _answers(model: DescribedModel, signature: Signature) -> list[Schema]:
    rows = array(_outputs(model, signature, row=True))
    columns = _outputs(model, signature, row=False)
    return [
        *([closed(f"{signature.name}, rows", {"predictions": rows})] if in_rows(signature) else []),
        closed(f"{signature.name}, columns", {"outputs": columns}),
    ]


def _outputs(model: DescribedModel, signature: Signature, *, row: bool) -> Schema:
    """The outputs by name, or the value of the only one."""
    schemas = {tensor.spec.name: output_schema(tensor, row=row) for tensor in model.servable_outputs(signature)}
    named = {"title": "by name", "type": "object", "properties": schemas, "additionalProperties": False}
    return {"anyOf": [*schemas.values(), named] if len(schemas) == 1 else [named, *schemas.values()]}


def output_schema(tensor: DescribedTensor, *, row: bool) -> Schema:
    """One row of an output, or all."""
    text = ref("Bytes" if tensor.spec.name.endswith("_bytes") else "Text")
    return tensors.schema_of(tensor, tensors.element_of(tensor.spec, text, ref("Float")), row=row)


def _examples(signature: Signature, examples: Examples) -> tuple[Values, Values]:
    """An example with its answer; when it has rows, the same in columns too."""
    body, answer = examples.predict
    requests = {f"{signature.name}, {'rows' if 'instances' in body else 'columns'}": body}
    rows = body.get("instances")
    if rows and all(isinstance(row, Mapping) and row.keys() == signature.inputs.keys() for row in rows):
        rest = {key: value for key, value in body.items() if key != "instances"}
        columns = {name: [row[name] for row in rows] for name in signature.inputs}
        requests[f"{signature.name}, columns"] = {**rest, "inputs": columns}
    if answer is None:
        return requests, {}
    return requests, {f"{signature.name}, {'rows' if 'predictions' in answer else 'columns'}": answer}


PREDICT = Dialect(
    base="/v1/models/",
    colon=":",
    verb="predict",
    label_paths=True,
    rules="Rows go in `instances` and come back as `predictions`, columns go in `inputs` and come back as `outputs`.",
    refusal="It takes or gives a type that JSON cannot carry: use gRPC.",
    dtype=tensors.dtype_text,
    bodies=_bodies,
    answers=_answers,
    examples=_examples,
    answer={
        "description": "The outputs: `predictions` for rows, `outputs` for columns",
        "headers": dialect.VERSION_HEADER,
    },
)


# Classify and regress


def _classify(model: DescribedModel) -> dict[str, Schema]:
    pair = {
        "description": "Label and score",
        "type": "array",
        "prefixItems": [TEXT, {"type": "number"}],
        "minItems": 2,
        "maxItems": 2,
    }
    names = _takers(model, example_inference.classify_outputs)
    return _of_examples(model, "classify", names, "the classes of each example", array(pair))


def _regress(model: DescribedModel) -> dict[str, Schema]:
    names = _takers(model, example_inference.regress_outputs)
    return _of_examples(model, "regress", names, "a value for each example", {"type": "number"})


def _takers(model: DescribedModel, outputs: Callable[[DescribedModel, Signature], tuple[str, ...]]) -> list[str]:
    """The signatures that take serialized examples and have the outputs of a method."""
    names = []
    for signature in model.callable_signatures:
        if all(spec.dtype and spec.dtype.is_string for spec in signature.inputs.values()):
            with contextlib.suppress(InvalidInput):
                outputs(model, signature)
                names.append(signature.name)
    return names


def _of_examples(model: DescribedModel, verb: str, names: list[str], gives: str, result: Schema) -> dict[str, Schema]:
    """The paths of a method; none without a signature for it."""
    if not names:
        return {}
    body = {
        "type": "object",
        "properties": {
            "signature_name": {"enum": names} | ({"default": DEFAULT} if DEFAULT in names else {}),
            "context": {"description": "Features that every example has too", **ref("Example")},
            "examples": array(ref("Example"), minItems=1),
        },
        "required": ["examples"] if DEFAULT in names else ["signature_name", "examples"],
    }
    answer = {
        "description": f"{gives[:1].upper()}{gives[1:]}",
        "headers": dialect.VERSION_HEADER,
        "content": {"application/json": {"schema": closed("results", {"results": array(result)})}},
    }
    shared = {
        "description": f"Gives {gives}. The model's graph says which features it takes, its signatures do not.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {"200": answer, **dialect.ERRORS},
    }
    return dialect.operations(model, PREDICT, verb, shared)
