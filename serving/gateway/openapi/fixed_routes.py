"""The routes of the OpenAPI document that are the same whatever is served: FastAPI describes them, this finishes it.

handlers with docstrings and `responses` ──FastAPI──▶ paths ──document──▶ parts of the document, with the schemas below

Sources of the schemas: `http/v1_routes.py` and `core/open_inference.py`, which make the answers; TensorFlow Serving's
status and metadata messages; the Open Inference Protocol's text and Triton's extensions of it.
"""

import copy
from collections.abc import Sequence

from fastapi import FastAPI
from fastapi.routing import APIRoute

from signet.serving.errors import CODE_NAMES
from signet.serving.gateway.core.open_inference import INDEX_STATES
from signet.serving.gateway.openapi import card_schemas, release_schemas
from signet.serving.gateway.openapi.schemas import (
    BOOLEAN,
    NUMERAL,
    TEXT,
    VERSION,
    Schema,
    array,
    errors,
    explained,
    in_path,
    mapping,
    only,
    record,
    ref,
)
from signet.serving.models.model_status import State
from signet.serving.open_inference.metadata import EXTENSIONS, PLATFORM
from signet.serving.open_inference.requests import DATATYPES

_ABOUT = """Named tensors in, named tensors out, in two dialects: TensorFlow Serving's under `/v1`, the Open Inference \
Protocol under `/v2`.
Each model below has its own inputs and outputs. An error is `{"error": "…"}`.
Bodies may be compressed with gzip or deflate; answers are where `Accept-Encoding` asks for it."""

_TAGS = [
    {"name": "service", "description": "Health, metrics, and what is served", "x-closed": True},
    {
        "name": "open inference protocol",
        "description": "The same by the Open Inference Protocol, and statistics",
        "x-closed": True,
    },
]
"""Below the models; `x-closed`: the page opens those of the models alone."""

SECURITY_SCHEMES: dict[str, Schema] = {
    "key": {"type": "http", "scheme": "bearer", "description": "A key of `signet keys`, where the server asks for one"}
}
SECURITY: list[dict[str, list[str]]] = [{}, {"key": []}]
"""Without a key, or with one: the server says 401 where it wants one."""

_NAMES = array(TEXT)
_YES: Schema = {**BOOLEAN, "const": True}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_SIZES = array({"type": "integer", "minimum": -1})
_STAGES = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")

SCHEMAS: dict[str, Schema] = {
    # The process
    "Alive": record({"status": only("alive")}),
    "Live": record({"live": _YES}),
    "Readiness": record({"ready": BOOLEAN, "draining": BOOLEAN}, models=_NAMES, missing=_NAMES, releases=array(TEXT)),
    # The list of models
    "Models": record(
        {
            "models": _NAMES,
            "details": array(ref("Model")),
            "grpc_port": explained("Where gRPC calls come in; null: nowhere", {"type": ["integer", "null"]}),
        }
    ),
    "Model": record(
        {"name": TEXT, "versions": array({"type": "integer"}), "signatures": mapping(ref("Signature"))},
        error=explained("Why no version is available", TEXT),
    ),
    "Signature": record({"inputs": mapping(ref("Tensor")), "outputs": mapping(ref("Tensor"))}),
    "Tensor": record(
        {
            "dtype": explained("TensorFlow's name of it; null: one that cannot travel", {"type": ["string", "null"]}),
            "shape": explained("-1: any size; null: any rank", {**_SIZES, "type": ["array", "null"]}),
        }
    ),
    # A model, as TensorFlow Serving tells of it
    "Status": record(
        {
            "model_version_status": explained("Highest version first", array(ref("VersionStatus"))),
            "name": TEXT,
            "ready": BOOLEAN,
            "joining": explained(
                "Of each signature whether rows of several requests share its calls",
                mapping(record({"joined": BOOLEAN, "why": TEXT})),
            ),
        }
    ),
    "VersionStatus": record(
        {
            "version": NUMERAL,
            "state": only(*(state.name for state in State)),
            "status": record({"error_code": only(*CODE_NAMES), "error_message": TEXT}),
        }
    ),
    "Metadata": record(
        {
            "model_spec": record({"name": TEXT, "signature_name": TEXT, "version": TEXT}),
            "metadata": record({"signature_def": record({"signature_def": mapping(ref("SignatureDef"))})}),
        },
        digest=TEXT,
    ),
    "SignatureDef": record(
        {"inputs": mapping(ref("TensorInfo")), "outputs": mapping(ref("TensorInfo")), "method_name": TEXT}
    ),
    "TensorInfo": record(
        {
            "dtype": {"type": "string", "pattern": "^DT_"},
            "tensor_shape": record({"dim": array(record({"size": TEXT, "name": TEXT})), "unknown_rank": BOOLEAN}),
        },
        name=explained("In the graph; sparse and composite tensors have parts instead", TEXT),
    ),
    **card_schemas.SCHEMAS,
    **release_schemas.SCHEMAS,
    # The Open Inference Protocol
    "ServerReadiness": record({"ready": BOOLEAN, "live": _YES}),
    "ModelReadiness": record({"name": TEXT, "ready": BOOLEAN}),
    "NoModel": record({"name": TEXT, "ready": {**BOOLEAN, "const": False}, "error": TEXT}),
    "ServerMetadata": record({"name": TEXT, "version": TEXT, "extensions": array(only(*EXTENSIONS))}),
    "ModelMetadata": record(
        {
            "name": TEXT,
            "versions": explained("Available", array(NUMERAL)),
            "platform": only(PLATFORM),
            "inputs": array(ref("TensorMetadata")),
            "outputs": array(ref("TensorMetadata")),
            "properties": record(
                {
                    "signature_name": explained("The signature whose tensors these are", TEXT),
                    "signatures": explained("All there are, with commas between", TEXT),
                },
                no_datatype=explained("Tensors that the protocol has no datatype for, commas between", TEXT),
            ),
        }
    ),
    "TensorMetadata": record(
        {"name": TEXT, "datatype": only(*DATATYPES.values()), "shape": explained("-1: any size", _SIZES)}
    ),
    "ModelConfig": record(
        {
            "name": TEXT,
            "platform": only(PLATFORM),
            "backend": only("tensorflow"),
            "max_batch_size": explained("Most rows joined into one call; 0: their number is fixed", _COUNT),
            "default_model_filename": TEXT,
            "input": array(ref("TensorConfig")),
            "output": array(ref("TensorConfig")),
        },
        dynamic_batching=explained("There when requests are joined", {"type": "object"}),
        parameters=record({}, joining=record({"string_value": explained("Why, or why not", TEXT)})),
    ),
    "TensorConfig": record(
        {
            "name": TEXT,
            "data_type": {"type": "string", "pattern": "^TYPE_"},
            "dims": explained("Without the rows where they are joined; -1: any size", _SIZES),
        }
    ),
    "Statistics": record({"model_stats": array(ref("ModelStatistics"))}),
    "ModelStatistics": record(
        {
            "name": TEXT,
            "version": NUMERAL,
            "last_inference": explained("Milliseconds since 1970; 0: never", _COUNT),
            "inference_count": explained("Rows", _COUNT),
            "execution_count": explained("Calls of the model", _COUNT),
            "inference_stats": record({stage: ref("Duration") for stage in _STAGES}),
        }
    ),
    "Duration": record({"count": _COUNT, "ns": explained("Nanoseconds, all together", _COUNT)}),
    "OnlyReady": record({}, ready=explained("Only those that can be asked; without it: all", BOOLEAN)),
    "Index": array(
        record({"name": TEXT, "version": NUMERAL, "state": only(*sorted(set(INDEX_STATES.values()))), "reason": TEXT})
    ),
}

