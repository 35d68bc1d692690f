"""The OpenAPI document of what is served: each model's routes with its own inputs, outputs and examples.

DescribedModels ──┬── openapi_v1: predict, classify, regress; openapi_v2: infer     each model's own
                  └── openapi_fixed, openapi_v2_fixed: status, metadata, health     the same whatever is served
                      ──▶ document: OpenAPI 3.1, its schemas JSON Schema 2020-12
"""

from collections.abc import Mapping, Sequence
from typing import Any

from signet.serving.gateway.openapi import fixed as openapi_fixed
from signet.serving.gateway.openapi import inference, parts, tensors, v1, v2, v2_fixed
from signet.serving.gateway.openapi.described_model import DescribedModel
from signet.serving.gateway.openapi.tensors import Schema

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
        {"name": v2_fixed.TAG, "description": "The same by the Open Inference Protocol, and statistics"},
    ]
    every = sorted([*names, *missing])
    fixed = openapi_fixed.of_service() | openapi_fixed.of_models(every)
    fixed |= v2_fixed.of_service() | v2_fixed.of_models(every)
    return _joined("Signet", _ABOUT, release, tags, models, fixed)


def model_document(model: DescribedModel, release: str) -> Schema:
    """The routes of one model."""
    known = [{"name": tag, "description": "What is known of it"} for tag in (openapi_fixed.TAG, v2_fixed.TAG)]
    fixed = openapi_fixed.of_models([model.name]) | v2_fixed.of_models([model.name])
    return _joined(model.name, _about(model), release, [_tag(model), *known], [model], fixed)


def _joined(
    title: str, about: str, release: str, tags: list[Schema], models: Sequence[DescribedModel], fixed: dict[str, Schema]
) -> Schema:
    paths: dict[str, Schema] = {}
    components: dict[str, dict[str, Schema]] = {
        "schemas": tensors.SCHEMAS | openapi_fixed.SCHEMAS | v2_fixed.SCHEMAS | v1.SCHEMAS | v2.SCHEMAS,
        "parameters": dict(inference.PARAMETERS),
        "headers": inference.HEADERS | v2.HEADERS,
        "responses": dict(parts.RESPONSES),
        "requestBodies": {},
    }
    for model in models:
        paths |= v1.paths(model) | v2.paths(model)
        for shared in (v1.components(model), v2.components(model)):
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
