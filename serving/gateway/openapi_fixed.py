"""The routes of the OpenAPI document that are the same whatever is served, and the errors of all routes.

Sources: routes.py and documentation.py, which answer them; TensorFlow Serving's status and metadata messages.
"""

from collections.abc import Sequence

from serving.errors import CODE_NAMES
from serving.gateway.openapi_tensors import Schema
from serving.model_status import State

TAG = "service"


def _json(schema: Schema, description: str) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _object(properties: dict[str, Schema], **more: Schema) -> Schema:
    return {"type": "object", "properties": {**properties, **more}, "required": list(properties)}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_TEXT: Schema = {"type": "string"}
_NAMES: Schema = {"type": "array", "items": _TEXT}

SCHEMAS: dict[str, Schema] = {
    "Error": {
        "description": "What is wrong: the message names the thing, what was expected and what came",
        "type": "object",
        "properties": {"error": _TEXT},
        "required": ["error"],
        "additionalProperties": False,
    },
    "Readiness": _object(
        {"ready": {"type": "boolean"}, "draining": {"type": "boolean"}}, models=_NAMES, missing=_NAMES
    ),
    "Tensor": _object(
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
    "Models": _object(
        {
            "models": _NAMES,
            "details": {
                "type": "array",
                "items": _object(
                    {
                        "name": _TEXT,
                        "versions": {"type": "array", "items": {"type": "integer"}},
                        "signatures": {
                            "type": "object",
                            "additionalProperties": _object(
                                {
                                    "inputs": {"type": "object", "additionalProperties": _ref("Tensor")},
                                    "outputs": {"type": "object", "additionalProperties": _ref("Tensor")},
                                }
                            ),
                        },
                    },
                    error={"type": "string", "description": "Why no version is available"},
                ),
            },
        }
    ),
    "Status": _object(
        {
            "model_version_status": {
                "type": "array",
                "description": "Highest version first",
                "items": _object(
                    {
                        "version": {"type": "string", "pattern": "^[0-9]+$"},
                        "state": {"enum": [state.name for state in State]},
                        "status": _object({"error_code": {"enum": list(CODE_NAMES)}, "error_message": _TEXT}),
                    }
                ),
            },
            "name": _TEXT,
            "ready": {"type": "boolean"},
        }
    ),
    "Metadata": _object(
        {
            "model_spec": _object({"name": _TEXT, "signature_name": _TEXT, "version": _TEXT}),
            "metadata": _object(
                {
                    "signature_def": _object(
                        {"signature_def": {"type": "object", "additionalProperties": _ref("SignatureDef")}}
                    )
                }
            ),
        }
    ),
    "SignatureDef": _object(
        {
            "inputs": {"type": "object", "additionalProperties": _ref("TensorInfo")},
            "outputs": {"type": "object", "additionalProperties": _ref("TensorInfo")},
            "method_name": _TEXT,
        }
    ),
    "TensorInfo": _object(
        {
            "dtype": {"type": "string", "pattern": "^DT_"},
            "tensor_shape": _object(
                {
                    "dim": {"type": "array", "items": _object({"size": _TEXT, "name": _TEXT})},
                    "unknown_rank": {"type": "boolean"},
                }
            ),
        },
        name={"type": "string", "description": "In the graph; sparse and composite tensors have parts instead"},
    ),
}

RESPONSES: dict[str, Schema] = {
    "WrongRequest": _json(_ref("Error"), "The request does not fit the model or the route, or the model refused it"),
    "NotServed": _json(_ref("Error"), "No such model or version"),
    "TooLarge": _json(_ref("Error"), "The body is too large"),
    "Busy": {
        **_json(_ref("Error"), "Too many requests are in work"),
        "headers": {"Retry-After": {"description": "Seconds", "schema": {"type": "string", "pattern": "^[0-9]+$"}}},
    },
    "Fault": _json(_ref("Error"), "The fault is on this side; the log says more"),
    "NotInJson": _json(_ref("Error"), "A type that JSON cannot carry"),
    "NotAvailable": _json(_ref("Error"), "No version is available yet, or no model server answers"),
    "TooLate": _json(_ref("Error"), "No answer in time"),
}

_ERRORS = {
    str(status): {"$ref": f"#/components/responses/{name}"}
    for status, name in (
        (400, "WrongRequest"),
        (404, "NotServed"),
        (500, "Fault"),
        (503, "NotAvailable"),
        (504, "TooLate"),
    )
}


def of_service() -> dict[str, Schema]:
    """The routes of the process, path -> operations."""
    page = {"schema": {"type": "string"}}
    alive = _object({"status": {"const": "alive"}})
    return {
        "/": _get(
            "alive",
            "Whether the gateway is there; a page for browsers",
            {"200": {"description": "Alive", "content": {"application/json": {"schema": alive}, "text/html": page}}},
        ),
        "/livez": _get(
            "livez",
            "Whether the process works: restart it when this fails",
            {"200": _json(_object({"live": {"const": True}}), "It does")},
        ),
        "/readyz": _get(
            "readyz",
            "Whether every model has an available version and no stop is under way",
            {"200": _json(_ref("Readiness"), "Ready"), "503": _json(_ref("Readiness"), "Not ready, and why")},
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
            {"200": _json({"type": "object"}, "An OpenAPI 3.1 document")},
        ),
        "/v1/models": _get(
            "models",
            "What is served, with the inputs and outputs of each signature",
            {"200": _json(_ref("Models"), "All")},
        ),
    }


def of_models(names: Sequence[str]) -> dict[str, Schema]:
    """The routes that each model has, with its name as parameter."""
    model = {"name": "model", "in": "path", "required": True, "schema": {"type": "string", "enum": list(names)}}
    version = {
        "name": "version",
        "in": "path",
        "required": True,
        "schema": {"type": "integer", "minimum": 0, "maximum": (1 << 63) - 1},
    }
    label = {"name": "label", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    described: dict[str, Schema] = {
        "/v1/models/{model}/openapi.json": _get(
            "model_openapi",
            "The part of this document that is about one model",
            {"200": _json({"type": "object"}, "An OpenAPI 3.1 document"), **_ERRORS},
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
            {"200": _json(_ref("Status"), "The states"), **_ERRORS},
            [model, *parameters],
        )
        described[f"/v1/models/{{model}}{path}/metadata"] = _get(
            f"metadata{end}",
            f"The signatures of a model, as TensorFlow Serving writes them{by}",
            {"200": _json(_ref("Metadata"), "The signatures"), **_ERRORS},
            [model, *parameters],
        )
    return described


def _get(operation: str, summary: str, responses: dict[str, Schema], parameters: Sequence[Schema] = ()) -> Schema:
    return {
        "get": {
            "operationId": operation,
            "summary": summary,
            "tags": [TAG],
            "parameters": list(parameters),
            "responses": responses,
        }
    }
