"""The routes of the Open Inference Protocol in the OpenAPI document that are the same whatever is served.

Sources: v2_routes.py, which answers them; the protocol's text and Triton's extensions of it.
"""

from collections.abc import Sequence

from signet.serving.gateway.core.open_inference import INDEX_STATES
from signet.serving.gateway.openapi.parts import (
    NUMERAL,
    TEXT,
    array,
    errors,
    in_path,
    json_answer,
    operation,
    record,
    ref,
)
from signet.serving.gateway.openapi.tensors import Schema
from signet.serving.open_inference.metadata import EXTENSIONS, PLATFORM
from signet.serving.open_inference.requests import DATATYPES
from signet.serving.tensors.signature import DEFAULT

TAG = "open inference protocol"

_COUNT: Schema = {"type": "integer", "minimum": 0}
_SIZES = array({"type": "integer", "minimum": -1})
_READY: Schema = {"type": "boolean"}
_STAGES = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")

SCHEMAS: dict[str, Schema] = {
    "ServerMetadata": record({"name": TEXT, "version": TEXT, "extensions": array({"enum": list(EXTENSIONS)})}),
    "ModelMetadata": record(
        {
            "name": TEXT,
            "versions": {"description": "Available", **array(NUMERAL)},
            "platform": {"const": PLATFORM},
            "inputs": array(ref("TensorMetadata")),
            "outputs": array(ref("TensorMetadata")),
            "properties": record(
                {
                    "signature_name": {"description": "The signature whose tensors these are", **TEXT},
                    "signatures": {"description": "All there are, with commas between", **TEXT},
                },
                no_datatype={"description": "Tensors that the protocol has no datatype for, commas between", **TEXT},
            ),
        }
    ),
    "TensorMetadata": record(
        {
            "name": TEXT,
            "datatype": {"enum": list(DATATYPES.values())},
            "shape": {"description": "-1: any size", **_SIZES},
        }
    ),
    "ModelConfig": record(
        {
            "name": TEXT,
            "platform": {"const": PLATFORM},
            "backend": {"const": "tensorflow"},
            "max_batch_size": {
                "description": "Most rows joined into one call; 0: their number is fixed",
                **_COUNT,
            },
            "default_model_filename": TEXT,
            "input": array(ref("TensorConfig")),
            "output": array(ref("TensorConfig")),
        },
        dynamic_batching={"type": "object", "description": "There when requests are joined"},
        parameters=record({}, joining=record({"string_value": {"description": "Why, or why not", **TEXT}})),
    ),
    "TensorConfig": record(
        {
            "name": TEXT,
            "data_type": {"type": "string", "pattern": "^TYPE_"},
            "dims": {"description": "Without the rows where they are joined; -1: any size", **_SIZES},
        }
    ),
    "Statistics": record(
        {
            "model_stats": array(
                record(
                    {
                        "name": TEXT,
                        "version": NUMERAL,
                        "last_inference": {"description": "Milliseconds since 1970; 0: never", **_COUNT},
                        "inference_count": {"description": "Rows", **_COUNT},
                        "execution_count": {"description": "Calls of the model", **_COUNT},
                        "inference_stats": record({stage: ref("Duration") for stage in _STAGES}),
                    }
                )
            )
        }
    ),
    "Duration": record({"count": _COUNT, "ns": {"description": "Nanoseconds, all together", **_COUNT}}),
    "Index": array(
        record(
            {"name": TEXT, "version": NUMERAL, "state": {"enum": sorted(set(INDEX_STATES.values()))}, "reason": TEXT}
        )
    ),
}


_ASKED = (400, 404, 500, 501, 503, 504)
_READINESS = record({"ready": _READY, "live": {"const": True}})
_MODEL_READINESS = record({"name": TEXT, "ready": _READY})
_NO_MODEL = record({"name": TEXT, "ready": {"const": False}, "error": TEXT})
_ONLY_READY = record({}, ready={"description": "Only those that can be asked", "default": False, **_READY})
_REFUSED = "a model by request: what is served is declared where the gateway starts"


def of_service() -> dict[str, Schema]:
    """The routes of the server, path -> operations."""
    index = _operation("index", "Every known version and its state", _told("Index", 400))
    index["requestBody"] = {"content": {"application/json": {"schema": _ONLY_READY}}}
    live = {"200": json_answer(record({"live": {"const": True}}), "It does")}
    return {
        "/v2": {"get": _operation("server", "Name, version and extensions of the server", _told("ServerMetadata"))},
        "/v2/health/live": {"get": _operation("live", "Whether the process works", live)},
        "/v2/health/ready": {
            "get": _operation(
                "ready", "Whether every model has an available version and no stop is under way", _either(_READINESS)
            )
        },
        "/v2/models/stats": {
            "get": _operation("all_statistics", "Counts and times of every available version", _told("Statistics"))
        },
        "/v2/repository/index": {"post": index},
    }


def of_models(names: Sequence[str]) -> dict[str, Schema]:
    """The routes that each model has, with its name as parameter."""
    model = in_path("model", {"type": "string", "enum": list(names)})
    version = in_path("version", {"type": "string", "minLength": 1}, description="A number or a label")
    signature = {
        "name": "signature_name",
        "in": "query",
        "description": f"Whose tensors are told; missing: those of `{DEFAULT}`, or of the only one there is",
        "schema": TEXT,
    }
    described: dict[str, Schema] = {}
    places: list[tuple[str, str, list[Schema]]] = [
        ("", "", [model]),
        ("version", "/versions/{version}", [model, version]),
    ]
    for place, path, parameters in places:
        end, by = (f"_{place}", f", by {place}") if place else ("", "")
        ready = {**_either(_MODEL_READINESS), "404": json_answer(_NO_MODEL, "No such model"), **errors(400, 500, 504)}
        for tail, name, summary, responses, query in (
            ("", "metadata", "The inputs and outputs of a signature", _told("ModelMetadata", *_ASKED), [signature]),
            ("/ready", "model_ready", "Whether a model can be asked", ready, []),
            ("/config", "config", "A model as a model configuration has it", _told("ModelConfig", *_ASKED), []),
            ("/stats", "statistics", "Counts and times of a model", _told("Statistics", *_ASKED), []),
        ):
            described[f"/v2/models/{{model}}{path}{tail}"] = {
                "get": _operation(f"{name}{end}", f"{summary}{by}", responses, [*parameters, *query])
            }
    for verb in ("load", "unload"):
        described[f"/v2/repository/models/{{model}}/{verb}"] = {
            "post": _operation(verb, f"Refused: nobody can {verb} {_REFUSED}", errors(403), [model])
        }
    return described


def _told(schema: str, *statuses: int) -> dict[str, Schema]:
    return {"200": json_answer(ref(schema), "What is known"), **errors(*statuses)}


def _either(schema: Schema) -> dict[str, Schema]:
    return {"200": json_answer(schema, "Ready"), "503": json_answer(schema, "Not ready")}


def _operation(name: str, summary: str, responses: dict[str, Schema], parameters: Sequence[Schema] = ()) -> Schema:
    return operation(f"v2_{name}", summary, TAG, responses, parameters)
