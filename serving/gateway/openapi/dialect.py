"""The inference routes of a model in the OpenAPI document: one builder, which `v1.py` and `v2.py` give what differs.

DescribedModel, Dialect ──paths──▶ /v1/models/digits:predict, …/versions/{version}:predict: their texts and parameters
                        ──components──▶ the request body and the answer that these paths share, of named schemas

No schema has a `default`: generators take what has one for a thing that is always there.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from signet.serving.gateway.openapi import tensors
from signet.serving.gateway.openapi.described_model import DescribedModel, Examples, servable
from signet.serving.gateway.openapi.named_schemas import NamedSchemas
from signet.serving.gateway.openapi.schemas import NUMERAL, VERSION, Schema, errors, in_path, only
from signet.serving.tensors.signature import DEFAULT, Signature, TensorSpec

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
        "description": "Whether other requests may share the call of the model; without it they may",
        "schema": only("on", "off"),
    },
    "Key": {
        "name": "X-Signet-Key",
        "in": "header",
        "description": "Whose request it is: while a release is on its way, the same key gets the same version",
        "schema": {"type": "string"},
        "example": "user-42",
    },
    "Side": {
        "name": "X-Signet-Release",
        "in": "header",
        "description": "`stable` or `candidate`: which version of a model with a release answers",
        "schema": {"type": "string"},  # whatever else is refused where there is a release, and passed over elsewhere
        "example": "stable",
    },
    "Timing": {
        "name": "X-Signet-Timing",
        "in": "header",
        "description": "`on`: the answer has `Server-Timing`, the milliseconds of each stage",
        "schema": {"type": "string"},  # whatever else is passed over
        "example": "on",
    },
}

HEADERS: dict[str, Schema] = {"Version": {"description": "The version that answered", "schema": NUMERAL}}
VERSION_HEADER = {"X-Signet-Model-Version": {"$ref": "#/components/headers/Version"}}

ERRORS = errors(400, 404, 413, 415, 429, 500, 501, 502, 503, 504)

Values = Mapping[str, Any]
"""Title -> example."""

_WHEN = {
    "predict": "the one to take",
    "infer": "the same by the Open Inference Protocol",
    "classify": "for clients that send tf.Example",
    "regress": "for clients that send tf.Example",
}
"""Which of a model's inferences somebody wants who has several before them."""


@dataclass(frozen=True)
class Dialect:
    """What the description of one dialect's inference says otherwise than the other's."""

    base: str
    """The path before a model's name."""
    colon: str
    """What stands in the path before the verb."""
    verb: str
    label_paths: bool
    """Whether a label has a path of its own; else it stands where a version does."""
    rules: str
    """How requests and answers are formed, for people."""
    refusal: str
    """Why a signature is not offered."""
    dtype: Callable[[TensorSpec], str]
    """What the dialect calls an element type."""
    bodies: Callable[[DescribedModel, Signature, NamedSchemas], list[Schema]]
    """The forms that a request of one signature may have."""
    answers: Callable[[DescribedModel, NamedSchemas], list[Schema]]
    """The forms that an answer may have, which does not say of which signature it is."""
    examples: Callable[[Signature, Examples], tuple[Values, Values]]
    """Requests and answers to show."""
    answer: Schema
    """The response without its JSON."""
    errors: Schema
    """The other responses, by status."""


def paths(model: DescribedModel, dialect: Dialect) -> dict[str, Schema]:
    """Path -> its operations, which have their bodies and answers in `components`."""
    if not model.servable_signatures:
        return {}
    key = _key(model, dialect)
    shared = {
        "description": _text(model, dialect),
        "requestBody": {"$ref": f"#/components/requestBodies/{key}"},
        "responses": {"200": {"$ref": f"#/components/responses/{key}"}, **dialect.errors},
    }
    return operations(model, dialect, dialect.verb, shared)


def operations(model: DescribedModel, dialect: Dialect, verb: str, shared: Schema) -> dict[str, Schema]:
    """What one verb does, by each path that a model has for it. shared: what these have in common."""
    start = f"{dialect.base}{quote(model.name, safe='')}"
    return {
        f"{start}{path}{dialect.colon}{verb}": {"post": _operation(model, verb, place, parameters, shared)}
        for place, path, parameters in _places(model, dialect)
    }


def parts(model: DescribedModel, signature: Signature, *more: str) -> tuple[str, ...]:
    """What the name of a signature's schema is made of: the default one goes without saying."""
    return (model.name, *([] if signature.name == DEFAULT else [signature.name]), *more)


