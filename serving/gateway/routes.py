"""Everything but predict: status, metadata, the list of models, health, metrics. Through FastAPI, off the hot path."""

import json
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from google.protobuf import json_format
from starlette.exceptions import HTTPException

from serving import signature
from serving.errors import CODE_NAMES, NotFound, ServingError, Unavailable
from serving.gateway.backend import Backend
from serving.gateway.metrics import Metrics
from serving.model_status import State
from serving.protos import get_model_metadata_pb2, get_model_status_pb2

ROUTES = (
    "POST /v1/models/MODEL[/versions/N]:predict",
    "GET /v1/models",
    "GET /v1/models/MODEL[/versions/N]",
    "GET /v1/models/MODEL[/versions/N]/metadata",
    "GET /livez",
    "GET /readyz",
    "GET /metrics",
)


class Health:
    """Whether this process should get traffic."""

    def __init__(self) -> None:
        self.draining = False


def create_router(backend: Backend, metrics: Metrics, health: Health) -> APIRouter:
    """The routes of one gateway."""
    router = APIRouter()

    @router.get("/livez")
    async def livez() -> dict[str, bool]:
        """Whether the process works: 200. Restart it when this fails."""
        return {"live": True}

    @router.get("/readyz")
    async def readyz() -> Response:
        """200 when every declared model has an available version and no stop is under way; else 503 with the reason."""
        missing = backend.missing()
        ready = not missing and not health.draining and bool(backend.models)
        body = {"ready": ready, "draining": health.draining, "models": list(backend.models), "missing": missing}
        return JSONResponse(body, 200 if ready else 503)

    @router.get("/metrics")
    async def exposition() -> Response:
        """Prometheus metrics."""
        for model in backend.models:
            try:
                metrics.set_states(model, await backend.statuses(model))
            except ServingError:
                metrics.set_states(model, [])
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @router.get("/v1/models")
    async def models() -> dict[str, Any]:
        """What is served: the names, and the versions of each."""
        return {"models": list(backend.models), "details": [await _details(backend, name) for name in backend.models]}

    @router.get("/v1/models/{model}")
    @router.get("/v1/models/{model}/versions/{version}")
    async def status(model: str, version: int | None = None) -> Response:
        """The state of a model's versions, highest first."""
        _check_declared(backend, model)
        statuses = [entry for entry in await backend.statuses(model) if version in (None, entry.version)]
        if not statuses:
            raise NotFound(f"Could not find version {version} of model {model}")
        response = get_model_status_pb2.GetModelStatusResponse()
        for entry in statuses:
            message = response.model_version_status.add(version=entry.version, state=int(entry.state))
            message.status.error_code = CODE_NAMES.index(entry.error_code)
            message.status.error_message = entry.error_message
        body = json.loads(_to_json(response))
        for line in body["model_version_status"]:
            line.setdefault("status", {}).setdefault("error_message", "")
        return JSONResponse(body)

    @router.get("/v1/models/{model}/metadata")
    @router.get("/v1/models/{model}/versions/{version}/metadata")
    async def metadata(model: str, version: int | None = None) -> Response:
        """The signatures of a version, as TensorFlow Serving writes them."""
        _check_declared(backend, model)
        if model in backend.missing():
            raise Unavailable(f"model {model!r} has no version that is available yet")
        lease = await backend.lease(model, version)
        try:
            signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=dict(lease.signature_defs))
            body = {
                "model_spec": {"name": model, "signature_name": "", "version": str(lease.version)},
                "metadata": {"signature_def": json.loads(_to_json(signatures))},
            }
            return JSONResponse(body)
        finally:
            lease.release()

    return router


def add_error_handlers(app: FastAPI) -> None:
    """Errors in TensorFlow Serving's form: one object with the key `error`."""

    @app.exception_handler(ServingError)
    async def serving_error(_: Request, error: ServingError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, error.http_status)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        message = f"Malformed request: {request.method} {request.url.path[:200]}. Routes: {'; '.join(ROUTES)}"
        return JSONResponse({"error": message}, error.status_code, error.headers)


def _check_declared(backend: Backend, model: str) -> None:
    if model not in backend.models:
        hint = signature.nearest_hint(model, backend.models)
        served = ", ".join(backend.models)
        raise NotFound(f"Could not find any versions of model {model[:100]}{hint}. Served models: {served}")


async def _details(backend: Backend, name: str) -> dict[str, Any]:
    """One model for the list: its available versions and the signatures of the one that unversioned requests get."""
    try:
        statuses = await backend.statuses(name)
        lease = await backend.lease(name, None)
    except ServingError as error:
        return {"name": name, "versions": [], "signatures": {}, "error": str(error)}
    try:
        return {
            "name": name,
            "versions": [status.version for status in statuses if status.state is State.AVAILABLE],
            "signatures": {
                key: {"inputs": _tensors(value.inputs), "outputs": _tensors(value.outputs)}
                for key, value in sorted(lease.signatures.items())
                if key != signature.INIT_OP
            },
        }
    finally:
        lease.release()


def _tensors(specs: Any) -> dict[str, Any]:
    return {
        name: {
            "dtype": spec.dtype.name if spec.dtype else None,
            "shape": None if spec.shape is None else [-1 if size is None else size for size in spec.shape],
        }
        for name, spec in specs.items()
    }


def _to_json(message: Any) -> str:
    return json_format.MessageToJson(
        message, always_print_fields_with_no_presence=True, preserving_proto_field_name=True, indent=None
    )
