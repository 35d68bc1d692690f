"""The routes of the OpenAPI document that are the same whatever is served.

Sources: routes.py and documentation.py, which answer them; TensorFlow Serving's status and metadata messages.
"""

from collections.abc import Sequence

from signet.serving.errors import CODE_NAMES
from signet.serving.gateway.openapi.parts import (
    ERROR,
    NUMERAL,
    TEXT,
    VERSION,
    array,
    errors,
    in_path,
    json_answer,
    operation,
    record,
    ref,
)
from signet.serving.gateway.openapi.tensors import Schema
from signet.serving.models.model_status import State

TAG = "service"


_NAMES = array(TEXT)

SCHEMAS: dict[str, Schema] = {
    "Error": ERROR,
    "Readiness": record({"ready": {"type": "boolean"}, "draining": {"type": "boolean"}}, models=_NAMES, missing=_NAMES),
    "Tensor": record(
        {
            "dtype": {
                "type": ["string", "null"],
                "description": "TensorFlow's name of it; null: one that cannot travel",
            },
            "shape": {
                "type": ["array", "null"],
                "items": {"type": "integer", "minimum": -1},
                "description": "-1: any size; null: any rank",
            },
        }
    ),
    "Models": record(
        {
            "models": _NAMES,
            "details": {
                "type": "array",
                "items": record(
                    {
                        "name": TEXT,
                        "versions": {"type": "array", "items": {"type": "integer"}},
                        "signatures": {
                            "type": "object",
                            "additionalProperties": record(
                                {
                                    "inputs": {"type": "object", "additionalProperties": ref("Tensor")},
                                    "outputs": {"type": "object", "additionalProperties": ref("Tensor")},
                                }
                            ),
                        },
                    },
                    error={"type": "string", "description": "Why no version is available"},
                ),
            },
        }
    ),
    "Status": record(
        {
            "model_version_status": {
                "type": "array",
                "description": "Highest version first",
                "items": record(
                    {
                        "version": NUMERAL,
                        "state": {"enum": [state.name for state in State]},
                        "status": record({"error_code": {"enum": list(CODE_NAMES)}, "error_message": TEXT}),
                    }
                ),
            },
            "name": TEXT,
            "ready": {"type": "boolean"},
            "joining": {
                "type": "object",
                "description": "Of each signature whether rows of several requests share its calls",
                "additionalProperties": record({"joined": {"type": "boolean"}, "why": TEXT}),
            },
        }
    ),
    "Metadata": record(
        {
            "model_spec": record({"name": TEXT, "signature_name": TEXT, "version": TEXT}),
            "metadata": record(
                {
                    "signature_def": record(
                        {"signature_def": {"type": "object", "additionalProperties": ref("SignatureDef")}}
                    )
                }
            ),
        },
        digest=TEXT,
    ),
    "SignatureDef": record(
        {
            "inputs": {"type": "object", "additionalProperties": ref("TensorInfo")},
            "outputs": {"type": "object", "additionalProperties": ref("TensorInfo")},
            "method_name": TEXT,
        }
    ),
    "TensorInfo": record(
        {
            "dtype": {"type": "string", "pattern": "^DT_"},
            "tensor_shape": record(
                {
                    "dim": {"type": "array", "items": record({"size": TEXT, "name": TEXT})},
                    "unknown_rank": {"type": "boolean"},
                }
            ),
        },
        name={"type": "string", "description": "In the graph; sparse and composite tensors have parts instead"},
    ),
}

_ERRORS = errors(400, 404, 429, 500, 502, 503, 504)


def of_service() -> dict[str, Schema]:
    """The routes of the process, path -> operations."""
    page = {"schema": {"type": "string"}}
    alive = record({"status": {"const": "alive"}})
    return {
        "/": _get(
            "alive",
            "Whether the gateway is there; a page for browsers",
            {"200": {"description": "Alive", "content": {"application/json": {"schema": alive}, "text/html": page}}},
        ),
        "/livez": _get(
            "livez",
            "Whether the process works: restart it when this fails",
            {"200": json_answer(record({"live": {"const": True}}), "It does")},
        ),
        "/readyz": _get(
            "readyz",
            "Whether every model has an available version and no stop is under way",
            {"200": json_answer(ref("Readiness"), "Ready"), "503": json_answer(ref("Readiness"), "Not ready, and why")},
        ),
        "/metrics": _get(
            "metrics", "Prometheus metrics", {"200": {"description": "Metrics", "content": {"text/plain": page}}}
        ),
        "/docs": _get(
            "docs", "This document as a page", {"200": {"description": "A page", "content": {"text/html": page}}}
        ),
        "/openapi.json": _get(
            "openapi",
            "This document: every model as it is served now",
            {"200": json_answer({"type": "object"}, "An OpenAPI 3.1 document")},
        ),
        "/v1/models": _get(
            "models",
            "What is served, with the inputs and outputs of each signature",
            {"200": json_answer(ref("Models"), "All")},
        ),
    }


def of_models(names: Sequence[str]) -> dict[str, Schema]:
    """The routes that each model has, with its name as parameter."""
    model = in_path("model", {"type": "string", "enum": list(names)})
    version = in_path("version", VERSION)
    label = in_path("label", {"type": "string", "minLength": 1})
    described: dict[str, Schema] = {
        "/v1/models/{model}/openapi.json": _get(
            "model_openapi",
            "The part of this document that is about one model",
            {"200": json_answer({"type": "object"}, "An OpenAPI 3.1 document"), **_ERRORS},
            [model],
        )
    }
    places: list[tuple[str, str, list[Schema]]] = [
        ("", "", []),
        ("version", "/versions/{version}", [version]),
        ("label", "/labels/{label}", [label]),
    ]
    for place, path, parameters in places:
        end, by = (f"_{place}", f", by {place}") if place else ("", "")
        described[f"/v1/models/{{model}}{path}"] = _get(
            f"status{end}",
            f"The state of the versions of a model{by}",
            {"200": json_answer(ref("Status"), "The states"), **_ERRORS},
            [model, *parameters],
        )
        described[f"/v1/models/{{model}}{path}/metadata"] = _get(
            f"metadata{end}",
            f"The signatures of a model, as TensorFlow Serving writes them{by}",
            {"200": json_answer(ref("Metadata"), "The signatures"), **_ERRORS},
            [model, *parameters],
        )
    return described


def _get(name: str, summary: str, responses: dict[str, Schema], parameters: Sequence[Schema] = ()) -> Schema:
    return {"get": operation(name, summary, TAG, responses, parameters)}
