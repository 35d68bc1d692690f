"""Everything but predict: status, metadata, the list of models, health, metrics. Through FastAPI, off the hot path."""

import asyncio
import json
import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from google.protobuf import json_format
from starlette.exceptions import HTTPException

from signet.serving.errors import Internal, InvalidInput, NotFound, Overloaded, ServingError
from signet.serving.gateway.access.identity import visible
from signet.serving.gateway.core.backend import Backend, releasing
from signet.serving.gateway.core.inference import Inference, InferenceRequest
from signet.serving.gateway.core.joining import verdicts
from signet.serving.gateway.http import v2_routes
from signet.serving.gateway.http.probes import Probes
from signet.serving.gateway.http.responses import fails, gives, ready_or_not
from signet.serving.http.server import Response as HttpResponse
from signet.serving.models import model_status
from signet.serving.models.model_status import State
from signet.serving.tensors import signature
from signet.serving.tensors.protos import get_model_metadata_pb2

ROUTES = (
    "POST /v1/models/MODEL[/versions/N|/labels/LABEL]:predict",
    "POST /v1/models/MODEL[/versions/N|/labels/LABEL]:classify",
    "POST /v1/models/MODEL[/versions/N|/labels/LABEL]:regress",
    "GET /",
    "GET /v1/models",
    "GET /v1/models/MODEL[/versions/N|/labels/LABEL]",
    "GET /v1/models/MODEL[/versions/N|/labels/LABEL]/metadata",
    "GET /v1/models/MODEL[/versions/N]/card",
    "GET /v1/models/MODEL[/versions/N]/examples",
    "GET /v1/models/MODEL[/versions/N]/pictures/FILE",
    "POST /v1/models/MODEL/rows",
    "GET /v1/models/MODEL/openapi.json",
    "GET /v1/models/MODEL/release",
    "POST /v1/models/MODEL/release/start",
    "POST /v1/models/MODEL/release/promote",
    "POST /v1/models/MODEL/release/rollback",
    "GET /openapi.json",
    "GET /docs",
    "GET /livez",
    "GET /readyz",
    "GET /metrics",
    *v2_routes.ROUTES,
)

_ERRORS = fails(400, 404, 429, 500, 502, 503, 504)
_STATUS = gives("Status", "The states") | _ERRORS
_METADATA = gives("Metadata", "The signatures") | _ERRORS


def create_router(
    backend: Backend, inference: Inference, probes: Probes, grpc_port: Callable[[], int | None]
) -> APIRouter:
    """The routes of one gateway. grpc_port: gives the port of its gRPC, None without one."""
    router = APIRouter(tags=["service"])

    @router.get("/livez", responses=gives("Live", "It does"))
    async def livez() -> Response:
        """Whether the process works: restart it when this fails."""
        return _as_starlette(probes.livez())

    @router.get("/readyz", responses=ready_or_not("Readiness", "Not ready, and why"))
    async def readyz() -> Response:
        """Whether every model has an available version and no stop is under way.

        200 when each model declared or there at the start has been served and no stop is under way; else 503, and why.
        """
        return _as_starlette(probes.readyz())

    @router.get("/metrics", name="metrics", response_class=PlainTextResponse, response_description="Metrics")
    async def exposition(request: Request) -> Response:
        """Prometheus metrics, with exemplars for whoever accepts OpenMetrics."""
        return _as_starlette(await probes.service_exposition(request.headers.get("accept", "").encode()))

    @router.get("/v1/models", responses=gives("Models", "All"))
    async def models(request: Request) -> Response:
        """What is served, with the inputs and outputs of each signature, and at which port also over gRPC."""
        names = visible(request.state.key, backend.models)
        details = await asyncio.gather(*(_details(backend, inference, name) for name in names))
        return JSONResponse({"models": names, "details": details, "grpc_port": grpc_port()})

    @router.get("/v1/models/{model:name}", responses=_STATUS)
    @router.get("/v1/models/{model:name}/versions/{version:name}", responses=_STATUS)
    @router.get("/v1/models/{model:name}/labels/{label:name}", responses=_STATUS)
    async def status(model: str, version: int | None = None, label: str | None = None) -> Response:
        """The state of the versions of a model.

        All versions, highest first, or the one that the path names; `name` and `ready` are for KServe's client.
        `joining` says of each signature whether rows of several requests share its calls, and why: of that version, or
        of the one that unversioned requests get.
        """
        _check_declared(backend, model)
        if label is not None:
            version = await inference.version_of_label(model, label)
        all_statuses = await backend.statuses(model)
        statuses = [entry for entry in all_statuses if version in (None, entry.version)]
        if not statuses:
            hint = signature.nearest_hint(str(version), [str(entry.version) for entry in all_statuses])
            raise NotFound(f"Could not find version {version} of model {model}{hint}")
        body = json.loads(_to_json(model_status.to_message(statuses)))
        for line in body["model_version_status"]:
            line.setdefault("status", {}).setdefault("error_message", "")
        ready = any(entry.state is State.AVAILABLE for entry in statuses)
        joining = await _joining(inference, model, version) if ready else {}
        return JSONResponse({**body, "name": model, "ready": ready, "joining": joining})

    @router.get("/v1/models/{model:name}/metadata", responses=_METADATA)
    @router.get("/v1/models/{model:name}/versions/{version:name}/metadata", responses=_METADATA)
    @router.get("/v1/models/{model:name}/labels/{label:name}/metadata", responses=_METADATA)
    async def metadata(model: str, version: int | None = None, label: str | None = None) -> Response:
        """The signatures of a model, as TensorFlow Serving writes them."""
        _check_declared(backend, model)
        with releasing(await inference.lease(InferenceRequest(model, version, label))) as lease:
            signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=dict(lease.signature_defs))
            body: dict[str, Any] = {
                "model_spec": {"name": model, "signature_name": "", "version": str(lease.version)},
                "metadata": {"signature_def": json.loads(_to_json(signatures))},
            }
            if lease.card.digest:
                body["digest"] = lease.card.digest
            return JSONResponse(body)

    return router


