"""The OpenAPI document of what is served: each model's routes with its own inputs, outputs and examples.

DescribedModels ──▶ v1: predict, classify, regress; v2: infer              each model's own
FastAPI         ──▶ fixed: status, metadata, health and the like           the same whatever is served
                     ──▶ document: OpenAPI 3.1, its schemas JSON Schema 2020-12
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fastapi import FastAPI

from signet.serving.gateway.openapi import dialect, fixed_routes, schemas, tensors, v1, v2
from signet.serving.gateway.openapi.described_model import DescribedModel
from signet.serving.gateway.openapi.named_schemas import NamedSchemas
from signet.serving.gateway.openapi.schemas import Schema

_DATA = frozenset({"examples", "example", "const", "enum", "x-tensor"})
"""Keys whose values hold no references."""


def document(models: Sequence[DescribedModel], missing: Mapping[str, str], app: FastAPI) -> Schema:
    """All routes of a gateway.

    missing: models without an available version, and why. app: has the routes that are the same whatever is served.
    """
    start = fixed_routes.document(app, sorted([*(model.name for model in models), *missing]))
    absent = ({"name": name, "description": f"Not available: {why}"} for name, why in missing.items())
    start["tags"] = [*map(_tag, models), *absent, *start["tags"]]
    return _joined(start, models)


def model_document(model: DescribedModel, app: FastAPI) -> Schema:
    """The routes of one model."""
    start = fixed_routes.document(app, [model.name])
    start["info"] |= {"title": model.name, "description": _about(model)}
    start["tags"] = [_tag(model), *start["tags"]]
    start["paths"] = {path: described for path, described in start["paths"].items() if "{model}" in path}
    return _joined(start, [model])


def _joined(start: Schema, models: Sequence[DescribedModel]) -> Schema:
    """The document of the fixed routes with those of the models before them."""
    paths: dict[str, Schema] = {}
    named = NamedSchemas(schemas.SCHEMAS | tensors.SCHEMAS | start["components"]["schemas"] | v1.SCHEMAS | v2.SCHEMAS)
    components: dict[str, dict[str, Schema]] = {
        "schemas": named.schemas,
        "parameters": start["components"]["parameters"] | dialect.PARAMETERS,
        "headers": dialect.HEADERS | v2.HEADERS,
        "responses": dict(schemas.RESPONSES),
        "requestBodies": {},
        "securitySchemes": fixed_routes.SECURITY_SCHEMES,
    }
    for model in models:
        paths |= v1.paths(model, named) | dialect.paths(model, v2.INFER)
        for each in (v1.PREDICT, v2.INFER):
            for kind, entries in dialect.components(model, each, named).items():
                components[kind] |= entries
    paths |= start["paths"]
    return {**start, "security": fixed_routes.SECURITY, "paths": paths, "components": _used(paths, components)}


def _used(paths: dict[str, Schema], components: dict[str, dict[str, Schema]]) -> dict[str, dict[str, Schema]]:
    """The components that the paths refer to, themselves or by others; in their order."""
    found: set[tuple[str, str]] = set()
    waiting = list(_references(paths))
    while waiting:
        kind, name = reference = waiting.pop()
        if reference not in found:
            found.add(reference)
            waiting += _references(components[kind][name])
    kept = {
        kind: {name: part for name, part in entries.items() if kind == "securitySchemes" or (kind, name) in found}
        for kind, entries in components.items()
    }
    return {kind: entries for kind, entries in kept.items() if entries}


def _references(part: Any) -> Iterator[tuple[str, str]]:
    """Kind and name of each component that a part refers to; examples and what cards say are data and not looked at."""
    waiting = [part]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            waiting += [value for key, value in one.items() if key not in _DATA]
            if isinstance(one.get("$ref"), str):
                kind, name = one["$ref"].removeprefix("#/components/").split("/")
                yield kind, name


def _tag(model: DescribedModel) -> dict[str, Any]:
    return {"name": model.name, "description": _about(model)}


def _about(model: DescribedModel) -> str:
    labels = "".join(f"; `{label}` is version {version}" for label, version in model.labels.items())
    return "\n\n".join(filter(None, (model.purpose, f"Version {model.version}{labels}.")))
