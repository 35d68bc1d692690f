"""What a model's inference routes have in common in the OpenAPI document, whichever dialect they speak."""

from collections.abc import Callable
from typing import Any

from signet.serving.gateway.openapi import tensors
from signet.serving.gateway.openapi.described_model import DescribedModel
from signet.serving.gateway.openapi.parts import NUMERAL, errors
from signet.serving.gateway.openapi.tensors import Schema
from signet.serving.tensors.signature import Signature, TensorSpec

PARAMETERS: dict[str, Schema] = {
    "Timeout": {
        "name": "X-Request-Timeout",
        "in": "header",
        "description": "Seconds that the caller waits; the gateway's own limit holds too",
        "schema": {"type": "number", "exclusiveMinimum": 0},
    },
    "Batching": {
        "name": "X-Signet-Batching",
        "in": "header",
        "description": "Whether other requests may share the call of the model",
        "schema": {"type": "string", "enum": ["on", "off"], "default": "on"},
    },
}

HEADERS: dict[str, Schema] = {"Version": {"description": "The version that answered", "schema": NUMERAL}}

VERSION_HEADER = {"X-Signet-Model-Version": {"$ref": "#/components/headers/Version"}}
ERRORS = errors(400, 404, 413, 415, 429, 500, 501, 502, 503, 504)


def component(verb: str, model: str) -> str:
    """A key of components, which may hold letters, digits, dot, hyphen and underscore."""
    allowed = (sign if (sign.isascii() and sign.isalnum()) or sign in "._-" else f".{ord(sign):x}." for sign in model)
    return f"{verb}.{''.join(allowed)}"


def operation(
    model: DescribedModel, verb: str, place: str, parameters: list[Schema], described: Schema
) -> dict[str, Any]:
    """A verb of a model. place: what tells the version, empty for the one that unversioned requests get."""
    told = {
        "operationId": f"{model.name}.{verb}" + (f".{place}" if place else ""),
        "summary": f"{verb.capitalize()} with {model.name}" + (f", by {place}" if place else ""),
        "tags": [model.name],
        "parameters": [*parameters, *({"$ref": f"#/components/parameters/{name}"} for name in PARAMETERS)],
        **described,
    }
    if place:
        told["description"] = f"The schemas are those of version {model.version}; others may differ."
    return told


def by_reference(key: str, description: str) -> Schema:
    """An operation whose body and answer are components."""
    return {
        "description": description,
        "requestBody": {"$ref": f"#/components/requestBodies/{key}"},
        "responses": {"200": {"$ref": f"#/components/responses/{key}"}, **ERRORS},
    }


def versions_text(model: DescribedModel) -> str:
    """Which versions there are."""
    return f"Available: {', '.join(map(str, sorted(model.versions, reverse=True)))}" if model.versions else ""


def labels_text(model: DescribedModel) -> str:
    """Which version each label stands for."""
    return ", ".join(f"`{label}` is version {version}" for label, version in model.labels.items())


def text(
    model: DescribedModel, rules: str, dtype: Callable[[TensorSpec], str], refusal: Callable[[Signature], str]
) -> str:
    """The limits, the rules of the dialect and the signatures as tables, for people.

    dtype: what an element type is called. refusal: why a signature cannot be asked for, empty when it can.
    """
    limits = "\n".join(f"- {limit}" for limit in model.limits)
    signatures = [_signature_text(model, one, dtype, refusal(one)) for one in model.callable_signatures]
    return "\n\n".join(filter(None, [limits, rules, *signatures]))


def _signature_text(
    model: DescribedModel, signature: Signature, dtype: Callable[[TensorSpec], str], refusal: str
) -> str:
    lines = ["| | name | dtype | shape | meaning | unit | values |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for kind, specs in (("inputs", signature.inputs), ("outputs", signature.outputs)):
        for name, spec in specs.items():
            said = model.said(signature.name, kind, name)
            cells = (f"`{name}`", dtype(spec), tensors.shape_text(spec), said.meaning, said.unit)
            described = "; ".join(filter(None, (said.values, tensors.labels_text(said.labels))))
            lines.append(f"| {kind[:-1]} | {' | '.join(map(_cell, (*cells, described)))} |")
    verdict = model.joining.get(signature.name)
    joining = (
        f"{'Requests share calls' if verdict.joined else 'Each request is a call'}: {_cell(verdict.why)}."
        if verdict
        else ""
    )
    return "\n\n".join(filter(None, [f"**Signature `{signature.name}`**", refusal, "\n".join(lines), joining]))


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
