"""The Open Inference Protocol over REST: everything but inference. Through FastAPI, off the hot path."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from signet.serving.errors import InvalidInput, NotFound, Unsupported
from signet.serving.gateway.core.open_inference import OpenInference
from signet.serving.json_arrays import parsing
from signet.serving.json_arrays.values import described
from signet.serving.open_inference.requests import parameter

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


def create_router(open_inference: OpenInference) -> APIRouter:
    """The routes of one gateway."""
    router = APIRouter(prefix="/v2")

    @router.get("")
    @router.get("/", include_in_schema=False)
    async def server() -> dict[str, Any]:
        """Name, version and extensions of the server."""
        return open_inference.server()

    @router.get("/health/live")
    async def live() -> dict[str, bool]:
        """200 while the process works."""
        return {"live": True}

    @router.get("/health/ready")
    async def ready() -> Response:
        """200 when every declared model has an available version and no stop is under way, else 503."""
        ready = open_inference.ready()
        return JSONResponse({"ready": ready, "live": True}, 200 if ready else 503)

    @router.get("/models/stats")
    async def all_statistics() -> dict[str, Any]:
        """Counts and nanoseconds of every available version of every model."""
        return await open_inference.statistics("", "")

    @router.get("/models/{model:name}")
    @router.get("/models/{model:name}/versions/{version:name}")
    async def metadata(model: str, version: str = "", signature_name: str = "") -> dict[str, Any]:
        """Names, datatypes and shapes of the inputs and outputs of a signature; -1 is any size."""
        return await open_inference.metadata(model, version, signature_name)

    @router.get("/models/{model:name}/ready")
    @router.get("/models/{model:name}/versions/{version:name}/ready")
    async def model_ready(model: str, version: str = "") -> Response:
        """200 when the model can be asked, 404 when there is no such model, else 503."""
        ready = await open_inference.model_ready(model, version)
        said = {"name": model, "ready": ready}
        try:
            open_inference.check_declared(model)
        except NotFound as error:
            return JSONResponse({**said, "error": str(error)}, error.http_status)
        return JSONResponse(said, 200 if ready else 503)

    @router.get("/models/{model:name}/config")
    @router.get("/models/{model:name}/versions/{version:name}/config")
    async def config(model: str, version: str = "") -> dict[str, Any]:
        """The model as a model configuration describes it."""
        return await open_inference.config(model, version)

    @router.get("/models/{model:name}/stats")
    @router.get("/models/{model:name}/versions/{version:name}/stats")
    async def statistics(model: str, version: str = "") -> dict[str, Any]:
        """Counts and nanoseconds since the start."""
        return await open_inference.statistics(model, version)

    @router.post("/repository/index")
    async def index(request: Request) -> list[dict[str, str]]:
        """Every known version and its state; with {"ready": true} only those that can be asked."""
        return await open_inference.index(_only_ready(await request.body()))

    @router.post("/repository/models/{model:name}/load")
    async def load(model: str) -> None:
        """Refused: 403."""
        open_inference.refuse_change("load", model)

    @router.post("/repository/models/{model:name}/unload")
    async def unload(model: str) -> None:
        """Refused: 403."""
        open_inference.refuse_change("unload", model)

    async def absent(request: Request) -> None:
        """501: an extension that other servers of the protocol have."""
        raise Unsupported(f"{request.scope['path'][:200]} belongs to an extension that this server has not: {_ABSENT}")

    for path in _ABSENT_PATHS:
        router.add_api_route(path, absent, methods=["GET", "POST"])

    return router


def _only_ready(body: bytes) -> bool:
    """What a body asks for; clients send none, or one without its media type."""
    said = parsing.loads(body) if body else {}
    if not isinstance(said, dict):
        raise InvalidInput(f"the body is {described(said)}; expected an object, or nothing")
    return parameter(said, "ready", bool, False)