def _as_starlette(response: HttpResponse) -> Response:
    headers = dict(line.split(": ", 1) for line in response.headers.decode("latin-1").splitlines())
    return Response(response.body, response.status, headers)


def add_error_handlers(app: FastAPI) -> None:
    """Errors in TensorFlow Serving's form: one object with the key `error`."""

    @app.exception_handler(ServingError)
    async def serving_error(_: Request, error: ServingError) -> JSONResponse:
        headers = {"Retry-After": f"{math.ceil(error.retry_after_s or 1)}"} if isinstance(error, Overloaded) else None
        return JSONResponse({"error": str(error)}, error.http_status, headers)

    @app.exception_handler(RequestValidationError)
    async def wrong_parameter(_: Request, error: RequestValidationError) -> JSONResponse:
        problems = "; ".join(f"{'.'.join(map(str, line['loc']))}: {line['msg']}" for line in error.errors())
        return JSONResponse({"error": problems}, InvalidInput.http_status)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers or {})
        if "Allow" in headers:
            methods = headers["Allow"].split(", ")  # in no order
            headers["Allow"] = ", ".join(sorted({*methods, *(["HEAD"] if "GET" in methods else [])}))
        return JSONResponse({"error": malformed(request.method, request.scope["path"])}, error.status_code, headers)

    @app.exception_handler(Exception)
    async def bug(request: Request, _: Exception) -> JSONResponse:
        text = f"internal error; the gateway's log says more of request {request.scope['request_id']}"
        return JSONResponse({"error": text}, Internal.http_status)


def malformed(method: str, path: str) -> str:
    """The error of a request whose method and path have no route."""
    return f"Malformed request: {method} {path[:200]}. Routes: {'; '.join(ROUTES)}"


def _check_declared(backend: Backend, model: str) -> None:
    if model not in backend.models:
        hint = signature.nearest_hint(model, backend.models)
        served = ", ".join(backend.models)
        raise NotFound(f"Could not find any versions of model {model[:100]}{hint}. Served models: {served}")


async def _joining(inference: Inference, model: str, version: int | None) -> dict[str, Any]:
    try:
        lease = await inference.lease(InferenceRequest(model, version))
    except ServingError:
        return {}
    with releasing(lease):
        return {name: asdict(verdict) for name, verdict in verdicts(lease).items()}


async def _details(backend: Backend, inference: Inference, name: str) -> dict[str, Any]:
    """One model for the list: its available versions and the signatures of the one that unversioned requests get."""
    try:
        statuses = await backend.statuses(name)
        lease = await inference.lease(InferenceRequest(name))
    except ServingError as error:
        return {"name": name, "versions": [], "signatures": {}, "error": str(error)}
    with releasing(lease):
        return {
            "name": name,
            "versions": [status.version for status in statuses if status.state is State.AVAILABLE],
            "signatures": {
                key: {"inputs": _tensors(value.inputs), "outputs": _tensors(value.outputs)}
                for key, value in sorted(lease.signatures.items())
                if not signature.internal(key)
            },
        }


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
