"""The OpenAPI document of what is served: each model's routes with its own inputs, outputs and examples.

DescribedModels ──┬── openapi_v1: predict, classify, regress      each model's own
                  └── openapi_fixed: status, metadata, health      the same whatever is served
                      ──▶ document: OpenAPI 3.1, its schemas JSON Schema 2020-12
"""

from collections.abc import Mapping, Sequence
from typing import Any

from serving.gateway import openapi_fixed, openapi_tensors, openapi_v1
from serving.gateway.described_model import DescribedModel
from serving.gateway.openapi_tensors import Schema

_ABOUT = """Named tensors in, named tensors out: the REST dialect of TensorFlow Serving.
Each model below has its own inputs and outputs. An error is `{"error": "…"}`.
Bodies may be compressed with gzip or deflate; answers are where `Accept-Encoding` asks for it."""


def document(models: Sequence[DescribedModel], missing: Mapping[str, str], release: str) -> Schema:
    """All routes of a gateway.

    missing: models without an available version, and why. release: the version of this project.
    """
    names = [model.name for model in models]
    tags = [
        *map(_tag, models),
        *({"name": name, "description": f"Not available: {why}"} for name, why in missing.items()),
        {"name": openapi_fixed.TAG, "description": "Health, metrics, and what is served"},
    ]
    fixed = openapi_fixed.of_service() | openapi_fixed.of_models(sorted([*names, *missing]))
    return _joined("Signet", _ABOUT, release, tags, models, fixed)


def model_document(model: DescribedModel, release: str) -> Schema:
    """The routes of one model."""
    tags = [_tag(model), {"name": openapi_fixed.TAG, "description": "What is known of it"}]
    return _joined(model.name, _about(model), release, tags, [model], openapi_fixed.of_models([model.name]))


def _joined(
    title: str, about: str, release: str, tags: list[Schema], models: Sequence[DescribedModel], fixed: dict[str, Schema]
) -> Schema:
    paths: dict[str, Schema] = {}
    components: dict[str, dict[str, Schema]] = {
        "schemas": openapi_fixed.SCHEMAS | openapi_tensors.SCHEMAS | openapi_v1.SCHEMAS,
        "parameters": dict(openapi_v1.PARAMETERS),
        "headers": dict(openapi_v1.HEADERS),
        "responses": dict(openapi_fixed.RESPONSES),
        "requestBodies": {},
    }
    for model in models:
        paths |= openapi_v1.paths(model)
        for kind, entries in openapi_v1.components(model).items():
            components[kind] |= entries
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": release, "description": about},
        "tags": tags,
        "paths": paths | fixed,
        "components": components,
    }


def _tag(model: DescribedModel) -> dict[str, Any]:
    return {"name": model.name, "description": _about(model)}


def _about(model: DescribedModel) -> str:
    labels = "".join(f"; `{label}` is version {version}" for label, version in model.labels.items())
    return "\n\n".join(filter(None, (model.purpose, f"Version {model.version}{labels}.")))
