"""A model's routes of TensorFlow Serving's REST dialect in the OpenAPI document: predict, classify and regress.

DescribedModel ──▶ paths such as /v1/models/digits:predict, and the bodies and answers that they share
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args
from urllib.parse import quote

from signet.serving.errors import InvalidInput
from signet.serving.gateway.openapi import inference, tensors
from signet.serving.gateway.openapi.described_model import DescribedModel, Example, Said
from signet.serving.gateway.openapi.parts import VERSION, closed, in_path
from signet.serving.gateway.openapi.tensors import Schema
from signet.serving.grpc_dialect import example_inference
from signet.serving.json_arrays.non_finite import NonFinite
from signet.serving.tensors.signature import DEFAULT, Signature, TensorSpec

SCHEMAS: dict[str, Schema] = {
    "NamedOutputs": {
        "description": "Whether also the only output gets its name",
        "type": "boolean",
        "default": False,
    },
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
        "additionalProperties": {
            "anyOf": [
                {"$ref": "#/components/schemas/Feature"},
                {"type": "array", "items": {"$ref": "#/components/schemas/Feature"}},
            ]
        },
    },
    "Feature": {"anyOf": [{"type": ["number", "boolean"]}, {"$ref": "#/components/schemas/Text"}]},
}


def paths(model: DescribedModel) -> dict[str, Schema]:
    """Path -> its operations."""
    verbs: list[tuple[str, Callable[[DescribedModel], Schema]]] = []
    if any(map(tensors.takes_json, model.callable_signatures)):
        verbs.append(("predict", _predict))
    if _classifiers(model):
        verbs.append(("classify", _classify))
    if _regressors(model):
        verbs.append(("regress", _regress))
    return {
        path: {"post": inference.operation(model, verb, place, parameters, described(model))}
        for verb, described in verbs
        for place, path, parameters in _places(model, verb)
    }


def components(model: DescribedModel) -> dict[str, dict[str, Schema]]:
    """What the paths of the model share."""
    if not any(map(tensors.takes_json, model.callable_signatures)):
        return {}
    key = inference.component("predict", model.name)
    return {
        "requestBodies": {key: {"required": True, "content": {"application/json": _asked(model)}}},
        "responses": {
            key: {
                "description": "The outputs: `predictions` for rows, `outputs` for columns",
                "headers": inference.VERSION_HEADER,
                "content": {"application/json": _answered(model)},
            }
        },
    }


def _places(model: DescribedModel, verb: str) -> Iterator[tuple[str, str, list[Schema]]]:
    """Where a verb stands: what the place is called, its path and its parameters."""
    start = f"/v1/models/{quote(model.name, safe='')}"
    yield "", f"{start}:{verb}", []
    available = inference.versions_text(model)
    version = in_path("version", VERSION, description=available, example=model.version)
    yield "version", f"{start}/versions/{{version}}:{verb}", [version]
    if model.labels:
        loaded = [label for label, version in model.labels.items() if version in model.versions]
        label = in_path(
            "label",
            {"type": "string", "enum": list(model.labels)},
            description=inference.labels_text(model),
            example=next(iter(loaded or model.labels)),
        )
        yield "label", f"{start}/labels/{{label}}:{verb}", [label]


# Predict


_RULES = "Rows go in `instances` and come back as `predictions`, columns go in `inputs` and come back as `outputs`."


def _predict(model: DescribedModel) -> Schema:
    text = inference.text(model, _RULES, tensors.dtype_text, _not_carried)
    return inference.by_reference(inference.component("predict", model.name), text)


def _not_carried(signature: Signature) -> str:
    if tensors.takes_json(signature):
        return ""
    return "It takes or gives a type that JSON cannot carry: use gRPC."


def _asked(model: DescribedModel) -> Schema:
    variants: list[Schema] = []
    examples: dict[str, Schema] = {}
    for signature in filter(tensors.takes_json, model.callable_signatures):
        if tensors.in_rows(signature):
            variants.append(_rows_body(model, signature))
        variants.append(_columns_body(model, signature))
        if signature.name in model.examples:
            body = model.examples[signature.name].body
            examples |= {title: {"summary": title, "value": value} for title, value in _shown(signature, body)}
    return {"schema": {"oneOf": variants}, **({"examples": examples} if examples else {})}


def _answered(model: DescribedModel) -> Schema:
    variants: list[Schema] = []
    examples: dict[str, Schema] = {}
    for signature in filter(tensors.takes_json, model.callable_signatures):
        rows, columns = _answers(model, signature, tensors.given_row), _answers(model, signature, tensors.given_column)
        if tensors.in_rows(signature):
            variants.append(closed(f"{signature.name}, rows", {"predictions": {"type": "array", "items": rows}}))
        variants.append(closed(f"{signature.name}, columns", {"outputs": columns}))
        example = model.examples.get(signature.name, Example({}))
        if example.answer is not None:
            title = f"{signature.name}, {'rows' if 'predictions' in example.answer else 'columns'}"
            examples[title] = {"summary": title, "value": example.answer}
    return {"schema": {"anyOf": variants}, **({"examples": examples} if examples else {})}


def _shown(signature: Signature, body: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """An example, and when it has rows the same in columns."""
    if "instances" not in body:
        yield f"{signature.name}, columns", body
        return
    yield f"{signature.name}, rows", body
    rest = {key: value for key, value in body.items() if key != "instances"}
    rows = body["instances"]
    if all(isinstance(row, dict) and row.keys() == signature.inputs.keys() for row in rows):
        columns: Any = {name: [row[name] for row in rows] for name in signature.inputs}
        yield f"{signature.name}, columns", {**rest, "inputs": columns}


def _rows_body(model: DescribedModel, signature: Signature) -> Schema:
    counts = [spec.shape[0] for spec in signature.inputs.values() if spec.shape and spec.shape[0] is not None]
    limits = {"minItems": counts[0], "maxItems": counts[0]} if counts else {"minItems": 1}
    rows: Schema = {"type": "array", **limits}
    named = _inputs(model, signature, tensors.taken_row)
    instances: Schema = {**rows, "items": named}
    if len(signature.inputs) == 1:
        (bare,) = named["properties"].values()
        instances = {"anyOf": [{**rows, "items": bare}, instances]}
    return _body(signature, "rows", "instances", instances, "inputs")


def _columns_body(model: DescribedModel, signature: Signature) -> Schema:
    named = _inputs(model, signature, tensors.taken_column)
    if len(signature.inputs) == 1:
        (bare,) = named["properties"].values()
        named = {"anyOf": [bare, named]}
    return _body(signature, "columns", "inputs", named, "instances")


def _body(signature: Signature, layout: str, key: str, value: Schema, other: str) -> Schema:
    name: Schema = {"const": signature.name}
    default = signature.name == DEFAULT
    return {
        "title": f"{signature.name}, {layout}",
        "type": "object",
        "properties": {
            "signature_name": name | ({"default": DEFAULT} if default else {}),
            key: value,
            other: False,
            "output_filter": {
                "description": "Only these outputs; empty: all",
                "type": "array",
                "items": {"type": "string", "enum": list(tensors.given(signature))},
                "uniqueItems": True,
            },
            "named_outputs": {"$ref": "#/components/schemas/NamedOutputs"},
            "non_finite": {"$ref": "#/components/schemas/NonFinite"},
        },
        "required": [key] if default else ["signature_name", key],
    }


def _inputs(model: DescribedModel, signature: Signature, schema: Callable[[TensorSpec, Said], Schema]) -> Schema:
    said = {name: model.said(signature.name, "inputs", name) for name in signature.inputs}
    return closed("by name", {name: schema(spec, said[name]) for name, spec in signature.inputs.items()})


def _answers(model: DescribedModel, signature: Signature, schema: Callable[[TensorSpec, Said], Schema]) -> Schema:
    """The outputs by name, or the value of the only one."""
    outputs = {
        name: schema(spec, model.said(signature.name, "outputs", name))
        for name, spec in tensors.given(signature).items()
    }
    named = {"title": "by name", "type": "object", "properties": outputs, "additionalProperties": False}
    return {"anyOf": [*outputs.values(), named] if len(outputs) == 1 else [named, *outputs.values()]}


# Classify and regress


def _classifiers(model: DescribedModel) -> list[str]:
    return list(_takers(model, example_inference.classify_outputs))


def _regressors(model: DescribedModel) -> list[str]:
    return list(_takers(model, example_inference.regress_outputs))


def _takers(model: DescribedModel, outputs: Callable[[DescribedModel, Signature], tuple[str, ...]]) -> Iterator[str]:
    """The signatures that take serialized examples and have the outputs of a method."""
    for signature in model.callable_signatures:
        if not all(spec.dtype and spec.dtype.is_string for spec in signature.inputs.values()):
            continue
        try:
            outputs(model, signature)
        except InvalidInput:
            continue
        yield signature.name


def _classify(model: DescribedModel) -> Schema:
    pair = {
        "description": "Label and score",
        "type": "array",
        "prefixItems": [{"type": "string"}, {"type": "number"}],
        "minItems": 2,
        "maxItems": 2,
    }
    return _of_examples(_classifiers(model), "the classes of each example", {"type": "array", "items": pair})


def _regress(model: DescribedModel) -> Schema:
    return _of_examples(_regressors(model), "a value for each example", {"type": "number"})


def _of_examples(names: list[str], gives: str, result: Schema) -> Schema:
    example = {"$ref": "#/components/schemas/Example"}
    body = {
        "type": "object",
        "properties": {
            "signature_name": {"enum": names} | ({"default": DEFAULT} if DEFAULT in names else {}),
            "context": {"description": "Features that every example has too", **example},
            "examples": {"type": "array", "minItems": 1, "items": example},
        },
        "required": ["examples"] if DEFAULT in names else ["signature_name", "examples"],
    }
    answer = closed("results", {"results": {"type": "array", "items": result}})
    return {
        "description": f"Gives {gives}. The model's graph says which features it takes, its signatures do not.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            "200": {
                "description": f"{gives[:1].upper()}{gives[1:]}",
                "headers": inference.VERSION_HEADER,
                "content": {"application/json": {"schema": answer}},
            },
            **inference.ERRORS,
        },
    }
