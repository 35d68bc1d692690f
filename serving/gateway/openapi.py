"""The OpenAPI document of what is served: each model's routes with its own inputs, outputs and examples.

DescribedModels ──┬── openapi_v1: predict, classify, regress; openapi_v2: infer     each model's own
                  └── openapi_fixed, openapi_v2_fixed: status, metadata, health     the same whatever is served
                      ──▶ document: OpenAPI 3.1, its schemas JSON Schema 2020-12
"""

from collections.abc import Mapping, Sequence
from typing import Any

from signet.serving.gateway import (
    openapi_fixed,
    openapi_inference,
    openapi_parts,
    openapi_tensors,
    openapi_v1,
    openapi_v2,
    openapi_v2_fixed,
)
from signet.serving.gateway.described_model import DescribedModel
from signet.serving.gateway.openapi_tensors import Schema

_ABOUT = """Named tensors in, named tensors out, in two dialects: TensorFlow Serving's under `/v1`, the Open Inference \
Protocol under `/v2`.
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
        {"name": openapi_v2_fixed.TAG, "description": "The same by the Open Inference Protocol, and statistics"},
    ]
    every = sorted([*names, *missing])
    fixed = openapi_fixed.of_service() | openapi_fixed.of_models(every)
    fixed |= openapi_v2_fixed.of_service() | openapi_v2_fixed.of_models(every)
    return _joined("Signet", _ABOUT, release, tags, models, fixed)


def model_document(model: DescribedModel, release: str) -> Schema:
    """The routes of one model."""
    known = [{"name": tag, "description": "What is known of it"} for tag in (openapi_fixed.TAG, openapi_v2_fixed.TAG)]
    fixed = openapi_fixed.of_models([model.name]) | openapi_v2_fixed.of_models([model.name])
    return _joined(model.name, _about(model), release, [_tag(model), *known], [model], fixed)


def _joined(
    title: str, about: str, release: str, tags: list[Schema], models: Sequence[DescribedModel], fixed: dict[str, Schema]
) -> Schema:
    paths: dict[str, Schema] = {}
    components: dict[str, dict[str, Schema]] = {
        "schemas": openapi_tensors.SCHEMAS
        | openapi_fixed.SCHEMAS
        | openapi_v2_fixed.SCHEMAS
        | openapi_v1.SCHEMAS
        | openapi_v2.SCHEMAS,
        "parameters": dict(openapi_inference.PARAMETERS),
        "headers": openapi_inference.HEADERS | openapi_v2.HEADERS,
        "responses": dict(openapi_parts.RESPONSES),
        "requestBodies": {},
    }
    for model in models:
        paths |= openapi_v1.paths(model) | openapi_v2.paths(model)
        for shared in (openapi_v1.components(model), openapi_v2.components(model)):
            for kind, entries in shared.items():
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