_PARTS = ("model", "version", "label", "file")
"""Parts of paths."""
_NAME: Schema = {"type": "string", "minLength": 1}
PARAMETERS: dict[str, Schema] = {
    "Version": in_path("version", VERSION),
    "VersionOrLabel": in_path("version", _NAME, description="A number or a label"),
    "Label": in_path("label", _NAME),
    "File": in_path("file", only(*card_schemas.PICTURES)),
}


def create_app(release: str) -> FastAPI:
    """FastAPI without routes. release: the version of this project."""
    return FastAPI(
        title="Signet",
        version=release,
        description=_ABOUT,
        servers=[{"url": "/"}],
        license_info={"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        contact={"name": "Signet"},
        openapi_tags=_TAGS,
        openapi_url=None,  # its own document would know nothing of the models
        generate_unique_id_function=_operation_id,
    )


def document(app: FastAPI, models: Sequence[str]) -> Schema:
    """The document of an application's routes, to be added to. models: what `{model}` may be."""
    described: Schema = copy.deepcopy(app.openapi())
    for path, operations in described["paths"].items():
        for operation in operations.values():
            _finish(operation, path)
    described["components"] = {
        "schemas": SCHEMAS,
        "parameters": PARAMETERS | {"Model": in_path("model", {"type": "string", "enum": list(models)})},
    }
    return described


def _finish(operation: Schema, path: str) -> None:
    """Add what FastAPI does not know of an operation: its summary, the parts of its path, what errors are like."""
    place = _place(path)
    summary, _, text = operation.pop("description").partition("\n\n")
    operation["summary"] = summary.rstrip(".") + (f", by {place}" if place else "")
    if text:
        operation["description"] = text
    parameters = operation.get("parameters", ())
    # A handler of several paths takes what is in one of them from the query of the others: nobody is to use that.
    operation["parameters"] = [
        _parameter(one, path) for one in parameters if one["in"] == "path" or one["name"] not in _PARTS
    ]
    responses = operation["responses"]
    responses.pop("422", None)  # FastAPI's own form; ours are 400 and like all errors
    responses |= errors(*(int(status) for status, response in responses.items() if "content" not in response))


def _parameter(one: Schema, path: str) -> Schema:
    """A part of the path as a component; one of the query without the title that pydantic makes of its name."""
    if one["in"] != "path":
        return {**one, "schema": {key: value for key, value in one["schema"].items() if key != "title"}}
    name = "VersionOrLabel" if one["name"] == "version" and path.startswith("/v2") else one["name"].capitalize()
    return {"$ref": f"#/components/parameters/{name}"}


def _place(path: str) -> str:
    """What the path names a version by: `version`, `label`, or nothing."""
    return next((place for place in ("version", "label") if f"{{{place}}}" in path), "")


def _operation_id(route: APIRoute) -> str:
    """What generated clients call the method of a route: `metadata_version`, `v2_metadata`."""
    path = route.path_format
    return "_".join(filter(None, ("v2" if path.startswith("/v2") else "", route.name, _place(path))))