def components(model: DescribedModel, dialect: Dialect, named: NamedSchemas) -> dict[str, dict[str, Schema]]:
    """The request body and the answer that the paths of a model share."""
    signatures = model.servable_signatures
    if not signatures:
        return {}
    key = _key(model, dialect)
    shown = [dialect.examples(each, model.examples[each.name]) for each in signatures if each.name in model.examples]
    forms = [body for each in signatures for body in dialect.bodies(model, each, named)]
    bodies = forms[0] if len(forms) == 1 else named.add((model.name, dialect.verb, "Request"), {"oneOf": forms})
    answers = named.any_of((model.name, dialect.verb, "Answer"), *dialect.answers(model, named))
    request = {"application/json": _content(bodies, [requests for requests, _ in shown])}
    response = {"application/json": _content(answers, [responses for _, responses in shown])}
    return {
        "requestBodies": {key: {"required": True, "content": request}},
        "responses": {key: {**dialect.answer, "content": response | dialect.answer.get("content", {})}},
    }


def _content(schema: Schema, shown: list[Values]) -> Schema:
    examples = {title: {"summary": title, "value": value} for values in shown for title, value in values.items()}
    return {"schema": schema, **({"examples": examples} if examples else {})}


def _key(model: DescribedModel, dialect: Dialect) -> str:
    """A key of components, which may hold letters, digits, dot, hyphen and underscore."""
    name = re.sub(r"[^A-Za-z0-9._-]", lambda sign: f".{ord(sign[0]):x}.", model.name)
    return f"{dialect.verb}.{name}"


def _operation(model: DescribedModel, verb: str, place: str, parameters: list[Schema], shared: Schema) -> Schema:
    """One path. place: what tells the version in it, empty for the version that unversioned requests get."""
    operation = {
        "operationId": f"{model.name}.{verb}" + (f".{place}" if place else ""),
        "summary": f"{verb.capitalize()} with {model.name}" + (f", by {place}" if place else f": {_WHEN[verb]}"),
        "tags": [model.name],
        "parameters": [*parameters, *({"$ref": f"#/components/parameters/{name}"} for name in PARAMETERS)],
        **shared,
    }
    if place:
        operation["description"] = f"The schemas are those of version {model.version}; others may differ."
    return operation


def _places(model: DescribedModel, dialect: Dialect) -> Iterator[tuple[str, str, list[Schema]]]:
    """Where a verb stands: what tells the version, the path and its parameters."""
    available = f"Available: {', '.join(map(str, sorted(model.versions, reverse=True)))}" if model.versions else ""
    labels = ", ".join(f"`{label}` is version {version}" for label, version in model.labels.items())
    label = only(*model.labels)
    yield "", "", []
    if not dialect.label_paths:
        version = {"anyOf": [VERSION, label]} if model.labels else VERSION
        text = ". ".join(filter(None, (available, labels)))
        yield "version", "/versions/{version}", [in_path("version", version, description=text, example=model.version)]
        return
    yield "version", "/versions/{version}", [in_path("version", VERSION, description=available, example=model.version)]
    if model.labels:
        loaded = [name for name, version in model.labels.items() if version in model.versions]
        example = next(iter(loaded or model.labels))
        yield "label", "/labels/{label}", [in_path("label", label, description=labels, example=example)]


# For people


def _text(model: DescribedModel, dialect: Dialect) -> str:
    """The limits of the model, the rules of the dialect and the signatures as tables."""
    limits = "\n".join(f"- {limit}" for limit in model.limits)
    signatures = [_signature_text(model, each, dialect) for each in model.callable_signatures]
    return "\n\n".join(filter(None, [limits, dialect.rules, *signatures]))


def _signature_text(model: DescribedModel, signature: Signature, dialect: Dialect) -> str:
    lines = ["| | name | dtype | shape | meaning | unit | values |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for kind, described in (("input", model.inputs(signature)), ("output", model.outputs(signature))):
        for spec, doc, _ in described:
            values = "; ".join(filter(None, (doc.values, tensors.labels_text(doc.labels))))
            cells = (f"`{spec.name}`", dialect.dtype(spec), tensors.shape_text(spec), doc.meaning, doc.unit, values)
            lines.append(f"| {kind} | {' | '.join(map(_cell, cells))} |")
    refusal = "" if servable(signature) else dialect.refusal
    verdict = model.joining.get(signature.name)
    joining = ""
    if verdict:
        joining = f"{'Requests share calls' if verdict.joined else 'Each request is a call'}: {_cell(verdict.why)}."
    return "\n\n".join(filter(None, [f"**Signature `{signature.name}`**", refusal, "\n".join(lines), joining]))


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
