"""The Open Inference Protocol over REST: everything but inference. Through FastAPI, off the hot path."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from signet.serving.errors import InvalidInput, NotFound, Unsupported
from signet.serving.gateway.access.identity import Identity
from signet.serving.gateway.core.open_inference import OpenInference
from signet.serving.gateway.http.responses import fails, gives, ready_or_not, takes
from signet.serving.json_arrays import parsing
from signet.serving.json_arrays.values import described
from signet.serving.open_inference.requests import parameter
from signet.serving.tensors.signature import DEFAULT

ROUTES = (
    "POST /v2/models/MODEL[/versions/N]/infer",
    "GET /v2",
    "GET /v2/health/live",
    "GET /v2/health/ready",
    "GET /v2/models/stats",
    "GET /v2/models/MODEL[/versions/N]",
    "GET /v2/models/MODEL[/versions/N]/ready",
    "GET /v2/models/MODEL[/versions/N]/config",
    "GET /v2/models/MODEL[/versions/N]/stats",
    "POST /v2/repository/index",
    "POST /v2/repository/models/MODEL/load",
    "POST /v2/repository/models/MODEL/unload",
)

_ABSENT = "shared memory, trace and log settings, and generation of text are not supported"
_ABSENT_PATHS = (
    "/{memory:name}sharedmemory/{rest:path}",
    "/trace/setting",
    "/logging",
    *(
        f"/models/{{model:name}}{version}{tail}"
        for version in ("", "/versions/{version:name}")
        for tail in ("/trace/setting", "/generate", "/generate_stream")
    ),
)

_SignatureName = Annotated[
    str,
    Query(description=f"The signature to describe; missing: `{DEFAULT}`, or the only one there is"),
]
_ERRORS = fails(400, 404, 500, 501, 503, 504)
_METADATA = gives("ModelMetadata", "The tensors") | _ERRORS
_CONFIG = gives("ModelConfig", "The configuration") | _ERRORS
_STATISTICS = gives("Statistics", "The statistics") | _ERRORS
_READY = ready_or_not("ModelReadiness") | gives("NoModel", "No such model", 404) | fails(400, 500, 504)


def create_router(open_inference: OpenInference) -> APIRouter:
    """The routes of one gateway."""
    router = APIRouter(prefix="/v2", tags=["open inference protocol"])

    @router.get("", responses=gives("ServerMetadata", "The server"))
    @router.get("/", include_in_schema=False)
    async def server() -> Response:
        """Name, version and extensions of the server."""
        return JSONResponse(open_inference.server())

    @router.get("/health/live", responses=gives("Live", "It does"))
    async def live() -> Response:
        """Whether the process works."""
        return JSONResponse({"live": True})

    @router.get("/health/ready", responses=ready_or_not("ServerReadiness"))
    async def ready() -> Response:
        """Whether every model has an available version and no stop is under way."""
        ready = open_inference.ready()
        return JSONResponse({"ready": ready, "live": True}, 200 if ready else 503)

    @router.get("/models/stats", responses=gives("Statistics", "The statistics"))
    async def all_statistics(request: Request) -> Response:
        """Counts and times of every available version."""
        return JSONResponse(await open_inference.statistics("", "", _identity(request)))

    @router.get("/models/{model:name}", responses=_METADATA)
    @router.get("/models/{model:name}/versions/{version:name}", responses=_METADATA)
    async def metadata(model: str, version: str = "", signature_name: _SignatureName = "") -> Response:
        """The inputs and outputs of a signature."""
        return JSONResponse(await open_inference.metadata(model, version, signature_name))

    @router.get("/models/{model:name}/ready", responses=_READY)
    @router.get("/models/{model:name}/versions/{version:name}/ready", responses=_READY)
    async def model_ready(model: str, version: str = "") -> Response:
        """Whether a model can be asked."""
        ready = await open_inference.model_ready(model, version)
        answer = {"name": model, "ready": ready}
        try:
            open_inference.check_declared(model)
        except NotFound as error:
            return JSONResponse({**answer, "error": str(error)}, error.http_status)
        return JSONResponse(answer, 200 if ready else 503)

    @router.get("/models/{model:name}/config", responses=_CONFIG)
    @router.get("/models/{model:name}/versions/{version:name}/config", responses=_CONFIG)
    async def config(model: str, version: str = "") -> Response:
        """A model as a model configuration has it."""
        return JSONResponse(await open_inference.config(model, version))

    @router.get("/models/{model:name}/stats", responses=_STATISTICS)
    @router.get("/models/{model:name}/versions/{version:name}/stats", responses=_STATISTICS)
    async def statistics(model: str, version: str = "") -> Response:
        """Counts and times of a model.

        Times are nanoseconds since the start.
        """
        return JSONResponse(await open_inference.statistics(model, version))

    @router.post(
        "/repository/index", responses=gives("Index", "The versions") | fails(400), openapi_extra=takes("OnlyReady")
    )
    async def index(request: Request) -> Response:
        """Every known version and its state."""
        return JSONResponse(await open_inference.index(_only_ready(await request.body()), _identity(request)))

    @router.post("/repository/models/{model:name}/load", include_in_schema=False)
    async def load(model: str) -> None:
        """Refused: nobody can load a model by request: what is served is declared where the gateway starts."""
        open_inference.refuse_change("load", model)

    @router.post("/repository/models/{model:name}/unload", include_in_schema=False)
    async def unload(model: str) -> None:
        """Refused: nobody can unload a model by request: what is served is declared where the gateway starts."""
        open_inference.refuse_change("unload", model)

    async def absent(request: Request) -> None:
        """501: an extension that other servers of the protocol have."""
        raise Unsupported(
            f"{request.scope['path'][:200]} belongs to an extension that this server does not have: {_ABSENT}"
        )

    for path in _ABSENT_PATHS:
        router.add_api_route(path, absent, methods=["GET", "POST"], include_in_schema=False)

    return router


def _identity(request: Request) -> Identity | None:
    identity: Identity | None = request.state.key
    return identity


def _only_ready(body: bytes) -> bool:
    """Whether the body asks only for versions that are ready; clients send none, or one without its media type."""
    value = parsing.loads(body) if body else {}
    if not isinstance(value, dict):
        raise InvalidInput(f"the body is {described(value)}; expected an object, or nothing")
    return parameter(value, "ready", bool, False)
